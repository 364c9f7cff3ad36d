#!/usr/bin/env python3
"""Makes the testdata of src/vision: what Pillow and transformers' processors give for small generated pictures.

    pip install pillow==13.0.0 numpy torch torchvision transformers==5.23.0
    python tools/vision_vectors.py

The tests need none of these packages: the files are committed. Fields are separated by blanks; hashes are FNV-1a 64.

- bicubic.txt, bilinear.txt: `width height to_width to_height seed hash` of Pillow's resize of noise(seed).
- gemma4_sizes.txt: `width height soft_tokens to_width to_height` (0 0: refused).
- gemma3_crops.txt: `width height min_crop_size max_crops min_ratio:` and a `WxH+X+Y` for each crop.
- gemma3_patches.txt: `width height seed resample` and a hash of the patches of the picture and of each of its crops.
- qwen3_vl_sizes.txt: `width height factor min_pixels max_pixels to_width to_height` (0 0: refused).
- qwen3_vl_video_sizes.txt: `frames width height temporal factor min_pixels max_pixels to_width to_height`.
- qwen3_vl: patches.txt: `width height seed rows columns hash` of the patches.
- qwen3_vl: video_patches.txt: `frames width height seed hash` of the patches as levels from 0 to 255.
- qwen3_vl: times.txt: the frames' times in seconds, `:`, and the texts before each pair of frames.
"""

import pathlib
import random

import numpy as np
import torch
from PIL import Image
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.gemma4.image_processing_pil_gemma4 import get_aspect_ratio_preserving_size
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize as smart_resize_video
from vectors import fnv, noise_image

OUT = pathlib.Path(__file__).resolve().parent.parent / "src/vision/testdata"
NORMALIZED = {"image_mean": [0.5, 0.25, 0.75], "image_std": [0.5, 0.3, 1.25]}


def bicubic_lines():
    rng = random.Random(7)
    sizes = [
        (1, 1, 1, 1), (1, 1, 48, 48), (5, 3, 1, 1), (1, 400, 3, 96), (400, 1, 96, 3), (300, 2, 1, 7), (2, 300, 7, 1),
        (64, 64, 144, 144), (64, 48, 64, 96), (64, 48, 96, 48), (50, 40, 50, 40), (97, 101, 48, 48), (96, 214, 48, 96),
        (96, 96, 48, 48), (211, 1, 211, 2), (1, 211, 2, 211), (90, 200, 80, 100), (90, 120, 80, 100), (90, 121, 80, 100),
    ]  # fmt: skip
    return resize_lines(rng, sizes, 80, Image.Resampling.BICUBIC)


def bilinear_lines():
    sizes = [
        (1, 1, 1, 1), (1, 1, 56, 56), (2, 2, 1, 1), (400, 1, 96, 3), (1, 400, 3, 96), (50, 40, 50, 40), (50, 40, 50, 20),
        (50, 40, 25, 40), (90, 121, 80, 100), (90, 120, 80, 100), (97, 101, 48, 48), (64, 64, 128, 128),
    ]  # fmt: skip
    return resize_lines(random.Random(8), sizes, 200, Image.Resampling.BILINEAR)


def resize_lines(rng, sizes, count, resampling):
    while len(sizes) < count:
        sizes.append(tuple(int(2 ** rng.uniform(0, 7.5)) for _ in range(4)))
    for seed, (width, height, to_width, to_height) in enumerate(sizes):
        resized = noise_image(width, height, seed).resize((to_width, to_height), resampling)
        yield f"{width} {height} {to_width} {to_height} {seed} {fnv(resized.tobytes())}"


def gemma4_size_lines():
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


def gemma3_crop_lines():
    """The reference slices arrays: one that holds each pixel's own place says which were taken."""
    rng = random.Random(13)
    processor = Gemma3ImageProcessorPil()
    rules = [(256, 4, 1.2), (256, 4, 1.0), (64, 6, 1.5), (16, 9, 1.1), (400, 3, 2.0)]
    sizes = [(256, 256), (512, 256), (256, 512), (511, 256), (1024, 853), (1024, 854), (2000, 257), (2000, 255)]
    while len(sizes) < 80:
        sizes.append(tuple(int(2 ** rng.uniform(4, 11)) for _ in range(2)))
    for width, height in sizes:
        x, y = np.meshgrid(np.arange(width, dtype=np.int32), np.arange(height, dtype=np.int32))
        for rule in rules:
            crops = processor.pan_and_scan(np.stack([x, y, x]), *rule)
            places = "".join(f" {c.shape[2]}x{c.shape[1]}+{c[0, 0, 0]}+{c[1, 0, 0]}" for c in crops)
            yield f"{width} {height} {rule[0]} {rule[1]} {rule[2]}:{places}"


def gemma3_patch_lines():
    rng = random.Random(17)
    for seed in range(200):
        width, height = (int(2 ** rng.uniform(0, 6.5)) for _ in range(2))
        resample = 2 if seed % 4 else 3
        processor = Gemma3ImageProcessorPil(
            size={"height": 28, "width": 28}, resample=resample, do_pan_and_scan=True, pan_and_scan_min_crop_size=8,
            pan_and_scan_max_num_crops=4, pan_and_scan_min_ratio_to_activate=1.2, **NORMALIZED,
        )  # fmt: skip
        values = np.stack(processor(noise_image(width, height, seed))["pixel_values"])
        # [n, 3, 4 * 7, 4 * 7] to patches of 7, each by row, column and channel.
        patches = values.reshape(-1, 3, 4, 7, 4, 7).transpose(0, 2, 4, 3, 5, 1)
        hashes = " ".join(fnv(np.ascontiguousarray(p, dtype="<f4").tobytes()) for p in patches)
        yield f"{width} {height} {seed} {resample} {hashes}"


def qwen3_vl_size_lines():
    rng = random.Random(19)
    bounds = [(32, 65536, 16777216), (32, 3136, 1003520), (28, 3136, 12845056), (8, 256, 2048), (32, 1, 4096)]
    sizes = [(656, 496), (16, 16), (48, 48), (80, 112), (1, 200), (1, 201), (3, 600), (20000, 100), (4032, 3024)]
    while len(sizes) < 80:
        sizes.append(tuple(int(2 ** rng.uniform(0, 13)) for _ in range(2)))
    for width, height in sizes:
        for factor, least, most in bounds:
            try:
                to_height, to_width = smart_resize(height, width, factor, least, most)
            except ValueError:
                to_height = to_width = 0
            yield f"{width} {height} {factor} {least} {most} {to_width} {to_height}"


def qwen3_vl_video_size_lines():
    rng = random.Random(23)
    bounds = [(2, 32, 4096, 25165824), (2, 32, 131072, 786432), (2, 28, 12544, 9633792), (4, 32, 4096, 1000000), (2, 8, 64, 9999)]
    sizes = [(2, 640, 480), (3, 640, 480), (5, 656, 496), (4, 8, 8), (6, 10, 3000), (6, 16, 3000), (100, 1920, 1080)]
    while len(sizes) < 80:
        sizes.append((int(2 ** rng.uniform(2, 9)), *(int(2 ** rng.uniform(0, 12)) for _ in range(2))))
    for frames, width, height in sizes:
        for temporal, factor, least, most in bounds:
            frames = max(frames, temporal)
            try:
                to_height, to_width = smart_resize_video(frames, height, width, temporal, factor, least, most)
            except ValueError:
                to_height = to_width = 0
            yield f"{frames} {width} {height} {temporal} {factor} {least} {most} {to_width} {to_height}"


def qwen3_vl_patch_lines():
    rng = random.Random(29)
    processor = Qwen2VLImageProcessorPil(
        size={"shortest_edge": 256, "longest_edge": 2048}, patch_size=4, temporal_patch_size=2, merge_size=2, **NORMALIZED
    )
    for seed in range(200):
        width, height = (int(2 ** rng.uniform(2, 7)) for _ in range(2))
        result = processor(noise_image(width, height, seed), return_tensors="np")
        _, rows, columns = result["image_grid_thw"][0]
        yield f"{width} {height} {seed} {rows} {columns} {fnv(result['pixel_values'].astype('<f4').tobytes())}"


def qwen3_vl_video_patch_lines():
    rng = random.Random(31)
    processor = Qwen3VLVideoProcessor(
        size={"shortest_edge": 64, "longest_edge": 100000}, patch_size=4, temporal_patch_size=2, merge_size=2,
        do_sample_frames=False, cap_pixels_per_frame=False,
    )  # fmt: skip
    for seed in range(0, 120, 2):
        frames, width, height = rng.randint(2, 7), 8 * rng.randint(1, 6), 8 * rng.randint(1, 6)
        pictures = [np.asarray(noise_image(width, height, seed + 2 * i)) for i in range(frames)]
        video = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
        values = processor(videos=[video], return_tensors="np")["pixel_values_videos"]
        levels = np.round((values + 1) * 127.5).astype(np.uint8)
        yield f"{frames} {width} {height} {seed} {fnv(levels.tobytes())}"


def qwen3_vl_time_lines():
    rng = random.Random(37)
    for _ in range(200):
        fps = rng.choice([1, 2, 4, 8, 10, 16, 20, 24, 25, 29.97, 30, 60])
        indices = sorted(rng.sample(range(4000), rng.randint(1, 6)))
        times = " ".join(repr(i / fps) for i in indices)
        pairs = Qwen3VLProcessor._calculate_timestamps(None, indices, fps, 2)
        yield times + ":" + "".join(f"<{t:.1f} seconds>" for t in pairs)


def write(name, lines):
    (OUT / name).parent.mkdir(parents=True, exist_ok=True)
    (OUT / name).write_text("".join(line + "\n" for line in lines))


def main():
    write("bicubic.txt", bicubic_lines())
    write("bilinear.txt", bilinear_lines())
    write("gemma4_sizes.txt", gemma4_size_lines())
    write("gemma3_crops.txt", gemma3_crop_lines())
    write("gemma3_patches.txt", gemma3_patch_lines())
    write("qwen3_vl_sizes.txt", qwen3_vl_size_lines())
    write("qwen3_vl_video_sizes.txt", qwen3_vl_video_size_lines())
    write("../qwen3_vl/testdata/patches.txt", qwen3_vl_patch_lines())
    write("../qwen3_vl/testdata/video_patches.txt", qwen3_vl_video_patch_lines())
    write("../qwen3_vl/testdata/times.txt", qwen3_vl_time_lines())


if __name__ == "__main__":
    main()
