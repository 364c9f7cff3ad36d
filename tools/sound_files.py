"""The sound files of `sound_sweep.py`: names, bytes, and how each is to be compared."""

import io
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf

import movie_files

# What a file is compared by: every sample the same, the same sound with the same length, or only most of its windows.
EXACT, CLOSE, DAMAGED = "exact", "close", "damaged"


class File(NamedTuple):
    name: str
    data: bytes
    how: str
    judges: tuple  # "libsndfile", "ffmpeg", in the order of trust


PCM = ("libsndfile", "ffmpeg")
CODED = ("ffmpeg",)


def signal(rate, channels, frames):
    """Another chord with a little noise on each channel."""
    time, dice = np.arange(frames) / rate, np.random.default_rng(frames + channels)
    planes = []
    for channel in range(channels):
        tones = [np.sin(2 * np.pi * hertz * (1 + channel / 7) * time) for hertz in (187, 311, 953)]
        swell = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * time + channel)
        planes.append(0.12 * sum(tones) * swell + 0.01 * dice.standard_normal(frames))
    return np.stack(planes, 1)


def saved(samples, rate, form, subtype=None, endian=None):
    out = io.BytesIO()
    sf.write(out, samples, rate, format=form, subtype=subtype, endian=endian)
    return out.getvalue()


def uncompressed():
    """Every container and kind of samples that libsndfile writes."""
    for form in ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC"):
        for subtype in sf.available_subtypes(form):
            if subtype in ("MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"):
                continue
            for endian in ("FILE", "LITTLE", "BIG"):
                if not sf.check_format(form, subtype, endian) or (endian == "LITTLE" and form in ("WAV", "FLAC")):
                    continue
                # libsndfile 1.2 does not read back what it writes of 20 bits and more channels as ALAC.
                for channels in (1, 2) if subtype == "ALAC_20" else (1, 2, 3, 6, 8):
                    for rate in (8000, 16000, 22050, 44100, 48000, 96000):
                        name = f"{form} {subtype} {endian} {channels} x {rate}"
                        try:
                            file = saved(signal(rate, channels, 1601), rate, form, subtype, endian)
                        except (sf.LibsndfileError, ValueError):
                            continue
                        yield File(name, file, EXACT, PCM)


def chunk(tag, body, order="<"):
    return tag + struct.pack(order + "I", len(body)) + body + bytes(len(body) % 2)


def fmt(tag, channels, rate, bits, extra=b""):
    block = channels * bits // 8
    return struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits) + extra


GUID = bytes.fromhex("000000001000800000aa00389b71")


def wavs():
    """WAV files as recorders leave them."""
    dice = np.random.default_rng(1)
    for tag, channels, bits in ((1, 1, 8), (1, 1, 16), (1, 2, 16), (1, 1, 24), (1, 2, 24), (1, 3, 32), (3, 2, 32), (3, 1, 64),
                                (6, 1, 8), (7, 2, 8)):  # fmt: skip
        frames = 403
        if tag == 3:
            body = signal(16000, channels, frames).astype(f"<f{bits // 8}").tobytes()
        else:
            body = dice.integers(0, 256, frames * channels * bits // 8, np.uint8).tobytes()
        extra = b"\0\0" if tag != 1 else b""
        for rate in (16000, 44100):
            form = chunk(b"fmt ", fmt(tag, channels, rate, bits, extra))
            kind = f"wav {tag}/{bits} {channels} x {rate}"
            yield from wavs_of(kind, form, body, tag, channels, rate, bits)


def wavs_of(kind, form, body, tag, channels, rate, bits):
    exact = lambda name, data: File(f"{kind}: {name}", data, EXACT, PCM)
    head = lambda size: b"RIFF" + struct.pack("<I", size & 0xFFFFFFFF) + b"WAVE"
    data = lambda size: b"data" + struct.pack("<I", size & 0xFFFFFFFF) + body
    right, size = len(form) + 12 + len(body), len(body)
    yield exact("right", head(right) + form + data(size))
    for riff in (0, 1, 36, 8, right - 1, right + 1, right + 1000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF):
        yield exact(f"RIFF {riff:#x}", head(riff) + form + data(size))
    for wrong in (0, size + 1, size + 2, size + 100, size * 2, 0x7FFFFFFF, 0x7FFFF000, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE,
                  0xFFFFFFFF - 36):  # fmt: skip
        yield exact(f"data {wrong:#x}", head(right) + form + data(wrong))
        yield exact(f"RIFF 0, data {wrong:#x}", head(0) + form + data(wrong))
        yield exact(f"RIFF 36, data {wrong:#x}", head(36) + form + data(wrong))
        yield exact(f"RIFF -1, data {wrong:#x}", head(-1) + form + data(wrong))
    for short in (1, 2, 3, size // 2, size // 2 + 1):
        yield exact(f"data {size - short}, too small", head(right) + form + data(size - short))
        yield exact(f"cut by {short}", (head(right) + form + data(size))[:-short])
    listing = b"INFOISFT\x0e\0\0\0Lavf58.29.100\0"
    others = {
        "LIST": chunk(b"LIST", listing), "odd LIST": chunk(b"LIST", listing + b"x"),
        "LIST padded outside": b"LIST" + struct.pack("<I", len(listing) + 1) + listing + b"xy",
        "LIST not padded": b"LIST" + struct.pack("<I", len(listing) + 1) + listing + b"x",
        "JUNK": chunk(b"JUNK", bytes(28)), "junk of text": chunk(b"junk", b"data" * 7), "PAD": chunk(b"PAD ", bytes(2000)),
        "bext": chunk(b"bext", bytes(602)), "fact": chunk(b"fact", struct.pack("<I", 403)),
        "wrong fact": chunk(b"fact", struct.pack("<I", 7)), "cue": chunk(b"cue ", struct.pack("<I", 0)),
        "PEAK": chunk(b"PEAK", struct.pack("<IIfI", 1, 0, 1, 0)), "id3": chunk(b"id3 ", b"ID3\x03\0\0\0\0\0\x05abcde"),
        "FLLR": chunk(b"FLLR", bytes(4044)), "unknown": chunk(b"qZ1!", b"12345"), "iXML": chunk(b"iXML", b"<a/>"),
        "afsp": chunk(b"afsp", b"AFspdate: 2003\0"), "smpl": chunk(b"smpl", bytes(36)), "empty": chunk(b"JUNK", b""),
    }  # fmt: skip
    for name, other in others.items():
        yield exact(f"{name} before", head(right + len(other)) + other + form + data(size))
        yield exact(f"{name} between", head(right + len(other)) + form + other + data(size))
        padded = data(size) + bytes(size % 2)
        yield exact(f"{name} behind", head(right + len(other)) + form + padded + other)
        yield exact(f"{name} behind and data -1", head(right) + form + data(0xFFFFFFFF) + other)
    yield exact("garbage behind", head(right) + form + data(size) + bytes(size % 2) + b"\xff\xfegarbage")
    yield exact("zeros behind", head(right) + form + data(size) + bytes(5000))
    yield exact("two data", head(right) + form + data(size) + bytes(size % 2) + data(size))
    yield exact("two fmt", head(right) + form + form + data(size))
    # libsndfile reads it from the file's end; here it is refused.
    yield File(f"{kind}: data before fmt", head(right) + data(size) + bytes(size % 2) + form, EXACT, ())
    yield exact("no fmt", head(right) + data(size))
    yield exact("no data", head(right) + form)
    yield exact("empty data", head(right) + form + b"data\0\0\0\0")
    parts = fmt(tag, channels, rate, bits)
    if tag == 1:
        yield exact("fmt of 18", head(right) + chunk(b"fmt ", parts + b"\0\0") + data(size))
        yield exact("fmt of 20", head(right) + chunk(b"fmt ", parts + bytes(4)) + data(size))
        yield exact("fmt of 40", head(right) + chunk(b"fmt ", parts + bytes(24)) + data(size))
    mask = {1: 4, 2: 3}.get(channels, 0)
    for valid in {bits, max(bits - 4, 8), 0} if tag == 1 else {bits}:
        for channel_mask in (mask, 0, 0xFFFFFFFF):
            extra = struct.pack("<HHIH", 22, valid, channel_mask, tag) + GUID
            whole = chunk(b"fmt ", fmt(0xFFFE, channels, rate, bits, extra))
            yield exact(f"extensible {valid} {channel_mask:#x}", head(right + 24) + whole + data(size))
    broken = bytearray(parts)
    for name, at, value in (("block 0", 12, 0), ("block 1", 12, 1), ("bits 0", 14, 0), ("bytes a second 0", 8, 0)):
        struct.pack_into("<H", broken, at, value)
        yield exact(name, head(right) + chunk(b"fmt ", bytes(broken)) + data(size))
        broken = bytearray(parts)
    yield File(f"{kind}: RIFX", b"RIFX" + swapped(form, body, right, bits), EXACT, PCM)
    if bits == 16:
        for valid in (9, 12, 13, 15):
            odd = chunk(b"fmt ", parts[:14] + struct.pack("<H", valid))
            yield exact(f"{valid} bits in 2 bytes", head(right) + odd + data(size))
    if bits == 24:
        odd = chunk(b"fmt ", parts[:14] + struct.pack("<H", 20))
        yield exact("20 bits in 3 bytes", head(right) + odd + data(size))
    for ds64 in (size, 0, 0xFFFFFFFFFFFFFFFF, size + 100):
        long = chunk(b"ds64", struct.pack("<QQQI", right, ds64, 403, 0))
        for kind4 in (b"RF64", b"BW64"):
            start = kind4 + b"\xff\xff\xff\xffWAVE"
            yield exact(f"{kind4.decode()} {ds64:#x}", start + long + form + data(0xFFFFFFFF))
    yield exact("RF64 without ds64", b"RF64\xff\xff\xff\xffWAVE" + form + data(0xFFFFFFFF))


def swapped(form, body, right, bits):
    tag, channels, rate, bytes_a_second, block, depth = struct.unpack("<HHIIHH", form[8:24])
    turned = np.frombuffer(body, f"<u{bits // 8}").byteswap().tobytes() if bits in (16, 32, 64) else body
    if bits == 24:
        turned = np.frombuffer(body, np.uint8).reshape(-1, 3)[:, ::-1].tobytes()
    values = struct.pack(">HHIIHH", tag, channels, rate, bytes_a_second, block, depth)
    return struct.pack(">I", right) + b"WAVE" + chunk(b"fmt ", values, ">") + b"data" + struct.pack(">I", len(body)) + turned


def headers():
    """AIFF, AU, CAF, W64 and FLAC whose lengths are wrong, and that are cut short."""
    for form, subtype in (("AIFF", "PCM_16"), ("AIFF", "PCM_24"), ("AIFF", "FLOAT"), ("AIFF", "ULAW"), ("AU", "PCM_16"),
                          ("AU", "FLOAT"), ("AU", "ULAW"), ("CAF", "PCM_16"), ("CAF", "PCM_24"), ("CAF", "FLOAT"),
                          ("W64", "PCM_16"), ("W64", "FLOAT"), ("RF64", "PCM_16"), ("AIFF", "PCM_S8"),
                          ("CAF", "ALAW")):  # fmt: skip
        for channels in (1, 2):
            file = saved(signal(16000, channels, 1000), 16000, form, subtype)
            kind = f"{form} {subtype} {channels}"
            for cut in (1, 2, 3, 5, 100, len(file) // 2, len(file) - 60):
                yield File(f"{kind}: cut by {cut}", file[:-cut], EXACT, PCM)
            yield File(f"{kind}: garbage behind", file + b"garbage", EXACT, PCM)
            tag, width, order = {"AIFF": (b"SSND", 4, ">"), "AU": (None, 4, ">"), "CAF": (b"data", 8, ">"),
                                 "W64": (b"data\xf3", 8, "<"), "RF64": (b"data", 4, "<")}[form]  # fmt: skip
            at = 8 if tag is None else file.index(tag) + {"W64": 16}.get(form, 4)
            # libsndfile reads on behind a W64 chunk that is too small.
            for size in (0, 2**32 - 1 if width == 4 else 2**64 - 1, 10**6, *([500] if form != "W64" else [])):
                wrong = bytearray(file)
                struct.pack_into(order + ("I" if width == 4 else "Q"), wrong, at, size)
                yield File(f"{kind}: length {size:#x}", bytes(wrong), EXACT, PCM)
            if form == "AIFF":
                for at, size in ((4, 0), (4, 0xFFFFFFFF), (file.index(b"COMM") + 10, 0), (file.index(b"COMM") + 10, 10**6)):
                    wrong = bytearray(file)
                    struct.pack_into(">I", wrong, at, size)
                    yield File(f"{kind}: {size:#x} at {at}", bytes(wrong), EXACT, PCM)


def made(arguments, extension, rate=44100, channels=2, seconds=1.0):
    """What ffmpeg makes of the signal."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "in.wav"), Path(folder, f"out.{extension}")
        sf.write(source, signal(rate, channels, int(rate * seconds)), rate, subtype="FLOAT")
        command = ["ffmpeg", "-v", "error", "-y", "-i", source, *arguments.split(), made]
        done = subprocess.run(command, capture_output=True)
        return made.read_bytes() if done.returncode == 0 and made.exists() else None


CODED_KINDS = [
    *[(f"-c:a libmp3lame -b:a {b}k", "mp3", r, c) for b, r, c in
      ((128, 44100, 2), (64, 48000, 1), (320, 48000, 2), (48, 22050, 2), (32, 16000, 1), (24, 8000, 1), (64, 32000, 2))],
    *[(f"-c:a libmp3lame -q:a {q}", "mp3", r, c) for q, r, c in ((0, 44100, 2), (5, 48000, 2), (9, 24000, 1))],
    ("-c:a libmp3lame -b:a 128k -write_xing 0", "mp3", 44100, 2), ("-c:a libmp3lame -joint_stereo 0", "mp3", 44100, 2),
    ("-c:a libmp3lame -id3v2_version 3 -metadata title=A", "mp3", 44100, 2),
    ("-c:a libmp3lame -write_id3v1 1 -metadata title=A", "mp3", 44100, 2), ("-c:a mp2 -b:a 192k", "mp2", 44100, 2),
    ("-c:a mp2 -b:a 64k", "mp2", 24000, 1), ("-c:a libmp3lame", "wav", 44100, 2), ("-c:a libmp3lame", "mkv", 44100, 2),
    ("-c:a libmp3lame", "mp4", 44100, 2),
    *[(f"-c:a aac -b:a {b}k", e, r, c) for b, r, c in
      ((128, 44100, 2), (64, 48000, 1), (32, 16000, 1), (24, 8000, 1), (96, 22050, 2)) for e in ("m4a", "aac", "mkv")],
    *[("-c:a aac -b:a 384k", e, 48000, c) for e in ("m4a", "aac") for c in (3, 4, 5, 6, 8)],
    ("-c:a aac", "mov", 44100, 2), ("-c:a aac", "caf", 44100, 2), ("-c:a aac -movflags +faststart", "m4a", 44100, 2),
    ("-c:a aac -movflags +frag_keyframe+empty_moov", "mp4", 44100, 2), ("-c:a aac -use_editlist 0", "m4a", 44100, 2),
    ("-c:a aac -ss 0.25", "m4a", 44100, 2), ("-c:a aac -aac_coder fast -b:a 12k", "m4a", 16000, 1),
    ("-c:a aac", "3gp", 44100, 1), ("-c:a aac", "ts", 44100, 2), ("-c:a aac", "flv", 44100, 2),
    *[("-c:a alac", e, r, c) for e in ("m4a", "caf", "mov") for r, c in ((44100, 2), (48000, 1), (16000, 1), (96000, 2))],
    ("-c:a alac -sample_fmt s32p", "m4a", 48000, 2), ("-c:a alac", "m4a", 48000, 6), ("-c:a alac", "mkv", 44100, 2),
    *[("-c:a flac", e, r, c) for e in ("flac", "ogg", "mkv", "mp4") for r, c in ((44100, 2), (16000, 1), (48000, 6))],
    ("-c:a flac -sample_fmt s32", "flac", 96000, 2), ("-c:a flac -compression_level 0", "flac", 8000, 1),
    ("-c:a flac -compression_level 12", "flac", 44100, 2),
    *[(f"-c:a libvorbis -q:a {q}", e, r, c) for q, r, c in ((4, 44100, 2), (0, 16000, 1), (9, 48000, 2), (3, 48000, 6))
      for e in ("ogg", "webm", "mkv")],
    *[(f"-c:a libopus -b:a {b}k -application {a}", e, 48000, c) for b, a, c in
      ((64, "audio", 2), (12, "voip", 1), (24, "voip", 1), (96, "lowdelay", 2), (32, "audio", 1))
      for e in ("opus", "webm", "mkv", "mp4", "caf")],
    ("-c:a libopus -frame_duration 60 -b:a 16k", "opus", 48000, 1), ("-c:a libopus -frame_duration 2.5", "opus", 48000, 2),
    ("-c:a libopus -b:a 256k -mapping_family 1", "opus", 48000, 6), ("-c:a libopus -ar 16000 -b:a 16k", "ogg", 16000, 1),
    *[(f"-c:a {c}", e, 44100, 2) for c in ("pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_s16be") for e in ("mkv", "mov", "caf")],
    *[(f"-c:a {c}", "wav", 44100, n) for c in ("adpcm_ms", "adpcm_ima_wav", "adpcm_swf", "g723_1", "gsm") for n in (1, 2)],
    ("-c:a adpcm_ima_qt", "caf", 44100, 1), ("-c:a adpcm_ima_qt", "aif", 44100, 2), ("-c:a adpcm_ima_qt", "mov", 44100, 2),
    *[(f"-c:a {c}", e, 48000, 2) for c, e in (("wmav2", "wma"), ("wmav1", "wma"), ("ac3", "ac3"), ("eac3", "eac3"),
      ("dca -strict -2", "dts"), ("tta", "tta"), ("wavpack", "wv"), ("truehd -strict -2", "thd"), ("mlp -strict -2", "mlp"),
      ("ac3", "mkv"), ("ac3", "mp4"), ("wavpack", "mkv"), ("libspeex", "ogg"), ("libspeex", "spx"), ("pcm_u8", "voc"),
      ("pcm_s16le", "avi"), ("real_144", "rm"), ("aptx", "aptx"), ("sbc", "sbc"))],
]  # fmt: skip


def coded():
    """(arguments, extension, file) of every codec that ffmpeg writes."""
    for arguments, extension, rate, channels in CODED_KINDS:
        file = made(arguments, extension, rate, channels)
        if file is None:
            print(f"ffmpeg does not write: {arguments} {extension} {channels} x {rate}")
            continue
        yield f"{arguments[5:]} .{extension} {channels} x {rate}", extension, file


QUICKTIME = ("pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le",
             "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_alaw", "pcm_mulaw", "adpcm_ima_qt", "adpcm_ms", "adpcm_ima_wav", "alac",
             "aac", "libmp3lame", "mp2 -b:a 128k", "flac", "libopus", "ac3", "gsm")  # fmt: skip


def quicktime():
    """MP4 and QuickTime files of every codec that ffmpeg writes there, in both sizes of their index, and in fragments."""
    fragmented = "-movflags +frag_keyframe+empty_moov+default_base_moof"
    for codec in QUICKTIME:
        for extension in ("mov", "m4a", "mp4"):
            for rate, channels in ((44100, 2), (44100, 1), (48000, 6), (96000, 2)):
                for flags in ("", "-movflags +faststart", fragmented):
                    file = made(f"-c:a {codec} -strict -2 {flags}", extension, rate, channels)
                    if file is not None:
                        how = EXACT if codec.startswith(LOSSLESS) else CLOSE
                        yield File(f"{codec} .{extension} {channels} x {rate} {flags}", file, how, CODED)


def movies():
    """MP4 and QuickTime files with edit lists, several descriptions, small sizes, a compressed index, and others of `movie_files.py`."""
    for codec, extension in (("pcm_s16le", "mov"), ("alac", "m4a"), ("aac", "m4a"), ("adpcm_ima_qt", "mov"), ("libmp3lame", "mp4"),
                             ("libopus", "mp4")):  # fmt: skip
        rate = 48000 if codec == "libopus" else 44100
        file = made(f"-c:a {codec} -chunk_duration 100000 -strict -2", extension, rate)
        for name, made_anew in movie_files.rewritten(file):
            # ffmpeg cuts edits by whole packets where a coder has no delay.
            how = DAMAGED if "edit" in name else EXACT if codec.startswith(LOSSLESS) else CLOSE
            yield File(f"{codec} .{extension}: {name}", made_anew, how, CODED)


LOSSLESS = ("alac", "flac", "pcm_", "adpcm_")


def whole():
    for name, _, file in coded():
        yield File(name, file, EXACT if name.startswith(LOSSLESS) else CLOSE, CODED)


def tag(size, body=b"", version=4):
    spread = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3" + bytes([version, 0, 0]) + spread + (body * (size // max(len(body), 1) + 1))[:size] if body else (
        b"ID3" + bytes([version, 0, 0]) + spread + bytes(size))  # fmt: skip


def tagged():
    """MP3, FLAC and ADTS with tags around them."""
    for arguments, extension in (("-c:a libmp3lame", "mp3"), ("-c:a libmp3lame -write_xing 0", "mp3"), ("-c:a flac", "flac"),
                                 ("-c:a aac", "aac")):  # fmt: skip
        file = made(arguments + (" -id3v2_version 0" if extension == "mp3" else ""), extension)
        frames = b"\xff\xfb\x90\x64" + bytes(413)
        ape = b"APETAGEX" + struct.pack("<IIII", 2000, 2032, 0, 0x80000000) + bytes(8)
        for name, before in {
            "2 MB tag": tag(2 << 20, b"\xff\xd8\xff\xe0picture"), "frames in the tag": tag(417 * 40, frames),
            "frames in a 2 MB tag": tag(2 << 20, frames), "two tags": tag(300) + tag(5000, frames), "v2.3": tag(4000, b"x", 3),
            "v2.2": tag(4000, b"x", 2), "zeros": tag(300) + bytes(2000), "tag of 0": tag(0), "short rubbish": b"rubbish!" * 40,
            "a sync word": b"\xff\xfb\x90\x64" + b"rubbish!" * 40, "20 KB of rubbish": b"rubbish!" * 2500,
        }.items():  # fmt: skip
            yield File(f"{arguments}: {name}", before + file, DAMAGED if "rubbish" in name or "sync" in name else CLOSE, CODED)
        for name, behind in {"ID3v1": b"TAG" + b"title".ljust(125), "APE": ape + bytes(2000) + ape, "both": ape + bytes(2000) + ape
                             + b"TAG".ljust(128), "lyrics": b"LYRICSBEGIN" + b"x" * 500 + b"000511LYRICS200" + b"TAG".ljust(128),
                             "zeros": bytes(3000), "another file": file}.items():  # fmt: skip
            yield File(f"{arguments}: {name} behind", file + behind, DAMAGED, CODED)


def joined():
    """Two files of MPEG audio or ADTS, one behind the other, with other rates and channels, and with tags in between. (Of two
    FLACs ffmpeg loses frames: a unit test has these.)"""
    ape = b"APETAGEX" + struct.pack("<IIII", 2000, 2032, 0, 0x80000000) + bytes(8)
    whole_ape = b"APETAGEX" + struct.pack("<IIII", 2000, 2032, 0, 0xA0000000) + bytes(8) + bytes(2000) + ape
    between = {"": b"", "ID3v2": tag(4000, b"picture"), "ID3v1": b"TAG" + b"title".ljust(125), "APE": whole_ape,
               "all": whole_ape + b"TAG".ljust(128) + tag(300), "rubbish": b"rubbish!" * 40}  # fmt: skip
    for codec, extension in (("libmp3lame -id3v2_version 0", "mp3"), ("libmp3lame -id3v2_version 0 -write_xing 0", "mp3"),
                             ("mp2", "mp2"), ("aac", "aac")):  # fmt: skip
        first = made(f"-c:a {codec}", extension)
        for rate, channels in ((44100, 2), (22050, 1), (48000, 2)):
            second = made(f"-c:a {codec}", extension, rate, channels)
            for name, tags in between.items():
                yield File(f"{codec}: {name}, {channels} x {rate}", first + tags + second, DAMAGED, CODED)


def damages():
    """Coded files with one place spoilt, or cut off."""
    dice = np.random.default_rng(2)
    for arguments, extension in (
        ("-c:a libmp3lame", "mp3"), ("-c:a libmp3lame -write_xing 0", "mp3"), ("-c:a libmp3lame -q:a 2", "mp3"),
        ("-c:a flac", "flac"), ("-c:a libvorbis", "ogg"), ("-c:a libopus", "opus"), ("-c:a flac", "ogg"), ("-c:a aac", "aac"),
        ("-c:a aac -movflags +faststart", "m4a"), ("-c:a alac -movflags +faststart", "m4a"), ("-c:a libopus", "webm"),
        ("-c:a libvorbis", "webm"), ("-c:a aac", "mkv"), ("-c:a mp2", "mp2"),
    ):  # fmt: skip
        rate = 48000 if "opus" in arguments else 44100
        file = made(arguments, extension, rate, 2, 3.0)
        kind, size = f"{arguments} .{extension}", len(file)
        for place in (0.15, 0.3, 0.5, 0.7, 0.9, 0.97):
            at = int(place * size)
            spoilt = lambda junk: file[:at] + junk + file[at + len(junk) :]
            yield File(f"{kind}: byte at {place}", spoilt(bytes([file[at] ^ 0x5A])), DAMAGED, CODED)
            yield File(f"{kind}: 40 bytes at {place}", spoilt(dice.integers(0, 256, 40, np.uint8).tobytes()), DAMAGED, CODED)
            yield File(f"{kind}: zeros at {place}", spoilt(bytes(min(600, size - at))), DAMAGED, CODED)
            yield File(f"{kind}: 777 bytes out at {place}", file[:at] + file[at + 777 :], DAMAGED, CODED)
            yield File(f"{kind}: cut at {place}", file[:at], DAMAGED, CODED)
        yield File(f"{kind}: beginning lost", file[size // 3 :], DAMAGED, CODED)


def lacking():
    """MP4 files that end early or whose index does, whose samples are shorter than the index says, and OGG files that lack pages."""
    for arguments, extension in (
        ("-c:a aac", "m4a"), ("-c:a alac", "m4a"), ("-c:a alac", "mov"), ("-c:a pcm_s16le", "mov"), ("-c:a pcm_s24be", "mov"),
        ("-c:a adpcm_ima_qt", "mov"), ("-c:a libopus", "mp4"), ("-c:a flac", "mp4"), ("-c:a libmp3lame", "mp4"),
    ):  # fmt: skip
        for flags in ("", "-movflags +faststart", "-movflags +frag_keyframe+empty_moov+default_base_moof -frag_duration 300000"):
            file = made(f"{arguments} {flags} -strict -2", extension, 48000, 2, 3.0)
            kind, size = f"{arguments} {flags} .{extension}", len(file)
            for cut in (1, 20, 100, 700, size // 4, size // 2, 9 * size // 10):
                yield File(f"{kind}: cut by {cut}", file[:-cut], DAMAGED, CODED)
            data = file.index(b"mdat")
            for length in (0, 8, 1000, 10**8):
                wrong = bytearray(file)
                struct.pack_into(">I", wrong, data - 4, length)
                yield File(f"{kind}: mdat of {length}", bytes(wrong), DAMAGED, CODED)
            if "faststart" in flags:
                yield File(f"{kind}: 5000 zeros", file[: data + 3000] + bytes(5000) + file[data + 8000 :], DAMAGED, CODED)
    for arguments, extension in (("-c:a libvorbis", "ogg"), ("-c:a libopus", "opus"), ("-c:a flac", "ogg"),
                                 ("-c:a libopus -page_duration 20000", "opus"), ("-c:a libvorbis -page_duration 20000", "ogg")):  # fmt: skip
        file = made(arguments, extension, 48000, 2, 3.0)
        pages = [at for at in range(len(file)) if file.startswith(b"OggS", at)] + [len(file)]
        kind, count = f"{arguments} .{extension}", len(pages) - 1
        for page in sorted({0, 1, 2, 3, 4, count // 2, count - 2, count - 1}):
            start, end = pages[page], pages[page + 1]
            for offset in (0, 5, 8, 20, 23, 26, 27, 40, end - start - 1):
                wrong = bytearray(file)
                wrong[start + offset] ^= 0x5A
                yield File(f"{kind}: byte {offset} of page {page} of {count}", bytes(wrong), DAMAGED, CODED)
            yield File(f"{kind}: without page {page} of {count}", file[:start] + file[end:], DAMAGED, CODED)
            yield File(f"{kind}: half of page {page} of {count}", file[: (start + end) // 2] + file[end:], DAMAGED, CODED)
        yield File(f"{kind}: without pages 3 to 5", file[: pages[3]] + file[pages[min(6, count)] :], DAMAGED, CODED)
        yield File(f"{kind}: rubbish before", b"rubbish" * 50 + file, DAMAGED, CODED)
