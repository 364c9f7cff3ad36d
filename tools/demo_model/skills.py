"""The mixture: how often each skill comes up, by bucket. A bucket's samples have one padded length."""

from __future__ import annotations

from collections.abc import Callable

from picture_skills import one_picture
from sample import Sample, World
from several_skills import earlier, two_pictures, which_message
from sound_skills import picture_and_sound, spoken_digit, tone
from text_skills import (
    capital,
    greeting,
    identity,
    no_picture,
    system_form,
    system_language,
    thinking,
    tool_call,
    unknown,
)

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
