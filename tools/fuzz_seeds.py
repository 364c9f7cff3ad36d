"""The seeds of fuzz/corpus that are no files of the tests: sounds whose tags and chunks stand in unusual places.

    python tools/fuzz_seeds.py
"""

from pathlib import Path
from struct import pack

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "fuzz/corpus/sounds"
TESTDATA = ROOT / "src/media/testdata"


def chunk(name: bytes, content: bytes) -> bytes:
    return name + pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def synchsafe(number: int) -> bytes:
    return bytes((number >> shift) & 0x7F for shift in (21, 14, 7, 0))


def id3(version: int, flags: int, frames: list[tuple[bytes, bytes]], padding: int = 0) -> bytes:
    size = synchsafe if version == 4 else lambda number: pack(">I", number)
    body = b"".join(name + size(len(content)) + b"\0\0" + content for name, content in frames) + b"\0" * padding
    return b"ID3" + bytes([version, 0, flags]) + synchsafe(len(body)) + body


def wav(chunks: list[bytes]) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + pack("<I", len(body)) + body


def main() -> None:
    CORPUS.mkdir(parents=True, exist_ok=True)
    form = chunk(b"fmt ", pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16))
    data = chunk(b"data", b"".join(pack("<h", (i * 997) % 9000) for i in range(160)))
    extensible = pack("<HHIIHHHHI", 0xFFFE, 2, 44100, 176400, 4, 16, 22, 16, 3) + bytes.fromhex(
        "0100000000001000800000aa00389b71"
    )
    picture = (b"APIC", b"\0image/png\0\3\0" + b"\x89PNG\r\n\x1a\n" + bytes(40))
    title = (b"TIT2", b"\1\xff\xfeA\0b\0")
    info = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"name\0") + chunk(b"ICMT", b"x"))
    mp3 = (TESTDATA / "tone-untagged.mp3").read_bytes()
    files = {
        "list-before-data.wav": wav([form, info, data]),
        "id3-behind-data.wav": wav([form, data, chunk(b"id3 ", id3(4, 0, [title]))]),
        "extensible.wav": wav([chunk(b"fmt ", extensible), chunk(b"fact", pack("<I", 80)), data]),
        "no-length.wav": b"RIFF\xff\xff\xff\xff" + wav([form, data])[8:-324] + b"data\xff\xff\xff\xff" + data[8:],
        "id3v24-picture.mp3": id3(4, 0, [title, picture], 64) + mp3,
        "id3v23-unsynchronised.mp3": id3(3, 0x80, [title, (b"TXXX", b"\0\xff\0\xfe")]) + mp3,
        "two-tags.mp3": id3(3, 0, [title]) + id3(4, 0x10, [picture]) + mp3,
        "id3v1-ape.mp3": mp3 + b"APETAGEX" + pack("<IIIIQ", 2000, 32, 0, 0, 0) + b"TAG" + b"title".ljust(125, b"\0"),
    }
    for name, content in files.items():
        (CORPUS / name).write_bytes(content)


if __name__ == "__main__":
    main()
