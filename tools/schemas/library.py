"""The C ABI of rmlx, as far as the judge needs it."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_bool, c_char_p, c_float, c_int32, c_size_t, c_uint64, c_void_p
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOOL_CALL, FINISH = 3, 5
END_OF_TURN, MAX_TOKENS, TOOL_CALLS, CONSTRAINT_CUT = 1, 2, 7, 9
JSON_SCHEMA = 1
NAMED = 3


class Refused(Exception):
    """The library's own words for what it does not do."""


@dataclass
class Answer:
    text: str = ""
    finish: int = 0
    tokens: int = 0
    # Names and arguments.
    calls: list[tuple[str, str]] = field(default_factory=list)
    error: str = ""


class Library:
    def __init__(self, path: Path) -> None:
        self.c = ctypes.CDLL(str(path))
        for name in ("error_message", "event_text", "event_tool_call_name", "event_tool_call_arguments"):
            getattr(self.c, f"rmlx_{name}").restype = c_char_p
        for name in ("prompt_new", "generation_options_new", "event_error"):
            getattr(self.c, f"rmlx_{name}").restype = c_void_p
        self.c.rmlx_event_token.restype = c_bool

    def call(self, name: str, *arguments: Any) -> None:
        error = c_void_p()
        if getattr(self.c, f"rmlx_{name}")(*arguments, byref(error)) != 0:
            text = self.c.rmlx_error_message(error).decode()
            self.c.rmlx_error_release(error)
            raise Refused(text)


class Session:
    """A model, and one session of it."""

    def __init__(self, library: Library, folder: Path) -> None:
        self.library = library
        self.model, self.session = c_void_p(), c_void_p()
        library.call("model_load", str(folder).encode(), None, byref(self.model))
        library.call("session_new", self.model, None, byref(self.session))

    def ask(self, text: str, schema: str | None, temperature: float, seed: int, most: int, tools: str | None = None) -> Answer:
        """One answer held to the schema, or free; with tools, a call of the tool `f` that is held to its own."""
        call, c = self.library.call, self.library.c
        prompt, options = c_void_p(c.rmlx_prompt_new()), c_void_p(c.rmlx_generation_options_new())
        try:
            call("prompt_begin_message", prompt, b"user")
            call("prompt_add_text", prompt, text.encode(), c_size_t(len(text.encode())))
            call("generation_options_set_max_tokens", options, c_size_t(most))
            call("generation_options_set_temperature", options, c_float(temperature))
            call("generation_options_set_seed", options, c_uint64(seed))
            if tools is not None:
                call("prompt_set_tools_json", prompt, tools.encode(), c_size_t(len(tools.encode())))
                call("generation_options_set_tool_choice", options, c_int32(NAMED), b"f")
            elif schema is not None:
                call("generation_options_set_constraint", options, c_int32(JSON_SCHEMA), schema.encode(), c_size_t(len(schema.encode())))
            call("session_submit", self.session, prompt, options)
        finally:
            c.rmlx_prompt_release(prompt)
            c.rmlx_generation_options_release(options)
        return self.answer()

    def answer(self) -> Answer:
        c, answer, token = self.library.c, Answer(), ctypes.c_uint32()
        while True:
            event, length = c_void_p(), c_size_t()
            self.library.call("session_step", self.session, byref(event))
            kind = c.rmlx_event_kind(event)
            text = c.rmlx_event_text(event, byref(length))
            if kind != TOOL_CALL:
                answer.text += text.decode()
            answer.tokens += bool(c.rmlx_event_token(event, byref(token)))
            name = c.rmlx_event_tool_call_name(event)
            if name is not None:
                answer.calls.append((name.decode(), c.rmlx_event_tool_call_arguments(event).decode()))
            if kind == FINISH:
                answer.finish = c.rmlx_event_finish_reason(event)
                error = c.rmlx_event_error(event)
                answer.error = c.rmlx_error_message(c_void_p(error)).decode() if error else ""
            c.rmlx_event_release(event)
            if kind == FINISH:
                return answer
