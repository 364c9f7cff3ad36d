"""Make a battery: questions with files from the second renderer, their one right answer, in one JSON.

    python battery.py FOLDER [--seed 11] [--scale 1.0]

FOLDER gets `battery.json` and `media/`. Needs PIL, espeak-ng, soundfile and the fonts; the tests need none of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from collector import Battery
from picture_items import conversations, pictures
from sound_items import both, hearing
from text_items import no_answer, talk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--scale", type=float, default=1.0, help="how many items, of the battery's own number")
    options = parser.parse_args()
    battery = Battery(options.folder, options.seed, options.scale)
    parts: tuple[Callable[[Battery], None], ...] = (pictures, conversations, hearing, talk, both, no_answer)
    for part in parts:
        part(battery)
    battery.write()
    print(
        len(battery.items),
        "items",
        sum(path.stat().st_size for path in (options.folder / "media").iterdir()),
        "bytes of media",
    )


if __name__ == "__main__":
    main()
