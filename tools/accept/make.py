"""Draws the pictures and speaks the sentence of `cargo xtask accept`: `make.py`, with Pillow and espeak-ng at hand.

Everything is drawn from rectangles and a bitmap font that is written here, so that no font and no version of one matters.
"""

from __future__ import annotations

import subprocess
import wave
from pathlib import Path

from PIL import Image, ImageDraw

FOLDER = Path(__file__).parent
SIDE = 448
COLOURS = {"red": (220, 20, 20), "green": (20, 160, 40), "blue": (30, 60, 220), "yellow": (250, 220, 20)}
COLOURS["purple"] = (128, 20, 150)
# Rows of five pixels, from the top.
GLYPHS = {
    "H": "10001 10001 10001 11111 10001 10001 10001",
    "E": "11111 10000 10000 11110 10000 10000 11111",
    "L": "10000 10000 10000 10000 10000 10000 11111",
    "O": "01110 10001 10001 10001 10001 10001 01110",
    "P": "11110 10001 10001 11110 10000 10000 10000",
    "U": "10001 10001 10001 10001 10001 10001 01110",
    "R": "11110 10001 10001 11110 10100 10010 10001",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "2": "01110 10001 00001 00010 00100 01000 11111",
    " ": "00000 00000 00000 00000 00000 00000 00000",
}
SENTENCE = "The black cat sleeps under the kitchen table."
RATE = 16_000


def write(picture: Image.Image, name: str) -> None:
    picture.save(FOLDER / f"{name}.png", optimize=True)


def draw_line(draw: ImageDraw.ImageDraw, text: str, top: int, scale: int, width: int) -> None:
    left = (width - (6 * len(text) - 1) * scale) // 2
    for letter in text:
        for y, row in enumerate(GLYPHS[letter].split()):
            for x, bit in enumerate(row):
                if bit == "1":
                    corner = (left + x * scale, top + y * scale)
                    draw.rectangle((*corner, corner[0] + scale - 1, corner[1] + scale - 1), fill=(0, 0, 0))
        left += 6 * scale


def card() -> Image.Image:
    picture = Image.new("RGB", (640, 448), (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    draw_line(draw, "HELLO", 72, 16, picture.width)
    draw_line(draw, "PURPLE 42", 264, 11, picture.width)
    return picture


def border() -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), COLOURS["red"])
    ImageDraw.Draw(picture).rectangle((56, 56, SIDE - 57, SIDE - 57), fill=(255, 255, 255))
    return picture


def sentence() -> None:
    """espeak-ng says it at 22,050 samples a second; every encoder here hears 16,000."""
    command = ["espeak-ng", "-v", "en-us", "-s", "130", "--stdout", SENTENCE]
    spoken = subprocess.run(command, check=True, capture_output=True).stdout
    rate = int.from_bytes(spoken[24:28], "little")
    samples = memoryview(spoken[44:]).cast("h")
    count = len(samples) * RATE // rate
    resampled = bytearray()
    for index in range(count):
        place, rest = divmod(index * rate, RATE)
        after = samples[min(place + 1, len(samples) - 1)]
        value = samples[place] + (after - samples[place]) * rest // RATE
        resampled += value.to_bytes(2, "little", signed=True)
    with wave.open(str(FOLDER / "sentence.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(bytes(resampled))


def main() -> None:
    for name, colour in COLOURS.items():
        write(Image.new("RGB", (SIDE, SIDE), colour), name)
    write(card(), "card")
    write(border(), "border")
    sentence()


if __name__ == "__main__":
    main()
