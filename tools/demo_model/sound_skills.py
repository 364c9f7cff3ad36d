"""Sounds, alone and beside a picture."""

from __future__ import annotations

import sounds
from picture_skills import description, some_picture
from sample import AUDIO, PICTURE, Sample, World, ask, dress, user
from words import ASK_BOTH, ASK_DIGIT, ASK_HEAR, ASK_TONE


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
