"""Pictures as small vectors: what is drawn where, and how the picture is spoilt. `render.py` draws them on the GPU.

A picture is drawn straight at the size that the image processor would resize it to: `columns` x `rows` patches of
48 pixels, at most 70. Lengths are in pixels of that size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, floor, log, pi, sqrt
from random import Random

import numpy as np

from colours import PLAIN, Rgb, pick, pick_pair
from sprites import SHAPES, VARIANTS

PATCH = 48
BUDGET = 70
SPRITES = 6
HEAD = 20
SPRITE = 12
VECTOR = HEAD + SPRITES * SPRITE
FIRST_DIGIT = len(SHAPES) * VARIANTS  # in the atlas
ZONES = {"left": (0.2, 0.5), "right": (0.8, 0.5), "top": (0.5, 0.2), "bottom": (0.5, 0.8), "middle": (0.5, 0.5)}


def patch_grid(width: int, height: int) -> tuple[int, int]:
    """Columns and rows of the resized picture (the image processor's rule for a budget of 70)."""
    factor = sqrt(BUDGET * PATCH * PATCH / (width * height))
    columns, rows = floor(factor * width / PATCH), floor(factor * height / PATCH)
    if columns == 0:
        return 1, min(height // width, BUDGET)
    if rows == 0:
        return min(width // height, BUDGET), 1
    return columns, rows


@dataclass
class Picture:
    """One picture: its grid, its vector, and the facts that questions ask for."""

    columns: int
    rows: int
    vector: np.ndarray
    kind: str = ""
    colour: str = ""
    background: str = ""
    shape: str = ""
    count: int = 0
    number: str = ""
    zone: str = ""
    sprites: int = field(default=0)

    @property
    def width(self) -> int:
        return self.columns * PATCH

    @property
    def height(self) -> int:
        return self.rows * PATCH

    @property
    def side(self) -> int:
        return min(self.width, self.height)

    def sprite(
        self,
        index: int,
        x: float,
        y: float,
        half: tuple[float, float],
        turn: float,
        slant: float,
        rgb: Rgb,
        shade: float,
        shade_angle: float,
    ) -> None:
        at = HEAD + self.sprites * SPRITE
        self.vector[at : at + SPRITE] = (index, x, y, *half, turn, slant, *rgb, shade, shade_angle)
        self.sprites += 1


def log_uniform(rng: Random, low: float, high: float) -> float:
    return exp(rng.uniform(log(low), log(high)))


def canvas(rng: Random) -> Picture:
    """An empty picture: aspect ratio, and everything that spoils it."""
    ratio = 1.0 if rng.random() < 0.4 else log_uniform(rng, 0.5, 2.0)
    columns, rows = patch_grid(round(1000 * ratio), 1000)
    vector = np.zeros(VECTOR, np.float32)
    vector[HEAD::SPRITE] = -1
    edge = log_uniform(rng, 0.8, 9.0)
    clean = rng.random() < 0.25
    vector[9] = edge
    vector[10] = edge * rng.choice((1.0, 1.0, rng.uniform(1, 3)))
    vector[11] = 0.0 if rng.random() < 0.4 else rng.uniform(0, 0.35)
    vector[12] = 0.0 if clean else log_uniform(rng, 0.002, 0.045)
    vector[13] = 0.0 if clean or rng.random() < 0.5 else log_uniform(rng, 0.002, 0.03)
    vector[14] = 1.0 if clean else rng.uniform(0.85, 1.04)
    if not clean and rng.random() < 0.5:
        vector[15], vector[16] = rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2)
    if not clean and rng.random() < 0.2:
        vector[17] = rng.uniform(0.01, 0.07)
        angle, wave = rng.uniform(0, 2 * pi), 2 * pi / log_uniform(rng, 6, 120)
        vector[18], vector[19] = wave * np.cos(angle), wave * np.sin(angle)
    return Picture(columns, rows, vector)


def fill(rng: Random, picture: Picture, rgb: Rgb, shading: float) -> None:
    """The background: from one level of the colour to a darker one, in any direction."""
    far = tuple(channel * (1 - shading) for channel in rgb)
    if rng.random() < 0.5:
        rgb, far = far, rgb
    picture.vector[0:3], picture.vector[3:6] = rgb, far
    angle = rng.choice((0, pi / 2, rng.uniform(0, 2 * pi)))
    picture.vector[6] = np.cos(angle) / picture.width
    picture.vector[7] = np.sin(angle) / picture.height
    picture.vector[8] = rng.random() < 0.25  # radial


def plain(rng: Random, colour: str | None = None, shaded: bool = False) -> Picture:
    picture = canvas(rng)
    picture.kind, picture.colour = "shaded" if shaded else "plain", colour or rng.choice(PLAIN)
    fill(rng, picture, pick(rng, picture.colour), rng.uniform(0.25, 0.75) if shaded else 0.0)
    return picture


def scatter(rng: Random, picture: Picture, count: int) -> list[tuple[float, float, float]]:
    """Places for `count` things that do not touch: x, y, half size."""
    width, height, side = picture.width, picture.height, picture.side
    while True:
        half = side * (
            rng.uniform(0.16, 0.42)
            if count == 1
            else rng.uniform(0.105, 0.25 if count == 2 else 0.2 if count == 3 else 0.17)
        )
        places: list[tuple[float, float, float]] = []
        for _ in range(60):
            own = half * rng.uniform(0.85, 1.1)
            if own * 2 >= side:
                break
            x, y = rng.uniform(own, width - own), rng.uniform(own, height - own)
            if all((x - a) ** 2 + (y - b) ** 2 > (1.12 * (own + r)) ** 2 for a, b, r in places):
                places.append((x, y, own))
                if len(places) == count:
                    return places


def turn_of(rng: Random, shape: str) -> float:
    """A small turn; a triangle may stand on its tip."""
    turn = rng.gauss(0, 0.08) if rng.random() < 0.6 else rng.uniform(-0.3, 0.3)
    if shape in ("square", "diamond", "cross"):
        turn = max(-0.2, min(0.2, turn))
    return turn + (pi if shape == "triangle" and rng.random() < 0.2 else 0)


def shapes(
    rng: Random,
    count: int | None = None,
    zone: str | None = None,
    colour: str | None = None,
    shape: str | None = None,
    background: str | None = None,
) -> Picture:
    """`count` things of one shape and one colour on a background; one thing may lie in a zone."""
    picture = canvas(rng)
    picture.kind = "shapes"
    if background:
        picture.background, picture.colour, back, fore = pick_pair(rng, background)
    else:
        picture.colour, picture.background, fore, back = pick_pair(rng, colour)
    picture.shape, picture.count, picture.zone = shape or rng.choice(SHAPES), count or 1, zone or ""
    fill(rng, picture, back, 0.0 if rng.random() < 0.7 else rng.uniform(0.05, 0.15))
    if zone:
        x, y = ZONES[zone]
        half = picture.side * rng.uniform(0.11, 0.2)
        along = rng.uniform(-0.13, 0.13)
        across = rng.uniform(-0.07, 0.08) * (1 if zone in ("left", "top") else -1)
        if zone == "middle":
            half, along, across = (
                picture.side * rng.uniform(0.11, 0.3),
                rng.uniform(-0.08, 0.08),
                rng.uniform(-0.08, 0.08),
            )
        dx, dy = (across, along) if zone in ("left", "right") else (along, across)
        x = min(max((x + dx) * picture.width, half), picture.width - half)
        y = min(max((y + dy) * picture.height, half), picture.height - half)
        places = [(x, y, half)]
    else:
        places = scatter(rng, picture, picture.count)
    shade = 0.0 if rng.random() < 0.6 else rng.uniform(0.05, 0.2)
    for x, y, half in places:
        index = SHAPES.index(picture.shape) * VARIANTS + rng.randrange(VARIANTS)
        stretch = rng.uniform(0.92, 1.08)
        picture.sprite(
            index,
            x,
            y,
            (half * stretch * 1.1, half / stretch * 1.1),
            turn_of(rng, picture.shape),
            0.0,
            fore,
            shade,
            rng.uniform(0, 2 * pi),
        )
    return picture


def number(rng: Random, advance: np.ndarray, value: str | None = None) -> Picture:
    """One or two digits in one of the fonts; `advance` [fonts, 10] over the digits' height."""
    picture = canvas(rng)
    picture.kind = "number"
    picture.number = value or str(rng.randrange(10) if rng.random() < 0.35 else rng.randrange(10, 100))
    picture.colour, picture.background, fore, back = pick_pair(rng)
    fill(rng, picture, back, 0.0 if rng.random() < 0.7 else rng.uniform(0.05, 0.15))
    font = rng.randrange(len(advance))
    digits = [int(digit) for digit in picture.number]
    stretch = rng.uniform(0.88, 1.12)
    steps = [float(advance[font, digit]) * stretch for digit in digits]
    most = min(picture.height * 0.92, picture.width * 0.92 / sum(steps))
    high = rng.uniform(min(0.42, 0.9 * most / picture.side), most / picture.side) * picture.side
    if rng.random() < 0.3:
        high = max(high, most * 0.8)
    wide = sum(steps) * high
    spare_x, spare_y = max(picture.width - wide, 0) / 2 * 0.95, max(picture.height - high, 0) / 2 * 0.95
    x = picture.width / 2 + rng.triangular(-1, 1, 0) * spare_x - wide / 2
    y = picture.height / 2 + rng.triangular(-1, 1, 0) * spare_y
    turn, slant = rng.gauss(0, 0.05), rng.gauss(0, 0.06)
    shade = 0.0 if rng.random() < 0.7 else rng.uniform(0.05, 0.2)
    for digit, step in zip(digits, steps):
        half = high / 2 / 0.85
        picture.sprite(
            FIRST_DIGIT + font * 10 + digit,
            x + step * high / 2,
            y,
            (half * stretch, half),
            turn,
            slant,
            fore,
            shade,
            0.5,
        )
        x += step * high
    return picture
