"""MP4 and QuickTime files whose boxes are written anew, of `sound_files.py` and `media_vectors.py`: what ffmpeg's own writer does not make."""

import struct
import zlib

PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"mvex", b"moof", b"traf")


def box(kind, body, long=False):
    head = struct.pack(">I", 1) + kind + struct.pack(">Q", len(body) + 16) if long else struct.pack(">I", len(body) + 8) + kind
    return head + body


def parse(data):
    """[kind, body] with lists of boxes for bodies of parents."""
    at, found = 0, []
    while at + 8 <= len(data):
        size, head = struct.unpack_from(">I", data, at)[0], 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        size = size or len(data) - at
        kind, body = data[at + 4 : at + 8], data[at + head : at + size]
        found.append([kind, parse(body) if kind in PARENTS else body])
        at += size
    return found


def packed(boxes, long=False):
    return b"".join(box(kind, packed(body, long) if isinstance(body, list) else body, long) for kind, body in boxes)


def find(boxes, *path):
    for kind in path:
        entry = next((entry for entry in boxes if entry[0] == kind), None)
        if entry is None:
            return None
        boxes = entry[1]
    return entry


STBL = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def moved(boxes, by):
    """Chunk offsets, so far behind."""
    table = find(boxes, *STBL, b"stco")
    count = struct.unpack_from(">I", table[1], 4)[0]
    offsets = struct.unpack_from(f">{count}I", table[1], 8)
    table[1] = table[1][:8] + struct.pack(f">{count}I", *(offset + by for offset in offsets))


def sizes(boxes):
    body = find(boxes, *STBL, b"stsz")[1]
    same, count = struct.unpack_from(">II", body, 4)
    return [same] * count if same else list(struct.unpack_from(f">{count}I", body, 12))


def seconds(boxes):
    scale, duration = struct.unpack_from(">II", find(boxes, b"moov", b"mvhd")[1], 12)
    media = struct.unpack_from(">I", find(boxes, b"moov", b"trak", b"mdia", b"mdhd")[1], 12)[0]
    return scale, duration, media


def edited(boxes, edits, version=0):
    """With an edit list of (duration in seconds, start in seconds; None for nothing)."""
    scale, _, media = seconds(boxes)
    form = ">qqI" if version else ">iiI"
    entries = [struct.pack(form, round(length * scale), -1 if start is None else round(start * media), 1 << 16) for length, start in edits]
    body = struct.pack(">II", version << 24, len(edits)) + b"".join(entries)
    track = find(boxes, b"moov", b"trak")[1]
    track[:] = [entry for entry in track if entry[0] != b"edts"]
    track.insert(1, [b"edts", [[b"elst", body]]])


def small_sizes(boxes, bits):
    """`stz2` instead of `stsz`; None where a size does not fit."""
    numbers, table = sizes(boxes), find(boxes, *STBL, b"stsz")
    if max(numbers) >= 1 << bits:
        return None
    if bits == 4:
        numbers += [0] * (len(numbers) % 2)
        body = bytes(high << 4 | low for high, low in zip(numbers[::2], numbers[1::2]))
    else:
        body = struct.pack(f">{len(numbers)}{'BH'[bits == 16]}", *numbers)
    table[:] = [b"stz2", struct.pack(">III", 0, bits, len(sizes_of(table, numbers))) + body]
    return True


def sizes_of(table, numbers):
    count = struct.unpack_from(">I", table[1], 8)[0]
    return numbers[:count]


def described(boxes, other, first_chunks, spoil=None):
    """With a second sample description, that of the chunks from `first_chunks` on."""
    stsd = find(boxes, *STBL, b"stsd")
    stsd[1] = stsd[1][:4] + struct.pack(">I", 2) + stsd[1][8:] + other
    stsc = find(boxes, *STBL, b"stsc")
    count = struct.unpack_from(">I", stsc[1], 4)[0]
    entries = [struct.unpack_from(">III", stsc[1], 8 + 12 * index) for index in range(count)]
    new = []
    for index, (first, samples, kind) in enumerate(entries):
        last = entries[index + 1][0] if index + 1 < count else 1 << 31
        if first < first_chunks:
            new.append((first, samples, 1))
        if last > first_chunks:
            new.append((max(first, first_chunks), samples, 2))
    stsc[1] = stsc[1][:4] + struct.pack(">I", len(new)) + b"".join(struct.pack(">III", *entry) for entry in new)


def halved(boxes, frame):
    """The samples of one chunk, of frames of so many bytes, in two chunks."""
    offsets, groups = find(boxes, *STBL, b"stco"), find(boxes, *STBL, b"stsc")
    start, count = struct.unpack_from(">I", offsets[1], 8)[0], struct.unpack_from(">I", groups[1], 12)[0]
    offsets[1] = struct.pack(">IIII", 0, 2, start, start + count // 2 * frame)
    groups[1] = struct.pack(">IIIII", 0, 1, 1, count // 2, 1)


def description(boxes):
    return find(boxes, *STBL, b"stsd")[1][8:]


EDITS = {
    "from 0.2 s": [(0.5, 0.2)], "delayed": [(0.3, None), (1.0, 0)], "two parts": [(0.3, 0), (0.4, 0.5)], "one part": [(0.25, 0.5)],
    "turned": [(0.3, 0.5), (0.3, 0)], "twice": [(0.4, 0.1), (0.4, 0.1)], "a gap": [(0.3, 0), (0.2, None), (0.4, 0.3)],
    "too long": [(9, 0.5)], "behind the end": [(0.5, 5)], "none": [],
}  # fmt: skip


def rewritten(file):
    """Names and bytes of what can be made of a file whose index comes last."""
    fresh = lambda: parse(file)
    for name, edits in EDITS.items():
        for version in (0, 1):
            boxes = fresh()
            edited(boxes, edits, version)
            yield f"edit {name} {version}", packed(boxes)
    for bits in (4, 8, 16):
        boxes = fresh()
        if small_sizes(boxes, bits):
            yield f"sizes of {bits} bits", packed(boxes)
    boxes = fresh()
    index = packed([find(boxes, b"moov")])
    compressed = box(b"dcom", b"zlib") + box(b"cmvd", struct.pack(">I", len(index)) + zlib.compress(index))
    find(boxes, b"moov")[1] = [[b"cmov", compressed]]
    yield "compressed", packed(boxes)
    for name, where, added in (("udta first", 0, [b"udta", [[b"name", b"x" * 200]]]), ("free first", 0, [b"free", bytes(300)]),
                               ("wide first", 0, [b"wide", b""])):  # fmt: skip
        boxes = fresh()
        boxes.insert(where, added)
        moved(boxes, len(packed([added])))
        yield name, packed(boxes)
    boxes = fresh()
    find(boxes, b"moov")[1].insert(0, [b"udta", [[b"\xa9nam", b"\0\5\0\0title"], [b"moov", []]]])
    yield "udta first in moov", packed(boxes)
    boxes = fresh()
    boxes.sort(key=lambda entry: entry[0] == b"mdat")
    before = lambda some: len(packed(some[: next(i for i, entry in enumerate(some) if entry[0] == b"mdat")]))
    moved(boxes, before(boxes) - before(fresh()))
    yield "index first", packed(boxes)
    boxes = fresh()
    ahead = next(i for i, entry in enumerate(boxes) if entry[0] == b"mdat")
    moved(boxes, len(packed(boxes[:ahead], True)) - len(packed(boxes[:ahead])) + 8)
    yield "64-bit sizes", packed(boxes, True)
    boxes = fresh()
    described(boxes, description(boxes), 3)
    yield "two descriptions alike", packed(boxes)
    boxes = fresh()
    table = find(boxes, *STBL, b"stco")
    count = struct.unpack_from(">I", table[1], 4)[0]
    offsets = struct.unpack_from(f">{count}I", table[1], 8)
    table[:] = [b"co64", table[1][:8] + struct.pack(f">{count}Q", *offsets)]
    yield "64-bit offsets", packed(boxes)
