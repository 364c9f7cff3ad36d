"""Write `training.json` beside the weights: how they were made, from the logs of the stages.

python record.py models/demo STAGE1.log STAGE2.log
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from batches import BUCKETS
from colours import RANGES
from skills import PICTURE_SKILLS, SEVERAL, SOUNDS, TEXTS
from snapshot import write_json
from voices import ACCENTS, HELD_OUT_ACCENT, HELD_OUT_VARIANTS, VARIANTS


def stage(path: Path) -> dict[str, object]:
    """The progress lines, and the right answers by skill on the training renderer at the end."""
    lines = [line for line in path.read_text().splitlines() if line.startswith(("step ", "{"))]
    return {
        "log": [line for line in lines if line.startswith("step ")],
        "right_on_training_renderer": json.loads(lines[-1]),
    }


def main() -> None:
    folder, first, second = map(Path, sys.argv[1:4])
    write_json(
        folder / "training.json",
        {
            "software": {"python": "3.12", "torch": "2.11.0+cu130", "transformers": "5.17.0", "espeak-ng": "1.51"},
            "hardware": "one NVIDIA H200",
            "optimizer": "Muon (lr 0.015, momentum 0.95, decay 0.02) for the layers' matrices, AdamW (lr 2e-3, betas 0.9 0.98) for the rest; cosine over 720 s, warmup 100 steps, clip 1.0, bf16 autocast, seed 0",
            "stages": [
                {"what": "390 s in bf16", **stage(first)},
                {
                    "what": "330 s with the weights of bf16, mxfp4, nvfp4 and affine4 in turn, straight-through; optimizer state started anew",
                    **stage(second),
                },
            ],
            "batch": [asdict(bucket) for bucket in BUCKETS],
            "skills": {
                "picture": PICTURE_SKILLS,
                **{
                    name: {maker.__name__: share for maker, share in makers.items()}
                    for name, makers in (("several", SEVERAL), ("sound", SOUNDS), ("text", TEXTS))
                },
            },
            "colours": {
                name: {"hue": ranges[0], "saturation": ranges[1], "value": ranges[2]} for name, ranges in RANGES.items()
            },
            "voices": {
                "accents": ACCENTS,
                "variants": VARIANTS,
                "held_out_accent": HELD_OUT_ACCENT,
                "held_out_variants": HELD_OUT_VARIANTS,
            },
        },
    )


if __name__ == "__main__":
    main()
