"""Every kind of JPEG, as rmlx and libjpeg-turbo (through Pillow) decode it.

    cargo build --example pixels && python tools/jpeg_sweep.py [--pixels target/debug/examples/pixels] [--keep FOLDER]

Writes files of all samplings, scans, markers, numbers of components, sizes and restart intervals that it can think of,
with an encoder of its own and with libjpeg-turbo's `jpegtran` (progressive, scan scripts, arithmetic coding; it has to
be installed), lets rmlx decode them, and compares the pixels with Pillow's. Ends with the largest difference and with what was
refused, and fails where a file that Pillow reads has other pixels (by more than LEVELS), or is refused by anything but
UNSUPPORTED.

Needs numpy and Pillow.
"""

import argparse
import io
import itertools
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

LEVELS = 16
ZIGZAG = np.array(sorted(range(64), key=lambda i: (i // 8 + i % 8, i // 8 if (i // 8 + i % 8) % 2 else i % 8)))
COSINES = np.array([[np.cos((2 * x + 1) * u * np.pi / 16) * (0.5 if u else 0.5**1.5) for x in range(8)] for u in range(8)])


def standard_tables():
    """The quantization and Huffman segments of a file of libjpeg's, and the codes of the latter."""
    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, "JPEG", quality=85)
    data, at, quantization, segment, codes = out.getvalue(), 2, {}, b"", {}
    while data[at + 1] != 0xDA:
        kind, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        body = data[at + 4 : at + 2 + length]
        if kind == 0xDB:
            for i in range(0, len(body), 65):
                quantization[body[i] & 15] = np.frombuffer(body[i + 1 : i + 65], np.uint8).astype(int)
        if kind == 0xC4:
            segment += data[at : at + 2 + length]
            while body:
                counts, values = body[1:17], body[17 : 17 + sum(body[1:17])]
                word, place, code = 0, 0, {}
                for bits, count in enumerate(counts, 1):
                    for _ in range(count):
                        code[values[place]] = (word, bits)
                        word, place = word + 1, place + 1
                    word <<= 1
                codes[body[0]] = code
                body = body[17 + len(values) :]
        at += 2 + length
    return quantization, segment, codes


QUANTIZATION, HUFFMAN, CODES = standard_tables()


def picture(width, height, components, seed):
    """Smooth colours, some edges and some noise: [components, height, width]."""
    dice = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for c in range(components):
        smooth = 128 + 90 * np.sin(x / (5.0 + 3 * c) + seed) * np.cos(y / (7.0 - c) + c)
        edges = 60.0 * (((x // 11 + y // 13 + c) % 2) == 0)
        planes.append(np.clip(smooth + edges - 30 + dice.normal(0, 4, x.shape), 0, 255))
    return np.stack(planes)


def shrunk(plane, across, down, most_across, most_down):
    """A plane in the size of a component: means of what a sample stands for, the edges repeated."""
    height, width = plane.shape
    step_x, step_y = most_across / across, most_down / down
    to_w, to_h = -(-width * across // most_across), -(-height * down // most_down)
    xs = np.minimum((np.arange(to_w) * step_x).astype(int), width - 1)
    ys = np.minimum((np.arange(to_h) * step_y).astype(int), height - 1)
    return plane[ys][:, xs]


class Bits:
    def __init__(self):
        self.out, self.word, self.count = bytearray(), 0, 0

    def put(self, value, bits):
        self.word, self.count = self.word << bits | value, self.count + bits
        while self.count >= 8:
            byte = self.word >> self.count - 8 & 255
            self.out += b"\xff\0" if byte == 255 else bytes([byte])
            self.count -= 8
        self.word &= (1 << self.count) - 1

    def end(self):
        if self.count:
            self.put((1 << 8 - self.count) - 1, 8 - self.count)


def blocks_of(plane, across, down, table):
    """Quantized coefficients [down, across, 64] of a plane that is filled up by its edges."""
    height, width = plane.shape
    padded = np.pad(plane, ((0, down * 8 - height), (0, across * 8 - width)), "edge") - 128
    tiles = padded.reshape(down, 8, across, 8).transpose(0, 2, 1, 3)
    coefficients = np.einsum("uy,rcyx,vx->rcuv", COSINES, tiles, COSINES).reshape(down, across, 64)[..., ZIGZAG]
    return np.rint(coefficients / table).astype(int)


def put_block(bits, block, last, dc, ac):
    def number(value):
        size = int(abs(value)).bit_length()
        return size, value if value >= 0 else value + (1 << size) - 1

    size, value = number(int(block[0]) - last)
    bits.put(*CODES[dc][size])
    bits.put(value, size)
    zeros = 0
    for coefficient in map(int, block[1:]):
        if coefficient == 0:
            zeros += 1
            continue
        while zeros > 15:
            bits.put(*CODES[0x10 | ac][0xF0])
            zeros -= 16
        size, value = number(coefficient)
        bits.put(*CODES[0x10 | ac][zeros << 4 | size])
        bits.put(value, size)
        zeros = 0
    if zeros:
        bits.put(*CODES[0x10 | ac][0])
    return int(block[0])


def segment(kind, body):
    return bytes([0xFF, kind]) + struct.pack(">H", len(body) + 2) + body


JFIF = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")


def adobe(transform):
    return segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))


def encode(planes, samplings, scans, markers=b"", ids=None, restart=0, tables=True, frame=0xC0, wide=False):
    """A baseline file; `scans` is a list of lists of components."""
    count, height, width = planes.shape
    ids = ids or list(range(1, count + 1))
    most_x, most_y = max(a for a, _ in samplings), max(d for _, d in samplings)
    number = lambda c: 1 if c in (1, 2) else 0
    out = bytearray(b"\xff\xd8" + markers)
    for table in (0, 1):
        values = QUANTIZATION[table]
        packed = struct.pack(">64H", *values) if wide else bytes(map(int, values))
        out += segment(0xDB, bytes([table | (16 if wide else 0)]) + packed)
    parts = b"".join(bytes([ids[c], a << 4 | d, number(c)]) for c, (a, d) in enumerate(samplings))
    out += segment(frame, struct.pack(">BHHB", 8, height, width, count) + parts)
    if tables:
        out += HUFFMAN
    if restart:
        out += segment(0xDD, struct.pack(">H", restart))
    units_x, units_y = -(-width // (8 * most_x)), -(-height // (8 * most_y))
    blocks, own = [], []
    for c, (a, d) in enumerate(samplings):
        plane = shrunk(planes[c], a, d, most_x, most_y)
        blocks.append(blocks_of(plane, units_x * a, units_y * d, QUANTIZATION[number(c)]))
        own.append((-(-plane.shape[1] // 8), -(-plane.shape[0] // 8)))
    for scan in scans:
        head = bytes([len(scan)]) + b"".join(bytes([ids[c], number(c) * 17]) for c in scan) + b"\0\x3f\0"
        out += segment(0xDA, head)
        if len(scan) == 1:
            (c,) = scan
            units = [[(c, y, x)] for y in range(own[c][1]) for x in range(own[c][0])]
        else:
            units = [
                [
                    (c, y * samplings[c][1] + v, x * samplings[c][0] + h)
                    for c in scan
                    for v in range(samplings[c][1])
                    for h in range(samplings[c][0])
                ]
                for y in range(units_y)
                for x in range(units_x)
            ]
        bits, last = Bits(), [0] * count
        for index, unit in enumerate(units):
            if restart and index and index % restart == 0:
                bits.end()
                bits.out += bytes([0xFF, 0xD0 + (index // restart - 1) % 8])
                last = [0] * count
            for c, y, x in unit:
                last[c] = put_block(bits, blocks[c][y, x], last[c], number(c), number(c))
        bits.end()
        out += bits.out
    return bytes(out + b"\xff\xd9")


SCRIPTS = {
    1: ["0: 0-0, 0, 0; 0: 1-63, 0, 0;", "0: 0-0, 0, 1; 0: 1-5, 0, 2; 0: 6-63, 0, 2; 0: 1-63, 2, 1; 0: 0-0, 1, 0; 0: 1-63, 1, 0;"],
    3: [
        "0 1 2: 0-0, 0, 0; 0: 1-63, 0, 0; 1: 1-63, 0, 0; 2: 1-63, 0, 0;",
        "0: 0-0, 0, 1; 1 2: 0-0, 0, 1; 2: 1-63, 0, 1; 1: 1-63, 0, 1; 0: 1-9, 0, 3; 0: 10-63, 0, 3; 0: 1-63, 3, 2;"
        "0: 1-63, 2, 1; 0 1 2: 0-0, 1, 0; 2: 1-63, 1, 0; 1: 1-63, 1, 0; 0: 1-63, 1, 0;",
        # Not complete: coefficients that libjpeg guesses at, and ones that it takes as 0.
        "0 1 2: 0-0, 0, 0;",
        "0 1 2: 0-0, 0, 0; 0: 1-20, 0, 0; 1: 1-20, 0, 0; 2: 1-20, 0, 0;",
    ],
    4: ["0 1 2 3: 0-0, 0, 0; 0: 1-63, 0, 0; 1: 1-63, 0, 0; 2: 1-63, 0, 0; 3: 1-63, 0, 0;"],
}


def transformed(file, *arguments, script=None):
    """What jpegtran makes of a file; None where it cannot."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as scans:
        if script:
            scans.write(script)
            scans.flush()
            arguments += ("-scans", scans.name)
        done = subprocess.run(["jpegtran", "-copy", "all", *arguments], input=file, capture_output=True)
    return done.stdout if done.returncode == 0 else None


def samplings_of(count):
    """For each component (across, down)."""
    one, two = [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (1, 4), (4, 2), (2, 4), (3, 1), (1, 3), (3, 3)], (1, 1)
    if count == 1:
        return [[s] for s in one]
    if count == 4:
        return [[s, two, two, s] for s in one[:4]] + [[s, two, two, two] for s in one[1:4]]
    all_of = [[s, two, two] for s in one]
    odd = [[(1, 1), (2, 2), (1, 1)], [(2, 2), (2, 1), (1, 2)], [(2, 2), (2, 2), (2, 2)], [(4, 2), (2, 2), (2, 1)]]
    return all_of + odd + [[(1, 1), (2, 1), (2, 1)], [(3, 1), (2, 1), (1, 1)], [(4, 1), (3, 1), (1, 1)], [(2, 1), (1, 2), (1, 1)]]


def markers_of(count):
    if count == 1:
        return {"none": b"", "jfif": JFIF, "adobe0": adobe(0)}
    found = {"none": b"", "jfif": JFIF}
    for transform in (0, 1, 2):
        found[f"adobe{transform}"] = adobe(transform)
        found[f"jfif-adobe{transform}"] = JFIF + adobe(transform)
        found[f"adobe{transform}-jfif"] = adobe(transform) + JFIF
    found["short adobe"] = segment(0xEE, b"Adobe\0\x64\0\0")
    found["short jfif, adobe0"] = segment(0xE0, b"JFIF\0\1\1") + adobe(0)
    return found


def interleaves(samplings, part):
    """Whether a scan may hold these components: ten blocks fit into its unit."""
    return len(part) == 1 or sum(samplings[c][0] * samplings[c][1] for c in part) <= 10


def cases():
    """Names and files."""
    sizes = [(1, 1), (2, 3), (3, 2), (5, 4), (8, 8), (16, 16), (17, 15), (33, 50), (64, 47), (71, 66)]
    seed = 0
    for count in (1, 3, 4):
        one_scan, each = [list(range(count))], [[c] for c in range(count)]
        scans = {"one": one_scan, "each": each}
        if count == 3:
            scans |= {"y, cbcr": [[0], [1, 2]], "ycb, cr": [[0, 1], [2]], "cr, y, cb": [[2], [0], [1]]}
        for samplings, (name, scan), (width, height) in itertools.product(samplings_of(count), scans.items(), sizes):
            if not all(interleaves(samplings, part) for part in scan):
                continue
            seed += 1
            planes = picture(width, height, count, seed)
            label = f"{count} {samplings} {name} {width}x{height}"
            markers = JFIF if count < 4 else adobe(2)
            for restart in (0, 1, 7) if seed % 3 == 0 else (0,):
                yield f"{label} restart {restart}", encode(planes, samplings, scan, markers, restart=restart)
        for name, markers in markers_of(count).items():
            for ids in ([1, 2, 3, 4], [0, 1, 2, 3], [82, 71, 66, 75], [7, 7, 7, 7], [3, 2, 1, 9], [114, 103, 98, 1]):
                for scan in (one_scan, each):
                    planes = picture(40, 24, count, seed)
                    yield f"{count} {name} ids {ids} {len(scan)}", encode(planes, [(1, 1)] * count, scan, markers, ids[:count])
        yield f"{count} no tables", encode(planes, [(1, 1)] * count, one_scan, tables=False)
        yield f"{count} extended", encode(planes, [(1, 1)] * count, one_scan, frame=0xC1)
        yield f"{count} wide tables", encode(planes, [(1, 1)] * count, one_scan, frame=0xC1, wide=True)
        for samplings, (width, height), script in itertools.product(
            samplings_of(count), sizes, [None, *SCRIPTS[count], "arithmetic", "arithmetic progressive", "rows"]
        ):
            seed += 1
            scan = one_scan if interleaves(samplings, one_scan[0]) else each
            markers = JFIF if count < 4 else adobe(0)
            file = encode(picture(width, height, count, seed), samplings, scan, markers)
            match script:
                case None:
                    made = transformed(file, "-progressive")
                case "arithmetic":
                    made = transformed(file, "-arithmetic")
                case "arithmetic progressive":
                    made = transformed(file, "-arithmetic", "-progressive")
                case "rows":
                    made = transformed(file, "-progressive", "-restart", "1")
                case _:
                    made = transformed(file, script=script)
            if made:
                yield f"{count} {samplings} {width}x{height} {script}", made
    whole = encode(picture(40, 24, 3, 1), [(2, 2), (1, 1), (1, 1)], [[0, 1, 2]], JFIF)
    frame = whole.index(b"\xff\xc0")
    for kind in (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF):
        yield f"frame {kind:02x}", whole[: frame + 1] + bytes([kind]) + whole[frame + 2 :]
    yield "12 bits", whole[: frame + 4] + b"\x0c" + whole[frame + 5 :]
    lines = segment(0xDC, struct.pack(">H", 24))
    yield "height behind", whole[: frame + 5] + b"\0\0" + whole[frame + 7 : -2] + lines + whole[-2:]
    yield "fill bytes", whole[:frame] + b"\xff\xff\xff" + whole[frame:]
    yield "stray bytes", whole[:frame] + b"\0\x12\x34" + whole[frame:]
    yield "behind the end", whole + b"anything at all"
    for quality, sampling in itertools.product((5, 50, 100), (0, 1, 2)):
        out = io.BytesIO()
        noise = np.random.default_rng(quality).integers(0, 256, (63, 95, 3), np.uint8)
        Image.fromarray(noise).save(out, "JPEG", quality=quality, subsampling=sampling, optimize=True)
        yield f"noise {quality} {sampling}", out.getvalue()


def pillow(file):
    """Pixels of the file, or None where it is not read."""
    try:
        return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
    except (OSError, SyntaxError, ValueError):
        return None


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--pixels", default="target/debug/examples/pixels")
    arguments.add_argument("--keep", help="a folder for the files")
    arguments = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(arguments.keep or folder)
        folder.mkdir(parents=True, exist_ok=True)
        names = []
        for name, file in cases():
            (folder / f"{len(names):05}.jpg").write_bytes(file)
            names.append(name)
        subprocess.run([arguments.pixels, str(folder)], check=True)
        outcomes, worst, wrong = Counter(), 0, []
        for index, name in enumerate(names):
            path = folder / f"{index:05}.jpg"
            wanted, error = pillow(path.read_bytes()), path.with_suffix(".error")
            if error.exists():
                code, message = error.read_text().split(" ", 1)
                outcomes[f"{'read' if wanted is not None else 'refused'} by Pillow, {code} by rmlx"] += 1
                if wanted is not None and code != "Unsupported":
                    wrong.append(f"{path.name} {name}: {code} {message}")
                continue
            found = np.asarray(Image.open(path.with_suffix(".ppm")))
            if wanted is None:
                outcomes["refused by Pillow, read by rmlx"] += 1
                continue
            if found.shape != wanted.shape:
                wrong.append(f"{path.name} {name}: {found.shape} for {wanted.shape}")
                continue
            off = int(np.abs(found.astype(int) - wanted).max())
            worst = max(worst, off)
            outcomes["the same pixels" if off == 0 else "almost the same pixels"] += 1
            if off > LEVELS:
                wrong.append(f"{path.name} {name}: off by {off}")
    print(f"{len(names)} files; the largest difference is {worst} levels")
    for outcome, count in outcomes.most_common():
        print(f"  {count:6} {outcome}")
    for line in wrong[:40]:
        print(line)
    sys.exit(f"{len(wrong)} files are wrong" if wrong else 0)


if __name__ == "__main__":
    main()
