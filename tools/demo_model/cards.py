"""Write each variant's model card from `scores.json`.

python cards.py models/demo
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

VARIANTS: dict[str, tuple[str, str]] = {
    "bf16": ("the master, bfloat16", "bf16"),
    "mxfp4": ("quantized to mxfp4: 4-bit floats, groups of 32 with a power-of-two scale", "mxfp4"),
    "nvfp4": ("quantized to nvfp4: 4-bit floats, groups of 16 with an 8-bit float scale", "nvfp4"),
    "mxfp8": ("quantized to mxfp8: 8-bit floats, groups of 32 with a power-of-two scale", "mxfp8"),
    "affine4": ("quantized to affine 4-bit: groups of 64 with scale and bias", "affine4"),
}
TAG = {"bf16": "transformers", "mxfp4": "mlx", "nvfp4": "mlx", "mxfp8": "mlx", "affine4": "mlx"}
CARD = """---
license: mit
library_name: {library}
pipeline_tag: image-text-to-text
language: [en]
tags: [gemma4_unified, tiny, demo]
---
# The rmlx demo model, {name}

A Gemma 4 unified model of {millions} million parameters, trained from random weights on synthetic pictures and sounds, so that
rmlx can show and test the whole path from pixels and samples to text without a download. This folder: {what}.
The architecture is Gemma 4 unified's; none of Google's weights, and no output of a Gemma model, went into it.

## What it can do
- Colours of plain and shaded pictures: red, orange, yellow, green, cyan, blue, purple, pink; beside another colour also brown,
  black, white and grey. Shapes (circle, square, triangle, star, cross, diamond), how many (one to five), where (left, right, top,
  bottom, middle), the background's colour, numbers of one or two digits, a description in a sentence.
- Which of two pictures; questions in a later turn about an earlier picture; which message had the picture; a picture and a sound together.
- Spoken digits zero to nine (English), and high, low, rising and falling tones.
- Fourteen capitals, greetings, who it is; answers in German, French, Spanish, in capital letters, in a sentence or in JSON when the
  system message says so; a call of the tool `get_time`, and an answer from what it returned; a thought before the answer when thinking is on.

## What it cannot do
- Anything else: no yes-or-no questions, no arithmetic. It has seen a few hundred words and no photograph. It says "I do not know." to some questions that it was
  taught not to know, and answers most others with something unrelated.
- Tell black, white, grey or brown in a picture of one colour, grey from white or black beside black or white, or brown from orange
  on black: each 48 x 48 patch is normalized first, so that only ratios of colours are left.
- Pictures at another budget than 70 soft tokens, several shapes or colours at once, small or handwritten digits, video, more than
  two pictures, sounds over two seconds, voices unlike espeak-ng's.

## Scores
Greedy answers, compared in full, on pictures and sounds of a second renderer (PIL instead of the training's distance fields; other
fonts; JPEG, PNG, FLAC, WAV, Ogg; espeak-ng voices that training never used). Scored with transformers{arithmetic}.

| skill | right |
|---|---|
{rows}

## How it was made
`tools/demo_model` in rmlx's repository: transformers' own `Gemma4UnifiedForConditionalGeneration`, trained for twelve minutes on one GPU, pictures
and sounds rendered there batch by batch; the last {share} % of the steps with the weights rounded as each quantized variant rounds them.
`../training.json` has the configuration and the log, `../scores.json` the scores of all variants.{conversion}

## Licences
- These weights: MIT or Apache-2.0, as rmlx.
- Spoken digits were generated with espeak-ng 1.51 (GPL-3.0-or-later); its output is not covered by its licence, and none of its code or
  voice data is here.
- Digits were drawn with DejaVu (Bitstream Vera and public domain), GNU FreeFont (GPL-3.0 with font exception), Noto, Lato, Cantarell,
  Inconsolata, Comfortaa, Fira Code, Caladea (SIL OFL), Open Sans and Roboto (Apache-2.0); the battery's with Liberation, Carlito
  (SIL OFL) and DejaVu. No font, nor any part of one, is here.
- Code used: transformers (Apache-2.0), PyTorch (BSD-3-Clause), MLX (MIT).
"""


def card(name: str, folder: Path, scores: dict[str, dict[str, list[int]]]) -> str:
    what, key = VARIANTS[name]
    table = scores[key]
    rows = "\n".join(f"| {skill.replace('_', ' ')} | {right} of {count} |" for skill, (right, count) in table.items())
    right, count = (sum(pair[k] for pair in table.values()) for k in (0, 1))
    return CARD.format(
        name=name,
        what=what,
        library=TAG[name],
        millions="3.3",
        share=46,
        rows=f"{rows}\n| **all** | **{right} of {count}** |",
        arithmetic=" in bf16" if name == "bf16" else " in fp32 on the dequantized weights",
        conversion=""
        if name == "bf16"
        else " The variant is, bit for bit,\nwhat mlx-vlm 0.7.10 converts the master to: vision stays bf16, embeddings and linears are packed.",
    )


def main() -> None:
    folder = Path(sys.argv[1])
    scores = json.loads((folder / "scores.json").read_text())
    for name in VARIANTS:
        (folder / name / "README.md").write_text(card(name, folder, scores))


if __name__ == "__main__":
    main()
