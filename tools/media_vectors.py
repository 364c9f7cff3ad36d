#!/usr/bin/env python3
"""Makes src/media/testdata: what the reference implementations give for small generated inputs.

    pip install pillow==13.0.0 numpy soundfile lameenc
    python tools/media_vectors.py                 # or some of: images jpegs tones tiffs movies sounds

- images.txt and the image files in it: `file width height hash` (FNV-1a 64) of Pillow's RGB pixels.
- jpeg.txt and the files in jpeg/: the same of JPEGs in all of their kinds; no hash for what is refused. Needs libjpeg-turbo's jpegtran.
- tiff.txt and the files in tiff/: the same of TIFFs, of tiff_files.py.
- movies.txt and the files in movies/: `file frames hash` of the samples (16 bits) that ffmpeg decodes.
- sounds.txt and the files in sounds/: `file samples hash` of the mean of the channels that libsndfile decodes.
- tone.flac, tone.mp3, tone.ogg: half a second of 440 Hz at 0.5, 44.1 kHz; stereo, the right channel silent.
- tone.mka, tone-aac.m4a, tone.webm, tone.opus: tone.flac through ffmpeg; pages.opus in pages of 0.1 s; short.*: its first 0.1 s at 16 kHz in mono.

The tests need none of these packages: the files are committed.
"""

import io
import math
import pathlib
import subprocess
import sys

import gif_files
import jpeg_sweep as jpeg
import movie_files
import numpy as np
import soundfile
import tiff_files
from PIL import Image
from vectors import fnv, noise, noise_image

OUT = pathlib.Path(__file__).resolve().parent.parent / "src/media/testdata"


def gradient(width, height):
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], -1)
    return Image.fromarray(pixels.astype(np.uint8))


def image_lines():
    plain, noisy = gradient(24, 17), noise_image(24, 17, 2)
    palette = plain.quantize(16)
    alpha = Image.frombytes("L", (24, 17), noise(24 * 17, 4))
    with_alpha = noisy.copy()
    with_alpha.putalpha(alpha)
    with_alpha_gray = Image.merge("LA", (noisy.getchannel(0), alpha))
    one_bit = noisy.convert("1")
    files = [
        ("palette.png", palette, {}), ("palette-transparent.png", palette, {"transparency": 3}),
        ("rgba.png", with_alpha, {}), ("gray-alpha.png", with_alpha_gray, {}), ("one-bit.png", one_bit, {}),
        ("palette.gif", palette, {}), ("transparent.gif", palette, {"transparency": 3, "interlace": 1}),
        ("two-frames.gif", palette, {"save_all": True, "append_images": [noisy.quantize(8)], "duration": 100}),
        ("lossy.webp", plain, {"quality": 80}), ("lossy-alpha.webp", with_alpha, {"quality": 50}),
        ("lossless.webp", with_alpha, {"lossless": True}),
        ("two-frames.webp", plain, {"save_all": True, "append_images": [noisy], "duration": 100, "lossless": True}),
        ("palette.bmp", palette, {}), ("one-bit.bmp", one_bit, {}),
        ("lzw.tif", noisy, {"compression": "tiff_lzw"}), ("deflate-alpha.tif", with_alpha, {"compression": "tiff_adobe_deflate"}),
        ("fax.tif", one_bit, {"compression": "group4"}), ("cmyk.tif", noisy.convert("CMYK"), {"compression": "packbits"}),
    ]  # fmt: skip
    for name, image, options in files:
        image.save(OUT / name, **options)
        with Image.open(OUT / name) as saved:
            yield f"{name} {saved.width} {saved.height} {fnv(saved.convert('RGB').tobytes())}"
    for name, file in gif_files.fixtures():
        (OUT / name).write_bytes(file)
        with Image.open(OUT / name) as saved:
            yield f"{name} {saved.width} {saved.height} {fnv(saved.convert('RGB').tobytes())}"
    plain.save(OUT / "progressive.jpg", quality=90, progressive=True)
    plain.convert("CMYK").save(OUT / "cmyk.jpg", quality=90)


def jpeg_files():
    """Names and bytes; those whose names begin with "no-" are refused."""
    ycc = lambda samplings, scans, **more: jpeg.encode(jpeg.picture(37, 35, 3, 7), samplings, scans, jpeg.JFIF, **more)
    one, two = [[0, 1, 2]], (1, 1)
    small = jpeg.picture(19, 13, 3, 5)
    inks = jpeg.picture(19, 13, 4, 5)
    yield "whole-422", ycc([(2, 1), two, two], one)
    yield "whole-420", ycc([(2, 2), two, two], one)
    yield "whole-440-restart", ycc([(1, 2), two, two], one, restart=3)
    yield "whole-411", ycc([(4, 1), two, two], one)
    yield "scans-444", ycc([two] * 3, [[0], [1], [2]])
    yield "scans-420", ycc([(2, 2), two, two], [[0], [1], [2]])
    yield "scans-422-restart", ycc([(2, 1), two, two], [[2], [0], [1]], restart=2)
    yield "scans-pair", ycc([(2, 2), two, two], [[0], [1, 2]])
    yield "mixed-samplings", ycc([(2, 2), (2, 1), (1, 2)], one)
    for name, markers, ids in [
        ("jfif-adobe0", jpeg.JFIF + jpeg.adobe(0), None), ("adobe0-jfif", jpeg.adobe(0) + jpeg.JFIF, None),
        ("adobe0", jpeg.adobe(0), None), ("adobe1", jpeg.adobe(1), [82, 71, 66]), ("ids-rgb", b"", [82, 71, 66]), ("ids-any", b"", [9, 7, 8]),
    ]:  # fmt: skip
        yield name, jpeg.encode(small, [two] * 3, one, markers, ids)
    for name, markers in [("cmyk", b""), ("adobe0-cmyk", jpeg.adobe(0)), ("adobe2-ycck", jpeg.adobe(2))]:
        yield name, jpeg.encode(inks, [(2, 2), two, two, (2, 2)], [[0, 1, 2, 3]], markers)
    yield "gray-22", jpeg.encode(small[:1], [(2, 2)], [[0]], jpeg.JFIF)
    yield "without-tables-of-its-own", jpeg.encode(small, [(2, 1), two, two], one, tables=False)
    yield "one-pixel", jpeg.encode(small[:, :1, :1], [(2, 2), two, two], one)
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8))
    out = io.BytesIO()
    noise.save(out, "JPEG", quality=100, subsampling=2, optimize=True)
    yield "noise", out.getvalue()
    whole = ycc([(2, 2), two, two], one)
    yield "progressive", jpeg.transformed(whole, "-progressive")
    yield "progressive-restart", jpeg.transformed(whole, "-progressive", "-restart", "1")
    yield "progressive-script", jpeg.transformed(whole, script=jpeg.SCRIPTS[3][1])
    yield "progressive-cmyk", jpeg.transformed(jpeg.encode(inks, [two] * 4, [[0, 1, 2, 3]], jpeg.adobe(2)), "-progressive")
    yield "no-arithmetic", jpeg.transformed(whole, "-arithmetic")
    yield "no-arithmetic-progressive", jpeg.transformed(whole, "-arithmetic", "-progressive")
    yield "no-details", jpeg.transformed(whole, script=jpeg.SCRIPTS[3][2])
    yield "no-fractions", ycc([(3, 1), (2, 1), two], one)
    yield "no-12-bits", whole.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c")
    yield "no-lossless", whole.replace(b"\xff\xc0\0\x11", b"\xff\xc3\0\x11")


def jpeg_lines():
    (OUT / "jpeg").mkdir(exist_ok=True)
    for name, file in jpeg_files():
        (OUT / "jpeg" / f"{name}.jpg").write_bytes(file)
        if name.startswith("no-"):
            yield f"{name}.jpg 0 0 -"
            continue
        with Image.open(io.BytesIO(file)) as saved:
            yield f"{name}.jpg {saved.width} {saved.height} {fnv(saved.convert('RGB').tobytes())}"


def tiff_lines():
    (OUT / "tiff").mkdir(exist_ok=True)
    for name, file in tiff_files.fixtures():
        (OUT / "tiff" / f"{name}.tif").write_bytes(file)
        with Image.open(io.BytesIO(file)) as saved:
            yield f"{name}.tif {saved.width} {saved.height} {fnv(saved.convert('RGB').tobytes())}"


MOVIES = [("pcm_u8", "mov"), ("pcm_s8", "mov"), ("pcm_s16le", "mov"), ("pcm_s16be", "mov"), ("pcm_s24be", "mov"), ("pcm_s24le", "mov"),
          ("pcm_s32le", "mov"), ("pcm_f32be", "mov"), ("pcm_f64le", "mov"), ("pcm_mulaw", "mov"), ("adpcm_ima_qt", "mov"),
          ("adpcm_ms", "mov"), ("adpcm_ima_wav", "mov"), ("alac", "mov"), ("alac", "m4a"), ("flac", "mp4"),
          ("alac -movflags +frag_keyframe+empty_moov+default_base_moof", "mp4")]  # fmt: skip


def movie_lines():
    """The half of short.wav, and a bit of it at 96 kHz, whose sound description is of version 2."""
    (OUT / "movies").mkdir(exist_ok=True)
    run = lambda *words: subprocess.run(["ffmpeg", "-v", "error", "-y", *words], check=True, stdin=subprocess.DEVNULL, capture_output=True)
    exact = ["-bitexact", "-fflags", "+bitexact", "-flags:a", "+bitexact"]
    for codec, extension in MOVIES:
        kind = codec.split(" ")[0].replace("_", "-") + ("-fragments" if " " in codec else "")
        name = f"{kind}.{extension}"
        run("-i", OUT / "short.wav", "-t", "0.05", "-c:a", *codec.split(" "), *exact, "-strict", "-2", OUT / "movies" / name)
        samples = run("-i", OUT / "movies" / name, "-f", "f32le", "-").stdout
        yield f"{name} {len(samples) // 4} {fnv(samples)}"
    run("-i", OUT / "short.wav", "-ar", "96000", "-t", "0.02", "-c:a", "pcm_s24le", *exact, OUT / "movies" / "version-2.mov")
    run("-i", OUT / "short.wav", "-c:a", "aac", *exact, OUT / "movies" / "aac.mov")


    for name, source in (("alac.m4a", "alac.m4a"), ("pcm.mov", "pcm-s16le.mov")):
        for kind, file in movie_files.rewritten((OUT / "movies" / source).read_bytes()):
            if kind in ("sizes of 16 bits", "compressed", "udta first", "64-bit sizes"):
                anew = f"{kind.replace(' ', '-')}-{name}"
                (OUT / "movies" / anew).write_bytes(file)
                samples = run("-i", OUT / "movies" / anew, "-f", "f32le", "-").stdout
                yield f"{anew} {len(samples) // 4} {fnv(samples)}"
    # Parts in another order with silence between them; and a second half in a coding that nobody reads.
    boxes = movie_files.parse((OUT / "movies" / "pcm-s16le.mov").read_bytes())
    movie_files.edited(boxes, [(0.01, None), (0.02, 0.03), (0.01, None), (0.02, 0)])
    (OUT / "movies" / "edits.mov").write_bytes(movie_files.packed(boxes))
    boxes = movie_files.parse((OUT / "movies" / "pcm-s16le.mov").read_bytes())
    movie_files.halved(boxes, 2)
    movie_files.described(boxes, movie_files.description(boxes).replace(b"sowt", b"QDM2"), 2)
    (OUT / "movies" / "two-codings.mov").write_bytes(movie_files.packed(boxes))


def sound_lines():
    """ALAC in CAF as libsndfile writes it."""
    (OUT / "sounds").mkdir(exist_ok=True)
    for bits, channels, frames in ((16, 1, 4500), (20, 1, 200), (24, 3, 200), (32, 8, 200)):
        dice = np.random.default_rng(bits)
        samples = np.cumsum(dice.normal(0, 0.01, (frames, channels)), 0).clip(-1, 1)
        name = f"alac-{bits}.caf"
        soundfile.write(OUT / "sounds" / name, samples, 16000, f"ALAC_{bits}", format="CAF")
        read, _ = soundfile.read(OUT / "sounds" / name, dtype="float32", always_2d=True)
        yield f"{name} {frames} {fnv(read.astype(float).mean(1).astype('<f4').tobytes())}"


def write_tones():
    import lameenc

    rate = 44100
    tone = 0.5 * np.sin(2 * math.pi * 440 * np.arange(rate // 2) / rate)
    stereo = np.stack([tone, np.zeros_like(tone)], 1)
    soundfile.write(OUT / "tone.flac", stereo, rate, subtype="PCM_16")
    soundfile.write(OUT / "tone.ogg", stereo, rate, format="OGG", subtype="VORBIS")
    soundfile.write(OUT / "tone.mp3", stereo, rate, format="MP3")
    encoder = lameenc.Encoder()
    encoder.set_in_sample_rate(rate)
    encoder.set_channels(2)
    encoder.set_bit_rate(128)
    data = encoder.encode((stereo * 32767).astype("<i2").tobytes()) + encoder.flush()
    (OUT / "tone-untagged.mp3").write_bytes(data)


def lines(name, made):
    (OUT / name).write_text("".join(line + "\n" for line in made))


WRITERS = {
    "images": lambda: lines("images.txt", image_lines()), "jpegs": lambda: lines("jpeg.txt", jpeg_lines()),
    "tiffs": lambda: lines("tiff.txt", tiff_lines()), "movies": lambda: lines("movies.txt", movie_lines()),
    "sounds": lambda: lines("sounds.txt", sound_lines()), "tones": write_tones,
}  # fmt: skip


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or WRITERS:
        WRITERS[name]()


if __name__ == "__main__":
    main()
