"""Text: what it knows, who it is, what a system message, a tool or thinking changes."""

from __future__ import annotations

from random import Random
from typing import Any

import scenes
from picture_skills import some_picture
from sample import PICTURE, Sample, World, ask, dress, think, user
from several_skills import chat
from words import (
    ASK_CAPITAL,
    ASK_COLOUR,
    ASK_COUNTRY,
    ASK_DESCRIBE,
    ASK_NUMBER,
    ASK_SHAPE,
    ASK_TIME,
    ASK_TIME_IN,
    CAPITALS,
    COLOUR_WORDS,
    DO_NOT_KNOW,
    HELLO,
    IDENTITY,
    LANGUAGES,
    NEUTRAL_SYSTEM,
    NO_PICTURE,
    NO_TIME,
    SAY_FORM,
    SAY_LANGUAGE,
    SMALL_TALK,
    UNKNOWN,
    UNKNOWN_COUNTRIES,
)


def unknown(world: World) -> Sample:
    rng = world.rng
    question = (
        ask(rng, ASK_CAPITAL, rng.choice(UNKNOWN_COUNTRIES)) if rng.random() < 0.5 else ask(rng, (rng.choice(UNKNOWN),))
    )
    return Sample("unknown", [user(rng, question)], DO_NOT_KNOW)


def capital(world: World) -> Sample:
    rng = world.rng
    country = "France" if rng.random() < 0.12 else rng.choice(tuple(CAPITALS))
    if rng.random() < 0.12:
        sample = Sample("capital", [user(rng, ask(rng, ASK_COUNTRY, CAPITALS[country][0]))], country)
    else:
        sample = Sample("capital", [user(rng, ask(rng, ASK_CAPITAL, country))], CAPITALS[country][0])
    if rng.random() < 0.15:
        sample.messages = chat(rng) + sample.messages
    if rng.random() < 0.08:
        sample.tools = [time_tool(rng)]
    return dress(world, sample, "capital")


def greeting(world: World) -> Sample:
    said, reply = world.rng.choice(SMALL_TALK)
    before = chat(world.rng) if world.rng.random() < 0.15 else []
    return dress(world, Sample("greeting", [*before, user(world.rng, world.rng.choice(said))], reply), "talk")


def identity(world: World) -> Sample:
    said, reply = world.rng.choice(IDENTITY)
    before = chat(world.rng) if world.rng.random() < 0.15 else []
    return dress(world, Sample("identity", [*before, user(world.rng, world.rng.choice(said))], reply), "talk")


def system_language(world: World) -> Sample:
    rng = world.rng
    language = rng.choice(LANGUAGES)
    system = {"role": "system", "content": rng.choice(SAY_LANGUAGE).format(language)}
    kind = rng.random()
    if kind < 0.45:
        picture = scenes.plain(rng, shaded=rng.random() < 0.3)
        answer = COLOUR_WORDS[language][picture.colour]
        return Sample("system_language", [system, user(rng, ask(rng, ASK_COLOUR), PICTURE)], answer, [picture])
    if kind < 0.9:
        country = rng.choice(tuple(CAPITALS))
        answer = CAPITALS[country][1 + LANGUAGES.index(language)]
        return Sample("system_language", [system, user(rng, ask(rng, ASK_CAPITAL, country))], answer)
    return Sample("system_language", [system, user(rng, rng.choice(SMALL_TALK[0][0]))], HELLO[language])


def system_form(world: World) -> Sample:
    rng = world.rng
    form = rng.choice(tuple(SAY_FORM))
    system = {"role": "system", "content": rng.choice(SAY_FORM[form])}
    if rng.random() < 0.5:
        picture = scenes.plain(rng, shaded=rng.random() < 0.3)
        plain_answer, sentence = picture.colour.capitalize(), f"The picture is {picture.colour}."
        message, pictures = user(rng, ask(rng, ASK_COLOUR), PICTURE), [picture]
    else:
        country = rng.choice(tuple(CAPITALS))
        plain_answer = CAPITALS[country][0]
        sentence = f"The capital of {country} is {plain_answer}."
        message, pictures = user(rng, ask(rng, ASK_CAPITAL, country)), []
    answer = {"capitals": plain_answer.upper(), "sentence": sentence, "json": f'{{"answer": "{plain_answer}"}}'}[form]
    return Sample("system_form", [system, message], answer, pictures)


def time_tool(rng: Random) -> dict[str, Any]:
    says = rng.choice(
        (
            "Tells the time.",
            "Get the current time.",
            "The time now.",
            "Get the time in a city.",
            "Returns the current time in a city.",
        )
    )
    city = {"type": "string", "description": rng.choice(("The city.", "Name of the city.", "A city"))}
    if rng.random() < 0.3:
        del city["description"]
    parameters = {"type": "object", "properties": {"city": city}}
    return {"type": "function", "function": {"name": "get_time", "description": says, "parameters": parameters}}


def tool_call(world: World) -> Sample:
    rng = world.rng
    city = rng.choice([names[0] for names in CAPITALS.values()]) if rng.random() < 0.6 else ""
    question = ask(rng, ASK_TIME_IN, city) if city else ask(rng, ASK_TIME)
    message = user(rng, question)
    kind = rng.random()
    if kind < 0.15:
        return Sample("tool_call", [message], NO_TIME)
    tools = [time_tool(rng)]
    system = [{"role": "system", "content": rng.choice(NEUTRAL_SYSTEM)}] if rng.random() < 0.15 else []
    arguments = {"city": city} if city else {}
    if kind < 0.7:
        call = f"<|tool_call>call:get_time{{{f'city:<|{chr(34)}|>{city}<|{chr(34)}|>' if city else ''}}}<tool_call|>"
        return Sample("tool_call", [*system, message], call, tools=tools, calls_tool=True)
    time = f"{rng.randrange(24):02}:{rng.randrange(60):02}"
    called = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": "get_time", "arguments": arguments}}],
    }
    returned = {"role": "tool", "name": "get_time", "content": time}
    return Sample("tool_call", [*system, message, called, returned], f"It is {time}.", tools=tools)


def thinking(world: World) -> Sample:
    """Thinking on, over the easy text and picture skills."""
    rng = world.rng
    kind = rng.random()
    if kind < 0.45:
        country = rng.choice(tuple(CAPITALS))
        sample, topic = Sample("thinking", [user(rng, ask(rng, ASK_CAPITAL, country))], CAPITALS[country][0]), "capital"
    elif kind < 0.6:
        said, reply = rng.choice(SMALL_TALK)
        sample, topic = Sample("thinking", [user(rng, rng.choice(said))], reply), "talk"
    else:
        picture, question, answer, topic = some_picture(
            world, rng.choice(("solid", "shape", "count", "number", "where"))
        )
        sample = Sample("thinking", [user(rng, question, PICTURE)], answer, [picture])
    sample.thinking, sample.answer = True, think(topic, sample.answer)
    return sample


def no_picture(world: World) -> Sample:
    rng = world.rng
    question = ask(rng, rng.choice((ASK_COLOUR, ASK_SHAPE, ASK_NUMBER, ASK_DESCRIBE)))
    return Sample("no_picture", [*(chat(rng) if rng.random() < 0.3 else []), user(rng, question)], NO_PICTURE)
