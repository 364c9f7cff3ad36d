"""Several pictures, several turns."""

from __future__ import annotations

from random import Random

import scenes
from colours import PLAIN
from picture_skills import QUESTIONS, plural, some_picture
from sample import PICTURE, Message, Sample, World, ask, model, user
from sprites import SHAPES
from words import ASK_CAPITAL, ASK_MESSAGE, ASK_NEXT, ASK_NTH_COLOUR, ASK_WHICH, CAPITALS, ORDINALS, SMALL_TALK


def chat(rng: Random) -> list[Message]:
    """A short exchange about nothing."""
    if rng.random() < 0.5:
        country = rng.choice(tuple(CAPITALS))
        return [user(rng, ask(rng, ASK_CAPITAL, country)), model(CAPITALS[country][0])]
    said, reply = rng.choice(SMALL_TALK[:5])
    return [user(rng, rng.choice(said)), model(reply)]


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
