"""Makes a random `gemma4_text` snapshot with a vocabulary of 262,144 tokens, for the times of masks and of compiling.

    python tools/make_vocabulary.py --base tests/fixtures/gemma4text-bf16-hf --text FOLDER --out target/bench/vocabulary

The tokens are those of the base snapshot, then words of the texts in FOLDER, the most frequent first, with and without a
blank before them, each with all its beginnings, so that the merges of a BPE tokenizer lead to it. Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import struct
from collections import Counter
from pathlib import Path

VOCABULARY = 262_144
EMBEDDINGS = ("embed_tokens.weight", "embed_tokens_per_layer.weight")
SUFFIXES = {".rs", ".md", ".txt", ".py", ".c", ".h", ".cpp", ".json"}
# Bytes of text that are counted.
MOST_TEXT = 300_000_000
# The base snapshot's embeddings are repeated, so that logits have its scale.
COPY = ["chat_template.jinja", "generation_config.json", "tokenizer_config.json"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in COPY:
        shutil.copy(arguments.base / name, arguments.out / name)
    config = json.loads((arguments.base / "config.json").read_text())
    config["vocab_size"] = config["vocab_size_per_layer_input"] = VOCABULARY
    (arguments.out / "config.json").write_text(json.dumps(config, indent=1))
    tokenizer = json.loads((arguments.base / "tokenizer.json").read_text())
    grow(tokenizer["model"], words(arguments.text))
    (arguments.out / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
    weights(arguments.base / "model.safetensors", arguments.out / "model.safetensors")


def words(folder: Path) -> list[str]:
    counts: Counter[str] = Counter()
    left = MOST_TEXT
    for path, _, files in os.walk(folder):
        for name in sorted(files):
            if Path(name).suffix in SUFFIXES and left > 0:
                text = (Path(path) / name).read_bytes()[:1_000_000].decode(errors="ignore")
                left -= len(text)
                counts.update(re.findall(r" ?[^\W\d_]{2,16}| ?[^\w\s]{1,4}| ?\d{1,3}| {2,16}", text))
    return [word.replace(" ", "▁") for word, _ in counts.most_common()]


def grow(model: dict, words: list[str]) -> None:
    vocabulary, merges = model["vocab"], model["merges"]
    known = {tuple(merge) for merge in merges}
    for word in words:
        for end in range(1, len(word) + 1):
            if len(vocabulary) == VOCABULARY:
                return
            piece = word[:end]
            vocabulary.setdefault(piece, len(vocabulary))
            if end > 1:
                vocabulary.setdefault(piece[-1], len(vocabulary))
                merge = (piece[:-1], piece[-1])
                if merge not in known:
                    known.add(merge)
                    merges.append(list(merge))
    raise SystemExit(f"the texts have words for {len(vocabulary)} tokens only")


def weights(base: Path, out: Path) -> None:
    with base.open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    metadata = header.pop("__metadata__", None)
    rng = random.Random(1)
    begin, pieces, grown = 0, [], {}
    for name, tensor in header.items():
        part = data[slice(*tensor["data_offsets"])]
        rows, *rest = tensor["shape"]
        if name.endswith(EMBEDDINGS):
            size = len(part) // rows
            part += b"".join(part[i : i + size] for i in (size * rng.randrange(rows) for _ in range(VOCABULARY - rows)))
            rows = VOCABULARY
        grown[name] = tensor | {"shape": [rows, *rest], "data_offsets": [begin, begin + len(part)]}
        begin += len(part)
        pieces.append(part)
    text = json.dumps(({"__metadata__": metadata} if metadata else {}) | grown).encode()
    text += b" " * (-len(text) % 8)
    out.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(pieces))


if __name__ == "__main__":
    main()
