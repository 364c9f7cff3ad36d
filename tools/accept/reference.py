"""Asks the questions of `cargo xtask accept` of mlx-vlm, or renders them with transformers: one JSON object a line.

`reference.py --with mlx-vlm|transformers --model SNAPSHOT --questions FILE`, in a Python that has the named package.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path

Question = dict[str, object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--with", dest="package", choices=("mlx-vlm", "transformers"), required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--questions", type=Path, required=True)
    arguments = parser.parse_args()
    names = ("mlx-vlm", "mlx", "transformers") if arguments.package == "mlx-vlm" else ("transformers",)
    say({"stage": "versions", "packages": {name: importlib.metadata.version(name) for name in names}})
    ask = (mlx_vlm if arguments.package == "mlx-vlm" else transformers)(arguments.model)
    for question in json.loads(arguments.questions.read_text(encoding="utf-8")):
        try:
            answer = ask(question)
        except Exception as error:  # noqa: BLE001: one question that the package cannot take leaves the others
            answer = {"error": f"{type(error).__name__}: {error}"[:400]}
        say({"stage": "answer", "id": question["id"], **answer})


def say(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)


def messages_of(question: Question) -> list[dict[str, object]]:
    """In the form of Hugging Face's templates: a part has a type."""
    messages = []
    for message in question["messages"]:
        parts = [{"type": kind, kind: value} for part in message["content"] for kind, value in part.items()]
        # A template that takes texts alone gets one.
        only_text = len(parts) == 1 and parts[0]["type"] == "text"
        messages.append({"role": message["role"], "content": parts[0]["text"] if only_text else parts})
    return messages


def media_of(question: Question, kind: str) -> list[str]:
    return [part[kind] for message in question["messages"] for part in message["content"] if kind in part]


def mlx_vlm(folder: Path) -> Callable[[Question], dict[str, object]]:
    import mlx.core as mx
    from mlx_vlm import load, stream_generate
    from mlx_vlm.utils import prepare_inputs

    model, processor = load(str(folder))
    keep_soft_token_budget(processor, folder)
    # The snapshot's own template: some processors of mlx-vlm move media about before they use it.
    tokenizer = getattr(processor, "tokenizer", processor)
    template = (tokenizer if getattr(tokenizer, "chat_template", None) else processor).apply_chat_template

    def ask(question: Question) -> dict[str, object]:
        prompt = template(messages_of(question), add_generation_prompt=True, tokenize=False)
        images, audio = (media_of(question, kind) or None for kind in ("image", "audio"))
        inputs = prepare_inputs(processor, images=images, audio=audio, prompts=prompt, add_special_tokens=False)
        tokens, margins, text = [], [], ""
        for response in stream_generate(
            model,
            processor,
            prompt,
            image=images,
            audio=audio,
            max_tokens=question["max_tokens"],
            temperature=0.0,
        ):
            if response.finish_reason and len(tokens) == question["max_tokens"]:
                text += response.text
                break
            tokens.append(int(response.token))
            text += response.text
            if response.logprobs is not None:
                two = mx.sort(response.logprobs.flatten().astype(mx.float32))[-2:].tolist()
                margins.append(two[1] - two[0])
            if response.finish_reason:
                break
        ids = inputs["input_ids"].flatten().tolist()
        return {"prompt_ids": ids, "tokens": tokens, "margins": margins, "text": text}

    return ask


def keep_soft_token_budget(processor: object, folder: Path) -> None:
    """mlx-vlm makes some image processors with default settings; the snapshot's own budget makes the prompts equal."""
    file = folder / "processor_config.json"
    settings = json.loads(file.read_text(encoding="utf-8")).get("image_processor", {}) if file.is_file() else {}
    if "max_soft_tokens" in settings and hasattr(processor, "image_processor"):
        processor.image_processor.max_soft_tokens = settings["max_soft_tokens"]


def transformers(folder: Path) -> Callable[[Question], dict[str, object]]:
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(str(folder))

    def render(question: Question) -> dict[str, object]:
        messages = messages_of(question)
        for message in messages:
            if isinstance(message["content"], str):
                message["content"] = [{"type": "text", "text": message["content"]}]
        inputs = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True)
        ids = inputs["input_ids"]
        return {"prompt_ids": [int(token) for token in (ids[0] if hasattr(ids[0], "__len__") else ids)]}

    return render


if __name__ == "__main__":
    main()
