"""The battery's questions about pictures, in one turn and in several."""

from __future__ import annotations

import drawing
from collector import Battery, an, many, model, user
from drawing import PLAIN, SHAPES, Drawn

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
