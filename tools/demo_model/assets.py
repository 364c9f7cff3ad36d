"""Build what training carries along: `assets.npz` with the voices and the sprites. Needs espeak-ng and the fonts.

python assets.py assets.npz
"""

from __future__ import annotations

import sys

import numpy as np

from sprites import build_atlas
from voices import build_bank


def main() -> None:
    target = sys.argv[1]
    bank = build_bank(takes=int(sys.argv[2]) if len(sys.argv) > 2 else 550, seed=1)
    np.savez_compressed(target, **build_atlas(), **bank)
    print({name: bank[name].shape for name in bank})


if __name__ == "__main__":
    main()
