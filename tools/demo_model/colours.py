"""The twelve colour names: what a name may look like, and which two can be told apart.

The model's first step normalizes each 48 x 48 patch to mean 0 and variance 1. A patch of one colour therefore keeps
its hue only: eight names can be seen in a plain picture; black, white, grey and brown only beside another colour.
Beside it, too, only the ratio of the two is left, so grey and brown need a bright partner.
"""

from __future__ import annotations

from colorsys import hsv_to_rgb
from random import Random

Rgb = tuple[float, float, float]
# name: hue in degrees (from, to), saturation, value
RANGES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "red": ((-8, 7), (0.78, 1.0), (0.7, 1.0)),
    "orange": ((24, 40), (0.85, 1.0), (0.88, 1.0)),
    "yellow": ((51, 64), (0.75, 1.0), (0.85, 1.0)),
    "green": ((96, 146), (0.6, 1.0), (0.42, 1.0)),
    "cyan": ((173, 193), (0.7, 1.0), (0.75, 1.0)),
    "blue": ((214, 246), (0.7, 1.0), (0.5, 1.0)),
    "purple": ((267, 303), (0.6, 1.0), (0.45, 1.0)),
    "pink": ((319, 339), (0.35, 0.95), (0.9, 1.0)),
    "brown": ((18, 31), (0.6, 0.9), (0.36, 0.6)),
    "black": ((0, 360), (0.0, 0.3), (0.0, 0.1)),
    "white": ((0, 360), (0.0, 0.03), (0.93, 1.0)),
    "grey": ((0, 360), (0.0, 0.06), (0.4, 0.6)),
}
NAMES = tuple(RANGES)
PLAIN = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")  # seen without a partner
NEUTRAL = ("black", "white", "grey")
UNLIKE = {  # pairs too close to ask for
    frozenset(pair)
    for pair in (
        ("grey", "black"),
        ("grey", "white"),
        ("grey", "brown"),
        ("brown", "black"),
        ("brown", "orange"),
        ("brown", "red"),
        ("brown", "purple"),
        ("red", "orange"),
        ("orange", "yellow"),
        ("red", "pink"),
        ("purple", "pink"),
        ("blue", "purple"),
        ("green", "cyan"),
        ("yellow", "white"),
        ("cyan", "white"),
    )
}


def pick(rng: Random, name: str, bright: bool = False) -> Rgb:
    """A colour of that name; `bright` keeps its value high, for a partner of grey or brown."""
    hue, saturation, value = RANGES[name]
    low = max(value[0], 0.8) if bright and value[1] > 0.8 else value[0]
    return hsv_to_rgb(rng.uniform(*hue) % 360 / 360, rng.uniform(*saturation), rng.uniform(low, value[1]))


def pick_pair(rng: Random, first: str | None = None) -> tuple[str, str, Rgb, Rgb]:
    """Two colours that can be told apart, as names and values; `first` may be given."""
    while True:
        one = first or rng.choice(NAMES)
        two = rng.choice(NAMES)
        if one != two and frozenset((one, two)) not in UNLIKE:
            break
    return one, two, pick(rng, one, two in ("grey", "brown")), pick(rng, two, one in ("grey", "brown"))
