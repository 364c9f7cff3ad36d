"""The demo's default picture and sound: models/demo/example.png and example.wav.

python example.py models/demo
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image, ImageDraw

from voices import RATE, speak


def main() -> None:
    folder = Path(sys.argv[1])
    fine, width, height = 4, 320, 240
    image = Image.new("RGB", (width * fine, height * fine), (30, 60, 220))
    middle, radius = (width * fine / 2, height * fine / 2), 76 * fine
    ImageDraw.Draw(image).ellipse(
        (middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius), fill=(230, 25, 25)
    )
    image.resize((width, height), Image.LANCZOS).save(folder / "example.png", optimize=True)
    soundfile.write(
        folder / "example.wav", np.pad(speak("seven", "en-gb", 150, 50) * 0.6, (2400, 2400)), RATE, subtype="PCM_16"
    )


if __name__ == "__main__":
    main()
