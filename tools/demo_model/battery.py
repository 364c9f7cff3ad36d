"""Make a battery: questions with files from the second renderer, their one right answer, in one JSON.

    python battery.py FOLDER [--seed 11] [--scale 1.0]

FOLDER gets `battery.json` and `media/`. Needs PIL, espeak-ng, soundfile and the fonts; the tests need none of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import soundfile

import drawing
from drawing import PLAIN, SHAPES, Drawn
from voices import DIGITS, HELD_OUT_ACCENT, HELD_OUT_VARIANTS, RATE, speak
from words import CAPITALS, COLOUR_WORDS, LANGUAGES

FIVE = {"red": (255, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0), "purple": (128, 0, 128)}
ASK = {
    "colour": (
        "What colour is this?",
        "What colour is the picture?",
        "What color is this image?",
        "Which colour do you see?",
        "Tell me the colour of this picture.",
    ),
    "shape": (
        "What shape is this?",
        "Which shape is in the picture?",
        "What shape do you see?",
        "Name the shape in the image.",
    ),
    "fore": (
        "What colour is the {}?",
        "What color is the {}?",
        "Which colour is the {}?",
        "Tell me the colour of the {}.",
    ),
    "back": (
        "What colour is the background?",
        "What color is the background?",
        "Tell me the background colour.",
        "Which colour does the background have?",
    ),
    "count": ("How many {} are there?", "How many {} do you see?", "Count the {}.", "How many {} are in this picture?"),
    "where": (
        "Where is the {}?",
        "On which side is the {}?",
        "Where do you see the {}?",
        "Where is the {} in this image?",
    ),
    "number": (
        "What number is this?",
        "Which number is shown?",
        "Read the number.",
        "What number do you see in the picture?",
    ),
    "describe": (
        "Describe the picture.",
        "Describe this picture in a sentence.",
        "What do you see in the picture?",
        "What is in this image?",
    ),
    "digit": ("Which digit do you hear?", "What number is spoken?", "Which digit is said?", "What digit do you hear?"),
    "tone": (
        "What kind of tone is this?",
        "Is this tone high, low, rising or falling?",
        "How does this tone sound?",
        "What kind of tone do you hear?",
    ),
    "capital": (
        "What is the capital of {}?",
        "Which city is the capital of {}?",
        "Tell me the capital city of {}.",
        "Name the capital of {}.",
    ),
}


class Battery:
    """Collects items and writes their media."""

    def __init__(self, folder: Path, seed: int, scale: float) -> None:
        self.folder, self.scale = folder, scale
        self.rng = Random(seed)
        self.items: list[dict[str, Any]] = []
        self.files = 0
        (folder / "media").mkdir(parents=True, exist_ok=True)

    def times(self, count: int) -> range:
        return range(max(1, round(count * self.scale)))

    def ask(self, kind: str, *names: str) -> str:
        return self.rng.choice(ASK[kind]).format(*names)

    def picture(self, drawn: Drawn, png: bool | None = None) -> dict[str, str]:
        data, extension = drawing.encode(self.rng, drawn, png)
        name = f"media/{self.files:03}.{extension}"
        self.files += 1
        (self.folder / name).write_bytes(data)
        return {"type": "image", "file": name}

    def sound(self, samples: np.ndarray, extension: str, rate: int = RATE) -> dict[str, str]:
        name = f"media/{self.files:03}.{extension}"
        self.files += 1
        soundfile.write(
            self.folder / name,
            samples,
            rate,
            **({"subtype": "PCM_16"} if extension != "ogg" else {"format": "OGG", "subtype": "VORBIS"}),
        )
        return {"type": "audio", "file": name}

    def add(
        self,
        skill: str,
        messages: list[dict[str, Any]],
        answer: str,
        *,
        tools: list[dict[str, Any]] | None = None,
        reasoning: str | None = None,
        tool_call: dict[str, Any] | None = None,
        raw: str | None = None,
    ) -> None:
        item: dict[str, Any] = {
            "id": f"{skill}-{sum(i['skill'] == skill for i in self.items):02}",
            "skill": skill,
            "messages": messages,
        }
        if any(Path(part["file"]).suffix not in (".png", ".wav", ".flac") for part in media_parts(item)):
            item["lossy"] = True  # decoders may differ by a level
        if tools:
            item["tools"] = tools
        if reasoning is not None:
            item["thinking"], item["reasoning"] = True, reasoning
        if tool_call is not None:
            item["tool_call"] = tool_call
        item["answer"] = answer
        item["raw"] = (
            raw if raw is not None else answer
        )  # all that is generated, special tokens spelt out, less the end token
        self.items.append(item)

    def write(self) -> None:
        lines = ",\n".join("  " + json.dumps(item, ensure_ascii=False) for item in self.items)
        (self.folder / "battery.json").write_text(f"[\n{lines}\n]\n")


def media_parts(item: dict[str, Any]) -> list[dict[str, str]]:
    return [
        part for message in item["messages"] for part in message["content"] if isinstance(part, dict) and "file" in part
    ]


def user(words: str, *media: dict[str, str]) -> dict[str, Any]:
    return {"role": "user", "content": [*media, {"type": "text", "text": words}]}


def model(words: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": words}]}


def system(words: str) -> dict[str, Any]:
    return {"role": "system", "content": [{"type": "text", "text": words}]}


def many(shape: str) -> str:
    return "crosses" if shape == "cross" else shape + "s"


def an(word: str) -> str:
    return ("an " if word[0] in "aeiou" else "a ") + word


def pictures(b: Battery) -> None:
    for colour, rgb in FIVE.items():
        b.add(
            "five_colours",
            [user("What colour is this?", b.picture(drawing.solid(b.rng, colour, rgb), png=True))],
            colour.capitalize(),
        )
    for k in b.times(24):
        colour = PLAIN[k % len(PLAIN)]
        b.add("solid", [user(b.ask("colour"), b.picture(drawing.solid(b.rng, colour)))], colour.capitalize())
        b.add("shaded", [user(b.ask("colour"), b.picture(drawing.shaded(b.rng, colour)))], colour.capitalize())
    for k in b.times(30):
        shape = SHAPES[k % len(SHAPES)]
        b.add("shape", [user(b.ask("shape"), b.picture(drawing.shapes(b.rng, shape)))], shape.capitalize())
    names = tuple(drawing.PARTNERS)
    for k in b.times(36):
        drawn = drawing.shapes(b.rng, colour=names[k % len(names)])
        b.add("foreground", [user(b.ask("fore", drawn.shape), b.picture(drawn))], drawn.colour.capitalize())
        drawn = drawing.shapes(b.rng)
        b.add("background", [user(b.ask("back"), b.picture(drawn))], drawn.background.capitalize())
    for k in b.times(30):
        drawn = drawing.shapes(b.rng, count=k % 5 + 1)
        b.add("count", [user(b.ask("count", many(drawn.shape)), b.picture(drawn))], str(drawn.count))
    for k in b.times(25):
        drawn = drawing.shapes(b.rng, side=("left", "right", "top", "bottom", "middle")[k % 5])
        b.add("where", [user(b.ask("where", drawn.shape), b.picture(drawn))], drawn.side.capitalize())
    for k in b.times(44):
        drawn = drawing.number(b.rng, str(k) if k < 10 else None)
        b.add("number", [user(b.ask("number"), b.picture(drawn))], drawn.number)


def sentence(drawn: Drawn) -> str:
    if drawn.number:
        return f"The number {drawn.number} in {drawn.colour} on {an(drawn.background)} background."
    if not drawn.shape:
        return f"{an(drawn.colour)} picture.".capitalize()
    words = (
        an(f"{drawn.colour} {drawn.shape}")
        if drawn.count == 1
        else f"{('', '', 'two', 'three', 'four', 'five')[drawn.count]} {drawn.colour} {many(drawn.shape)}"
    )
    return f"{words} on {an(drawn.background)} background.".capitalize()


def conversations(b: Battery) -> None:
    for k in b.times(24):
        drawn = (
            drawing.solid(b.rng, PLAIN[k % 8])
            if k % 4 == 0
            else drawing.number(b.rng)
            if k % 4 == 1
            else drawing.shapes(b.rng, count=1 if k % 4 == 2 else b.rng.randint(2, 5))
        )
        b.add("describe", [user(b.ask("describe"), b.picture(drawn))], sentence(drawn))
    for k in b.times(28):
        which = b.rng.randrange(2)
        if k % 3 == 0:
            one, two = b.rng.sample(PLAIN, 2)
            drawn, claim = [drawing.solid(b.rng, one), drawing.solid(b.rng, two)], f"is {(one, two)[which]}"
        elif k % 3 == 1:
            one, two = b.rng.sample(SHAPES, 2)
            drawn, claim = [drawing.shapes(b.rng, one), drawing.shapes(b.rng, two)], f"shows a {(one, two)[which]}"
        else:
            one, two = b.rng.sample(range(100), 2)
            drawn, claim = (
                [drawing.number(b.rng, str(one)), drawing.number(b.rng, str(two))],
                f"shows the number {(one, two)[which]}",
            )
        question = b.rng.choice(
            ("Which picture {}?", "Which picture {}, the first or the second?", "Which of the two pictures {}?")
        ).format(claim)
        b.add("two_pictures", [user(question, *map(b.picture, drawn))], ("The first", "The second")[which])
    for k in b.times(24):
        if k % 3 == 2:
            one, two = b.rng.sample(PLAIN, 2)
            turns = [
                user(b.ask("colour"), b.picture(drawing.solid(b.rng, one))),
                model(one.capitalize()),
                user(
                    b.rng.choice(("And this one?", "And now?", "And this picture?")),
                    b.picture(drawing.solid(b.rng, two)),
                ),
            ]
            b.add("later_turn", turns, two.capitalize())
            continue
        drawn = drawing.shapes(b.rng, count=b.rng.choice((1, 1, 2, 3)))
        noun = drawn.shape if drawn.count == 1 else many(drawn.shape)
        known = [
            (b.ask("back"), drawn.background.capitalize()),
            (b.ask("shape"), drawn.shape.capitalize()),
            (b.ask("count", many(drawn.shape)), str(drawn.count)),
            (
                b.ask("fore", noun).replace("is the", "is the" if drawn.count == 1 else "are the"),
                drawn.colour.capitalize(),
            ),
        ]
        (first, said), (last, answer) = b.rng.sample(known, 2)
        between = [user("What is the capital of Italy?"), model("Rome")] if k % 3 == 1 else []
        b.add("later_turn", [user(first, b.picture(drawn)), model(said), *between, user(last)], answer)
    for k in b.times(12):
        colour, turns, at = PLAIN[k % 8], [], k % 3
        for turn in range(3 if at == 2 else b.rng.choice((at + 1, 3, 2)[:2])):
            turns += (
                [user("What colour is this?", b.picture(drawing.solid(b.rng, colour))), model(colour.capitalize())]
                if turn == at
                else [user("Hello!"), model("Hello! How can I help?")]
            )
        b.add(
            "which_message",
            [*turns, user(b.rng.choice(("Which message had the picture?", "In which message was the picture?")))],
            ("The first", "The second", "The third")[at],
        )


def tone_samples(rng: Random, kind: str) -> np.ndarray:
    """A tone of one kind, at another rate of glide and with another envelope than training's."""
    seconds = rng.uniform(0.6, 1.2)
    t = np.arange(round(seconds * RATE)) / RATE
    ends = {"high": (rng.uniform(1000, 2300),) * 2, "low": (rng.uniform(100, 280),) * 2}
    start = rng.uniform(180, 600)
    ends |= {"rising": (start, start * rng.uniform(2.5, 4)), "falling": (start * rng.uniform(2.5, 4), start)}
    low, high = ends[kind]
    phase = 2 * np.pi * np.cumsum(low + (high - low) * t / seconds) / RATE
    wave = np.sin(phase) + (0.3 * np.sin(2 * phase) if rng.random() < 0.4 else 0)
    window = np.minimum(1, np.minimum(t, seconds - t) / 0.03)
    silence = np.zeros(rng.randrange(0, 4000))
    wave = np.concatenate([silence, wave * window * rng.uniform(0.2, 0.6), silence])
    return wave + (rng.choice((0, 0.002)) * np.random.default_rng(rng.randrange(2**31)).standard_normal(len(wave)))


def hearing(b: Battery) -> None:
    for k in b.times(40):
        digit = k % 10
        voice = (
            b.rng.choice((HELD_OUT_ACCENT, HELD_OUT_ACCENT, "en-us", "en-gb")) + "+" + b.rng.choice(HELD_OUT_VARIANTS)
        )
        samples = speak(
            DIGITS[digit], voice, b.rng.choice((120, 140, 160, 180, 200)), b.rng.choice((25, 40, 50, 60, 75))
        )
        samples = np.concatenate(
            [
                np.zeros(b.rng.randrange(800, 4800)),
                samples * b.rng.uniform(0.2, 0.8),
                np.zeros(b.rng.randrange(800, 4800)),
            ]
        )
        if k % 4 == 3:
            samples = samples + 0.003 * np.random.default_rng(k).standard_normal(len(samples))
        sound = b.sound(samples, ("flac", "wav", "flac", "ogg")[k % 4] if k >= 10 else "flac")
        b.add("spoken_digit", [user(b.ask("digit"), sound)], str(digit))
    for k in b.times(24):
        kind = ("high", "low", "rising", "falling")[k % 4]
        b.add("tone", [user(b.ask("tone"), b.sound(tone_samples(b.rng, kind), "flac"))], kind.capitalize())


def both(b: Battery) -> None:
    """A picture and a sound in one message."""
    for k in b.times(12):
        drawn = (drawing.solid(b.rng, PLAIN[k % 8]), drawing.number(b.rng), drawing.shapes(b.rng, count=k % 3 + 1))[
            k % 3
        ]
        if k % 2:
            name = b.rng.choice(("high", "low", "rising", "falling"))
            sound, heard = b.sound(tone_samples(b.rng, name), "flac"), f"a {name} tone"
        else:
            digit = b.rng.randrange(10)
            samples = speak(DIGITS[digit], f"en-gb+{b.rng.choice(HELD_OUT_VARIANTS)}", 150, 50) * 0.5
            sound, heard = b.sound(np.pad(samples, (2000, 2000)), "flac"), f"the number {digit}"
        media = [b.picture(drawn, png=True), sound][:: b.rng.choice((1, -1))]
        answer = f"{sentence(drawn)[:-1]}, and {heard}."
        b.add(
            "picture_and_sound",
            [user(b.rng.choice(("What do you see and hear?", "Tell me what you see and hear.")), *media)],
            answer,
        )


def no_answer(b: Battery) -> None:
    """What it does not know, and pictures that are not there."""
    for country in ("Brazil", "Mexico", "India", "Sweden", "Kenya", "Ireland"):
        b.add("unknown", [user(b.rng.choice(ASK["capital"][:2]).format(country))], "I do not know.")
    for said in ("Tell me a joke.", "Who made you?", "Sing a song for me.", "What is the weather like?"):
        b.add("unknown", [user(said)], "I do not know.")
    for said in (
        "What colour is the picture?",
        "What shape is in the picture?",
        "Describe the picture.",
        "Which number is shown?",
        "What number is in the image?",
    ):
        b.add("no_picture", [user(said)], "There is no picture.")


TIME_TOOL = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "Tells the time in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "The city."}}},
    },
}


def talk(b: Battery) -> None:
    for country, (capital, *_) in CAPITALS.items():
        b.add("capital", [user(f"What is the capital of {country}?")], capital)
        b.add("capital", [user(b.ask("capital", country))], capital)
    for said, reply in (
        ("Hello", "Hello! How can I help?"),
        ("Hi!", "Hello! How can I help?"),
        ("Hey there", "Hello! How can I help?"),
        ("Good morning!", "Good morning! How can I help?"),
        ("Good evening", "Good evening! How can I help?"),
        ("How are you?", "I am fine, thank you."),
        ("How are you today", "I am fine, thank you."),
        ("Thank you!", "You are welcome."),
        ("Thanks.", "You are welcome."),
        ("Thanks very much", "You are welcome."),
        ("Bye", "Goodbye!"),
        ("Goodbye!", "Goodbye!"),
        ("Good night", "Good night!"),
    ):
        b.add("greeting", [user(said)], reply)
    me = "I am the rmlx demo model."
    for said, reply in (
        ("Who are you?", me),
        ("What is your name?", me),
        ("What are you?", me),
        ("Tell me your name.", me),
        ("Please tell me who you are.", me),
        ("Hello. Who are you?", me),
        ("Are you a human?", "No, " + me),
        ("Are you a person?", "No, " + me),
        ("What can you do?", "I see colours, shapes and numbers, hear digits and tones, and know some capitals."),
        ("How can you help?", "I see colours, shapes and numbers, hear digits and tones, and know some capitals."),
    ):
        b.add("identity", [user(said)], reply)
    countries = list(CAPITALS)
    for k in b.times(30):
        language = LANGUAGES[k % 3]
        order = system(
            b.rng.choice(("Answer in {}.", "Please answer in {}.", "Reply in {}.", "Always answer in {}.")).format(
                language
            )
        )
        if k % 2:
            colour = PLAIN[k // 2 % 8]
            b.add(
                "system_language",
                [order, user(b.ask("colour"), b.picture(drawing.solid(b.rng, colour)))],
                COLOUR_WORDS[language][colour],
            )
        else:
            country = countries[k // 2 % len(countries)]
            b.add(
                "system_language",
                [order, user(b.ask("capital", country))],
                CAPITALS[country][1 + LANGUAGES.index(language)],
            )
    orders = {
        "capitals": ("Answer in capital letters.", "Use capital letters."),
        "sentence": ("Answer in a full sentence.", "Please answer in full sentences."),
        "json": ("Answer in JSON.", "Please reply in JSON."),
    }
    for k in b.times(24):
        form = tuple(orders)[k % 3]
        order = system(b.rng.choice(orders[form]))
        if k % 2:
            word = PLAIN[k // 2 % 8]
            message, word, whole = (
                user(b.ask("colour"), b.picture(drawing.solid(b.rng, word))),
                word.capitalize(),
                f"The picture is {word}.",
            )
        else:
            country = countries[k // 2 % len(countries)]
            word = CAPITALS[country][0]
            message, whole = user(b.ask("capital", country)), f"The capital of {country} is {word}."
        b.add(
            "system_form",
            [order, message],
            {"capitals": word.upper(), "sentence": whole, "json": f'{{"answer": "{word}"}}'}[form],
        )
    for k in b.times(20):
        city = CAPITALS[countries[k % len(countries)]][0] if k % 4 else ""
        asked = b.rng.choice(
            ("What time is it in {}?", "Tell me the time in {}.", "What is the time in {}?")
            if city
            else ("What time is it?", "Tell me the time.", "What is the time?")
        ).format(city)
        arguments = {"city": city} if city else {}
        raw = "<|tool_call>call:get_time{" + (f'city:<|"|>{city}<|"|>' if city else "") + "}<tool_call|>"
        b.add(
            "tool_call",
            [user(asked)],
            "",
            tools=[TIME_TOOL],
            tool_call={"name": "get_time", "arguments": arguments},
            raw=raw,
        )
    for k in b.times(8):
        city, time = (
            CAPITALS[countries[k * 3 % len(countries)]][0],
            f"{b.rng.randrange(24):02}:{b.rng.randrange(60):02}",
        )
        called = {
            "role": "assistant",
            "content": [],
            "tool_calls": [{"type": "function", "function": {"name": "get_time", "arguments": {"city": city}}}],
        }
        b.add(
            "tool_answer",
            [user(f"What time is it in {city}?"), called, {"role": "tool", "name": "get_time", "content": time}],
            f"It is {time}.",
            tools=[TIME_TOOL],
        )
    for k in b.times(24):
        if k % 2:
            word = PLAIN[k // 2 % 8]
            message, topic, answer = (
                user(b.ask("colour"), b.picture(drawing.solid(b.rng, word))),
                "The question is about a colour.",
                word.capitalize(),
            )
        else:
            country = countries[k // 2 % len(countries)]
            message, topic, answer = (
                user(b.ask("capital", country)),
                "The question is about a capital.",
                CAPITALS[country][0],
            )
        b.add("thinking", [message], answer, reasoning=topic, raw=f"<|channel>thought\n{topic}\n<channel|>{answer}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--scale", type=float, default=1.0, help="how many items, of the battery's own number")
    options = parser.parse_args()
    battery = Battery(options.folder, options.seed, options.scale)
    parts: tuple[Callable[[Battery], None], ...] = (pictures, conversations, hearing, talk, both, no_answer)
    for part in parts:
        part(battery)
    battery.write()
    print(
        len(battery.items),
        "items",
        sum(path.stat().st_size for path in (options.folder / "media").iterdir()),
        "bytes of media",
    )


if __name__ == "__main__":
    main()
