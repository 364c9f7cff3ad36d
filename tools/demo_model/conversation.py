"""From messages to token ids: the snapshot's own chat template and tokenizer, media expanded in place."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from sample import Sample


def raise_exception(message: str) -> None:
    raise ValueError(message)


class Conversation:
    """Renders and encodes prompts and answers with the files of one snapshot folder."""

    def __init__(self, folder: Path) -> None:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = raise_exception
        self.template = environment.from_string((folder / "chat_template.jinja").read_text())
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.encode = lru_cache(maxsize=200_000)(self._encode)
        names = {
            "pad": "<pad>",
            "turn_end": "<turn|>",
            "tool_response": "<|tool_response>",
            "image": "<|image|>",
            "audio": "<|audio|>",
            "boi": "<|image>",
            "eoi": "<image|>",
            "boa": "<|audio>",
            "eoa": "<audio|>",
            "video": "<|video|>",
        }
        self.id = {name: self.tokenizer.token_to_id(spelling) for name, spelling in names.items()}

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def render(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None, thinking: bool) -> str:
        return self.template.render(
            messages=messages, tools=tools, enable_thinking=thinking, bos_token="<bos>", add_generation_prompt=True
        )

    def prompt(
        self,
        messages: list[dict[str, Any]],
        tools: list[dict[str, Any]] | None,
        thinking: bool,
        image_tokens: list[int],
        audio_tokens: list[int],
    ) -> list[int]:
        """Ids of the prompt: each placeholder becomes begin + soft tokens + end, in order."""
        ids: list[int] = []
        images, audios = iter(image_tokens), iter(audio_tokens)
        for token in self.encode(self.render(messages, tools, thinking)):
            if token == self.id["image"]:
                ids += [self.id["boi"], *[token] * next(images), self.id["eoi"]]
            elif token == self.id["audio"]:
                ids += [self.id["boa"], *[token] * next(audios), self.id["eoa"]]
            else:
                ids.append(token)
        return ids

    def answer(self, sample: Sample) -> list[int]:
        end = self.id["tool_response"] if sample.calls_tool else self.id["turn_end"]
        return [*self.encode(sample.answer), end]

    def sample(self, sample: Sample) -> tuple[list[int], list[int]]:
        prompt = self.prompt(
            sample.messages,
            sample.tools,
            sample.thinking,
            [picture.columns * picture.rows for picture in sample.pictures],
            [sound.frames for sound in sample.sounds],
        )
        return prompt, self.answer(sample)
