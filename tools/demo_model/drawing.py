"""The second renderer, of the battery: pictures by PIL, drawn large and reduced, saved as PNG or JPEG.

It shares nothing with the renderer that training uses: own geometry, own colours, own fonts, real files.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from math import cos, pi, radians, sin
from random import Random

from PIL import Image, ImageDraw, ImageFilter, ImageFont

Rgb = tuple[int, int, int]
COLOURS: dict[str, list[Rgb]] = {
    "red": [(255, 0, 0), (200, 30, 30), (230, 25, 25), (220, 10, 20)],
    "orange": [(255, 140, 0), (255, 165, 0), (245, 130, 20)],
    "yellow": [(255, 255, 0), (255, 230, 0), (250, 240, 40)],
    "green": [(0, 255, 0), (0, 200, 0), (50, 205, 50), (0, 128, 0), (34, 139, 34)],
    "cyan": [(0, 255, 255), (0, 220, 230), (0, 206, 209)],
    "blue": [(0, 0, 255), (30, 60, 220), (65, 105, 225), (20, 30, 160)],
    "purple": [(160, 32, 240), (148, 0, 211), (128, 0, 128)],
    "pink": [(255, 105, 180), (255, 80, 170), (250, 120, 190)],
    "brown": [(139, 69, 19), (120, 60, 20), (101, 60, 30)],
    "black": [(0, 0, 0), (15, 15, 15)],
    "white": [(255, 255, 255), (245, 245, 245)],
    "grey": [(128, 128, 128), (110, 110, 110)],
}
PLAIN = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
PARTNERS: dict[str, tuple[str, ...]] = {  # backgrounds on which a colour is asked for
    "red": ("white", "black", "blue", "yellow", "green", "cyan", "grey"),
    "orange": ("white", "black", "blue", "purple", "green", "cyan"),
    "yellow": ("black", "blue", "red", "purple", "green", "grey", "brown"),
    "green": ("white", "black", "yellow", "pink", "orange", "purple", "red"),
    "cyan": ("black", "red", "purple", "orange", "pink", "brown"),
    "blue": ("white", "yellow", "orange", "red", "pink", "grey", "cyan"),
    "purple": ("white", "yellow", "green", "orange", "cyan", "black"),
    "pink": ("white", "black", "blue", "green", "yellow", "grey"),
    "brown": ("white", "yellow", "cyan", "green", "pink", "blue"),
    "black": ("white", "red", "yellow", "green", "cyan", "orange", "pink", "blue"),
    "white": ("black", "red", "blue", "green", "purple", "orange", "brown"),
    "grey": ("red", "yellow", "green", "blue", "pink", "cyan", "orange"),
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond")
FONTS = (
    "liberation/LiberationSans-Regular.ttf",
    "liberation/LiberationSans-Bold.ttf",
    "liberation/LiberationSerif-Regular.ttf",
    "liberation/LiberationSerif-Bold.ttf",
    "liberation/LiberationMono-Bold.ttf",
    "crosextra/Carlito-Regular.ttf",
    "crosextra/Carlito-Bold.ttf",
    "dejavu/DejaVuSansCondensed-Bold.ttf",
    "dejavu/DejaVuSerifCondensed.ttf",
    "dejavu/DejaVuSans.ttf",
)
SIZES = (
    (64, 64),
    (96, 96),
    (128, 128),
    (160, 120),
    (200, 200),
    (224, 224),
    (240, 160),
    (150, 200),
    (256, 256),
    (300, 200),
    (180, 260),
    (320, 240),
    (120, 210),
    (384, 384),
)


@dataclass
class Drawn:
    """A picture and what is in it."""

    image: Image.Image
    colour: str = ""
    background: str = ""
    shape: str = ""
    count: int = 0
    number: str = ""
    side: str = ""


def size_for(rng: Random, least: int = 64) -> tuple[int, int]:
    return rng.choice([size for size in SIZES if min(size) >= least])


def pair(rng: Random, colour: str | None = None) -> tuple[str, str, Rgb, Rgb]:
    """Foreground and background; next to grey and brown only the bright forms of a colour."""
    fore = colour or rng.choice(tuple(PARTNERS))
    back = rng.choice(PARTNERS[fore])

    def value(name: str, other: str) -> Rgb:
        forms = (
            [rgb for rgb in COLOURS[name] if max(rgb) > 205]
            if other in ("grey", "brown") and name not in ("grey", "brown", "black")
            else COLOURS[name]
        )
        return rng.choice(forms or COLOURS[name])

    return fore, back, value(fore, back), value(back, fore)


def solid(rng: Random, colour: str, rgb: Rgb | None = None) -> Drawn:
    return Drawn(Image.new("RGB", size_for(rng), rgb or rng.choice(COLOURS[colour])), colour=colour)


def shaded(rng: Random, colour: str) -> Drawn:
    """Light to dark, straight or round."""
    width, height = size_for(rng)
    ramp = (Image.linear_gradient("L") if rng.random() < 0.6 else Image.radial_gradient("L")).rotate(
        rng.choice((0, 90, 180, 270))
    )
    ramp = ramp.resize((width, height), Image.BILINEAR)
    rgb = rng.choice([rgb for rgb in COLOURS[colour] if max(rgb) > 150])
    dark = tuple(round(channel * rng.uniform(0.3, 0.32)) for channel in rgb)
    return Drawn(
        Image.composite(Image.new("RGB", (width, height), dark), Image.new("RGB", (width, height), rgb), ramp),
        colour=colour,
    )


def corners(shape: str) -> list[tuple[float, float]]:
    """Corners in the unit square around 0, y down."""
    if shape == "square":
        return [(-0.72, -0.72), (0.72, -0.72), (0.72, 0.72), (-0.72, 0.72)]
    if shape == "triangle":
        return [(0.9 * sin(radians(a)), -0.9 * cos(radians(a)) + 0.15) for a in (0, 120, 240)]
    if shape == "star":
        return [((0.95, 0.39)[k % 2] * sin(k * pi / 5), -(0.95, 0.39)[k % 2] * cos(k * pi / 5)) for k in range(10)]
    if shape == "cross":
        arm, half = 0.85, 0.27
        return [
            (-half, -arm),
            (half, -arm),
            (half, -half),
            (arm, -half),
            (arm, half),
            (half, half),
            (half, arm),
            (-half, arm),
            (-half, half),
            (-arm, half),
            (-arm, -half),
            (-half, -half),
        ]
    return [(0, -0.92), (0.66, 0), (0, 0.92), (-0.66, 0)]


def stamp(draw: ImageDraw.ImageDraw, shape: str, x: float, y: float, radius: float, degrees: float, rgb: Rgb) -> None:
    if shape == "circle":
        r = radius * 0.85
        draw.ellipse((x - r, y - r, x + r, y + r), fill=rgb)
        return
    c, s = cos(radians(degrees)), sin(radians(degrees))
    draw.polygon([(x + radius * (a * c - b * s), y + radius * (a * s + b * c)) for a, b in corners(shape)], fill=rgb)


def shapes(rng: Random, shape: str | None = None, count: int = 1, side: str = "", colour: str | None = None) -> Drawn:
    """`count` equal things in the cells of a jittered grid, one thing in the middle, or one thing on a side."""
    width, height = size_for(rng, 64 if count < 3 else 120)
    fine = 4
    fore, back, front, ground = pair(rng, colour)
    shape = shape or rng.choice(SHAPES)
    image = Image.new("RGB", (width * fine, height * fine), ground)
    draw = ImageDraw.Draw(image)
    small = min(width, height) * fine
    wide, high = width * fine, height * fine
    turn = rng.uniform(-8, 8)
    if side:
        radius = small * rng.uniform(0.13, 0.19)
        x, y = {"left": (0.2, 0.5), "right": (0.8, 0.5), "top": (0.5, 0.2), "bottom": (0.5, 0.8), "middle": (0.5, 0.5)}[
            side
        ]
        places = [(wide * (x + rng.uniform(-0.03, 0.03)), high * (y + rng.uniform(-0.03, 0.03)))]
    elif count == 1:
        radius = small * rng.uniform(0.22, 0.4)
        places = [(wide / 2 + rng.uniform(-0.06, 0.06) * wide, high / 2 + rng.uniform(-0.06, 0.06) * high)]
    else:
        columns, rows = (
            (3, 2) if wide > high * 1.2 else (2, 3) if high > wide * 1.2 else (3, 3) if count > 4 else (2, 2)
        )
        cell = min(wide / columns, high / rows)
        radius = cell * rng.uniform(0.34, 0.4)
        cells = rng.sample([(a, b) for a in range(columns) for b in range(rows)], count)
        room = 0.06 * cell
        places = [
            (wide * (a + 0.5) / columns + rng.uniform(-room, room), high * (b + 0.5) / rows + rng.uniform(-room, room))
            for a, b in cells
        ]
    for x, y in places:
        stamp(draw, shape, x, y, radius, turn, front)
    image = image.resize((width, height), Image.LANCZOS)
    return Drawn(image, fore, back, shape, count, side=side)


def number(rng: Random, value: str | None = None) -> Drawn:
    """One or two digits in one of the fonts."""
    width, height = size_for(rng, 96)
    value = value or str(rng.choice([rng.randrange(10), rng.randrange(10, 100), rng.randrange(10, 100)]))
    fore, back, front, ground = pair(rng)
    fine = 3
    image = Image.new("RGB", (width * fine, height * fine), ground)
    path = "/usr/share/fonts/truetype/" + rng.choice(FONTS)
    probe = ImageFont.truetype(path, 200)
    left, top, right, bottom = probe.getbbox(value)
    scale = min(
        width * fine * rng.uniform(0.62, 0.85) / (right - left), height * fine * rng.uniform(0.6, 0.8) / (bottom - top)
    )
    font = ImageFont.truetype(path, round(200 * scale))
    middle = (
        width * fine / 2 + rng.uniform(-0.03, 0.03) * width,
        height * fine / 2 + rng.uniform(-0.03, 0.03) * height,
    )
    left, top, right, bottom = font.getbbox(value)
    ImageDraw.Draw(image).text(
        (middle[0] - (left + right) / 2, middle[1] - (top + bottom) / 2), value, font=font, fill=front
    )
    if rng.random() < 0.3:
        image = image.rotate(rng.uniform(-5, 5), Image.BICUBIC, fillcolor=ground)
    return Drawn(image.resize((width, height), Image.LANCZOS), fore, back, number=value)


def encode(rng: Random, drawn: Drawn, png: bool | None = None) -> tuple[bytes, str]:
    """A file's bytes and its extension; at times a little blurred."""
    image = drawn.image
    if rng.random() < 0.15:
        image = image.filter(ImageFilter.GaussianBlur(0.6))
    buffer = io.BytesIO()
    if png if png is not None else rng.random() < 0.5:
        image.save(buffer, "PNG", optimize=True)
        return buffer.getvalue(), "png"
    image.save(buffer, "JPEG", quality=rng.choice((70, 80, 85, 92)))
    return buffer.getvalue(), "jpg"
