"""The battery's questions without media, and those that a system message, a tool or thinking changes."""

from __future__ import annotations

import drawing
from collector import ASK, Battery, system, user
from drawing import PLAIN
from words import CAPITALS, COLOUR_WORDS, LANGUAGES


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
    for country in "Russia Turkey Chile Cuba Finland Korea Nepal Morocco Denmark Belgium Australia Argentina".split():
        b.add("unknown", [user(f"What is the capital of {country}?")], "I do not know.")


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
