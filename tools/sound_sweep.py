"""Sounds, as rmlx, libsndfile and ffmpeg read them.

    cargo build --example samples && python tools/sound_sweep.py [--samples target/debug/examples/samples] [--only TEXT]
    python tools/sound_sweep.py --damage 5000       # files with spoilt bytes: nothing panics, nothing takes long

Makes WAV, RF64, W64, AIFF, AU, CAF and FLAC files of every kind of samples, WAVs with the headers that recorders leave, and with
ffmpeg MP3, AAC, ALAC, Vorbis, Opus and others in their containers, with tags, spoilt and cut off; lets rmlx decode them, and
compares with libsndfile (ffmpeg where that does not read it, or where the sound is coded). What the judge made is mixed and
resampled by rmlx (as a WAV of floats), so that only decoding is compared:

- uncompressed and lossless: every sample the same;
- lossy: as long but for PADDING at the end, and at least DECIBELS below the sound: decoders differ in how they round, and in noise that they fill in;
- spoilt: as much of the judge's windows of WINDOW samples as TAKEN are in rmlx's sound too, wherever.

Fails where a file that a judge reads has another sound, or is refused by anything but UNSUPPORTED. Needs numpy, soundfile, ffmpeg.
"""

import argparse
import json
import shutil
import struct
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile as sf

import sound_files
from sound_files import CLOSE, DAMAGED, EXACT

DECIBELS = 50
# Samples at 16 kHz: one frame of AAC.
PADDING = 400
WINDOW, TAKEN = 800, 0.9
# Spoilt files that are decoded together, and the seconds that these may take beside other programs.
BATCH, BATCH_SECONDS = 250, 120


def libsndfile(path):
    try:
        with open(path, "rb") as file:
            samples, rate = sf.read(file, dtype="float32", always_2d=True)
    except (sf.LibsndfileError, RuntimeError, ValueError, TypeError):
        return None
    return (samples, rate) if len(samples) else None


def ffmpeg(path):
    probe = ["ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries", "stream=codec_name,sample_rate,channels", "-of", "json", path]
    found = subprocess.run(probe, capture_output=True, stdin=subprocess.DEVNULL)
    try:
        stream = json.loads(found.stdout)["streams"][0]
        rate, channels = int(stream["sample_rate"]), int(stream["channels"])
    except (KeyError, IndexError, ValueError):
        return None
    if not rate or not channels:
        return None
    # ffmpeg's own decoder of Opus resamples in another way than libopus.
    decoder = ["-c:a", "libopus"] if stream.get("codec_name") == "opus" else []
    decode = ["ffmpeg", "-v", "error", *decoder, "-i", path, "-map", "0:a:0", "-f", "f32le", "-ac", str(channels), "-ar", str(rate), "-"]
    raw = subprocess.run(decode, capture_output=True, stdin=subprocess.DEVNULL).stdout
    samples = np.frombuffer(raw[: len(raw) // (4 * channels) * 4 * channels], "<f4").reshape(-1, channels)
    return (samples, rate) if len(samples) else None


JUDGES = {"libsndfile": libsndfile, "ffmpeg": ffmpeg}


def float_wav(samples, rate):
    channels = samples.shape[1]
    data = np.ascontiguousarray(samples, "<f4").tobytes()
    form = struct.pack("<HHIIHHH", 3, channels, rate, 4 * channels * rate, 4 * channels, 32, 0)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def judge(job):
    """Writes what the first of the judges that reads a file makes of it."""
    file, path, judges = job
    for name in judges:
        read = JUDGES[name](path)
        if read is not None:
            Path(f"{path}-{name}.wav").write_bytes(float_wav(*read))
            break


def floats(path):
    return np.fromfile(path, "<f4") if path.exists() else None


def missing(wanted, found):
    """The share of `wanted`'s windows that are nowhere near in `found`."""
    if len(found) < WINDOW:
        return 1.0
    reach, lost, count = 8000, 0, 0
    for at in range(0, len(wanted) - WINDOW + 1, WINDOW):
        window = wanted[at : at + WINDOW].astype(float)
        level = np.linalg.norm(window)
        if level < 1e-3:
            continue
        count += 1
        low = max(0, at - reach)
        piece = found[low : at + WINDOW + reach].astype(float)
        if len(piece) < WINDOW:
            lost += 1
            continue
        size = 1 << int(np.ceil(np.log2(len(piece) + WINDOW)))
        product = np.fft.irfft(np.fft.rfft(piece, size) * np.conj(np.fft.rfft(window, size)), size)[: len(piece) - WINDOW + 1]
        energy = np.cumsum(np.concatenate([[0], piece**2]))
        levels = np.sqrt(np.maximum(energy[WINDOW:] - energy[:-WINDOW], 1e-9))
        lost += bool(np.max(product / levels) / level < 0.97)
    return lost / max(count, 1)


def difference(how, wanted, found):
    """What is different, or None."""
    if how == DAMAGED:
        lost = missing(wanted, found)
        longer = abs(len(found) - len(wanted)) / 16000
        if lost > 1 - TAKEN:
            return f"{lost:.0%} of the windows are missing ({len(found)} for {len(wanted)} samples)"
        return f"{longer:.2f} s longer or shorter" if longer > 0.2 else None
    # ffmpeg 5 leaves what an MP4's edit list takes off the end, and Matroska's padding is not all taken off here.
    if how == CLOSE and abs(len(wanted) - len(found)) <= PADDING:
        wanted, found = wanted[: len(found)], found[: len(wanted)]
    if len(wanted) != len(found):
        return f"{len(found)} for {len(wanted)} samples"
    if how == EXACT:
        wrong = np.flatnonzero(wanted != found)
        return f"{len(wrong)} samples differ, by up to {np.abs(wanted - found).max():.3g}" if len(wrong) else None
    noise = np.sum((wanted - found).astype(float) ** 2)
    decibels = 10 * np.log10(np.sum(wanted.astype(float) ** 2) / max(noise, 1e-30))
    return f"{decibels:.1f} dB" if decibels < DECIBELS else None


def judged(file, path):
    """What the judges made of a file: names and samples."""
    found = [(name, floats(Path(f"{path}-{name}.f32"))) for name in file.judges]
    return [(name, samples) for name, samples in found if samples is not None]


def verdict(file, path):
    """What came of a file, and what is wrong with that, or None."""
    wanted, error = judged(file, path), Path(f"{path}.error")
    if error.exists():
        code, message = error.read_text().split(" ", 1)
        outcome = f"{'read' if wanted else 'refused'} by the judges, {code} by rmlx"
        return outcome, f"{code} {message}" if code == "Panic" or (wanted and code != "Unsupported") else None
    found = floats(Path(f"{path}.f32"))
    if not wanted:
        return "refused by the judges, read by rmlx", None
    differences = [(name, difference(file.how, samples, found)) for name, samples in wanted]
    same = [name for name, differs in differences if differs is None]
    if same:
        return f"as {same[0]} ({file.how})", None
    return "other samples", "; ".join(f"{name}: {differs}" for name, differs in differences)


def decode(arguments, folder):
    """Lets rmlx decode what is in the folder."""
    subprocess.run([arguments.samples, folder], check=True, stdout=subprocess.DEVNULL)


def sweep(arguments):
    groups = "uncompressed wavs headers whole quicktime movies tagged joined damages lacking".split() if not arguments.group else [arguments.group]
    files = [file for group in groups for file in getattr(sound_files, group)() if arguments.only in file.name]
    files = files[:: arguments.step]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        jobs = [(file, Path(folder, f"{index:05}")) for index, file in enumerate(files)]
        for file, path in jobs:
            path.write_bytes(file.data)
        list(pool.map(judge, ((*job, job[0].judges[:1]) for job in jobs)))
        decode(arguments, folder)
        # The other judge is asked where the first one does not read a file, or another sound.
        again = [job for job in jobs if job[0].judges[1:] and (verdict(*job)[1] or not judged(*job))]
        list(pool.map(judge, ((*job, job[0].judges[1:]) for job in again)))
        for path in [path for _, path in again]:
            for wav in Path(folder).glob(f"{path.name}-ffmpeg.wav"):
                Path(folder, "again").mkdir(exist_ok=True)
                wav.rename(Path(folder, "again", wav.name))
        if again and Path(folder, "again").exists():
            decode(arguments, Path(folder, "again"))
            for made in Path(folder, "again").glob("*.f32"):
                made.rename(Path(folder, made.name))
        verdicts = [(file, *verdict(file, path)) for file, path in jobs]
        wrong = [f"{file.name}: {fault}" for file, _, fault in verdicts if fault]
        for file, path in jobs if arguments.keep else ():
            Path(arguments.keep, file.name.replace("/", "_").replace(" ", "_")).write_bytes(path.read_bytes())
    report(files, Counter(outcome for _, outcome, _ in verdicts), wrong)


def report(files, outcomes, wrong):
    print(f"{len(files)} files")
    for outcome, count in outcomes.most_common():
        print(f"  {count:6} {outcome}")
    for line in wrong[:400]:
        print(line)
    sys.exit(f"{len(wrong)} files are wrong" if wrong else 0)


def spoilt(data, dice):
    copy = bytearray(data)
    reach = min(len(copy), 200) if dice.random() < 0.5 else len(copy)
    for _ in range(dice.integers(1, 8)):
        at = dice.integers(reach)
        copy[at] = dice.choice([0, 0xFF, 0x7F, 0x80, dice.integers(256), copy[at] ^ 1 << dice.integers(8)])
    if dice.random() < 0.25:
        at = dice.integers(len(copy))
        copy[at : at + dice.integers(400)] = b""
    return bytes(copy[: dice.integers(len(copy))] if dice.random() < 0.2 else copy)


def damage(arguments):
    dice = np.random.default_rng(arguments.seed)
    kinds = [sound_files.uncompressed(), sound_files.wavs(), sound_files.headers(), sound_files.whole()]
    sounds = [[file for file in kind if arguments.only in file.name] for kind in kinds]
    outcomes, wrong, files = Counter(), [], []
    with tempfile.TemporaryDirectory() as folder:
        for index in range(arguments.damage):
            # Mostly coded sounds: there is more to go wrong in them.
            some = sounds[dice.choice(4, p=[0.15, 0.1, 0.05, 0.7])] or sounds[3]
            file = some[dice.integers(len(some))]
            files.append(file)
            Path(folder, f"{index:06}").write_bytes(spoilt(file.data, dice))
        for start in range(0, len(files), BATCH):
            batch = Path(folder, "batch")
            batch.mkdir()
            for index in range(start, min(start + BATCH, len(files))):
                Path(folder, f"{index:06}").rename(batch / f"{index:06}")
            try:
                subprocess.run([arguments.samples, batch], check=True, capture_output=True, timeout=BATCH_SECONDS)
            except subprocess.SubprocessError as failure:
                wrong.append(f"{start} to {start + BATCH}: {failure}")
            for index in range(start, min(start + BATCH, len(files))):
                error = batch / f"{index:06}.error"
                code, _, message = error.read_text().partition(" ") if error.exists() else ("decoded", "", "")
                outcomes[code] += 1
                if code == "Panic":
                    wrong.append(f"{files[index].name}: {message}")
                    if arguments.keep:
                        Path(arguments.keep, f"{index:06}").write_bytes((batch / f"{index:06}").read_bytes())
            shutil.rmtree(batch)
    report(files, outcomes, wrong)


def main():
    warnings.simplefilter("ignore")
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--samples", default="target/debug/examples/samples")
    arguments.add_argument("--only", default="", help="files whose names have this in them")
    arguments.add_argument("--group", help="one group of sound_files.py")
    arguments.add_argument("--step", type=int, default=1, help="every how manieth file")
    arguments.add_argument("--keep", help="a folder for the files")
    arguments.add_argument("--damage", type=int, default=0)
    arguments.add_argument("--seed", type=int, default=0)
    arguments = arguments.parse_args()
    if arguments.damage:
        damage(arguments)
    else:
        sweep(arguments)


if __name__ == "__main__":
    main()
