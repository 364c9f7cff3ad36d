"""Writes tests/fixtures/templates/answers.json: small templates and what jinja2 makes of them.

    python tools/templates/answers.py

Each is one thing that templates do and that another engine is likely to do in another way. Wants jinja2 3.1.6.
"""

import json
import pathlib

import jinja

VARIABLES = {
    "s": "Hello, World",
    "u": "ÄÖß ǆ naïve Ω's \"x\"",
    "n": 7,
    "f": 2.5,
    "l": [3, 1, 2],
    "w": ["b", "A", "c", "a"],
    "d": {"b": 1, "a": "x", "C": None, "items": [1, 2]},
    "rows": [{"name": "x", "v": 2, "tag": "B"}, {"name": "Y", "v": 1, "tag": "a"}, {"name": "z", "v": 2, "tag": "b"}],
    "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "<think>a</think>\n\nb"}],
    "given": "outside",
}

# One expression a line.
EXPRESSIONS = r"""
missing|length
missing ~ 'x'
missing is sequence
'x' in missing
missing in [missing]
missing == missing
missing + 1
missing.x
missing[0]
missing|int
missing|list
missing|default
missing|upper
missing|trim|length
missing or 'd'
none|length
none ~ none
none is none
1 < 'a'
[1] < ['a']
[1, 2] < [1, 3]
none < none
missing < 1
{} < {}
'a' < 'b' < 'c'
3 > 2 == 2
1 == 1.0 == true
'1' == 1
[1.0] == [1]
{'a': 1} == {'a': true}
1e-05
1e16
1e15
0.1 + 0.2
1e22
123456789012345678
2 ** 62 * 4
-7 // 2
-7 % 3
7 % -3
7 // -2
-7.5 // 2
7.5 % -2
1 / 3
4 / 2
1 / 0
1 % 0
2 ** -1
2 ** 0.5
2 ** 3 ** 2
-2 ** 2
-n|abs
true + true
-true
'ab' * 3
3 * 'ab'
'ab' * -1
'ab' * 1.5
[1] * 2
'a' + 1
'a' ~ 1 ~ true ~ none ~ 1.0
[1] + [2]
[1] + (2,)
(1,) + (2,)
l[0]
l[-1]
l[5]
l[1.0]
l['0']
l[true]
l[1:]
l[::-1]
l[-2:]
l[5:]
l[:1:-1]
l[::0]
s[::2]
s[-5:-1]
u[0]
u[-1]
s[None:3]
(1, 2, 3)[1:]
range(5)[1:3]
range(3)
range(0)
range(5, 0, -2)|list
range(1, 2, 0)
range(200000)
d
d.items()
d['items']
d.items is callable
d.keys()|list
d.values()|list
d.get('zz')
d.get('zz', 0)
d.get('b')
d.b
d['zz']
d.zz
d.update({'a': 1})
l.append(1)
l.count(1)
l.index(2)
l.index(9)
d.pop('a')
dict(d, z=1)
dict(a=1)
dict([('a', 1)])
dict.fromkeys('ab', 0)
{1: 'a', 1.0: 'b', true: 'c'}
{'a': 1}['a']
{(1, 2): 3}
{[1]: 2}
'a' in d
'zz' not in d
1 in l
1 in 'a1'
'b' in 'abc'
'' in 'abc'
['it\'s', "q\"q", 'both\'"', '\n\t\\', 'é', '\x07', '\u200b']
(1,)
()
[none, true, 1.0, 'a', missing]
{'a': [1, {'b': none}]}
'%s is %d and %.2f' % ('a', 3, 2.567)
'%5s|%-5s|%05d|%+d|%x|%X|%o|%e|%g|%c|%r' % ('a', 'b', 42, 7, 255, 255, 8, 12345.678, 0.0001, 'z', 'q')
'%(a)s %(b)05.1f' % {'a': 1, 'b': 2.25}
'%s' % [1, 2]
'%s %s' % 'a'
'%s' % ('a', 'b')
'%d' % 'a'
'%d' % 2.9
'%%' % ()
'100%'
'%s'|format(s)
'{} {1}'.format(1, 2)
'{} {}'.format(1, 'x')
'{0}{1}{0}'.format('a', 'b')
'{a.name} {b[0]} {c[x]}'.format(a=rows[0], b=l, c={'x': 1})
'{:>8}|{:<8}|{:^8}|{:*^8}'.format('a', 'b', 'c', 'd')
'{:,} {:.2f} {:e} {:%} {:x} {:#x} {:08.3f} {:+d}'.format(1234567, 3.14159, 12345.6789, 0.25, 255, 255, 3.14159, 5)
'{!r} {!s}'.format('a', 'b')
'{{}}'.format()
'{:{}}'.format('a', 5)
'{}'.format()
'{:d}'.format('a')
'{:.3}'.format(3.14159)
'{:.3}'.format('abcdef')
' a b '.strip()
'xxaxx'.strip('x')
'a,b,c'.split(',')
'a,b,c'.split(',', 1)
'a,b,c'.split(sep=',', maxsplit=1)
' a  b '.split()
' a  b  c '.split(none, 1)
'a b c'.rsplit(maxsplit=1)
'a'.split('')
'a\nb\r\nc'.splitlines()
'a\nb'.splitlines(keepends=true)
'k=v=w'.partition('=')
'k=v=w'.rpartition('=')
'kv'.partition('=')
'abc'.find('c')
'abc'.find('z')
'abc'.index('z')
'abcabc'.rfind('b')
'abc'.replace('b', 'x')
'aaa'.replace('a', 'b', 2)
'aaa'.replace('', '-')
'abc'.startswith('b', 1)
'abc'.startswith(('x', 'a'))
'abc'.endswith(['c'])
'abc'.removeprefix('a').removesuffix('c')
'a'.center(4) ~ '|'
'ab'.center(5, '*')
'a'.ljust(3, '.')
'-5'.zfill(4)
'a\tb'.expandtabs(4)
','.join(['a', 'b'])
','.join([1])
'hello wOrld x-y'.title()
'they\'re'.title()
'they\'re'|title
'hello wOrld x-y (a)'|title
'ǆabc ßx'|capitalize
u.upper()
u|lower
u.capitalize()
'ΑΣ'.lower()
'ß'.upper()
'ß'.casefold()
'aB'.swapcase()
'٣'.isdigit()
'²'.isdigit()
'12'.isdecimal()
'abc'.isalpha()
'Ab'.istitle()
'abc'.upper is defined
'abc'.nope
'abc'.nope()
'abc'.__class__
'5'|int
'x'|int
'x'|int(3)
'3.7'|int
'0x1A'|int(0, 16)
'0b1'|int(base=2)
' 42 '|int
'1_000'|int
'1e3'|int
none|int
[1]|int(default=5)
true|int
'1.5'|float
'x'|float
'x'|float(1.0)
'nan'|float
'inf'|float
2.5|round
3.5|round
0.5|round
2.675|round(2)
1234|round(-2)
42|round
2.1|round(0, 'ceil')
-2.1|round(method='floor')
-5|abs
'a'|abs
l|sum
[1, 'a']|sum
['a']|sum
rows|sum(attribute='v')
rows|sum(attribute='v', start=10)
[]|sum
l|sort
w|sort
w|sort(case_sensitive=true)
w|sort(reverse=true)
[1, 'a']|sort
[none, none]|sort
rows|sort(attribute='v')|map(attribute='name')|list
rows|sort(attribute='v,tag')|map(attribute='name')|list
d|dictsort
{'b': 1, 'A': 2}|dictsort
{'b': 1, 'A': 2}|dictsort(true)
{'b': 1, 'A': 2}|dictsort(by='value')
{'b': 1, 'A': 2}|dictsort(reverse=true)
{'b': 1}|dictsort(by='nope')
rows|groupby('tag')
rows|groupby('tag', case_sensitive=true)|map('first')|list
rows|groupby('zz', default=0)|length
rows|map(attribute='name')|join(', ')
rows|map(attribute='zz', default='-')|list
rows|map('length')|list
w|map('upper')|list
w|map('replace', 'a', 'z')|list
w|map('nope')|list
[[1, 2], [3]]|map(attribute='0')|list
rows|selectattr('v', 'equalto', 2)|map(attribute='name')|list
rows|selectattr('v', '>', 1)|list|length
rows|rejectattr('zz')|list|length
rows|selectattr('zz', 'defined')|list
l|select('odd')|list
l|reject('gt', 1)|list
[0, 1, '', 'a']|select|list
l|select('nope')|list
none|map('upper')|list
5|map('upper')|list
w|unique|list
[1, 1.0, true, 'a', 'A']|unique|list
rows|unique(attribute='v')|map(attribute='name')|list
[[1]]|unique|list
l|batch(2)|list
l|batch(2, 0)|list
l|slice(2)|list
l|slice(2, 'x')|list
l|slice(0)|list
l|first
l|last
[]|first
''|last
'abc'|first
d|last
l|min
w|max
w|max(case_sensitive=true)
[]|max
[1, 'a']|max
rows|max(attribute='v')
'abc'|reverse
l|reverse|list
l|map('string')|first
l|map('string')|last
l|map('string')|length
(l|map('string'))[0]
l|join
l|join('-')
rows|join('-', attribute='name')
rows|join(d='-', attribute='v')
5|join
'abc'|list
d|list
5|list
5|length
'é'|length
d|items|list
l|items|list
missing|items|list
l|tojson
d|tojson
d|tojson(indent=2)
d|tojson(sort_keys=true)
{'b': 1, 'a': 2}|tojson(sort_keys=true)
[1, 2]|tojson(separators=(',', ':'))
'é'|tojson(ensure_ascii=true)
'é<>&\''|tojson
{1: 2, none: 3, true: 4, 1.5: 5}|tojson
{(1, 2): 3}|tojson
(1, 2)|tojson
missing|tojson
range(2)|tojson
d.items()|tojson
1e-07|tojson
('nan'|float)|tojson
[]|tojson(indent=2)
[1]|tojson(indent='--')
[1]|tojson(indent=0)
'a\nb'|indent
'a\n\nb'|indent(2, true)
'a\n\nb'|indent(2, blank=true)
'a\nb'|indent('> ')
5|indent
'a b'|center(9) ~ '|'
' a '|trim ~ '|'
'xax'|trim('x')
'a b c'|wordcount
'hello world this is'|truncate(9, leeway=0)
'hello world'|truncate(5, true, leeway=0)
'aaa'|replace('a', 'b', 2)
1212|replace(1, 3)
'<a>&"\''|e
'<a>'|safe + '<b>'
'<a>' ~ ('<b>'|safe) ~ '<c>'
('<a>'|safe) ~ '<b>' + '<c>'
'<a>' + ('<b>'|safe) ~ '<c>'
(('<a>'|safe) ~ '<b>') is escaped
['<a>', '<b>'|safe]|join('<i>')
['<a>', '<b>']|join('<i>'|safe)
('<a>'|safe)|replace('a', '<b>')
'<a>'|replace('a', '<b>'|safe)
('<a>'|safe)|upper + '<b>'
('<a>'|safe)|trim + '<b>'
('<a>'|safe)[0] + '<b>'
('<a>'|safe)|string + '<b>'
('<a>'|safe).upper() + '<b>'
('<%s>'|safe) % '<b>'
('<a>'|safe)|e
'<a>'|e + '<b>'
('<a>'|safe) == '<a>'
(d|tojson|safe) + '<b>'
d|tojson + '<b>'
'<' ~ (d|tojson) ~ '>'
'<a> %s' % ('<b>'|safe)
('<a>'|safe) * 2 + '<b>'
('<a>,<b>'|safe).split(',')[0] + '<c>'
'<i>'.join(['<a>'|safe, '<b>'])
('<i>'|safe).join(['<a>', '<b>'])
'<{}>'.format('<a>'|safe)
('<{}>'|safe).format('<a>')
('<a>'|safe)|list|first + '<b>'
('<a>'|safe)|default('x') + '<b>'
(missing|default('<a>'|safe)) + '<b>'
('<a>'|safe)|indent + '<b>'
('<a> b'|safe)|title + '<b>'
'<a>'|e|e
5|string + '5'
1.0|string
'a'|attr('upper') is callable
d|attr('b')
'a'|nope
''|d('x', true)
''|d('x')
none|d('x')
5 is nope
5 is odd
4 is even
6 is divisibleby 3
6 is divisibleby(4)
'a' is string
1.0 is float
1 is integer
true is integer
true is number
true is boolean
true is true
1 is true
none is true
d is mapping
d is sequence
d is iterable
5 is iterable
'a' is iterable
l is sequence
range(2) is sequence
d.items() is sequence
'abc' is lower
'ABC' is upper
5 is lower
missing is callable
range is callable
'upper' is filter
'odd' is test
1 is in [1]
1 is in(l)
1 is sameas true
none is sameas none
n is gt 5
n is ge 7
n is eq 7
n is ne 7
n is lt 7
n is not none
not n is none
not not n
n if n > 5
n if n > 9
'a' if n > 9 else 'b' if n > 8 else 'c'
1, 2
(1, 2, 'a')
1_000 + 0x10 + 0b11 + 0o17
1.5e3
'a' 'b'
"\x41\u00e9\101\q\n"|length
{'a': 1}.a
[[1, 2], [3]][0][1]
l.0
d.b.real
n.bit_length()
f.is_integer()
true and 'x'
0 or ''
'' and 1
not ''
namespace(a=1).a
namespace({'a': 2}).a
namespace(a=1).b
namespace(_a=1)
namespace(a=1)['a']
raise_exception('no')
strftime_now('%%')
cycler('a', 'b').next()
joiner(',')()
s.upper()[:3]|lower ~ '!'
(s|upper)[0]
s.upper().lower().title()
s|upper|lower|title|first
s is string and s|length > 3
s is defined and not s is none
messages[-1]['content'].split('</think>')[-1].lstrip('\n')
messages|selectattr('role', 'equalto', 'user')|list|length
messages[0].content[0:1] + messages[0]['role']
+n
+-n
+true
+'a'
-+n|abs
n.imag
f.real
true.real
n.nope
d.items is defined
d.get is callable
d.pop is defined
d['get'] is callable
'abc'['upper'] is callable
'abc'['nope'] is defined
d|attr('get') is callable
n|attr('real')
missing|attr('x')
dict(missing)
dict(none)
dict(none, k=1)
dict.fromkeys([(1, [2])], 0)
{(1, [2]): 3}
d[[1]]
d.get([1])
{1: 'a'}[true]
{true: 'a'}[1]
{1: 'a'}[1.0]
{1: 'a'}.get(true)
1.0 in {1: 'a'}
[1] in d
d.keys() in d.keys()
rows|groupby('zz')
rows[:1]|groupby('zz')|length
rows|groupby('a.b', default=0)|length
rows|map(attribute='zz', default=none)|list
rows|map(attribute='zz.y')|list
rows|map(attribute='zz.y', default='-')|list
'' % d.items()
'a' % d.keys()
'%(a)s' % d
'%5%' % 1
'%d%%' % 5
5 is filter
[1] is filter
[1, 'A'] is lower
rows|select('lower')|list|length
d|items|length
d|items|list|length
d|items|reverse|list
d|items|tojson
l|map('string')|tojson
0|map('upper')|list
missing|selectattr('x')|list
(5|map('upper')) is defined
[1, 'a']|map('abs')|first
[1, 'a']|map('abs')|list
{1: 2, 'a': 3}|dictsort
{'b': none, 'a': none}|dictsort(by='value')
{1: 2, 'a': 3}|tojson(sort_keys=true)
range(3) < [1]
(1, 2) < (1, 3)
'x'.join(missing)
'{:>3}'.format(missing)
'{0.name}'.format(rows[0])
namespace(false=1)['false']
d.keys()[0]
d.keys()[true]
('<a>'|safe)|center(9) + '<'
('<a>'|safe)|reverse + '<b>'
('<a> b'|safe)|truncate(3, true, '<', 0)
('<a>'|safe).replace('a', '<')
('<a>'|safe).center(9, '<')
('<%s %r>'|safe) % ('<a>', '<b>')
('<%(a)s>'|safe) % {'a': '<'}
('<{:>5}>'|safe).format('<')
('<{}>'|safe).format('<b>'|safe)
('<{:>5}>'|safe).format('<b>'|safe)
['<a>'|safe]
('<a>'|safe).partition('a')
(('<a>'|safe)|list)|first + '<'
('<%s>'|safe)|format('<')
('<a>'|safe).find('a')
1,
l[1, 2]
l[]
1 < 2 < 3 > 2
1 < 2 > 5
1 < 'a' < 2
3 in [3] in [[3]]
3 not in [1] == true
1_0.5
1.e3
007
0x_1F
1__0
l.0.real
1 is divisibleby 1 is odd
'\é\x41\u00e9\z\101'
'\x4'
f(*l, *l)
f(**d, b=1)
f(b=1, *l)
l|batch(2)|length
l|unique|length
(l|reverse)|length
l|list|reverse is iterable
d.keys() >= d.items()
d.keys() > {'a': 1}.keys()
d.keys() <= d.keys()
d.values() < d.values()
""".strip().split("\n")

TEMPLATES = [
    # Blanks and tags
    "a\n  {% if true %}\nb\n  {% endif %}\nc\n",
    "  {%- if true -%}  x {%+ endif %}",
    "a {%+ if true +%}\n b {% endif %}",
    "{% if true %}\r\nb\r\n{% endif %}\r\nc\r\n",
    "{# note #}\nx{{ '\\n' }}\n",
    "a  {#- note -#}  b",
    "  {# note #}\n  {% set x = 1 %}\n{{ x }}\n\n",
    "{% raw %}\n {{ x }} {% endraw %}\n|",
    "a {%- raw -%} {{ x }} {%- endraw -%} b",
    "{{- 'a' -}}  b  {{+ 'c' }}",
    "{{ '}}' }}{{ {'a': {'b': 1}}['a'] }}",
    "{{ '%}' }}{% set x = '%}' %}{{ x }}",
    "{{",
    "{% if %}",
    "{% nope %}",
    "{% if true %}",
    "{% endif %}",
    "{{ 1 2 }}",
    "{{ (1 }}",
    "{{ 'a }}",
    "{# a",
    "{% raw %}a",
    "{{ a. }}",
    "{{ }}",
    "{{ 1 is odd is even }}",
    "{{ f(a=1, 2) }}",
    "{{ f(a=1, a=2) }}",
    "{% do 1 %}",
    "{% break %}",
    "{% for x in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}",
    "{% set true = 1 %}",
    "{% for loop in l %}{% endfor %}",
    "{% if true: %}a{% endif %}",
    "{% print 1, 2 %}",
    "{% include 'x' %}",
    "{% if false %}{% include 'x' %}{% endif %}a",
    # Loops
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }}{% endfor %}",
    "{% for x in [] %}a{% else %}b{% endfor %}",
    "{% for x in [1] %}{% continue %}{% else %}b{% endfor %}",
    "{% for x in [1, 2] %}{% break %}{% else %}b{% endfor %}",
    "{% for x in l if x > 1 %}{{ loop.index }}{{ x }}{{ loop.last }}{{ loop.length }}{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for x in l if ns.n < 2 %}{% set ns.n = ns.n + 1 %}{{ x }}{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d|items %}{{ k }}{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}",
    "{% for c in 'añ' %}{{ c }}.{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in [1] %}{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{% endfor %}",
    "{% for x in 5 %}{% endfor %}",
    "{% for x in missing %}a{% else %}none{% endfor %}",
    "{% for x in none %}{% endfor %}",
    "{% for x in 1, 2 %}{{ x }}{% endfor %}",
    "{% for x in l %}{% for y in l %}{{ loop.index }}{% if y == 1 %}{% break %}{% endif %}{% endfor %}|{% endfor %}",
    "{% for x in [1, [2, [3]]] recursive %}{{ loop.depth }}{% if x is iterable %}<{{ loop(x) }}>{% else %}{{ x }}{% endif %}{% endfor %}",
    "{% for x in l %}{{ loop([1]) }}{% endfor %}",
    "{% for x in l %}{% set y = x %}{% endfor %}{{ y }}",
    "{% set y = 0 %}{% for x in l %}{% set y = y + x %}{{ y }}{% endfor %}{{ y }}",
    "{% for x in l %}{% if loop.first %}{% set y = 1 %}{% endif %}{{ y }}{% endfor %}",
    "{% for x in l %}{{ loop.index }}{% endfor %}{{ loop }}",
    "{% for x in l|reverse %}{{ x }}{{ loop.revindex0 }}{% endfor %}",
    "{% for g in rows|groupby('v') %}{{ g.grouper }}{{ g.list|length }}{{ g[0] }}{% endfor %}",
    "{% for x in l %}{% with %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endwith %}{% endfor %}",
    "{% for x in l %}{% set z %}a{% if x == 1 %}{% break %}{% endif %}{% endset %}{{ z }}{% endfor %}",
    # Names
    "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set x = 1 %}{% with x = 2, y = x %}{{ x }}{{ y }}{% endwith %}{{ x }}",
    "{% set x %}a{{ 1 }}{% endset %}{{ x }}{{ x|length }}",
    "{% set x | upper | trim %} a {% endset %}{{ x }}",
    "{% set x | length %}ab{% endset %}{{ x + 1 }}",
    "{% filter upper %}a{{ 'b' }}{% endfilter %}",
    "{% filter length %}a{% endfilter %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set a = 1, %}{{ a }}",
    "{% set ns = namespace(x=1) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
    "{% set s.x = 1 %}",
    "{% set given = given ~ '!' %}{{ given }}",
    "{% set given %}{{ given }}{% endset %}{{ given }}",
    "{% for x in [1] %}{{ given }}{% endfor %}{% set given = 'inside' %}",
    "{{ given }}{% for x in [1] %}{{ given }}{% endfor %}{% set given = 'inside' %}",
    "{% if false %}{% set given = 'inside' %}{% endif %}{{ given }}",
    "{% set range = 5 %}{{ range }}",
    "{% block a %}{% set q = 1 %}{{ given }}{% endblock %}{{ q }}",
    "{% generation %}{% set q = 1 %}{{ q }}{% endgeneration %}{{ q }}",
    "{% for m in messages %}\n{%- generation -%}\n {{ m.role }} {% endgeneration %}\n|\n{% endfor %}",
    # Macros
    "{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=4, a=5) }}{{ m() }}",
    "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}",
    "{% macro m(a=b, b=1) %}{{ a }}{{ b }}{% endmacro %}{{ m() }}",
    "{% macro m(given=given) %}{{ given }}{% endmacro %}{{ m() }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}",
    "{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}",
    "{% macro m() %}{{ varargs }}{% endmacro %}{{ m(*l) }}",
    "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(**{'a': 1, 'b': 2}) }}",
    "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in{% endcall %}",
    "{% macro m() %}<{{ caller(1, b=2) }}>{% endmacro %}{% call(a, b) m() %}{{ a }}{{ b }}{% endcall %}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
    "{% macro m() %}{% if caller %}c{% else %}n{% endif %}{% endmacro %}{{ m() }}{% call m() %}{% endcall %}",
    "{% macro m() %}x{% endmacro %}{% call m() %}{% endcall %}",
    "{% macro m(n) %}{% if n %}{{ n }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}",
    "{% macro m() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}{% set x = 2 %}{{ m() }}",
    "{% macro m() %}{{ x }}{% endmacro %}{% for x in l %}{{ m() }}{% endfor %}",
    "{% for x in l %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% macro m() %}{% set x = 5 %}{{ x }}{% endmacro %}{{ m() }}{{ x }}",
    "{% macro m() %} a {% endmacro %}{{ m()|trim ~ '|' }}{{ m() is string }}{{ m.name }}{{ m.arguments }}",
    "{{ m() }}{% macro m() %}x{% endmacro %}",
    "{% macro m(a, a) %}{% endmacro %}",
    "{% macro m(a=1, b) %}{% endmacro %}",
    "{% macro m() %}{{ l|length }}{{ messages[0].role }}{% endmacro %}{{ m() }}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.next() }}",
    "{% set j = joiner('|') %}{{ j() }}a{{ j() }}b",
    "{% set m = l|map('string') %}{{ m|list }}{{ m|list }}",
    # Statements and what leaves them
    "{% print +1, -1 %}",
    "{% print %}",
    "{% print 1, %}",
    "{% do 1 %}",
    "{% raw +%}a{% endraw %}",
    "{% raw -%}\n a {%- endraw +%}\n b",
    "  {% raw %}\n x\n  {% endraw %}\ny",
    "{#- a -#} x {#+ b +#}\n y",
    "{% for x in l recursive: %}{{ x }}{% else: %}{% endfor %}",
    "{% for x in l if x > 1 %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in l if x > 9 %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in l if x > 1 %}{% break %}{% else %}none{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{% else %}none{% endfor %}",
    "{% for x in l %}{% with y = x %}{% if y == 1 %}{% break %}{% endif %}{{ y }}{% endwith %}.{% endfor %}",
    "{% for x in l %}{% filter upper %}a{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfilter %}.{% endfor %}",
    "{% for x in l %}{% set y %}a{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endset %}{{ y }}{% endfor %}",
    "{% for x in l %}{% with %}{% with %}{% if x == 1 %}{% continue %}{% endif %}a{% endwith %}b{% endwith %}c{% endfor %}",
    "{% for x in l %}{% for y in l %}{% with %}{% if y == 1 %}{% break %}{% endif %}{{ y }}{% endwith %}{% endfor %};{% endfor %}",
    "{% for x in l %}{% call m() %}{% break %}{% endcall %}{% endfor %}",
    "{% for x in l %}{% generation %}{% break %}{% endgeneration %}{% endfor %}",
    "{% for x in l %}{% set loop = 1 %}{% endfor %}",
    "{% set x %}{% set y = 1 %}{{ y }}{% endset %}{{ x }}{{ y }}",
    "{% filter upper %}{% set y = 'a' %}{{ y }}{% endfilter %}{{ y }}",
    "{% filter first %}{% endfilter %}",
    "{% filter replace('a', given) %}abc{% set given = 1 %}{% endfilter %}{{ given }}",
    "{% for x in l %}{% filter replace('a', y) %}a{% set y = x %}{% if x == 1 %}{% break %}{% endif %}{% endfilter %}{% endfor %}",
    "{% set x | first %}ab{% endset %}{{ x }}",
    "{% set a, = [1] %}{{ a }}",
    "{% set (a, b) = (1, 2) %}{{ a }}{{ b }}",
    "{% with (a, b) = (1, 2) %}{{ a }}{{ b }}{% endwith %}",
    "{{ 'a' if true if false else 'b' }}",
    "{% if l is defined and l %}a{% elif l %}b{% else %}c{% endif %}",
    "{% if false %}a{% elif false %}b{% elif true %}c{% else %}d{% endif %}",
    "{%%}",
    "{% 1 %}",
    "{{ 'a' }",
    "{{ [1 }}",
    "{{ (1] }}",
    "{{ 1 ! 2 }}",
    "{{ a..b }}",
    "{% for x in l %}",
    "{% for x in %}{% endfor %}",
    "{% set x = %}",
    "{% endfor %}",
    "{% for x in l %}{% endif %}{% endfor %}",
    "{% for x, y in [(1, 2)] %}{{ x, y }}{% endfor %}",
    "{% if 1, 0 %}a{% endif %}",
    # What macros are called with, and what they see
    "{% set ns = namespace(a=0) %}{% macro m() %}{% set ns.a = 1 %}{% endmacro %}{{ m() }}{{ ns.a }}",
    "{% macro m(a, b=1) %}{{ a }}{{ b }}{{ kwargs }}{% endmacro %}{{ m(1, a=2) }}",
    "{% macro m(a) %}{{ kwargs }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ varargs }}{% endmacro %}{{ m(1, 2, b=3) }}",
    "{% macro m(a) %}{{ caller() }}{{ varargs }}{% endmacro %}{% call m(1, 2) %}x{% endcall %}",
    "{% macro m(a, b=a) %}{{ b }}{{ varargs }}{% endmacro %}{{ m(1) }}{{ m.arguments }}",
    "{% macro m() %}{% endmacro %}{{ m }}",
    "{% macro m() %}{{ caller }}{% endmacro %}{% call m() %}{% endcall %}",
    "{% set given = given %}{{ given }}",
    "{% for x in [1] %}{% for y in [1] %}{{ given }}{% endfor %}{% set given = 1 %}{% endfor %}",
    "{% if true %}{% for x in [1] %}{{ given }}{% endfor %}{% set given = 1 %}{% endif %}{{ given }}",
    "{% macro m() %}{{ given }}{% endmacro %}{{ m() }}{% set given = 1 %}{{ m() }}",
    "{% for x in l %}{{ loop.get('a') }}{% endfor %}",
    "{% set ns = namespace(items=1) %}{{ ns.items }}{{ ns is mapping }}",
]


def main():
    env = jinja.environment()
    answers = []
    for template in ["{{ " + expression + " }}" for expression in EXPRESSIONS] + TEMPLATES:
        answer = jinja.render(env, template, VARIABLES)
        if "NameError" in str(answer) or any(mark in answer.get("text", "") for mark in (" at 0x", "<generator", "<built-in")):
            print(f"no answer to compare with: {template} {answer}")
            continue
        answers.append([template, answer.get("text")])
    out = pathlib.Path(__file__).parents[2] / "tests/fixtures/templates/answers.json"
    out.parent.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(answer, ensure_ascii=False) for answer in answers)
    variables = json.dumps(VARIABLES, ensure_ascii=False)
    out.write_text('{"variables": ' + variables + ',\n"answers": [\n' + lines + "\n]}\n")
    print(f"{len(answers)} templates, {sum(text is None for _, text in answers)} refused")


if __name__ == "__main__":
    main()
