"""Random templates, rendered by jinja2 and by rmlx, which must write the same text or both refuse.

    python tools/templates/fuzz.py make --seed 1 --count 20000 cases.jsonl
    RMLX_TEMPLATE_CASES=cases.jsonl cargo test --workspace --locked --lib -- --ignored answer_templates
    python tools/templates/fuzz.py judge cases.jsonl

`make` writes templates with jinja2's answers, the ignored test puts rmlx's beside them (`cases.jsonl.answers`), and
`judge` lists where they differ. Wants jinja2 3.1.6.
"""

import argparse
import json
import random
import signal
import sys

import jinja

VARIABLES = {
    "s": "Hello, World",
    "t": "  a b\tc\n d ",
    "u": "ÄÖß ǆ ſ İ naïve Ω's \"x\"",
    "e": "",
    "n": 7,
    "m": -3,
    "z": 0,
    "big": 2**62,
    "f": 2.5,
    "g": -0.1,
    "h": 1e-05,
    "k": 1e16,
    "yes": True,
    "no": False,
    "nil": None,
    "l": [3, 1, 2],
    "w": ["b", "A", "c", "a"],
    "x": [1, "a", None, 2.0, True, [1], {"k": 1}],
    "d": {"b": 1, "a": "x", "C": None, "items": [1, 2]},
    "o": {"name": "f", "args": {"q": [1, 2.5, "é"], "r": None}, "type": "function"},
    "rows": [
        {"name": "x", "v": 2, "tag": "B"},
        {"name": "Y", "v": 1, "tag": "a"},
        {"name": "z", "v": 2, "tag": "b", "extra": {"deep": 1}},
    ],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi <b> & 'you'"},
        {"role": "assistant", "content": "<think>hm</think>\n\nYes", "tool_calls": [
            {"type": "function", "function": {"name": "f", "arguments": {"a": 1, "b": [True, None, 0.1]}}}]},
        {"role": "tool", "content": "{\"x\": 1}", "name": "f"},
        {"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image"}]},
    ],
}

STRINGS = ["s", "t", "u", "e"]
NUMBERS = ["n", "m", "z", "f", "g", "h", "k", "yes", "no"]
LISTS = ["l", "w", "x", "rows", "messages", "e", "w", "l"]
DICTS = ["d", "o", "rows[0]", "messages[2]", "messages[1]"]
OTHERS = ["nil", "missing", "d.nope", "rows[9]", "o.args.r", "yes"]
TEXTS = ["", "a", "b", " ", "\\n", ", ", "Hello", "l", "é", "x y", "%s", "{}", "<think>", "o, W", "A-b (c) d", "0", "12",
         "-7", "3.5", "1e3", " 42 ", "1_000", "0x1F", "nan", "abc\\tdef", "it's", "\\\"q\\\"", "ß", "a,b,,c", "\\u200b", "\\x07",
         "line1\\nline2\\r\\n\\nline4"]


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.names = []
        self.in_loop = 0
        self.macros = []

    def pick(self, items):
        return self.r.choice(items)

    def maybe(self, chance=0.5):
        return self.r.random() < chance

    # Expressions

    def expr(self, depth, kind=None):
        kind = kind or self.pick(["str", "str", "num", "list", "dict", "any", "bool"])
        if self.maybe(0.06):
            kind = self.pick(["str", "num", "list", "dict", "any", "bool"])
        return getattr(self, "_" + kind)(depth)

    def literal(self):
        return self.pick(["'%s'" % self.pick(TEXTS).replace("'", "\\'"), str(self.r.randint(-4, 12)), "1.5", "0.1", "1e-7",
                          "1e22", "true", "none", "[]", "{}", "()", "(1,)", "[1, 'a']", "{'a': 1}", "123456789012345"])

    def string_literal(self):
        return "'%s'" % self.pick(TEXTS).replace("'", "\\'")

    def small(self):
        return str(self.r.randint(-4, 5))

    def _str(self, depth):
        if depth <= 0:
            pool = STRINGS + ["o.name", "rows[1].name", "messages[2].content", "d['a']"] + self.names
            return self.pick(pool) if self.maybe(0.6) else self.string_literal()
        a = self.expr(depth - 1, "str")
        b = self.expr(0, "str")
        c = self.expr(0, "str")
        n = self.small()
        makers = [
            lambda: f"{a} + {b}", lambda: f"({a}) * {n}", lambda: f"({a}) ~ ({self.expr(depth - 1)})",
            lambda: f"({a})[{n}]", lambda: f"({a})[{self.slice()}]",
            lambda: f"({a}){self.text_method(b, c)}", lambda: f"({a}){self.text_method(b, c)}",
            lambda: f"({a})|{self.text_filter(b, c)}", lambda: f"({a})|{self.text_filter(b, c)}",
            lambda: f"({a}) % {self.expr(depth - 1)}",
            lambda: f"{self.percent()} % {self.pick(['', '(', '(n, '])}".replace("(n, ", "(") + self.percent_values(),
            lambda: self.brace(depth),
            lambda: f"({self.expr(depth - 1, 'list')})|join({self.pick(['', b, b + ', attribute=' + chr(39) + 'name' + chr(39)])})",
            lambda: f"({b}).join({self.expr(depth - 1, 'list')})",
            lambda: f"({self.expr(depth - 1)})|tojson{self.tojson_args()}",
            lambda: f"({self.expr(depth - 1)})|string",
            lambda: f"({a} if {self.expr(depth - 1, 'bool')} else {b})",
            lambda: f"({a} or {b})", lambda: f"({self.expr(depth - 1)})|default({b}{self.pick(['', ', true', ', boolean=True'])})",
        ]
        if self.macros:
            makers.append(lambda: self.macro_call(depth))
        return self.pick(makers)()

    def slice(self):
        part = lambda: self.pick(["", "", self.small(), "n", "none"])
        return f"{part()}:{part()}" + (f":{self.pick(['', '-1', '2', '-2', '1'])}" if self.maybe(0.4) else "")

    def text_method(self, b, c):
        n = self.small()
        return self.pick([
            ".upper()", ".lower()", ".title()", ".capitalize()", ".swapcase()", ".strip()", ".lstrip()", ".rstrip()",
            f".strip({b})", f".lstrip({b})", f".rstrip({b})", f".split({b})[{n}]", ".split()[0]", f".split({b}, 1)[-1]",
            f".split(sep={b}, maxsplit={n})|join('|')", f".split(maxsplit={n})|join('|')", f".rsplit({b}, {n})|join('|')",
            f".rsplit(none, {n})|join('|')", f".replace({b}, {c})", f".replace({b}, {c}, {n})", f".partition({b})",
            f".rpartition({b})[0]", f".removeprefix({b})", f".removesuffix({b})", f".center({self.r.randint(0, 20)})",
            f".ljust({self.r.randint(0, 20)}, '.')", f".rjust({self.r.randint(0, 20)})", f".zfill({self.r.randint(0, 12)})",
            ".splitlines()|join('|')", ".splitlines(true)", ".splitlines(keepends=True)", ".expandtabs()", ".expandtabs(4)",
            ".casefold()", f".format({b}, x={c})", ".format_nope()", ".upper", f".find({b})", f".strip(none)",
            ".isdigit()", ".encode()", ".__class__", ".nope",
        ])

    def text_filter(self, b, c):
        n = self.small()
        return self.pick([
            "upper", "lower", "title", "capitalize", "trim", f"trim({b})", f"trim(chars={b})", f"replace({b}, {c})",
            f"replace({b}, {c}, {n})", f"replace(old={b}, new={c}, count={n})", "length", "string", "list", "first",
            "last", "reverse", "indent", f"indent({n})", "indent(2, true)", "indent(width=3, first=True, blank=True)",
            f"indent({b})", "truncate(5)", "truncate(5, true)", f"truncate(4, False, {b}, 0)",
            "center(20)", "wordcount", "e", "escape", "safe", "forceescape", f"e|string + {b}", f"default({b})", f"d({b}, true)",
            "int", "int(5)", "int(default=-1)", "int(0, 16)", "int(base=0)", "float", "float(1.5)", "unique|list",
            "list|sort|join", "batch(2)|list", f"format({b})", "format(n, s)", "count", "map('upper')|join", "nope",
            "attr('upper')", "tojson", "items|list", "abs", "round", "sum",
        ])

    def percent(self):
        spec = self.pick(["", "", "-", "+", "0", " ", "#"]) + self.pick(["", "", "5", "8", "12"]) + self.pick(["", "", ".2", ".0", ".3"])
        kind = self.pick("sssrdifeEgGxXoca%")
        more = self.pick(["", "", " and %s", "%%", " %(k)s", " %(a)s"])
        return f"'[%{spec}{kind}]{more}'"

    def percent_values(self):
        one = self.pick(["s", "n", "f", "g", "h", "k", "m", "x", "d", "nil", "yes", "w", "65", "(s,)", "(n, s)", "(f, n)",
                         "{'k': 1, 'a': 2.5}", "missing", "(s, n, f)", "(l,)", "big", "-0.0"])
        return "(" + one + ")" if self.maybe(0.1) else one

    def brace(self, depth):
        conversion = self.pick(["", "", "", "!r", "!s", "!a"])
        spec = self.pick(["", "", "", ":>8", ":<6", ":^9", ":*^9", ":+", ":.2f", ":5d", ":05d", ":05", ":,", ":_", ":x", ":#x", ":b",
                          ":e", ":.3", ":g", ":%", ":.1%", ":s", ":10.3", ":=+8", ":{1}", ":c", ": d", ":#o", ":08.3f", ":>{n}", ":n"])
        name = self.pick(["", "0", "1", "x", "0.name", "0[0]", "0[a]", "x.b", "y", "2"])
        args = ", ".join(self.expr(0) for _ in range(self.r.randint(0, 3)))
        named = self.pick(["", "x=" + self.expr(0), "x=d", "n=10, x=o"])
        joined = ", ".join(p for p in (args, named) if p)
        more = self.pick(["", "", "{}", "{{}}", " {x!r}", "}"])
        return "'<{%s%s%s}>%s'.format(%s)" % (name, conversion, spec, more, joined)

    def tojson_args(self):
        return self.pick(["", "", "", "(indent=2)", "(ensure_ascii=true)", "(separators=(',', ':'))", "(sort_keys=true)",
                          "(true)", "(indent=0)", "(indent='-')", "(false, 1)", "(indent=2, separators=(',', ': '), sort_keys=True)"])

    def _num(self, depth):
        if depth <= 0:
            return self.pick(NUMBERS + ["rows[0].v", "d.b", "o.args.q[1]"]) if self.maybe(0.6) else self.pick(
                [str(self.r.randint(-5, 40)), "0.5", "2.5", "1e3", "3.0", "1_000", "0x10", "0b11", "0o7", "1e-5", "1.0e16"])
        a, b = self.expr(depth - 1, "num"), self.expr(depth - 1, "num")
        op = self.pick(["+", "-", "*", "/", "//", "%", "**", "+", "-"])
        return self.pick([
            lambda: f"({a} {op} {b})" if op != "**" else f"({a} ** {self.pick(['2', '-1', '0', '0.5', '3'])})",
            lambda: f"{a} {op} {b}" if op != "**" else f"{a} ** 2 ** 2", lambda: f"-({a})", lambda: f"+{a}", lambda: f"-{a}|abs",
            lambda: f"({a})|round{self.pick(['', '(1)', '(2)', '(-1)', '(0)', chr(40) + '1, ' + chr(39) + 'floor' + chr(39) + chr(41), '(method=' + chr(39) + 'ceil' + chr(39) + ')'])}",
            lambda: f"({a})|int", lambda: f"({a})|float", lambda: f"({a})|abs",
            lambda: f"({self.expr(depth - 1)})|length", lambda: f"({self.expr(depth - 1)})|count",
            lambda: f"({self.expr(depth - 1, 'str')})|int{self.pick(['', '(7)', '(default=none)'])}",
            lambda: f"({self.expr(depth - 1, 'str')})|float", lambda: f"({self.expr(depth - 1, 'list')})|sum",
            lambda: f"rows|sum(attribute='v'{self.pick(['', ', start=10'])})",
            lambda: f"({self.expr(depth - 1, 'str')}).{self.pick(['find', 'rfind', 'count', 'index', 'rindex'])}({self.expr(0, 'str')}{self.pick(['', ', 1', ', 1, -1'])})",
            lambda: f"({self.expr(depth - 1, 'list')}).{self.pick(['count', 'index'])}({self.expr(0)})",
            lambda: f"({a} if {self.expr(depth - 1, 'bool')} else {b})", lambda: f"({a})|{self.pick(['min', 'max'])}",
        ])()

    def _list(self, depth):
        if depth <= 0:
            return self.pick(LISTS + ["range(3)", "range(5, 1, -2)", "d.items()", "d.keys()", "d.values()", "[1, [2, 'x'], (3,)]",
                                      "['b', 'a']", "(1, 2)", "[]", "[none, 1]", "[1.0, 1, true]", "rows[0]|items"])
        a, b = self.expr(depth - 1, "list"), self.expr(depth - 1, "list")
        n = self.r.randint(0, 4)
        attribute = self.pick(["name", "v", "tag", "extra.deep", "nope", "role", "0", "content.0.type"])
        test = self.pick(["'equalto', 2", "'eq', 'x'", "'string'", "'defined'", "'none'", "'odd'", "'in', ['x', 'Y']", "'gt', 1", "'nope'",
                          "'lower'", "'mapping'", "'ne', none", "'=='", "'sameas', true"])
        return self.pick([
            lambda: f"({a} + {b})", lambda: f"({a}) * {n}", lambda: f"({a})[{self.slice()}]", lambda: f"({a})|list",
            lambda: f"({a})|sort{self.pick(['', '(reverse=true)', '(true)', '(case_sensitive=true)', f'(attribute={chr(39)}{attribute}{chr(39)})', f'(attribute={chr(39)}v,name{chr(39)})'])}",
            lambda: f"({a})|reverse|list", lambda: f"({a})|unique{self.pick(['', '(true)', f'(attribute={chr(39)}{attribute}{chr(39)})'])}|list",
            lambda: f"({a})|map(attribute='{attribute}'{self.pick(['', ', default=0', ', default=none'])})|list",
            lambda: f"({a})|map('{self.pick(['upper', 'string', 'length', 'trim', 'tojson', 'list', 'int', 'first', 'nope', 'float'])}')|list",
            lambda: f"({a})|map('{self.pick(['replace', 'default', 'round', 'join', 'indent', 'int'])}', {self.expr(0)}, {self.expr(0)})|list",
            lambda: f"({a})|{self.pick(['selectattr', 'rejectattr'])}('{attribute}'{self.pick(['', ', ' + test])})|list",
            lambda: f"({a})|{self.pick(['select', 'reject'])}({self.pick(['', test])})|list",
            lambda: f"({a})|batch({n}{self.pick(['', ', 0', ', fill_with=none'])})|list",
            lambda: f"({a})|slice({n}{self.pick(['', ', 0', ', fill_with=' + chr(39) + '-' + chr(39)])})|list",
            lambda: f"({self.expr(depth - 1, 'dict')})|dictsort{self.pick(['', '(true)', '(by=' + chr(39) + 'value' + chr(39) + ')', '(reverse=true)', '(false, ' + chr(39) + 'key' + chr(39) + ', true)'])}",
            lambda: f"rows|groupby('{attribute}'{self.pick(['', ', default=0', ', case_sensitive=true'])})",
            lambda: f"({self.expr(depth - 1, 'dict')}).{self.pick(['items', 'keys', 'values'])}(){self.pick(['', '|list', '|sort'])}",
            lambda: f"({self.expr(depth - 1, 'str')}).split({self.pick(['', self.expr(0, 'str')])})",
            lambda: f"range({self.pick([self.small(), '2, 6', '9, 0, -3', '0', '-1', 'n', '1, 2, 0'])}){self.pick(['', '|list'])}",
            lambda: "[" + ", ".join(self.expr(depth - 1) for _ in range(self.r.randint(0, 3))) + self.pick(["]", "]", ",]"]),
            lambda: "(" + ", ".join(self.expr(depth - 1) for _ in range(self.r.randint(0, 3))) + ")",
        ])()

    def _dict(self, depth):
        if depth <= 0:
            return self.pick(DICTS + ["{}", "{'a': 1, 'b': [none]}", "{1: 'x', 'y': 2.0, none: true}", "dict(a=1)", "dict(d, z=1)"])
        return self.pick([
            lambda: "{" + ", ".join(f"{self.pick([self.string_literal(), self.expr(depth - 1, 'str'), '1', 'n', 'true', 'none', '(1, 2)'])}: {self.expr(depth - 1)}" for _ in range(self.r.randint(0, 3))) + "}",
            lambda: f"dict({self.expr(depth - 1, 'dict')}, k={self.expr(depth - 1)})", lambda: f"dict({self.expr(depth - 1, 'list')})",
            lambda: f"({self.expr(depth - 1, 'list')})[{self.small()}]", lambda: f"({self.expr(depth - 1, 'list')})|first",
            lambda: f"dict.fromkeys({self.expr(depth - 1, 'list')}{self.pick(['', ', 0'])})",
            lambda: f"({self.expr(depth - 1, 'dict')} or d)",
        ])()

    def _bool(self, depth):
        if depth <= 0:
            return self.pick(["yes", "no", "true", "n", "e", "missing", "loop is defined"])
        a, b = self.expr(depth - 1), self.expr(depth - 1)
        comparison = self.pick(["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
        same = self.pick(["num", "str", "list", "dict"])
        test = self.pick(["defined", "undefined", "none", "string", "number", "integer", "float", "mapping", "sequence", "iterable", "boolean",
                          "true", "false", "odd", "even", "divisibleby 2", "divisibleby(3)", "lower", "upper", "callable", "sameas none", "eq 1",
                          "equalto('a')", "in [1, 'a']", "gt 1", "nope", "filter", "test", "escaped", "ge(2)", "lessthan 3", "!= 2" if self.maybe(0.0) else "ne 2"])
        return self.pick([
            lambda: f"({a} {comparison} {b})", lambda: f"({self.expr(depth - 1, same)} {comparison} {self.expr(depth - 1, same)})",
            lambda: f"({self.expr(0, 'num')} < {self.expr(0, 'num')} <= {self.expr(0, 'num')})", lambda: f"not {a}",
            lambda: f"({a} and {b})", lambda: f"({a} or {b})", lambda: f"({a}) is {test}", lambda: f"{self.expr(0)} is not {test}",
            lambda: f"({self.expr(0, 'str')} in {self.expr(0, 'dict')})", lambda: f"({self.expr(0, 'str')} not in {self.expr(0, 'str')})",
            lambda: f"({self.expr(depth - 1, 'str')}).{self.pick(['startswith', 'endswith'])}({self.pick([self.expr(0, 'str'), '(' + chr(39) + 'a' + chr(39) + ', s)', self.expr(0, 'str') + ', 1'])})",
            lambda: f"({self.expr(depth - 1, 'str')}).{self.pick(['isdigit', 'isalpha', 'isalnum', 'isspace', 'isupper', 'islower', 'istitle', 'isnumeric', 'isdecimal', 'isidentifier', 'isascii', 'isprintable'])}()",
        ])()

    def _any(self, depth):
        if depth <= 0:
            return self.pick(OTHERS + STRINGS + NUMBERS + LISTS + DICTS + self.names + [self.literal()])
        base = self.expr(depth - 1)
        return self.pick([
            lambda: f"({base}).{self.pick(['name', 'items', 'v', 'args', 'nope', 'count', 'real', 'keys'])}",
            lambda: f"({base})[{self.pick([self.small(), self.string_literal(), chr(39) + 'name' + chr(39), 'n', 's', 'none', '1.0', 'true', '[1]', '(1, 2)'])}]",
            lambda: f"({self.expr(depth - 1, 'dict')}).get({self.string_literal()}{self.pick(['', ', 0', ', {}'])})",
            lambda: f"({self.expr(depth - 1, 'list')})|{self.pick(['first', 'last', 'min', 'max', 'sum', 'random' if False else 'first'])}",
            lambda: f"({self.expr(depth - 1, 'list')})|{self.pick(['min', 'max'])}(attribute='{self.pick(['v', 'name', 'nope'])}')",
            lambda: f"({base} if {self.expr(depth - 1, 'bool')})", lambda: f"({base})|attr('{self.pick(['name', 'real', 'upper'])}')",
            lambda: f"({base})|default({self.expr(0)}{self.pick(['', ', true'])})",
        ])()

    # Statements

    def tag(self, text):
        return "{%" + self.pick(["", "", "", "-", "+"]) + " " + text + " " + self.pick(["", "", "", "-", "+" if self.maybe(0.3) else ""]) + "%}"

    def data(self):
        return self.pick(["", "", "x", " ", "\n", "  \n", "\n  ", "text\n", " a ", "\t", "{# c #}", "{#- c -#}\n", "{# c #}\n", "\n\n", "}}", "%}", "{", "'"])

    def block(self, depth):
        return "".join(self.data() + self.statement(depth) for _ in range(self.r.randint(1, 3))) + self.data()

    def output(self, depth):
        return "{{" + self.pick(["", "", "-", "+"]) + " " + self.expr(depth) + " " + self.pick(["", "", "-"]) + "}}"

    def statement(self, depth):
        if depth <= 0 or self.maybe(0.35):
            return self.output(self.r.randint(0, 2))
        kinds = ["set", "set", "if", "for", "for", "with", "setblock", "filter", "macro", "call", "namespace", "print", "raw", "generation"]
        if self.in_loop:
            kinds += ["control", "loop", "loop", "recurse"]
        return getattr(self, "s_" + self.pick(kinds))(depth - 1)

    def name(self):
        name = self.pick(["v1", "v2", "v3", "s", "n", "l"])
        self.names.append(name)
        return name

    def s_set(self, depth):
        value = self.expr(2)
        if self.maybe(0.15):
            return self.tag(f"set {self.name()}, {self.name()} = {self.pick([value, '1, 2', 'd.items()|first'])}")
        return self.tag(f"set {self.name()} = {value}")

    def s_if(self, depth):
        parts = self.tag(f"if {self.expr(2, 'bool')}") + self.block(depth)
        if self.maybe(0.3):
            parts += self.tag(f"elif {self.expr(1, 'bool')}") + self.block(depth)
        if self.maybe(0.5):
            parts += self.tag("else") + self.block(depth)
        return parts + self.tag("endif")

    def s_for(self, depth):
        target = self.pick([self.name(), self.name(), f"{self.name()}, {self.name()}"])
        items = self.expr(1, "list") if "," not in target else self.pick(["d.items()", "d|dictsort", "[(1, 2), (3, 4)]", "d|items", "rows|groupby('tag')"])
        condition = f" if {self.expr(1, 'bool')}" if self.maybe(0.2) else ""
        recursive = " recursive" if self.maybe(0.15) else ""
        self.in_loop += 1
        body = self.block(depth)
        self.in_loop -= 1
        otherwise = self.tag("else") + self.block(0) if self.maybe(0.2) else ""
        return self.tag(f"for {target} in {items}{condition}{recursive}") + body + otherwise + self.tag("endfor")

    def s_loop(self, depth):
        return "{{ loop." + self.pick(["index", "index0", "first", "last", "length", "revindex", "revindex0", "previtem", "nextitem", "depth",
                                       "depth0", "cycle('a', 'b')", "changed(n)", "changed(v1)", "cycle()", "nope"]) + " }}"

    def s_recurse(self, depth):
        return "{% if loop.depth < 3 %}{{ loop(" + self.pick(["[1, 2]", "l[:1]", "[]", "'ab'"]) + ") }}{% endif %}"

    def s_control(self, depth):
        return self.tag("if " + self.pick([self.expr(1, "bool"), "loop.index > 1", "loop.first"])) + self.tag(self.pick(["break", "continue"])) + self.tag("endif")

    def s_with(self, depth):
        return self.tag(f"with {self.name()} = {self.expr(1)}" + self.pick(["", f", {self.name()} = {self.expr(1)}"])) + self.block(depth) + self.tag("endwith")

    def s_setblock(self, depth):
        return self.tag(f"set {self.name()}{self.pick(['', '', ' | upper', ' | trim | title'])}") + self.block(depth) + self.tag("endset")

    def s_filter(self, depth):
        return self.tag(f"filter {self.pick(['upper', 'trim', 'indent(2)', 'replace(' + chr(39) + 'a' + chr(39) + ', s)', 'title|reverse', 'length'])}") + self.block(depth) + self.tag("endfilter")

    def s_macro(self, depth):
        name = self.pick(["mac", "mic"])
        params = self.pick(["", "a", "a, b", "a, b=1", "a=s, b=a", "a, b=n + 1, c=b", "b=missing"])
        loop, self.in_loop = self.in_loop, 0
        names, self.names = self.names, self.names + [p.split("=")[0].strip() for p in params.split(",") if p]
        body = self.block(depth) + self.pick(["", "", "{{ varargs }}", "{{ kwargs }}", "{{ caller() }}", "{{ caller }}", "{{ caller(1) if caller else 0 }}", "{{ v1 }}"])
        self.in_loop, self.names = loop, names
        self.macros.append(name)
        return self.tag(f"macro {name}({params})") + body + self.tag("endmacro")

    def macro_call(self, depth):
        args = self.pick(["", self.expr(0), f"{self.expr(0)}, {self.expr(0)}", f"a={self.expr(0)}", f"{self.expr(0)}, b={self.expr(0)}", "*l", "**d", "1, 2, 3, z=4",
                          "*[1], **{'b': 2}"])
        return f"{self.pick(self.macros)}({args})"

    def s_call(self, depth):
        if not self.macros:
            return self.s_macro(depth)
        loop, self.in_loop = self.in_loop, 0
        body = self.block(depth)
        self.in_loop = loop
        return self.tag(f"call{self.pick(['', '', '(q)', '(q, r=2)'])} {self.macro_call(0)}") + body + self.tag("endcall")

    def s_namespace(self, depth):
        return ("{% set ns = namespace(" + self.pick(["", "a=1", "d, a=2", "{'a': n}"]) + ") %}" + self.block(depth) + "{% set ns.a = "
                + self.pick(["ns.a + 1", self.expr(1), "(ns.a, s)"]) + " %}{{ ns.a }}" + self.pick(["", "{{ ns['a'] }}", "{{ ns.nope }}", "{% set s.x = 1 %}"]))

    def s_print(self, depth):
        return self.tag(f"print {self.expr(1)}" + self.pick(["", f", {self.expr(0)}"]))

    def s_raw(self, depth):
        return self.tag("raw") + self.pick(["{{ x }}", " \n{% if %}\n ", "", "a"]) + self.tag("endraw")

    def s_generation(self, depth):
        loop, self.in_loop = self.in_loop, 0
        body = self.block(depth)
        self.in_loop = loop
        return self.tag("generation") + body + self.tag("endgeneration")

    def template(self):
        if self.maybe(0.5):
            return "{{ " + self.expr(self.r.randint(1, 3)) + " }}"
        return self.block(self.r.randint(1, 3))


def alarm(*_):
    raise TimeoutError


def make(path, seed, count):
    env = jinja.environment()
    signal.signal(signal.SIGALRM, alarm)
    with open(path, "w") as f:
        for index in range(count):
            template = Maker(seed * 1_000_003 + index).template()
            signal.setitimer(signal.ITIMER_REAL, 2)
            answer = jinja.render(env, template, VARIABLES)
            signal.setitimer(signal.ITIMER_REAL, 0)
            if len(template) > 20000 or len(answer.get("text", "")) > 200000:
                continue
            f.write(json.dumps({"template": template, "vars": VARIABLES, "answer": answer}) + "\n")


# What Python writes of things that are no values, where in memory they are, and the like; and what rmlx leaves out.
UNEQUAL = ("<generator", "tor object", "<built-in", "<bound method", " at 0x", "<jinja2", "<class", "<method",
           "<Namespace", "<jinja.", "<LoopContext", "<Built-In", "<nohtem", "TimeoutError", "NameError")
LEFT_OUT = ("is not supported", "integer is too large", "complex number", "nested too deeply", "nests too deeply", "several slices",
            "no method named encode")


def is_unequal(text):
    """Whether it holds what cannot be compared, also where a filter has changed its case or turned it around."""
    text = text.lower()
    return any(mark.lower() in turned for turned in (text, text[::-1]) for mark in UNEQUAL)


def judge(path, most):
    same = refused = skipped = 0
    different = []
    with open(path) as cases, open(path + ".answers") as answers:
        for case, answer in zip(cases, answers, strict=True):
            case, ours = json.loads(case), json.loads(answer)
            theirs = case["answer"]
            if is_unequal(str(theirs)) or any(mark in ours.get("error", "") for mark in LEFT_OUT):
                skipped += 1
            elif "error" in theirs and "error" in ours:
                refused += 1
            elif "TemplateAssertionError: No " in theirs.get("error", ""):
                skipped += 1  # jinja2 looks for filters and tests in what never runs, too.
            elif "object is not subscriptable" in ours.get("error", ""):
                skipped += 1  # jinja2 folds a slice of a constant that has none to an undefined value.
            elif theirs == ours:
                same += 1
            else:
                different.append((case["template"], theirs, ours))
    different.sort(key=lambda d: len(d[0]))
    for template, theirs, ours in different[:most]:
        print(f"{template!r}\n  jinja2 {theirs}\n  rmlx   {ours}")
    print(f"{same} equal, {refused} refused by both, {skipped} not compared, {len(different)} different")
    return bool(different)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make")
    making.add_argument("--seed", type=int, default=1)
    making.add_argument("--count", type=int, default=20000)
    making.add_argument("path")
    judging = commands.add_parser("judge")
    judging.add_argument("--most", type=int, default=40)
    judging.add_argument("path")
    args = parser.parse_args()
    if args.command == "make":
        make(args.path, args.seed, args.count)
    else:
        sys.exit(judge(args.path, args.most))


if __name__ == "__main__":
    main()
