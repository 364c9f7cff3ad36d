"""Published templates with random changes, rendered by jinja2, for rmlx to answer as well.

    python tools/templates/mutate.py --seed 1 --count 5000 FOLDER cases.jsonl
    RMLX_TEMPLATE_CASES=$PWD/cases.jsonl cargo test --workspace --locked --lib -- --ignored answer_templates
    python tools/templates/fuzz.py judge cases.jsonl

FOLDER is one as sweep.py takes it. One to three changes are made to each template, within tags and between them: tokens go, come
twice, change places or become others, of the same template and of a list of what templates write.
"""

import argparse
import json
import random
import re
import signal

import fuzz
import jinja
import sweep

TAG = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.S)
TOKEN = re.compile(r"\s+|\w+|'[^']*'|\"[^\"]*\"|[-+]?[%}]\}|\{[{%][-+]?|[=!<>]=|//|\*\*|\W", re.S)
OTHERS = [
    "|upper", "|trim", "|length", "|list", "|string", "|first", "|last", "|tojson", "|default('')", "|default('x', true)", "|safe", "|e",
    "|join(', ')", "|reverse", "|sort", "|items", "|map(attribute='role')", "|selectattr('role', 'eq', 'user')", "|int", "|replace('a', 'b')",
    "|indent(2)", "|title", "|dictsort", "|unique", "|batch(2)", "|attr('x')", "|capitalize", "|e|upper",
    ".strip()", ".split('\\n')", ".items()", ".get('role')", ".upper()", ".title()", ".role", ".content", ".items", ".keys()", ".x",
    ".startswith('<')", ".replace('e', '')", ".real", ".rstrip('\\n')", ".count('a')", ".format(1)", ".splitlines()",
    "[0]", "[-1]", "[1:]", "[:-1]", "[::-1]", "['role']", "['content']", "[0]['content']", "[true]", "[:2]",
    " is defined", " is none", " is not none", " is string", " is mapping", " is sequence", " is iterable", " is true", " is odd",
    " and ", " or ", " not ", " in ", " not in ", " + ", " ~ ", " == ", " != ", " < ", " % ", " * ", " - ", " if ", " else ", ", ", ": ",
    "messages", "message", "loop", "loop.index0", "loop.first", "loop.last", "loop.previtem", "loop.length", "tools", "ns", "none", "true", "false",
    "bos_token", "undefined_name", "range(3)", "namespace(x=1)", "''", "'x'", "0", "1", "-1", "2.5", "[]", "{}", "()", "(1, 2)", "not ", "-", "+",
    "(", ")", "[", "]", "{", "}", "=", ".", "|",
]
TAGS = [
    "{% continue %}", "{% break %}", "{% endif %}", "{% endfor %}", "{% else %}", "{% set x = message %}", "{% if loop.first %}",
    "{% set messages = messages[1:] %}", "{{ x }}", "{{ loop.index }}", "{{- '\\n' -}}", "{% for x in messages %}", "{% raw %}", "{% endraw %}",
    "{# c #}", "{%- set ns = namespace(x=0) -%}", "{% set ns.x = ns.x + 1 %}", "{% with x = 1 %}", "{% endwith %}", "{% filter upper %}",
    "{% endfilter %}", "{% generation %}", "{% endgeneration %}", "{% set x %}", "{% endset %}", "{% macro m(x) %}", "{% endmacro %}", "\n", "  ", "{{ m(1) }}",
]


def tags(source):
    return [match.span() for match in TAG.finditer(source)]


def within(r, source):
    """One token of a tag is changed."""
    spans = tags(source)
    if not spans:
        return source
    begin, end = r.choice(spans)
    tokens = TOKEN.findall(source[begin:end])
    at = r.randrange(len(tokens))
    change = r.randrange(12)
    if change == 0:
        del tokens[at]
    elif change == 1:
        tokens.insert(at, tokens[at])
    elif change == 2:
        other = r.randrange(len(tokens))
        tokens[at], tokens[other] = tokens[other], tokens[at]
    elif change in (3, 4):
        other_begin, other_end = r.choice(spans)
        tokens[at] = r.choice(TOKEN.findall(source[other_begin:other_end]))
    elif change == 5:
        tokens[at] = r.choice(OTHERS)
    else:
        # Behind a word, where most of them make sense.
        words = [index for index, token in enumerate(tokens) if re.fullmatch(r"\w+|['\"].*|[)\]]", token, re.S)] or [at]
        tokens.insert(r.choice(words) + 1, r.choice(OTHERS[:62]))
    return source[:begin] + "".join(tokens) + source[end:]


def between(r, source):
    """A tag goes, comes twice or comes new, or its signs change."""
    spans = tags(source)
    if not spans:
        return source
    begin, end = r.choice(spans)
    tag = source[begin:end]
    change = r.randrange(5)
    if change == 0:
        return source[:begin] + source[end:]
    if change == 1:
        other_begin, other_end = r.choice(spans)
        return source[:end] + source[other_begin:other_end] + source[end:]
    if change == 2:
        return source[:begin] + r.choice(TAGS) + source[begin:]
    if change == 3:
        bare = tag[2:].lstrip("-+")
        return source[:begin] + tag[:2] + r.choice(["", "-", "+"]) + bare + source[end:]
    bare = tag[:-2].rstrip("-+")
    return source[:begin] + bare + r.choice(["", "-", "+"]) + tag[-2:] + source[end:]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("folder")
    parser.add_argument("path")
    args = parser.parse_args()
    env = jinja.environment()
    signal.signal(signal.SIGALRM, fuzz.alarm)
    sources = list(sweep.sources(args.folder))
    with open(args.path, "w") as f:
        for index in range(args.count):
            r = random.Random(f"{args.seed} {index}")
            # A conversation that the template takes as it is, if there is one among some.
            for _ in range(5):
                name, template = r.choice(sources)
                variables = sweep.variables(r, r.choice(sweep.conversations(r)))
                if "text" in jinja.render(env, template, variables):
                    break
            for _ in range(r.choice([1, 1, 1, 2, 3])):
                template = r.choice([within, within, within, between])(r, template)
            signal.setitimer(signal.ITIMER_REAL, 2)
            answer = jinja.render(env, template, variables)
            signal.setitimer(signal.ITIMER_REAL, 0)
            if len(answer.get("text", "")) <= 200000:
                f.write(json.dumps({"name": name, "template": template, "vars": variables, "answer": answer}) + "\n")


if __name__ == "__main__":
    main()
