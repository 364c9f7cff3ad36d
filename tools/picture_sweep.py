"""Orientations and kinds of pixels, as rmlx and Pillow read them.

    cargo build --example pixels && python tools/picture_sweep.py [--pixels target/debug/examples/pixels]

Writes JPEG, PNG, WebP and TIFF files with EXIF in all types of the orientation's tag, malformed EXIF, XMP, raw profiles,
several of them at once, files of palettes, gray, alpha, 16 bits and CMYK, and those of `tiff_files.py` and `gif_files.py`; lets rmlx decode them, and compares with
Pillow's `ImageOps.exif_transpose(image).convert("RGB")`. Fails where a file that Pillow reads has other pixels (by more
than LEVELS), or is refused by anything but UNSUPPORTED. 16-bit gray is left out: Pillow saturates it at 255.

Needs numpy and Pillow.
"""

import argparse
import io
import struct
import subprocess
import sys
import tempfile
import warnings
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

import gif_files
import tiff_files

# JPEG inside of TIFF, and CMYK's rounding.
LEVELS = 1
ORIENTATION, XMP_TAG = 274, 700
FORMATS = {1: "B", 2: "s", 3: "H", 4: "L", 5: "LL", 6: "b", 7: "B", 8: "h", 9: "l", 10: "ll", 11: "f", 12: "d",
           13: "L", 16: "Q", 17: "q", 99: "H"}  # fmt: skip
XMP = {
    "attribute": b'<x tiff:Orientation="6"/>',
    "element": b"<tiff:Orientation>8</tiff:Orientation>",
    "two": b'tiff:Orientation="0" tiff:Orientation="3"',
    "digits": b'tiff:Orientation="62"',
    "no digit": b'tiff:Orientation="x" tiff:Orientation="3"',
    "quotes": b"tiff:Orientation='6'",
}
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
DICE = np.random.default_rng(0)
RGB = DICE.integers(0, 256, (17, 24, 3), np.uint8)
ALPHA = DICE.integers(0, 256, (17, 24, 1), np.uint8)
ALPHA[0, :8, 0] = [0] * 4 + [255] * 4
RGBA = np.concatenate([RGB, ALPHA], 2)
PICTURE = Image.fromarray(RGB)


def head(order, start=8):
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", start)


def directory(entries, order, start=8):
    """Entries are (tag, type, count, values or bytes)."""
    fields, data, behind = b"", b"", start + 2 + 12 * len(entries) + 4
    for tag, kind, count, values in entries:
        if not isinstance(values, bytes):
            parts = [v if isinstance(v, tuple) else (v,) for v in values]
            values = b"".join(struct.pack(order + FORMATS[kind], *part) for part in parts)
        if len(values) > 4:
            offset, data = behind + len(data), data + values
            values = struct.pack(order + "L", offset)
        fields += struct.pack(order + "HHL", tag, kind, count) + values.ljust(4, b"\0")
    return struct.pack(order + "H", len(entries)) + fields + bytes(4) + data


def tiff(entries, order="<"):
    return head(order) + directory(entries, order)


def exif_blocks():
    one = lambda kind, value, order, count=1: tiff([(ORIENTATION, kind, count, value)], order)
    camera = (271, 2, 9, b"a camera\0")
    for order in "<>":
        for number in range(10):
            yield f"short {order}{number}", one(3, [number], order)
        for kind, value in [
            (4, [6]), (6, [6]), (8, [6]), (8, [-6]), (9, [6]), (13, [6]), (16, [6]), (17, [6]), (11, [6.0]), (11, [6.5]),
            (12, [6.0]), (5, [(6, 1)]), (5, [(12, 2)]), (5, [(6, 0)]), (10, [(-6, -1)]), (1, [6]), (2, b"6\0"), (7, [6]),
            (99, [6]),
        ]:  # fmt: skip
            yield f"type {kind} {order}{value}", one(kind, value, order)
        turned = (ORIENTATION, 3, 1, [8])
        yield f"two {order}", tiff([(ORIENTATION, 3, 1, [6]), (ORIENTATION, 3, 1, [3])], order)
        yield f"unknown first {order}", tiff([(ORIENTATION, 99, 1, [6]), (ORIENTATION, 3, 1, [3])], order)
        yield f"two values {order}", one(3, [6, 3], order, 2)
        yield f"three values {order}", one(3, [6, 3, 1], order, 3)
        yield f"no value {order}", one(3, [], order, 0)
        yield f"behind others {order}", tiff([camera, turned, (305, 2, 3, b"ab\0")], order)
        yield f"behind one outside {order}", tiff([camera, turned], order)[:-9]
        yield f"before one outside {order}", tiff([turned, camera], order)[:-9]
        yield f"cut off {order}", tiff([(271, 2, 2, b"ab"), turned], order)[:30]
        yield f"further behind {order}", head(order, 20) + b"x" * 12 + directory([turned], order, 20)
        huge = struct.pack(order + "HHLL", 271, 2, 0xFFFFFFF0, 8)
        short = struct.pack(order + "HHLHH", ORIENTATION, 3, 1, 6, 0)
        yield f"behind a huge one {order}", head(order) + struct.pack(order + "H", 2) + huge + short + bytes(4)
    yield "garbage", b"MM garbage"
    yield "empty", b""
    yield "two heads", b"Exif\0\0" + one(3, [6], "<")


def saved(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def jpeg(*bodies):
    file = saved(PICTURE, "JPEG", quality=95)
    return file[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(b) + 2) + b for b in bodies) + file[2:]


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(before=(), after=()):
    file = saved(PICTURE, "PNG")
    pixels, end = file.index(b"IDAT") - 4, file.index(b"IEND") - 4
    chunks = lambda some: b"".join(chunk(*one) for one in some)
    return file[:pixels] + chunks(before) + file[pixels:end] + chunks(after) + file[end:]


def png_of(depth, color, rows, interlaced=0, extra=b""):
    header = struct.pack(">IIBBBBB", 24, 17, depth, color, 0, 0, interlaced)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def adam7():
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    return [row.tobytes() for x, y, dx, dy in passes for row in RGB[y::dy, x::dx]]


def profile(block):
    digits = block.hex()
    lines = [digits[i : i + 72] for i in range(0, len(digits), 72)]
    return f"\nexif\n{len(block):8}\n".encode() + "\n".join(lines).encode() + b"\n"


def tiff_of(pixels, photometric, order, bits=8, extra=None, orientation=None, xmp=None):
    height, width, samples = pixels.shape
    data = pixels.astype(order + "u2" if bits == 16 else "u1").tobytes()

    def file(offset):
        entries = [(256, 3, 1, [width]), (257, 3, 1, [height]), (258, 3, samples, [bits] * samples), (259, 3, 1, [1])]
        entries += [(262, 3, 1, [photometric]), (273, 4, 1, [offset])]
        entries += [(ORIENTATION, 3, 1, [orientation])] if orientation is not None else []
        entries += [(277, 3, 1, [samples]), (278, 3, 1, [height]), (279, 4, 1, [len(data)])]
        entries += [(338, 3, 1, [extra])] if extra is not None else []
        entries += [(XMP_TAG, 1, len(xmp), xmp)] if xmp else []
        return tiff(entries, order)

    return file(len(file(0))) + data


def oriented():
    """Names and files with metadata."""
    key, raw = b"XML:com.adobe.xmp\0", b"Raw profile type exif\0"
    text = lambda packet: (b"iTXt", key + b"\0\0\0\0" + packet)
    for name, block in exif_blocks():
        yield f"jpeg {name}", jpeg(b"Exif\0\0" + block)
        yield f"jpeg {name}, XMP", jpeg(b"Exif\0\0" + block, XMP_HEAD + XMP["attribute"])
        yield f"png {name}", png([(b"eXIf", block)])
        yield f"png {name} behind", png((), [(b"eXIf", block)])
        yield f"png XMP, {name}", png([text(XMP["attribute"]), (b"eXIf", block)])
        yield f"png profile {name}", png([(b"tEXt", raw + profile(b"Exif\0\0" + block))])
        yield f"png profile {name} behind", png((), [(b"tEXt", raw + profile(b"Exif\0\0" + block))])
        packed = raw + b"\0" + zlib.compress(profile(b"Exif\0\0" + block))
        yield f"png packed profile {name}", png([(b"zTXt", packed)])
        yield f"webp {name}", saved(PICTURE, "WEBP", lossless=True, exif=block or b"\0")
        both = {"exif": b"Exif\0\0" + block, "xmp": XMP["element"]}
        yield f"webp {name}, XMP", saved(PICTURE, "WEBP", lossless=True, **both)
    for name, packet in XMP.items():
        yield f"jpeg XMP {name}", jpeg(XMP_HEAD + packet)
        yield f"jpeg two XMP {name}", jpeg(XMP_HEAD + b"none", XMP_HEAD + packet)
        yield f"png XMP {name}", png([text(packet)])
        yield f"png packed XMP {name}", png([(b"iTXt", key + b"\1\0\0\0" + zlib.compress(packet))])
        yield f"png XMP {name} as text", png([(b"tEXt", key + packet)])
        yield f"webp XMP {name}", saved(PICTURE, "WEBP", lossless=True, xmp=packet)
    six, three = (tiff([(ORIENTATION, 3, 1, [n])]) for n in (6, 3))
    long = tiff([(271, 2, 40, b"a" * 40), (ORIENTATION, 3, 1, [6])])
    yield "jpeg two EXIF", jpeg(b"Exif\0\0" + six, b"Exif\0\0" + three)
    yield "jpeg EXIF in pieces", jpeg(b"Exif\0\0" + long[:20], b"Exif\0\0" + long[20:])
    yield "png profile and EXIF", png([(b"tEXt", raw + profile(three)), (b"eXIf", six)])
    yield "png profile, EXIF behind", png([(b"tEXt", raw + profile(three))], [(b"eXIf", six)])
    yield "png no hexadecimal", png([(b"tEXt", raw + b"\nexif\n 4\nzz\n")])
    webp = bytearray(saved(PICTURE, "WEBP", lossless=True, exif=six))
    webp[20] &= ~8
    yield "webp without its flag", bytes(webp)
    yield "png interlaced, turned", png_of(8, 2, adam7(), 1, chunk(b"eXIf", six))
    for order in "<>":
        for number in range(10):
            yield f"tiff {order}{number}", tiff_of(RGB, 2, order, orientation=number)
        yield f"tiff XMP {order}", tiff_of(RGB, 2, order, xmp=XMP["attribute"])
        yield f"tiff both {order}", tiff_of(RGB, 2, order, orientation=3, xmp=XMP["attribute"])


def kinds():
    """Names and files of every kind of pixels."""
    for order in "<>":
        for extra in (0, 1, 2):
            yield f"tiff rgba {order}{extra}", tiff_of(RGBA, 2, order, extra=extra)
            yield f"tiff rgba16 {order}{extra}", tiff_of(DICE.integers(0, 65536, RGBA.shape), 2, order, 16, extra)
            yield f"tiff gray, alpha {order}{extra}", tiff_of(RGBA[:, :, 2:], 1, order, extra=extra)
        yield f"tiff rgb16 {order}", tiff_of(DICE.integers(0, 65536, RGB.shape), 2, order, 16)
        yield f"tiff gray {order}", tiff_of(RGB[:, :, :1], 1, order)
        yield f"tiff white is 0 {order}", tiff_of(RGB[:, :, :1], 0, order)
        yield f"tiff cmyk {order}", tiff_of(RGBA, 5, order)
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        for mode in ("RGB", "RGBA", "L", "CMYK", "LA", "P", "1", "YCbCr"):
            if compression == "jpeg" and mode in ("P", "1"):
                continue
            yield f"tiff {compression} {mode}", saved(PICTURE.convert(mode), "TIFF", compression=compression)
    with_alpha = Image.fromarray(RGBA)
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        image = with_alpha.quantize(17) if mode == "P" else with_alpha.convert(mode)
        yield f"png {mode}", saved(image, "PNG")
        yield f"gif {mode}", saved(image, "GIF")
        if mode != "LA":
            yield f"bmp {mode}", saved(image, "BMP")
        webp = image.convert("RGBA" if "A" in mode else "RGB")
        yield f"webp {mode}", saved(webp, "WEBP", lossless=True, exact=True)
    yield "png palette, one clear", saved(PICTURE.quantize(8), "PNG", transparency=3, bits=4)
    yield "png rgb, one clear", saved(PICTURE, "PNG", transparency=tuple(map(int, RGB[0, 0])))
    yield "png gray, one clear", saved(PICTURE.convert("L"), "PNG", transparency=3)
    yield "png interlaced", png_of(8, 2, adam7(), 1)
    for color, samples in ((2, 3), (4, 2), (6, 4)):
        rows = [DICE.integers(0, 256, 24 * samples * 2, np.uint8).tobytes() for _ in range(17)]
        yield f"png 16 bits {color}", png_of(16, color, rows)


def pillow(path):
    """Pixels of the file, or None where it is not read."""
    try:
        return np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    except (OSError, SyntaxError, ValueError):
        return None


def main():
    warnings.simplefilter("ignore")
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--pixels", default="target/debug/examples/pixels")
    arguments = arguments.parse_args()
    outcomes, wrong = Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for name, file in [*oriented(), *kinds(), *tiff_files.tiffs(), *gif_files.gifs()]:
            Path(folder, f"{len(names):05}").write_bytes(file)
            names.append(name)
        subprocess.run([arguments.pixels, folder], check=True)
        for index, name in enumerate(names):
            path = Path(folder, f"{index:05}")
            wanted, error = pillow(path), path.with_suffix(".error")
            if error.exists():
                code, message = error.read_text().split(" ", 1)
                outcomes[f"{'read' if wanted is not None else 'refused'} by Pillow, {code} by rmlx"] += 1
                if wanted is not None and code != "Unsupported":
                    wrong.append(f"{name}: {code} {message}")
                continue
            found = np.asarray(Image.open(path.with_suffix(".ppm")))
            if wanted is None:
                outcomes["refused by Pillow, read by rmlx"] += 1
            elif found.shape != wanted.shape:
                wrong.append(f"{name}: {found.shape} for {wanted.shape}")
            else:
                off = int(np.abs(found.astype(int) - wanted).max())
                outcomes["the same pixels" if off == 0 else f"off by {off}"] += 1
                if off > LEVELS:
                    wrong.append(f"{name}: off by {off}")
    print(f"{len(names)} files")
    for outcome, count in outcomes.most_common():
        print(f"  {count:6} {outcome}")
    for line in wrong[:40]:
        print(line)
    sys.exit(f"{len(wrong)} files are wrong" if wrong else 0)


if __name__ == "__main__":
    main()
