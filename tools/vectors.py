"""Generated inputs and their hashes, the same as src/media/testing.rs makes."""

from PIL import Image

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
