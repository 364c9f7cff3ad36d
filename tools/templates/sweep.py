"""Published templates × conversations: what jinja2 writes of them, for rmlx to answer as well.

    python tools/templates/sweep.py FOLDER cases.jsonl
    RMLX_TEMPLATE_CASES=cases.jsonl cargo test --workspace --locked --lib -- --ignored answer_templates
    python tools/templates/fuzz.py judge cases.jsonl

FOLDER holds templates (`*.jinja`), or files with a `chat_template` in them (`*.json`). Wants jinja2 3.1.6.
"""

import itertools
import json
import pathlib
import random
import sys

import jinja

TEXTS = ["Hi", " a\n\nb ", "", "<think>\nhm\n</think>\n\nYes", "é 😀 \"q\" 'p' <b> & {x} \\n", "{{ x }}", "1.50"]
ARGUMENTS = [{}, {"a": 1}, {"b": [1, 2.5, 1e-05, None, True], "c": {"d": "é\n", "e": {}}}, {"n": 2**60, "q": "it's \"x\""}]


def tools(r):
    def schema(depth):
        kind = r.choice(["string", "integer", "number", "boolean", "array", "object", ["string", "null"]])
        made = {"type": kind, "description": r.choice(TEXTS)}
        if r.random() < 0.3:
            made["enum"] = r.choice([["a", "b"], [1, 2.5], []])
        if r.random() < 0.2:
            made["default"] = r.choice([None, 1, 0.1, "x", [], True])
        if kind == "array" and depth:
            made["items"] = schema(depth - 1)
        if kind == "object":
            made["properties"] = {name: schema(depth - 1) for name in "xyz"[: r.randint(0, 2)]} if depth else {}
            made["required"] = ["x"] if r.random() < 0.5 else []
        return made

    def tool(index):
        parameters = {"type": "object", "properties": {name: schema(2) for name in ["p", "q", "s"][: r.randint(0, 3)]}}
        if r.random() < 0.6:
            parameters["required"] = ["p"]
        return {"type": "function", "function": {"name": f"f{index}", "description": r.choice(TEXTS), "parameters": parameters}}

    return [tool(index) for index in range(r.randint(1, 3))]


def conversations(r):
    text = lambda: r.choice(TEXTS)
    user = lambda: {"role": "user", "content": text()}
    parts = lambda: {"role": "user", "content": r.sample([{"type": "image"}, {"type": "text", "text": text()}, {"type": "text", "text": text()}], 2)}
    answer = lambda: {"role": "assistant", "content": text()}
    call = lambda: {"type": "function", "id": "abcdefghi", "function": {"name": "f0", "arguments": r.choice(ARGUMENTS)}}
    calling = lambda: {"role": "assistant", "content": r.choice(["", "let me see"]), "tool_calls": [call() for _ in range(r.randint(1, 2))]}
    result = lambda: {"role": "tool", "name": "f0", "tool_call_id": "abcdefghi", "content": r.choice(["sunny", "{\"a\": 1}", ""])}
    reasoned = lambda: {**answer(), "reasoning_content": r.choice(["hm", " hm\n"])}
    system = {"role": "system", "content": "Be brief."}
    return [
        [user()], [system, user()], [user(), answer(), user()], [system, user(), answer(), user(), answer()],
        [user(), reasoned(), user()], [parts()], [system, parts(), answer(), parts()],
        [user(), calling(), result(), user()], [system, user(), calling(), result(), answer(), user()],
        [user(), calling(), result(), result()], [user(), {**calling(), "reasoning_content": "why"}, result()],
        [answer()], [user(), user()], [{"role": "developer", "content": "x"}, user()], [], [{"role": "user", "content": None}],
    ]


def sources(folder):
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.suffix == ".jinja":
            yield path.name, path.read_text()
        elif path.suffix == ".json":
            template = json.loads(path.read_text())
            template = template.get("chat_template") if isinstance(template, dict) else None
            if isinstance(template, str):
                yield path.name, template


def variables(r, messages):
    given = {
        "messages": messages, "bos_token": "<s>", "eos_token": "</s>", "documents": None,
        "add_generation_prompt": r.random() < 0.5, "tools": tools(r) if r.random() < 0.5 else None,
    }
    if r.random() < 0.3:
        given["enable_thinking"] = r.random() < 0.5
    return given


def main(folder, out):
    env = jinja.environment()
    count = 0
    with open(out, "w") as f:
        for (name, template), seed in itertools.product(sources(folder), range(6)):
            r = random.Random(f"{name} {seed}")
            for messages in conversations(r):
                given = variables(r, messages)
                answer = jinja.render(env, template, given)
                f.write(json.dumps({"name": name, "template": template, "vars": given, "answer": answer}) + "\n")
                count += 1
    print(f"{count} cases")


if __name__ == "__main__":
    main(*sys.argv[1:])
