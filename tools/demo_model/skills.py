"""The skills: each makes one conversation, with its pictures or sounds and the one right answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

import scenes
import sounds
from colours import PLAIN
from scenes import Picture
from sounds import Sound
from sprites import SHAPES
from words import (
    ASK_BACKGROUND,
    ASK_BOTH,
    ASK_CAPITAL,
    ASK_COLOUR,
    ASK_COUNT,
    ASK_COUNTRY,
    ASK_DESCRIBE,
    ASK_DIGIT,
    ASK_HEAR,
    ASK_MESSAGE,
    ASK_NEXT,
    ASK_NTH_COLOUR,
    ASK_NUMBER,
    ASK_SHAPE,
    ASK_SHAPE_COLOUR,
    ASK_TIME,
    ASK_TIME_IN,
    ASK_TONE,
    ASK_WHERE,
    ASK_WHICH,
    CAPITALS,
    COLOUR_WORDS,
    COUNT_WORDS,
    DO_NOT_KNOW,
    HELLO,
    IDENTITY,
    LANGUAGES,
    NEUTRAL_SYSTEM,
    NO_PICTURE,
    NO_TIME,
    ORDINALS,
    PREFIXES,
    SAY_FORM,
    SAY_LANGUAGE,
    SMALL_TALK,
    THOUGHTS,
    UNKNOWN,
    UNKNOWN_COUNTRIES,
)

Message = dict[str, Any]
PICTURE = {"type": "image"}
AUDIO = {"type": "audio"}


@dataclass
class Sample:
    skill: str
    messages: list[Message]
    answer: str
    pictures: list[Picture] = field(default_factory=list)
    sounds: list[Sound] = field(default_factory=list)
    tools: list[dict[str, Any]] | None = None
    thinking: bool = False
    calls_tool: bool = False  # the answer ends where the tool's answer belongs, not with the turn


@dataclass
class World:
    """What skills draw on: random numbers, the fonts' advances, the voices' clips by digit."""

    rng: Random
    advance: np.ndarray
    clips: list[np.ndarray]
    lengths: np.ndarray


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def ask(rng: Random, phrasings: tuple[str, ...], *names: str) -> str:
    """A question, at times with a polite opening or carelessly typed."""
    question = rng.choice(phrasings).format(*names)
    if rng.random() < 0.12:
        question = rng.choice(PREFIXES) + question[0].lower() + question[1:]
    if rng.random() < 0.08:
        question = question[0].lower() + question[1:]
    if rng.random() < 0.04:
        question = question.lower()
    if rng.random() < 0.05 and question[-1] in "?.":
        question = question[:-1]
    return question


def user(rng: Random, question: str, *media: dict[str, str]) -> Message:
    """A user's message; media mostly come before the question."""
    if not media:
        return {"role": "user", "content": question}
    parts = [*media, text(question)] if rng.random() < 0.8 else [text(question), *media]
    return {"role": "user", "content": parts}


def model(words: str) -> Message:
    return {"role": "assistant", "content": words}


def plural(shape: str) -> str:
    return shape + ("es" if shape.endswith("s") else "s")


def noun(rng: Random, picture: Picture) -> str:
    return picture.shape if rng.random() < 0.8 else "shape"


# ---- one picture: (question, answer, thought's topic) for any attribute the picture has


def colour_question(rng: Random, picture: Picture) -> tuple[str, str, str]:
    if picture.kind == "shapes" and picture.count > 1:
        question = ask(rng, ASK_SHAPE_COLOUR, plural(noun(rng, picture)))
        return (
            question.replace("is the", rng.choice(("is the", "are the", "are the"))),
            picture.colour.capitalize(),
            "colour",
        )
    if picture.kind == "shapes":
        return ask(rng, ASK_SHAPE_COLOUR, noun(rng, picture)), picture.colour.capitalize(), "colour"
    if picture.kind == "number":
        return ask(rng, ASK_SHAPE_COLOUR, "number"), picture.colour.capitalize(), "colour"
    return ask(rng, ASK_COLOUR), picture.colour.capitalize(), "colour"


def background_question(rng: Random, picture: Picture) -> tuple[str, str, str]:
    return (
        ask(rng, ASK_BACKGROUND, "number" if picture.kind == "number" else noun(rng, picture)),
        picture.background.capitalize(),
        "colour",
    )


def shape_question(rng: Random, picture: Picture) -> tuple[str, str, str]:
    return ask(rng, ASK_SHAPE), picture.shape.capitalize(), "shape"


def count_question(rng: Random, picture: Picture) -> tuple[str, str, str]:
    return ask(rng, ASK_COUNT, plural(picture.shape)), str(picture.count), "count"


def where_question(rng: Random, picture: Picture) -> tuple[str, str, str]:
    return ask(rng, ASK_WHERE, picture.shape), picture.zone.capitalize(), "where"


def number_question(rng: Random, picture: Picture) -> tuple[str, str, str]:
    return ask(rng, ASK_NUMBER), picture.number, "number"


def description(picture: Picture) -> str:
    if picture.kind in ("plain", "shaded"):
        return f"{article(picture.colour)} {picture.colour} picture."
    if picture.kind == "number":
        return f"The number {picture.number} in {picture.colour} on {article(picture.background).lower()} {picture.background} background."
    ground = f"on {article(picture.background).lower()} {picture.background} background."
    if picture.count == 1:
        return f"{article(picture.colour)} {picture.colour} {picture.shape} {ground}"
    return f"{COUNT_WORDS[picture.count]} {picture.colour} {plural(picture.shape)} {ground}"


def article(word: str) -> str:
    return "An" if word[0] in "aeiou" else "A"


def describe_question(rng: Random, picture: Picture) -> tuple[str, str, str]:
    return ask(rng, ASK_DESCRIBE), description(picture), "colour"


def some_picture(world: World, skill: str) -> tuple[Picture, str, str, str]:
    """A picture for a skill, with question, answer and topic."""
    rng = world.rng
    if skill in ("solid", "shaded"):
        picture = scenes.plain(rng, shaded=skill == "shaded")
        return picture, *colour_question(rng, picture)
    if skill == "shape":
        picture = scenes.shapes(rng, count=1 if rng.random() < 0.85 else rng.randint(2, 5))
        return picture, *shape_question(rng, picture)
    if skill == "foreground":
        picture = (
            scenes.number(rng, world.advance)
            if rng.random() < 0.2
            else scenes.shapes(rng, count=1 if rng.random() < 0.8 else rng.randint(2, 5))
        )
        return picture, *colour_question(rng, picture)
    if skill == "background":
        picture = (
            scenes.number(rng, world.advance)
            if rng.random() < 0.2
            else scenes.shapes(rng, count=1 if rng.random() < 0.8 else rng.randint(2, 5))
        )
        return picture, *background_question(rng, picture)
    if skill == "count":
        picture = scenes.shapes(rng, count=rng.randint(1, 5))
        return picture, *count_question(rng, picture)
    if skill == "where":
        picture = scenes.shapes(rng, zone=rng.choice(tuple(scenes.ZONES)))
        return picture, *where_question(rng, picture)
    if skill == "number":
        picture = scenes.number(rng, world.advance)
        return picture, *number_question(rng, picture)
    kind = rng.random()
    if kind < 0.2:
        picture = scenes.plain(rng, shaded=rng.random() < 0.4)
    elif kind < 0.75:
        picture = scenes.shapes(rng, count=1 if rng.random() < 0.6 else rng.randint(2, 5))
    else:
        picture = scenes.number(rng, world.advance)
    return picture, *describe_question(rng, picture)


def one_picture(world: World, skill: str) -> Sample:
    picture, question, answer, topic = some_picture(world, skill)
    messages = [user(world.rng, question, PICTURE)]
    return dress(world, Sample(skill, messages, answer, [picture]), topic)


def dress(world: World, sample: Sample, topic: str) -> Sample:
    """At times with an idle system message, an idle tool, or thinking on."""
    rng = world.rng
    if rng.random() < 0.08:
        sample.messages.insert(0, {"role": "system", "content": rng.choice(NEUTRAL_SYSTEM)})
    if rng.random() < 0.05:
        sample.thinking, sample.answer = True, think(topic, sample.answer)
    return sample


def think(topic: str, answer: str) -> str:
    return f"<|channel>thought\n{THOUGHTS[topic]}\n<channel|>{answer}"


# ---- several pictures, several turns


def two_pictures(world: World) -> Sample:
    rng = world.rng
    kind = rng.random()
    if kind < 0.3:
        names = rng.sample(PLAIN, 2)
        pictures = [scenes.plain(rng, name, shaded=rng.random() < 0.3) for name in names]
        if rng.random() < 0.35:
            which = rng.randrange(2)
            question, answer = ask(rng, ASK_NTH_COLOUR, ORDINALS[which]), names[which].capitalize()
            return Sample("two_pictures", [user(rng, question, PICTURE, PICTURE)], answer, pictures)
        claims = [f"is {name}" for name in names]
    elif kind < 0.6:
        names = rng.sample(SHAPES, 2)
        pictures = [scenes.shapes(rng, 1, shape=name) for name in names]
        claims = [f"{rng.choice(('shows', 'has'))} a {name}" for name in names]
    elif kind < 0.8:
        pictures = [scenes.number(rng, world.advance) for _ in range(2)]
        while pictures[0].number == pictures[1].number:
            pictures[1] = scenes.number(rng, world.advance)
        claims = [f"shows the number {picture.number}" for picture in pictures]
    else:
        counts = rng.sample(range(1, 6), 2)
        shape = rng.choice(SHAPES)
        pictures = [scenes.shapes(rng, count, shape=shape) for count in counts]
        more = rng.random() < 0.5
        claims = [f"has {'more' if more else 'fewer'} {rng.choice(('shapes', plural(shape)))}"] * 2
        which = counts.index(max(counts) if more else min(counts))
        return Sample(
            "two_pictures",
            [user(rng, ask(rng, ASK_WHICH, claims[0]), PICTURE, PICTURE)],
            f"The {ORDINALS[which]}",
            pictures,
        )
    which = rng.randrange(2)
    return Sample(
        "two_pictures",
        [user(rng, ask(rng, ASK_WHICH, claims[which]), PICTURE, PICTURE)],
        f"The {ORDINALS[which]}",
        pictures,
    )


def chat(rng: Random) -> list[Message]:
    """A short exchange about nothing."""
    if rng.random() < 0.5:
        country = rng.choice(tuple(CAPITALS))
        return [user(rng, ask(rng, ASK_CAPITAL, country)), model(CAPITALS[country][0])]
    said, reply = rng.choice(SMALL_TALK[:5])
    return [user(rng, rng.choice(said)), model(reply)]


QUESTIONS: dict[str, Callable[[Random, Picture], tuple[str, str, str]]] = {
    "foreground": colour_question,
    "background": background_question,
    "shape": shape_question,
    "count": count_question,
    "number": number_question,
    "describe": describe_question,
}


def earlier(world: World) -> Sample:
    """A question in a later turn about an earlier picture, or the same question about a second one."""
    rng = world.rng
    kind = rng.random()
    if kind < 0.6:
        if rng.random() < 0.25:
            picture, topics = (
                scenes.number(world.rng, world.advance),
                ["foreground", "background", "number", "describe"],
            )
        else:
            picture, topics = (
                scenes.shapes(rng, rng.choice((1, 1, 2, 3, 4))),
                ["foreground", "background", "shape", "count", "describe"],
            )
        first, last = rng.sample(topics, 2)
        question, answer, _ = QUESTIONS[first](rng, picture)
        messages = [user(rng, question, PICTURE), model(answer)]
        if rng.random() < 0.4:
            messages += chat(rng)
        question, answer, _ = QUESTIONS[last](rng, picture)
        if rng.random() < 0.3:
            question = "And " + question[0].lower() + question[1:]
        return Sample("earlier", [*messages, user(rng, question)], answer, [picture])
    skill = rng.choice(("solid", "shape", "number", "count"))
    one, question, answer, _ = some_picture(world, skill)
    two, again, other, _ = some_picture(world, skill)
    messages = [user(rng, question, PICTURE), model(answer)]
    if kind < 0.8:
        return Sample("earlier", [*messages, user(rng, rng.choice(ASK_NEXT), PICTURE)], other, [one, two])
    if skill != "solid":
        return Sample("earlier", [*messages, user(rng, again, PICTURE)], other, [one, two])
    which = rng.randrange(2)
    messages += [
        user(rng, again, PICTURE),
        model(other),
        user(rng, ask(rng, ASK_NTH_COLOUR, ORDINALS[which]).replace(" is ", rng.choice((" is ", " was ")))),
    ]
    return Sample("earlier", messages, (answer, other)[which], [one, two])


def which_message(world: World) -> Sample:
    """Several messages, one with a picture: which one?"""
    rng = world.rng
    turns = rng.choice((1, 2, 2, 3))  # before the question
    at = rng.randrange(turns)
    messages: list[Message] = []
    picture, question, answer, _ = some_picture(world, rng.choice(("solid", "shape", "number", "count")))
    for turn in range(turns):
        messages += [user(rng, question, PICTURE), model(answer)] if turn == at else chat(rng)
    return Sample("which_message", [*messages, user(rng, ask(rng, ASK_MESSAGE))], f"The {ORDINALS[at]}", [picture])


# ---- sounds


def spoken_digit(world: World) -> Sample:
    rng = world.rng
    sound = sounds.digit(rng, world.clips, world.lengths)
    if rng.random() < 0.2:
        question, answer = ask(rng, ASK_HEAR), f"The number {sound.name}."
    else:
        question, answer = ask(rng, ASK_DIGIT), sound.name
    return dress(world, Sample("spoken_digit", [user(rng, question, AUDIO)], answer, sounds=[sound]), "sound")


def tone(world: World) -> Sample:
    rng = world.rng
    sound = sounds.tone(rng)
    if rng.random() < 0.25:
        question, answer = ask(rng, ASK_HEAR), f"A {sound.name} tone."
    else:
        question, answer = ask(rng, ASK_TONE), sound.name.capitalize()
    return dress(world, Sample("tone", [user(rng, question, AUDIO)], answer, sounds=[sound]), "sound")


def picture_and_sound(world: World) -> Sample:
    """One picture and one sound in one message."""
    rng = world.rng
    sound = sounds.digit(rng, world.clips, world.lengths) if rng.random() < 0.6 else sounds.tone(rng)
    heard = f"the number {sound.name}" if sound.kind == "digit" else f"a {sound.name} tone"
    kind = rng.random()
    picture, question, answer, _ = some_picture(world, rng.choice(("solid", "shape", "number", "count", "describe")))
    if kind < 0.5:
        question, answer = ask(rng, ASK_BOTH), f"{description(picture)[:-1]}, and {heard}."
    elif kind < 0.75:
        question, answer = ask(rng, ASK_HEAR), f"{heard[0].upper()}{heard[1:]}."
    media = [PICTURE, AUDIO] if rng.random() < 0.5 else [AUDIO, PICTURE]
    return Sample("picture_and_sound", [user(rng, question, *media)], answer, [picture], [sound])


# ---- text


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


# How often each skill comes up, by bucket. A bucket's samples have one padded length.
Maker = Callable[[World], Sample]
PICTURE_SKILLS: dict[str, float] = {
    "solid": 1.0,
    "shaded": 1.0,
    "shape": 1.5,
    "foreground": 1.5,
    "background": 1.5,
    "count": 2.0,
    "where": 1.2,
    "number": 3.5,
    "describe": 2.5,
}
SEVERAL: dict[Maker, float] = {two_pictures: 4.0, earlier: 4.0, which_message: 1.0, picture_and_sound: 1.5}
SOUNDS: dict[Maker, float] = {spoken_digit: 3.0, tone: 1.0}
TEXTS: dict[Maker, float] = {
    capital: 1.5,
    greeting: 0.7,
    identity: 0.7,
    system_language: 1.5,
    system_form: 1.5,
    tool_call: 1.5,
    thinking: 1.5,
    no_picture: 0.4,
    unknown: 0.7,
}


def draw(world: World, bucket: str) -> Sample:
    rng = world.rng
    if bucket == "picture":
        skill = rng.choices(tuple(PICTURE_SKILLS), tuple(PICTURE_SKILLS.values()))[0]
        return one_picture(world, skill)
    makers = {"several": SEVERAL, "sound": SOUNDS, "text": TEXTS}[bucket]
    return rng.choices(tuple(makers), tuple(makers.values()))[0](world)
