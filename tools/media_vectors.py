#!/usr/bin/env python3
"""Makes src/media/testdata: what the reference implementations give for small generated inputs.

    pip install pillow==13.0.0 numpy soundfile lameenc
    python tools/media_vectors.py

- images.txt and the image files in it: `file width height hash` (FNV-1a 64) of Pillow's RGB pixels.
- tone.flac, tone.mp3, tone.ogg: half a second of 440 Hz at 0.5, 44.1 kHz; stereo, the right channel silent.

The tests need none of these packages: the files are committed.
"""

import math
import pathlib

import lameenc
import numpy as np
import soundfile
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
    (OUT / "images.txt").write_text("".join(line + "\n" for line in image_lines()))
    write_tones()


if __name__ == "__main__":
    main()
