"""The sprite atlas: signed distance fields of shapes and of the ten digits in many fonts.

A field holds, for 64 x 64 points of the square [-1, 1]², the distance to the outline (inside positive) clipped to
a quarter of the square's side. The renderer turns it into an edge of any softness at any size.
"""

from __future__ import annotations

from glob import glob
from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import distance_transform_edt

SIDE = 64
FINE = 512
CLIP = 0.5  # in units of half the square's side
SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond")
VARIANTS = 4  # of every shape
TRAINED_FONTS = (
    "truetype/dejavu/DejaVuSans.ttf",
    "truetype/dejavu/DejaVuSans-Bold.ttf",
    "truetype/dejavu/DejaVuSerif.ttf",
    "truetype/dejavu/DejaVuSansMono-Bold.ttf",
    "truetype/dejavu/DejaVuSerif-Bold.ttf",
    "truetype/freefont/FreeSans.ttf",
    "truetype/freefont/FreeSansBold.ttf",
    "truetype/freefont/FreeSerif.ttf",
    "truetype/freefont/FreeSerifBold.ttf",
    "truetype/freefont/FreeMonoBold.ttf",
    "truetype/freefont/FreeSansOblique.ttf",
    "truetype/noto/NotoSans-Regular.ttf",
    "truetype/noto/NotoSans-Bold.ttf",
    "truetype/noto/NotoSerif-Regular.ttf",
    "truetype/noto/NotoSerif-Bold.ttf",
    "truetype/noto/NotoSerif-Italic.ttf",
    "truetype/noto/NotoSans-Italic.ttf",
    "truetype/lato/Lato-Regular.ttf",
    "truetype/lato/Lato-Bold.ttf",
    "truetype/lato/Lato-Black.ttf",
    "truetype/open-sans/OpenSans-Regular.ttf",
    "truetype/open-sans/OpenSans-Bold.ttf",
    "truetype/open-sans/OpenSans-ExtraBold.ttf",
    "truetype/roboto/unhinted/RobotoTTF/Roboto-Regular.ttf",
    "truetype/roboto/unhinted/RobotoTTF/Roboto-Bold.ttf",
    "truetype/roboto/unhinted/RobotoTTF/Roboto-Medium.ttf",
    "opentype/cantarell/Cantarell-Regular.otf",
    "opentype/cantarell/Cantarell-Bold.otf",
    "truetype/inconsolata/Inconsolata.otf",
    "truetype/comfortaa/Comfortaa-Bold.ttf",
    "truetype/firacode/FiraCode-Bold.ttf",
    "truetype/firacode/FiraCode-Regular.ttf",
    "truetype/crosextra/Caladea-Bold.ttf",
    "truetype/crosextra/Caladea-Regular.ttf",
)


def field(mask: np.ndarray) -> np.ndarray:
    """FINE x FINE booleans (inside) to a SIDE x SIDE field of bytes, 127.5 on the outline."""
    distance = distance_transform_edt(mask) - distance_transform_edt(~mask)
    distance = distance.reshape(SIDE, FINE // SIDE, SIDE, FINE // SIDE).mean((1, 3)) / (FINE / 2)
    return np.round((np.clip(distance / CLIP, -1, 1) + 1) * 127.5).astype(np.uint8)


def outline(shape: str, variant: int) -> list[tuple[float, float]]:
    """The corners of a shape in [-1, 1]², y down; its variants differ in proportion."""
    t = variant / (VARIANTS - 1)
    if shape == "circle":
        return [(0.85 * cos(a * pi / 90), 0.85 * sin(a * pi / 90)) for a in range(180)]
    if shape == "square":
        s = 0.76
        return [(-s, -s), (s, -s), (s, s), (-s, s)]
    if shape == "triangle":
        height, base = 0.85 - 0.12 * t, 0.9 - 0.1 * (1 - t)
        return [(0, -height), (base, height * 0.8), (-base, height * 0.8)]
    if shape == "star":
        inner = 0.36 + 0.12 * t
        return [
            (
                (0.92 if k % 2 == 0 else 0.92 * inner) * sin(k * pi / 5),
                -(0.92 if k % 2 == 0 else 0.92 * inner) * cos(k * pi / 5),
            )
            for k in range(10)
        ]
    if shape == "cross":
        a, b = 0.85, 0.22 + 0.12 * t
        return [
            (-b, -a),
            (b, -a),
            (b, -b),
            (a, -b),
            (a, b),
            (b, b),
            (b, a),
            (-b, a),
            (-b, b),
            (-a, b),
            (-a, -b),
            (-b, -b),
        ]
    half_width = 0.55 + 0.22 * t
    return [(0, -0.9), (half_width, 0), (0, 0.9), (-half_width, 0)]


def shape_field(shape: str, variant: int) -> np.ndarray:
    image = Image.new("1", (FINE, FINE))
    corners = [((x + 1) * FINE / 2, (y + 1) * FINE / 2) for x, y in outline(shape, variant)]
    ImageDraw.Draw(image).polygon(corners, fill=1)
    return field(np.array(image))


def digit_field(font: ImageFont.FreeTypeFont, digit: int) -> tuple[np.ndarray, float]:
    """The digit's field, 1.7 of the square's 2 high, and its advance width over its font's digit height."""
    image = Image.new("L", (FINE, FINE))
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = draw.textbbox((0, 0), str(digit), font=font)
    draw.text(((FINE - left - right) / 2, (FINE - top - bottom) / 2), str(digit), font=font, fill=255)
    _, zero_top, _, zero_bottom = draw.textbbox((0, 0), "0", font=font)
    return field(np.array(image) > 127), draw.textlength(str(digit), font=font) / (zero_bottom - zero_top)


def sized_font(path: str) -> ImageFont.FreeTypeFont:
    """The font at the size where a zero is 0.85 of the fine square high."""
    probe = ImageFont.truetype(path, 400)
    _, top, _, bottom = probe.getbbox("0")
    return ImageFont.truetype(path, round(400 * 0.85 * FINE / (bottom - top)))


def build_atlas(root: str = "/usr/share/fonts") -> dict[str, np.ndarray]:
    """`atlas` [n, 64, 64] bytes: the shapes' variants first, then ten digits a font; `advance` [fonts, 10]."""
    fields = [shape_field(shape, variant) for shape in SHAPES for variant in range(VARIANTS)]
    advances = []
    for name in TRAINED_FONTS:
        found = glob(f"{root}/{name}")
        if not found:
            print(f"font not installed, left out: {name}")
            continue
        font = sized_font(found[0])
        digits = [digit_field(font, digit) for digit in range(10)]
        fields += [digit for digit, _ in digits]
        advances.append([advance for _, advance in digits])
    return {"atlas": np.stack(fields), "advance": np.array(advances, np.float32)}
