"""Writes `tests/fixtures/conversations/cases.json`: what transformers makes of conversations with tools and thoughts.

    pip install transformers jinja2
    python tools/conversations.py

Each case is a conversation as `Prompt::from_json` takes it, the template of that folder, and the rendered text or that the
template refuses it. With another folder of `*.jinja` files as the argument, it prints the cases for those instead; redirected
to `cases.json` there, they are checked by

    RMLX_CONVERSATIONS=FOLDER cargo test --lib conversations_of_another_folder -- --ignored
"""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

from transformers.utils.chat_template_utils import render_jinja_template

FOLDER = Path(__file__).parent.parent / "tests/fixtures/conversations"
TOOL = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "Tells the time.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "The city."}}},
    },
}


def said(role: str, content: Any, **members: Any) -> dict[str, Any]:
    return {"role": role, "content": content} | members


def call(name: str, arguments: dict[str, Any], number: int = 1) -> dict[str, Any]:
    return {"type": "function", "id": f"call0000{number}", "function": {"name": name, "arguments": arguments}}


def result(content: Any, number: int = 1, name: str = "get_time") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"call0000{number}", "name": name, "content": content}


def conversations() -> dict[str, dict[str, Any]]:
    ask, ask_two = said("user", "What time is it in Rome?"), said("user", "In Rome and in Oslo?")
    rome, oslo = call("get_time", {"city": "Rome"}), call("get_time", {"city": "Oslo"}, 2)
    odd = {"text": 'a "b" <c> & é\n東', "n": [1, 2.5, -3e-7, True, None], "o": {"z": {}, "a": []}, "big": 12345678901}
    plain = {"s": "a 'b'", "x": 2.5, "small": 3e-7, "large": 1e16, "n": -4, "yes": True, "nothing": None, "l": ["a", 1.0]}
    called = said("assistant", "", tool_calls=[rome])
    answer = said("assistant", "It is 10:30.")
    talks = {
        "question": [ask],
        "call": [ask, called],
        "result": [ask, called, result("10:30")],
        "answer": [ask, called, result("10:30"), answer, said("user", "Thanks")],
        "two calls": [ask_two, said("assistant", "", tool_calls=[rome, oslo]), result("10:30"), result("11:30", 2)],
        "results in another order": [
            ask_two,
            said("assistant", "", tool_calls=[rome, oslo]),
            result("11:30", 2),
            result("10:30"),
        ],
        "two round trips": [ask_two, called, result("10:30"), said("assistant", "", tool_calls=[oslo]), result("11:30", 2)],
        "text and call": [ask, said("assistant", "Let me see. ", tool_calls=[rome]), result("10:30")],
        "thought and call": [ask, said("assistant", "", reasoning_content="A tool.", tool_calls=[rome]), result("10:30")],
        "earlier thought": [ask, said("assistant", "Yes.", reasoning_content="Hm."), said("user", "Why?")],
        "thought in the text": [ask, said("assistant", "<think>\nHm.\n</think>\n\nYes."), said("user", "Why?")],
        "odd arguments": [ask, said("assistant", "", tool_calls=[call("f", odd)]), result("1", name="f")],
        "plain arguments": [ask, said("assistant", "", tool_calls=[call("f", plain)]), result("1", name="f")],
        "no arguments": [ask, said("assistant", "", tool_calls=[call("f", {})]), result("1", name="f")],
        "unanswered call": [ask, called, said("user", "Never mind.")],
        "further members": [said("user", "Hello", mood=" glad"), answer],
        "system": [said("system", "Be brief."), ask, called, result("10:30")],
    }
    cases: dict[str, dict[str, Any]] = {name: {"messages": messages} for name, messages in talks.items()}
    for name in ("question", "result", "system"):
        cases[f"{name}, with tools"] = {"messages": talks[name], "tools": [TOOL]}
    for name, end in (("plain", "It is"), ("blank", " It is \n"), ("again", "What time is it in Rome?")):
        final = said("assistant", end)
        cases[f"continued, {name}"] = {"messages": [ask, final], "continue_final_message": True}
        cases[f"continued, {name}, after a thought"] = {
            "messages": [ask, final | {"reasoning_content": "Hm."}],
            "continue_final_message": True,
        }
    return cases


def render(template: str, case: dict[str, Any], **variables: Any) -> dict[str, Any]:
    continues = case.get("continue_final_message", False)
    try:
        [text], _ = render_jinja_template(
            [copy.deepcopy(case["messages"])],
            tools=case.get("tools"),
            chat_template=template,
            add_generation_prompt=not continues,
            continue_final_message=continues,
            **variables,
        )
    except Exception as error:  # the template's own raise_exception, and what Jinja cannot do
        return {"error": type(error).__name__}
    return {"text": text}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    cases = [
        {"template": path.name, "name": name, "conversation": case} | render(path.read_text(), case, bos_token="<bos>")
        for path in sorted(folder.glob("*.jinja"))
        for name, case in conversations().items()
    ]
    text = "[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]\n"
    if folder == FOLDER:
        (FOLDER / "cases.json").write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
