#!/usr/bin/env python3
"""Makes src/media/testdata: what the reference implementations give for small generated inputs.

    pip install pillow==13.0.0 numpy soundfile lameenc transformers
    python tools/media_vectors.py

- resize.txt: `width height to_width to_height seed hash`: FNV-1a 64 of Pillow's bicubic resize of noise(seed).
- gemma4_sizes.txt: `width height soft_tokens to_width to_height` (0 0: refused), by transformers.
- images.txt and the image files in it: `file width height hash` of Pillow's RGB pixels.
- tone.flac, tone.mp3, tone.ogg: half a second of 440 Hz at 0.5, 44.1 kHz; stereo, the right channel silent.

The tests need none of these packages: the files are committed.
"""

import math
import pathlib
import random

import lameenc
import numpy as np
import soundfile
from PIL import Image
from transformers.models.gemma4.image_processing_pil_gemma4 import get_aspect_ratio_preserving_size

OUT = pathlib.Path(__file__).resolve().parent.parent / "src/media/testdata"
MASK = (1 << 64) - 1


def noise(length, seed):
    """Bytes of a linear congruential generator; odd seeds give only 0 and 255, which overshoot the most."""
    state, out = seed, bytearray()
    for _ in range(length):
        state = (state * 6364136223846793005 + 1442695040888963407) & MASK
        byte = state >> 56
        out.append(byte if seed % 2 == 0 else 255 * (byte >> 7))
    return bytes(out)


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & MASK
    return f"{value:016x}"


def noise_image(width, height, seed):
    return Image.frombytes("RGB", (width, height), noise(width * height * 3, seed))


def resize_lines():
    rng = random.Random(7)
    sizes = [
        (1, 1, 1, 1), (1, 1, 48, 48), (5, 3, 1, 1), (1, 400, 3, 96), (400, 1, 96, 3), (300, 2, 1, 7), (2, 300, 7, 1),
        (64, 64, 144, 144), (64, 48, 64, 96), (64, 48, 96, 48), (50, 40, 50, 40), (97, 101, 48, 48), (96, 214, 48, 96),
        (96, 96, 48, 48), (211, 1, 211, 2), (1, 211, 2, 211), (90, 200, 80, 100), (90, 120, 80, 100), (90, 121, 80, 100),
    ]  # fmt: skip
    while len(sizes) < 80:
        sizes.append(tuple(int(2 ** rng.uniform(0, 7.5)) for _ in range(4)))
    for seed, (width, height, to_width, to_height) in enumerate(sizes):
        resized = noise_image(width, height, seed).resize((to_width, to_height), Image.Resampling.BICUBIC)
        yield f"{width} {height} {to_width} {to_height} {seed} {fnv(resized.tobytes())}"


def size_lines():
    rng = random.Random(11)
    sizes = [
        (64, 64), (1, 1), (1, 65535), (65535, 1), (3, 3000), (3000, 3), (4032, 3024), (3024, 4032), (1920, 1080), (1080, 2400),
        (768, 768), (48, 48), (47, 49), (500, 10), (281, 1), (1, 280), (2, 561), (13440, 48), (48, 13440), (13441, 47),
    ]  # fmt: skip
    while len(sizes) < 120:
        sizes.append(tuple(int(2 ** rng.uniform(0, 13)) for _ in range(2)))
    for width, height in sizes:
        for budget in (70, 140, 280, 560, 1120):
            try:
                to_height, to_width = get_aspect_ratio_preserving_size(height, width, 16, budget * 9, 3)
            except ValueError:
                to_height = to_width = 0
            yield f"{width} {height} {budget} {to_width} {to_height}"


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
    # Lossy, and decoders differ: the test compares these two with the gradient.
    plain.save(OUT / "progressive.jpg", quality=90, progressive=True)
    plain.convert("CMYK").save(OUT / "cmyk.jpg", quality=90)


def write_tones():
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


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for name, lines in (("resize", resize_lines()), ("gemma4_sizes", size_lines()), ("images", image_lines())):
        (OUT / f"{name}.txt").write_text("".join(line + "\n" for line in lines))
    write_tones()


if __name__ == "__main__":
    main()
