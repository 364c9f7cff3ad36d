"""Random JSON schemas that some value is valid for."""

from __future__ import annotations

import random
from typing import Any

Schema = dict[str, Any]

NAMES = ["name", "kind", "count", "x", "y", "items", "größe", "a b", 'q"q', "back\\slash", "日本", "id", "é", "a.b", "n/m", "t~1", "$r", ""]
PLAIN_NAMES = ["name", "kind", "count", "x", "y", "items", "größe", "id", "a-b", "n_m", "Zed"]
WORDS = ["red", "green", "a b", "", 'say "no"', "línea", "tab\there", "back\\slash", "東京", "42", "null", "/", "<b>&"]
# An expression, and whether a text that it is searched in can be any text around it.
PATTERNS = [r"^[a-z]{2,5}$", r"^\d{3}-\d{4}$", r"\d", r"^(red|green)$", r"^[A-Z][a-z]*( [A-Z][a-z]*)?$", r"^a|b$", r"^[^@\s]+@[^@\s]+\.[a-z]{2,3}$", r"^x*$", r"^/[a-z/]*$", r"\\$"]
FORMATS = ["date", "time", "date-time", "email", "ipv4", "ipv6", "uuid", "hostname", "duration", "uri"]
SCALARS = [None, True, False, 0, 1, -7, 2.5, 1e3, -0.125, 123456789012, "red", "a b", 'q"', "é"]
# Levels of containers.
DEPTH = 3


class Generator:
    """Schemas of one seed. `names` are those that properties may have."""

    def __init__(self, seed: int, names: list[str] = NAMES, plain: bool = False) -> None:
        self.random = random.Random(seed)
        self.names = names
        self.plain = plain
        self.definitions: Schema = {}

    def root(self) -> Schema:
        self.definitions = {}
        whole = ["object"] * 6 + ["array"] * 2 + ["value", "anyOf", "oneOf", "allOf", "reference"]
        schema = getattr(self, self.random.choice(whole))(DEPTH)
        if self.definitions:
            schema = {**schema, "$defs": self.definitions}
        if self.random.random() < 0.2:
            schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Any", **schema}
        return schema

    def value(self, depth: int) -> Schema:
        kinds = ["string", "string", "integer", "number", "boolean", "null", "enum", "const", "several types"]
        if depth > 0:
            kinds += ["object"] * 6 + ["array"] * 4 + ["anyOf", "oneOf", "allOf", "reference", "reference"]
            kinds += ["any"] if not self.plain else []
        return getattr(self, self.random.choice(kinds).replace(" ", "_").replace("enum", "listed").replace("const", "fixed"))(depth)

    def maybe(self, share: float = 0.5) -> bool:
        return self.random.random() < share

    def any(self, _depth: int) -> Schema:
        return self.random.choice([{}, {"description": "Anything."}])

    def string(self, _depth: int) -> Schema:
        schema: Schema = {"type": "string"}
        which = self.random.random()
        if which < 0.25:
            return {**schema, "pattern": self.random.choice(PATTERNS)} | ({"maxLength": 12} if self.maybe(0.8) else {})
        if which < 0.4:
            return {**schema, "format": self.random.choice(FORMATS if not self.plain else ["date", "time", "date-time"])}
        if which < 0.5:
            return {**schema, "pattern": r"^[a-c0-9]*$", "minLength": 1, "maxLength": self.random.randint(1, 6)}
        if which < 0.9:
            least = self.random.choice([0, 0, 1, 3])
            schema["maxLength"] = least + self.random.randint(0, 12)
            if least:
                schema["minLength"] = least
        return schema

    def integer(self, _depth: int) -> Schema:
        return self.bounded({"type": "integer"}, lambda: self.random.choice([self.random.randint(-20, 20), self.random.randint(-100_000, 100_000)]))

    def number(self, _depth: int) -> Schema:
        return self.bounded({"type": "number"}, lambda: round(self.random.uniform(-50, 50), self.random.randint(0, 3)))

    def bounded(self, schema: Schema, draw: Any) -> Schema:
        low = draw()
        high = low + abs(draw()) + 30
        if self.plain or self.maybe(0.8):
            schema[self.random.choice(["minimum", "exclusiveMinimum"])] = low
        if self.plain or self.maybe(0.8):
            schema[self.random.choice(["maximum", "exclusiveMaximum"])] = high
        if self.maybe(0.2):
            schema["multipleOf"] = self.random.choice([1, 2, 3, 5, 10] + ([0.5, 0.25] if schema["type"] == "number" else []))
        return schema

    def boolean(self, _depth: int) -> Schema:
        return {"type": "boolean"}

    def null(self, _depth: int) -> Schema:
        return {"type": "null"}

    def literal(self, depth: int = 2) -> Any:
        if depth == 0 or self.maybe(0.7):
            return self.random.choice(SCALARS)
        if self.maybe():
            return [self.literal(depth - 1) for _ in range(self.random.randint(0, 3))]
        return {name: self.literal(depth - 1) for name in self.random.sample(self.names, self.random.randint(0, 3))}

    def listed(self, _depth: int) -> Schema:
        if self.maybe():
            return {"type": "string", "enum": self.random.sample(WORDS, self.random.randint(1, 5))}
        return {"enum": [self.literal() for _ in range(self.random.randint(1, 4))]}

    def fixed(self, _depth: int) -> Schema:
        return {"const": self.literal()}

    def several_types(self, _depth: int) -> Schema:
        schema: Schema = {"type": self.random.sample(["string", "integer", "boolean", "null"], self.random.randint(2, 3))}
        if self.maybe():
            schema |= {"maxLength": 8, "minimum": self.random.randint(-5, 5), "maximum": 500}
        return schema

    def object(self, depth: int) -> Schema:
        names = self.random.sample(self.names, self.random.randint(0, 5))
        schema: Schema = {"type": "object", "properties": {name: self.value(depth - 1) for name in names}}
        schema["required"] = [name for name in names if self.maybe(0.6)]
        if not schema["required"] and self.maybe():
            del schema["required"]
        if self.plain:
            schema["additionalProperties"] = False
            return schema
        match self.random.randint(0, 9):
            case 0:
                schema["additionalProperties"] = {"type": "integer"}
            case 1:
                schema |= {"patternProperties": {"^p_[a-z]+$": {"type": "boolean"}}, "additionalProperties": False}
            case 2:
                pass
            case 3 if not names:
                schema |= {"additionalProperties": self.value(depth - 1), "minProperties": 1, "maxProperties": 3}
            case _:
                schema["additionalProperties"] = False
        return schema

    def array(self, depth: int) -> Schema:
        schema: Schema = {"type": "array"}
        firsts = self.random.choice([0, 0, 0, 1, 2])
        if firsts:
            schema["prefixItems"] = [self.value(depth - 1) for _ in range(firsts)]
        schema["items"] = False if firsts and self.maybe() else self.value(depth - 1)
        least = self.random.randint(0, firsts) if schema["items"] is False else self.random.randint(0, 3)
        if least:
            schema["minItems"] = least
        schema["maxItems"] = max(least, firsts) + self.random.randint(0, 3)
        return schema

    def anyOf(self, depth: int) -> Schema:
        return {"anyOf": [self.value(depth - 1) for _ in range(self.random.randint(1, 3))]}

    def oneOf(self, depth: int) -> Schema:
        if self.maybe(0.3):
            return {"oneOf": [{"type": "string", "maxLength": 5}, {"type": "integer", "minimum": 0, "maximum": 99}, {"type": "null"}]}
        options = []
        for kind in self.random.sample(["cat", "dog", "fish"], self.random.randint(2, 3)):
            other = self.value(depth - 1)
            members = {"kind": {"const": kind}, "other": other}
            option = {"type": "object", "properties": members, "required": ["kind", "other"], "additionalProperties": False}
            if self.maybe():
                place = f"d{len(self.definitions)}"
                self.definitions[place] = option
                option = {"$ref": f"#/$defs/{place}"}
            options.append(option)
        return {"oneOf": options}

    def allOf(self, depth: int) -> Schema:
        first, second = self.random.sample(self.names, 2)
        parts = [{"type": "object", "properties": {name: self.value(depth - 1)}, "required": [name]} for name in (first, second)]
        if self.maybe():
            return {"allOf": parts}
        return {"type": "object", "properties": {first: True, second: True}, "additionalProperties": False, "allOf": parts}

    def reference(self, depth: int) -> Schema:
        name = f"d{len(self.definitions)}"
        if self.maybe(0.4):
            # One that holds itself, with a way to end.
            more = self.random.choice([{"anyOf": [{"type": "null"}, {"$ref": f"#/$defs/{name}"}]}, {"type": "array", "items": {"$ref": f"#/$defs/{name}"}, "maxItems": 2}])
            members = {"value": {"type": "integer", "minimum": 0, "maximum": 9}, "more": more}
            self.definitions[name] = {"type": "object", "properties": members, "required": ["value", "more"], "additionalProperties": False}
        else:
            self.definitions[name] = {}
            self.definitions[name] = self.value(depth - 1)
        return {"$ref": f"#/$defs/{name}"}


def schemas(seed: int, count: int, plain: bool = False) -> list[Schema]:
    """`plain` keeps to what every dialect of tool calls can spell, and to what needs no regular expression to judge."""
    generator = Generator(seed, PLAIN_NAMES if plain else NAMES, plain)
    return [generator.root() for _ in range(count)]
