"""Questions about one picture: for any attribute that it has, the question, the answer and the topic of a thought."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import scenes
from sample import PICTURE, Sample, World, ask, dress, user
from scenes import Picture
from words import (
    ASK_BACKGROUND,
    ASK_COLOUR,
    ASK_COUNT,
    ASK_DESCRIBE,
    ASK_NUMBER,
    ASK_SHAPE,
    ASK_SHAPE_COLOUR,
    ASK_WHERE,
    COUNT_WORDS,
)


def plural(shape: str) -> str:
    return shape + ("es" if shape.endswith("s") else "s")


def noun(rng: Random, picture: Picture) -> str:
    return picture.shape if rng.random() < 0.8 else "shape"


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


QUESTIONS: dict[str, Callable[[Random, Picture], tuple[str, str, str]]] = {
    "foreground": colour_question,
    "background": background_question,
    "shape": shape_question,
    "count": count_question,
    "number": number_question,
    "describe": describe_question,
}


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
