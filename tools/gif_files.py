"""GIFs whose first picture is no whole screen, of `picture_sweep.py` and `media_vectors.py`: names and bytes."""

import io
import struct

import numpy as np
from PIL import Image

COLORS = np.random.default_rng(1).integers(0, 256, (2, 16, 3), np.uint8)
# Left, top, width and height on a screen of 24 x 17.
PLACES = {"whole": (0, 0, 24, 17), "part": (5, 4, 10, 8), "outside": (20, 10, 10, 10), "larger": (0, 0, 30, 20)}


def frame(place, transparent=None, disposal=0, interlaced=0, own_palette=False):
    left, top, width, height = place
    image = Image.fromarray(np.random.default_rng(width * height).integers(0, 16, (height, width), np.uint8), "P")
    image.putpalette(bytes(range(48)))
    out = io.BytesIO()
    image.save(out, "GIF", interlace=interlaced)
    file = out.getvalue()
    at = file.index(b",", 13 + 48)
    flags, data = file[at + 9], file[at + 10 : -1]
    if flags & 0x80:
        data = data[3 * (2 << (flags & 7)) :]
    control = b"!\xf9\4" + bytes([disposal << 2 | (transparent is not None), 10, 0, transparent or 0, 0])
    head = struct.pack("<HHHHB", left, top, width, height, (0x83 if own_palette else 0) | flags & 0x40)
    return control + b"," + head + (COLORS[1].tobytes() if own_palette else b"") + data


def gif(frames, background=0, palette=True):
    head = struct.pack("<HHBBB", 24, 17, 0xB3 if palette else 0x33, background, 0)
    return b"GIF89a" + head + (COLORS[0].tobytes() if palette else b"") + b"".join(frames) + b";"


def gifs():
    for name, place in PLACES.items():
        for transparent in (None, 0, 3):
            for interlaced in (0, 1):
                for own in (False, True):
                    kind = f"gif {name} {transparent} {interlaced} {own}"
                    one = frame(place, transparent, 2, interlaced, own)
                    yield kind, gif([one])
                    yield f"{kind}, two", gif([one, frame(PLACES["whole"])], 3)
        yield f"gif {name}, no palette for all", gif([frame(place, own_palette=True)], palette=False)


def fixtures():
    """Names and bytes of the tests' own files."""
    yield "part.gif", gif([frame(PLACES["part"], 3, interlaced=1), frame(PLACES["whole"])], 5)
    yield "outside.gif", gif([frame(PLACES["outside"], own_palette=True)])
