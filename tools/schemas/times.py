"""What constraints cost: compiling, compiling again, and each token, beside an answer that nothing holds.

    PYTHONPATH=tools python -m schemas.times --library target/release/librmlx.so --model target/bench/vocabulary

For a vocabulary of 262,144 tokens, `tools/make_vocabulary.py` makes a model. Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from .library import Library, Session

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 40},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "maxItems": 5},
        "note": {"type": "string"},
    },
    "required": ["name", "age", "tags", "note"],
    "additionalProperties": False,
}
TEXT = {"type": "string", "minLength": 4000}
NUMBERS = {"type": "array", "items": {"type": "integer"}, "minItems": 2000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=150)
    parser.add_argument("--cpu", action="store_true", help="the processor's time of all threads, for a machine that is busy")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu else time.perf_counter
    session = Session(Library(arguments.library), arguments.model)

    def ask(schema: dict | None, tokens: int) -> float:
        """Seconds that the answer took, and the submit of them."""
        began = clock()
        text = None if schema is None else json.dumps(schema)
        answer = session.ask("Hello", text, 1.0, 1, tokens)
        return (clock() - began) / max(answer.tokens, 1) if tokens > 1 else clock() - began

    free = statistics.median(ask(None, 1) for _ in range(5))
    print(f"an answer of one token, free: {1e3 * free:.1f} ms")
    print(f"the first grammar of the model: {1e3 * (ask({'type': 'boolean'}, 1) - free):.1f} ms more")
    for name, schema in (("an object", PERSON), ("a text", TEXT), ("numbers", NUMBERS)):
        first = 1e3 * (ask(schema, 1) - free)
        again = 1e3 * (statistics.median(ask(schema, 1) for _ in range(5)) - free)
        print(f"{name}: the first time {first:.1f} ms more, later {again:.1f} ms")
    free = statistics.median(ask(None, arguments.tokens) for _ in range(3))
    print(f"a token, free: {1e3 * free:.2f} ms")
    for name, schema in (("an object", PERSON), ("a text", TEXT), ("numbers", NUMBERS)):
        held = statistics.median(ask(schema, arguments.tokens) for _ in range(3))
        print(f"a token of {name}: {1e3 * held:.2f} ms")


if __name__ == "__main__":
    main()
