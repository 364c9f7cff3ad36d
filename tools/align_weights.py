"""Pads the headers of a snapshot's weight files, so that their tensors can stay in the pages of the files.

    python tools/align_weights.py FOLDER

A safetensors header may end in blanks. With a length that is a multiple of 8, numbers whose offsets behind the header
are multiples of their size are so in the file, too. Files that are right already stay as they are; the others are
written anew beside themselves and then take their own place. Needs nothing but Python.
"""

import os
import shutil
import struct
import sys
from pathlib import Path

ALIGNMENT = 8


def align(path: Path) -> bool:
    """Whether the file had to be changed."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > path.stat().st_size - 8:
            raise SystemExit(f"{path} is no safetensors file")
        missing = -length % ALIGNMENT
        if missing == 0:
            return False
        header = file.read(length) + b" " * missing
        beside = path.with_name(path.name + ".aligned")
        with beside.open("wb") as out:
            out.write(struct.pack("<Q", len(header)) + header)
            shutil.copyfileobj(file, out, 1 << 20)
            out.flush()
            os.fsync(out.fileno())
    shutil.copymode(path, beside)
    beside.replace(path)
    return True


def main(folder: str) -> None:
    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        raise SystemExit(f"there is no .safetensors file in {folder}")
    for path in files:
        print(f"{path.name}: {'padded' if align(path) else 'as it was'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
