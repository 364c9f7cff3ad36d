"""TIFFs of palettes, YCbCr and JPEG, of `picture_sweep.py` and `media_vectors.py`: names and bytes."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
FORMATS = {3: "H", 4: "L", 5: "LL"}
DEFLATE = 8


def tiff(entries, pieces, order="<", tiled=False, compression=1, fill_order=1):
    """A file of these entries, (tag, type, values), and strips or tiles."""
    if compression == DEFLATE:
        pieces = [zlib.compress(piece) for piece in pieces]
    if fill_order == 2:
        pieces = [piece.translate(REVERSED) for piece in pieces]
        entries = [*entries, (266, 3, [2])]
    offsets, sizes = (324, 325) if tiled else (273, 279)
    entries = [*entries, (259, 3, [compression]), (sizes, 4, [len(piece) for piece in pieces])]

    def file(start):
        starts = [start + sum(map(len, pieces[:index])) for index in range(len(pieces))]
        fields, data, behind = b"", b"", 8 + 2 + 12 * (len(entries) + 1) + 4
        for tag, kind, values in sorted([*entries, (offsets, 4, starts)]):
            packed = b"".join(struct.pack(order + FORMATS[kind], *(value if isinstance(value, tuple) else (value,))) for value in values)
            if len(packed) > 4:
                offset, data = behind + len(data), data + packed
                packed = struct.pack(order + "L", offset)
            fields += struct.pack(order + "HHL", tag, kind, len(values)) + packed.ljust(4, b"\0")
        head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "LH", 8, len(entries) + 1)
        return head + fields + bytes(4) + data

    return file(len(file(0))) + b"".join(pieces)


def cut(samples, height, width):
    """Pieces of rows and columns, filled up with zeros at the right and, for tiles, at the bottom."""
    for top in range(0, samples.shape[0], height):
        for left in range(0, samples.shape[1], width):
            yield samples[top : top + height, left : left + width]


def filled(piece, height, width):
    return np.pad(piece, ((0, height - piece.shape[0]), (0, width - piece.shape[1])))


def palette(bits, order="<", size=(37, 19), rows=None, tile=None, **options):
    dice, (width, height) = np.random.default_rng(bits), size
    indices, colors = dice.integers(0, 1 << bits, (height, width)), dice.integers(0, 65536, 3 << bits)
    packed = lambda row: np.packbits(np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - bits :].ravel()).tobytes()
    rows = rows or height
    shape = [(322, 3, [tile]), (323, 3, [tile])] if tile else [(278, 3, [rows])]
    pieces = [filled(piece, tile, tile) if tile else piece for piece in cut(indices, tile or rows, tile or width)]
    entries = [(256, 3, [width]), (257, 3, [height]), (258, 3, [bits]), (262, 3, [3]), (277, 3, [1]), (320, 3, colors.tolist()), *shape]
    return tiff(entries, [b"".join(map(packed, piece)) for piece in pieces], order, bool(tile), **options)


def ycbcr(across, down, order="<", size=(37, 23), rows=None, tile=None, more=(), **options):
    """Units of luma, with a pair of chroma behind each."""
    dice, (width, height) = np.random.default_rng(across * 8 + down), size
    luma, chroma = across * down, 2
    units = dice.integers(0, 256, (-(-height // down), -(-width // across), luma + chroma), np.uint8)
    rows = rows or -(-height // down) * down
    shape = [(322, 3, [tile]), (323, 3, [tile])] if tile else [(278, 3, [rows])]
    pieces = []
    for top in range(0, units.shape[0], (tile or rows) // down):
        for left in range(0, units.shape[1], tile // across if tile else units.shape[1]):
            high, wide = (tile or rows) // down, tile // across if tile else units.shape[1]
            piece = units[top : top + high, left : left + wide]
            if tile:
                piece = np.pad(piece, ((0, high - piece.shape[0]), (0, wide - piece.shape[1]), (0, 0)))
            pieces.append(piece.tobytes())
    entries = [(256, 3, [width]), (257, 3, [height]), (258, 3, [8] * 3), (262, 3, [6]), (277, 3, [3]), (530, 3, [across, down]), *shape]
    return tiff([*entries, *more], pieces, order, bool(tile), **options)


# What ffmpeg and cameras write: the coefficients of HDTV, and levels from 16 on.
VIDEO = [(529, 5, [(2126, 10000), (7152, 10000), (722, 10000)]),
         (532, 5, [(n, 1) for n in (16, 235, 128, 240, 128, 240)])]  # fmt: skip


def tiled_planes(size=(37, 23), tile=16, **options):
    """RGB in planes of their own, in tiles."""
    (width, height), dice = size, np.random.default_rng(5)
    planes = dice.integers(0, 256, (3, height, width), np.uint8)
    pieces = [filled(piece, tile, tile).tobytes() for plane in planes for piece in cut(plane, tile, tile)]
    entries = [(256, 3, [width]), (257, 3, [height]), (258, 3, [8] * 3), (262, 3, [2]), (277, 3, [3]), (284, 3, [2]),
               (322, 3, [tile]), (323, 3, [tile])]  # fmt: skip
    return tiff(entries, pieces, tiled=True, **options)


def saved(image, **options):
    out = io.BytesIO()
    image.save(out, "TIFF", **options)
    return out.getvalue()


def picture(width=37, height=61):
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], -1)
    return Image.fromarray((pixels + np.random.default_rng(3).integers(-9, 9, pixels.shape)).clip(0, 255).astype(np.uint8))


def tiffs():
    for bits in (1, 2, 4, 8):
        for order in "<>":
            for compression in (1, DEFLATE):
                kind = f"palette {bits} {order} {compression}"
                yield kind, palette(bits, order, compression=compression)
                yield f"{kind} strips", palette(bits, order, rows=3, compression=compression)
                yield f"{kind} reversed", palette(bits, order, rows=5, compression=compression, fill_order=2)
                yield f"{kind} tiles", palette(bits, order, tile=16, compression=compression)
    for across in (1, 2, 4):
        for down in (1, 2, 4):
            for order in "<>":
                for name, more in (("", ()), (" video", VIDEO)):
                    kind = f"YCbCr {across} {down} {order}{name}"
                    yield kind, ycbcr(across, down, order, more=more, compression=DEFLATE)
                    yield f"{kind} strips", ycbcr(across, down, order, rows=8, more=more, compression=DEFLATE)
                    yield f"{kind} tiles", ycbcr(across, down, order, tile=16, more=more, compression=DEFLATE)
    yield "YCbCr plain", ycbcr(1, 1)
    for compression in (1, DEFLATE):
        yield f"tiled planes {compression}", tiled_planes(compression=compression)
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        for mode in ("RGB", "RGBA", "L", "CMYK", "LA", "P", "1", "YCbCr"):
            if compression == "jpeg" and mode in ("P", "1"):
                continue
            for name, options in (("strips", {"tiffinfo": {278: 8}}), ("predictor", {"tiffinfo": {317: 2}}), ("big", {"big_tiff": True}),
                                  ("good", {"quality": 97})):  # fmt: skip
                if (name == "good") == (compression == "jpeg") or name != "good":
                    try:
                        yield f"{compression} {mode} {name}", saved(picture().convert(mode), compression=compression, **options)
                    except (OSError, RuntimeError):
                        continue


def fixtures():
    """Names and bytes of the tests' own files."""
    small, jpeg = picture(24, 17), {"compression": "jpeg"}
    for bits in (1, 2, 4):
        yield f"palette-{bits}", palette(bits, "<>"[bits == 2], (21, 9), rows=4)
    yield "palette-8", palette(8, tile=16, size=(21, 9), compression=DEFLATE)
    yield "palette-reversed", palette(4, rows=4, size=(21, 9), compression=DEFLATE, fill_order=2)
    yield "ycbcr-22", ycbcr(2, 2, size=(21, 9), rows=4, compression=DEFLATE)
    yield "ycbcr-41-video", ycbcr(4, 1, ">", size=(21, 9), tile=16, more=VIDEO, compression=DEFLATE)
    yield "ycbcr-11-video", ycbcr(1, 1, size=(21, 9), rows=4, more=VIDEO, compression=DEFLATE)
    yield "jpeg-ycbcr-strips", saved(small.convert("YCbCr"), tiffinfo={278: 8}, **jpeg)
    yield "jpeg-rgb", saved(small, **jpeg)
    yield "jpeg-gray", saved(small.convert("L"), **jpeg)
    yield "gray-alpha", saved(small.convert("LA"), compression="tiff_lzw")
    yield "big", saved(small, big_tiff=True, compression="packbits")
    yield "tiled-planes", tiled_planes((21, 17), compression=DEFLATE)
    yield "predictor-unused", saved(small, compression="packbits", tiffinfo={317: 2})
