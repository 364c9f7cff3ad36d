"""Holds answers of a model to random JSON schemas, with `jsonschema` as the judge.

    pip install -r tools/requirements-schemas.txt
    LD_LIBRARY_PATH=… PYTHONPATH=tools python -m schemas --library target/debug/librmlx.so --model models/demo/bf16

Each schema is answered greedily and at temperature 1.5 (or what `--temperatures` says). An answer that is complete must
parse and be valid; only one that ends with CONSTRAINT_CUT may be neither. With `--calls`, each schema is that of an argument
of a tool that has to be called. `--plain` leaves out what not every dialect of calls can spell. `--write FILE` writes the
schemas alone. The exit status is 1 where an answer is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from .generate import Schema, schemas
from .library import CONSTRAINT_CUT, END_OF_TURN, TOOL_CALLS, Answer, Library, Refused, Session

NAMES_OF_FINISH = {END_OF_TURN: "complete", TOOL_CALLS: "complete", CONSTRAINT_CUT: "cut"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=Path, help="librmlx.so or librmlx.dylib")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--temperatures", default="0,1.5")
    parser.add_argument("--tokens", type=int, default=400, help="of an answer, at most")
    parser.add_argument("--calls", action="store_true")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    drawn = schemas(arguments.seed, arguments.count, arguments.plain)
    for schema in drawn:
        Draft202012Validator.check_schema(schema)
    if arguments.write:
        lines = ",\n".join(json.dumps(schema, ensure_ascii=False) for schema in drawn)
        arguments.write.write_text(f"[\n{lines}\n]\n")
        return 0
    session = Session(Library(arguments.library), arguments.model)
    wrong = 0
    for temperature in map(float, arguments.temperatures.split(",")):
        wrong += judge_all(session, drawn, temperature, arguments)
    return min(wrong, 1)


def judge_all(session: Session, drawn: list[Schema], temperature: float, arguments: argparse.Namespace) -> int:
    counts: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    tokens, began = 0, time.monotonic()
    for index, schema in enumerate(drawn):
        try:
            answer = ask(session, schema, temperature, index, arguments)
        except Refused as refusal:
            counts["refused"] += 1
            refusals[str(refusal)] += 1
            continue
        tokens += answer.tokens
        state, why = verdict(schema, answer, arguments.calls)
        counts[state] += 1
        if state not in ("complete", "cut"):
            print(f"{state}: schema {index}: {why}\n  {json.dumps(schema, ensure_ascii=False)}\n  {answer}", flush=True)
    took = time.monotonic() - began
    print(f"temperature {temperature}: {dict(counts)}, {tokens} tokens in {took:.0f} s", flush=True)
    for text, count in refusals.most_common():
        print(f"  refused {count}: {text}")
    return sum(count for state, count in counts.items() if state not in ("complete", "cut", "refused"))


def ask(session: Session, schema: Schema, temperature: float, seed: int, arguments: argparse.Namespace) -> Answer:
    tools = json.dumps([tool(schema)], ensure_ascii=False) if arguments.calls else None
    return session.ask("Fill this in.", json.dumps(schema, ensure_ascii=False), temperature, seed, arguments.tokens, tools)


def tool(schema: Schema) -> dict[str, Any]:
    """A tool whose one argument is of the schema, whose definitions move to the root."""
    inner = {key: value for key, value in schema.items() if key not in ("$defs", "$schema")}
    parameters = {"type": "object", "properties": {"value": inner}, "required": ["value"]}
    if "$defs" in schema:
        parameters["$defs"] = schema["$defs"]
    return {"type": "function", "function": {"name": "f", "description": "Files a value.", "parameters": parameters}}


def verdict(schema: Schema, answer: Answer, calls: bool) -> tuple[str, str]:
    state = NAMES_OF_FINISH.get(answer.finish)
    if state != "complete":
        return (state, "") if state else ("failed", f"finish reason {answer.finish}: {answer.error}")
    if calls:
        if [name for name, _ in answer.calls] != ["f"]:
            return "no call", ""
        schema, text = tool(schema)["function"]["parameters"], answer.calls[0][1]
    else:
        text = answer.text
    try:
        value = json.loads(text)
    except ValueError as error:
        return "not JSON", str(error)
    checker = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    fault = next(iter(checker.iter_errors(value)), None)
    return ("invalid", fault.message) if fault else ("complete", "")


if __name__ == "__main__":
    sys.exit(main())
