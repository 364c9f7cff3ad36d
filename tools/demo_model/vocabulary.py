"""Write the demo model's tokenizer and chat template into a folder, merges learnt from what the skills say.

PYTHONPATH=.. python vocabulary.py assets.npz FOLDER
"""

from __future__ import annotations

import json
import shutil
import string
import sys
from pathlib import Path

import numpy as np
from fixtures import tokenizer as gemma_tokenizer

from batches import BUCKETS, world
from skills import draw

SIZE = 768
SAMPLES = 3000  # of each bucket
LETTERS = string.printable[:95] + "äöüÄÖÜßéèêàçáíóúñ¡¿°–…‘’“”"


def corpus(assets: dict[str, np.ndarray]) -> list[str]:
    """What users and model say in a few thousand conversations."""
    own = world(assets, seed=7)
    texts = [
        LETTERS,
        *["user\nsystem\nmodel\nthought\n"] * SAMPLES,
        "declaration:response:{description:,parameters:{properties:{},type:},value:}",
    ]
    for bucket in BUCKETS:
        for _ in range(SAMPLES):
            sample = draw(own, bucket.name)
            texts.append(sample.answer.replace('<|"|>', " ").replace("<|channel>", "").replace("<channel|>", " "))
            for message in sample.messages:
                content = message["content"]
                texts += [content] if isinstance(content, str) else [part["text"] for part in content if "text" in part]
            for tool in sample.tools or []:
                texts.append("city:OBJECT STRING " + tool["function"]["description"])
    return texts


def main() -> None:
    assets = dict(np.load(sys.argv[1]))
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    texts = corpus(assets)
    merges = SIZE - gemma_tokenizer.build_tokenizer(texts, 0).get_vocab_size()
    built = gemma_tokenizer.build_tokenizer(texts, merges)
    while built.get_vocab_size() != SIZE:  # some merges end in the same piece
        merges += SIZE - built.get_vocab_size()
        built = gemma_tokenizer.build_tokenizer(texts, merges)
    built.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(gemma_tokenizer.tokenizer_config("Gemma4UnifiedProcessor"), indent=2, ensure_ascii=False) + "\n"
    )
    shutil.copy(Path(gemma_tokenizer.__file__).with_name("chat_template.jinja"), folder)


if __name__ == "__main__":
    main()
