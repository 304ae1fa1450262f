#!/usr/bin/env python3
"""Writes jinja_cases.json: small templates, and what Jinja2 3.1 makes of them.

    pip install jinja2==3.1.6 && tests/data/jinja_cases.py >tests/data/jinja_cases.json

The environment is that of chat templates: sandboxed, trim_blocks, lstrip_blocks, loop controls,
tojson without escapes for ASCII or HTML. A case that fails there has "error" instead of "text".
"""
import datetime
import json
import sys

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = datetime.datetime(2026, 3, 14, 9, 26, 53)


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)


def environment():
    def refuse(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.filters["from_json"] = json.loads
    env.globals["raise_exception"] = refuse
    env.globals["strftime_now"] = NOW.strftime
    return env


VARS = {
    "s": "Hello, World", "u": "\u00fcml\u00e4ut \u4e16\u754c \U0001f600", "sp": "  a  b\tc \n",
    "nums": [3, 1, 2], "words": ["pear", "Apple", "fig", "apple"], "empty": [], "es": "",
    "d": {"b": 2, "a": 1, "C": 3}, "t": True, "f": False, "n": None, "i": 7, "x": 2.5,
    "people": [{"name": "Ann", "age": 31, "city": {"id": 1}}, {"name": "bob", "age": 25, "city": {"id": 2}},
               {"name": "Cy", "age": 31, "city": {"id": 1}}, {"name": "Dee", "city": {"id": 3}}],
    "html": "<a href='x'>T&J \"q\"</a>", "nested": {"k": [1, {"z": None}], "s": "it's \"q\""},
    "lines": "one\ntwo\n\nthree", "json": "{\"a\": [1, 2.5, null], \"b\": \"\\u00fc\"}",
    "items": {"items": 1, "get": 2}, "big": 1234567.891, "neg": -7,
}

# One template each, with VARS.
PRINTED = """
1 + 2 * 3
(1 + 2) * 3
7 // 2, -7 // 2, 7 % 3, -7 % 3, 7 % -3
7 / 2, 6 / 2, 2 ** 10, 2 ** -1, -2 ** 2
7.5 // 2, -7.5 % 2, 1e3, 1.0, 0.1 + 0.2
1e16, 1e15, 123456789012345678, 1e-4, 1e-5, 1.5e300
1_000 + 0x1f + 0o17 + 0b101
-i, +i, --i, -x
not t, not n, not es, not nums
t and f, t or f, n or 'x', es or n, 1 and 2, 0 or []
1 < 2 < 3, 1 < 3 < 2, 1 == 1.0, true == 1, 'a' < 'b', 'Z' < 'a'
1 in nums, 9 in nums, 'ell' in s, 'a' in d, 9 not in nums, not 1 in nums
[1, 2] == [1, 2], [1] < [1, 2], (1, 2) == (1, 2), {'a': 1} == {'a': 1.0}
'a' ~ 1 ~ none ~ true ~ [1, 'x'] ~ 2.0
'a' + 'b' * 3, 3 * 'ab', [1] + [2], [0] * 3, (1,) + (2,)
'con' 'cat' "enated"
'x' if t else 'y'
'x' if f
('x' if f) is undefined
'a' if f else 'b' if f else 'c'
'q\\n\\t\\\\\\'\\"\\x41\\u00fc\\U0001f600\\101\\z'
[1, 'a', none, true, 1.5, {'k': (1,)}, (), (1, 2)]
{'a': 1, 'b': [1, 2], 3: 'x', none: 4}
["it's", 'say "hi"', 'both \\' and "', 'tab\\t nl\\n \\x00 \\x7f \\u200b ü 世']
true, false, none, True, False, None
s[0], s[-1], s[1:4], s[:3], s[-3:], s[::-1], s[::2], s[8:2:-2], s[100:], s[-100:3]
u[0], u[-1], u[1:3], u[::-1], u|length
nums[0], nums[-1], nums[1:], nums[::-1], nums[5:], nums[:-1]
nums[9], s[99]
(1, 2, 3)[1:], (1, 2)[0]
d.a, d['a'], d.C, d.missing, d['missing'] is defined
nums.0, d.items() | list
items.items, items['items'], items.get is callable
people[0].name, people[0]['city']['id'], people[-1].age
undefined_var, undefined_var is defined, undefined_var == none
undefined_var.attr
undefined_var + 1
undefined_fn()
none.x, none['x'] is undefined
5.x
1 + 'a'
'a' + 1
1 / 0
1 % 0
[] + {}
-'a'
nums < 'a'
none < 1
range(5) | list, range(2, 5) | list, range(5, 0, -2) | list, range(0) | list
range(3), range(1, 10, 3)[1], range(3) | length, 2 in range(3), range(0) is defined
dict(a=1, b=2), dict({'x': 1}, y=2), dict([('k', 'v')])
strftime_now('%Y-%m-%d'), strftime_now('%d %b %Y'), strftime_now('%H:%M:%S'), strftime_now('%A %B %-d, %j')
raise_exception('no ' ~ s)
s.upper(), s.lower(), s.title(), s.capitalize(), s.swapcase(), u.upper(), 'straße'.upper(), "they're x-ray".title()
sp.strip(), sp.lstrip(), sp.rstrip() , 'xxaxx'.strip('x'), 'abcxcba'.strip('abc'), 'xya'.lstrip('yx'), 'a--'.rstrip('-')
'\\u00a0 a \\u3000'.strip() ~ '|'
s.split(), s.split(','), s.split(', '), s.split('o', 1), s.rsplit('o', 1), s.split('zz')
sp.split(), sp.split(' '), sp.split(none, 1), sp.rsplit(none, 1), ''.split(), ''.split(','), 'a,b,c'.split(',', maxsplit=1), 'a b  c '.split(' ')
'a,b,c'.rsplit(',', 1), ' a b '.rsplit(), 'a b c'.rsplit(none, 1), '<think>x</think>y'.split('</think>')[-1]
lines.splitlines(), lines.splitlines(true), 'a\\r\\nb\\x0bc\\u2028d\\n'.splitlines()
s.startswith('He'), s.startswith(('x', 'H')), s.endswith('ld'), s.endswith(('a', 'd')), s.startswith('W', 7), s.startswith('')
s.replace('l', 'L'), s.replace('l', 'L', 2), 'abc'.replace('', '-'), 'aaa'.replace('aa', 'b'), s.replace('z', '')
s.find('o'), s.rfind('o'), s.find('zz'), s.find('o', 5), s.find('o', 0, 3), u.find('世'), s.index('W'), s.count('l'), s.count('l', 4), 'aaa'.count('aa'), ''.count('')
s.index('zz')
', '.join(['a', 'b']), ''.join('abc'), '-'.join(d)
', '.join([1, 2])
'a1'.isalnum(), 'ab'.isalpha(), '12'.isdigit(), ' \\t'.isspace(), 'AB1'.isupper(), 'ab1'.islower(), ''.isdigit(), 'a'.isupper(), '1'.islower(), 'ü'.isalpha(), 'x'.isascii(), 'ü'.isascii()
'prefix-x'.removeprefix('prefix-'), 'x.py'.removesuffix('.py'), 'x'.removeprefix('y'), '42'.zfill(5), '-42'.zfill(5), 'a'.ljust(3) ~ '|', 'a'.rjust(3), 'a'.center(4, '*'), 'ab'.center(5, '*'), 'abc'.center(6, '-')
'a=b=c'.partition('='), 'a=b=c'.rpartition('='), 'a'.partition('='), 'a\\tb'.expandtabs(4)
'{} {}'.format(1, 'x'), '{0}{1}{0}'.format('a', 'b'), '{a}-{b}'.format(a=1, b=[1]), '{:>5}|{:<5}|{:^5}|{:*^5}'.format('a', 'b', 'c', 'd'), '{{}}'.format()
'{:.2f} {:05d} {:,} {:x} {:#x} {:b} {:e} {:+d} {:%}'.format(3.14159, 42, 1234567, 255, 255, 5, 12345.678, 3, 0.25)
'{:.3} {!r} {!s:>4} {:,.1f} {:g} {}'.format('abcdef', 'a', 'b', big, 1e10, 1.0)
'{0[k]} {0.s} {1[0]}'.format(nested, nums)
'{}'.format()
'%s and %d, %5.1f|%-5s|%05d|%x|%%|%r|%c|%+d' % ('a', 3, 2.25, 'b', 42, 255, 'q', 'z', 5)
'%(a)s-%(b)03d' % {'a': 1, 'b': 2}
'%s' % 'one', '%s' % [1, 2], '%s' % none, '%d%%' % 5.9, '%e %g' % (12345.678, 0.0001)
'%s %s' % 'one'
'%d' % 'x'
d.get('a'), d.get('z'), d.get('z', 5), d.keys() | list, d.values() | list, d.items() | list, d.keys()
d.items(), d.values() | sum, d.copy(), 'a' in d.keys(), d.items() | length
d.pop('a')
nums.append(4)
nums.index(1), nums.count(3), nums.copy()
nums.index(99)
nums | length, s | length, d | length, u | count, empty | length, undefined_var | length
5 | length
nums | first, nums | last, s | first, s | last, d | first, empty | first, es | last, empty | first is defined
nums | sum, people | selectattr('age') | sum(attribute='age'), [[1], [2]] | sum(start=[]), [0.1, 0.2] | sum
nums | min, nums | max, words | min, words | max, words | max(case_sensitive=true), people | max(attribute='name'), empty | min
nums | sort, nums | sort(reverse=true), words | sort, words | sort(case_sensitive=true), people | sort(attribute='name', reverse=true) | map(attribute='name') | list
people | sort(attribute='city.id,name') | map(attribute='name') | join(','), d | sort
people | sort(attribute='age')
[1, 'a'] | sort
words | unique | list, words | unique(case_sensitive=true) | list, people | map(attribute='city.id') | unique | list
nums | join, nums | join(', '), people | join(', ', attribute='name'), [1, none, 'x'] | join('-'), es | join(','), s | join('.')
nums | reverse | list, s | reverse, [1, [2]] | reverse | first
[1,2,3,4,5,6,7] | batch(3) | list, [1,2,3,4] | batch(3, 'x') | list, [1,2,3,4,5,6,7] | slice(3) | list, [1,2,3,4] | slice(3, 0) | list
people | groupby('city.id') | list | length, people | groupby('age', default=0) | map('first') | list
[['a', 1], ['a', 2], ['b', 3]] | groupby(0) | map('last') | list
words | map('upper') | list, people | map(attribute='name') | list, people | map(attribute='age', default=0) | list, words | map('replace', 'p', 'P') | list, ['1', '2'] | map('int') | sum
nums | select('gt', 1) | list, nums | reject('odd') | list, [0, 1, '', 'a', none] | select | list, [0, 1] | reject | list, nums | select('in', [1, 2]) | list
people | selectattr('age', 'equalto', 31) | map(attribute='name') | list, people | selectattr('age', 'defined') | list | length, people | rejectattr('age', 'undefined') | list | length, people | selectattr('name', '==', 'bob') | first
none | selectattr('x') | list, undefined_var | map(attribute='x') | list, nums | select('gt', 5) | list | length
nums | select('nosuch') | list
nums | nosuch
nums is nosuch
d | dictsort, d | dictsort(true), d | dictsort(by='value'), d | dictsort(reverse=true), d | dictsort(false, 'value')
d | items | list, undefined_var | items | list
5 | items
nums | dictsort
nums | list, s | list, d | list, d.items() | list, undefined_var | list
none | list
(nums | map('string')) | tojson
d.items() | tojson
nums | tojson, d | tojson, nested | tojson, u | tojson, html | tojson, 'a"b\\\\c\\n\\t\\x00\\x1f/' | tojson, none | tojson, true | tojson, 1.0 | tojson, 1e100 | tojson, [] | tojson, {} | tojson, (1, 2) | tojson
nested | tojson(indent=2)
nested | tojson(indent=4)
{'a': [], 'b': {}, 'c': [[1]]} | tojson(indent=1)
d | tojson(sort_keys=true), nested | tojson(separators=(',', ':')), u | tojson(ensure_ascii=true), d | tojson(indent='--')
{1: 2, 1.5: 3, none: 4, true: 5} | tojson
undefined_var | tojson
json | from_json, (json | from_json).a[1]
'{bad' | from_json
s | upper, s | lower, 'hELLO wORLD' | capitalize, "foo bar-baz (qux) [it's] <a" | title, sp | trim, 'xxaxx' | trim('x'), 5 | upper, none | lower
s | replace('l', 'L'), s | replace('l', 'L', 1), 5 | replace(5, 6), s | center(20) ~ '|', 'a' | center(4) ~ '|'
s | default('x'), undefined_var | default('x'), undefined_var | d, es | default('x'), es | default('x', true), n | default('x'), n | default('x', boolean=true), d.zz | default([])
'42' | int, '4.9' | int, 'x' | int, 'x' | int(5), 3.9 | int, '-7' | int, ' 12 ' | int, '0x1f' | int(0, 16), '1f' | int(base=16), none | int, '101' | int(base=2), true | int, '1_0' | int, '1e3' | int
'4.5' | float, 'x' | float, 'x' | float(1.5), 3 | float, '1e3' | float, none | float, 'inf' | float
neg | abs, -2.5 | abs, 2.5 | round, 3.5 | round, 2.675 | round(2), 7 | round, 42.55 | round(1, 'floor'), 42.51 | round(1, 'ceil'), 1234 | round(-2), 1234.5 | round(-2), 42.4 | round | int
'x' | abs
lines | indent, lines | indent(2), lines | indent(2, true), lines | indent(2, first=true, blank=true), lines | indent('> '), 'a\\n' | indent, '' | indent(2, true)
'foo bar baz qux' | truncate(9), 'foo bar baz qux' | truncate(9, true), 'foo bar baz qux' | truncate(11), 'foo bar baz qux' | truncate(11, false, '...', 0), 'short' | truncate, 'foo bar baz' | truncate(5, end='!', leeway=0)
'one two, three_four 5' | wordcount, es | wordcount
'the quick brown fox jumps over the lazy dog' | wordwrap(10)
'averyveryverylongword and more' | wordwrap(8), 'averyveryverylongword and more' | wordwrap(8, false), 'a b\\nc d e f' | wordwrap(3, wrapstring='|'), 'well-known fact' | wordwrap(6)
'%s-%s' | format('a', 1), '%(x)s' | format(x=3), 'none' | format
html | e, html | escape, html | forceescape, html | e | e, '<p>a  <b>b</b>\\n c &amp; d</p><!-- x -->' | striptags, '<a>' | safe + '<b>', '<b>' + ('<a>' | safe), ('<a>' | safe) ~ '<b>', ('a' | e) is escaped, ('<' | safe).upper() + '<'
'a b/c&d=ü' | urlencode, {'a': 1, 'b c': 'd&e'} | urlencode, [('x', 1), ('y', '/')] | urlencode
{'class': 'a<b', 'id': none, 'n': 1} | xmlattr, {'a': 1} | xmlattr(false)
500 | filesizeformat, 1 | filesizeformat, 1500 | filesizeformat, 13000000 | filesizeformat, 1024 | filesizeformat(true), (10**12) | filesizeformat
nums | string, d | string, 'x' | string, 5 | string + 'a'
people[0] | attr('name') is defined, s | attr('upper') is defined
i is odd, i is even, i is divisibleby 7, i is divisibleby(3), i is number, i is integer, x is float, x is integer, t is integer, t is number, t is boolean
s is string, i is string, d is mapping, nums is mapping, nums is sequence, s is sequence, d is sequence, i is sequence, nums is iterable, i is iterable, n is none, undefined_var is sequence, undefined_var is iterable, undefined_var is none
t is true, f is false, 1 is true, n is defined, d.a is defined, d.q is undefined, d.items is callable, range is callable, s is callable
'abc' is lower, 'ABC' is upper, 'aB' is lower, '1' is lower, 1 is in nums, 5 is not in nums, 1 is eq 1, 1 is ne 2, 1 is lt 2, 2 is gt 1, 1 is le 1, 1 is ge 2, n is sameas none, 1 is sameas true, 'upper' is filter, 'odd' is test, 'zz' is filter, i is not odd, 1 is equalto 1
nums is not mapping and s is string or false
d.keys() is sequence, d.keys() is iterable, (nums | map('int')) is iterable, (nums | map('int')) is sequence
'yes' if nums | select('gt', 100) else 'no'
'yes' if {}.items() else 'no'
'yes' if d.items() else 'no'
'yes' if range(0) else 'no'
(nums | map('int')) | length
(nums | map('int'))[0]
1 if 1 else
(1, 2
{'a': 1
nums[
'abc
foo bar
1 +
s | 
s is
-1 | abs, (-1) | abs, -i | abs
[1, 2,], (1,), {'a': 1,}
1.5 is number and 'a' in 'abc' and not (1 > 2)
s.upper().lower().title()[0:3] | lower | upper
nested.k[1].z is none, nested['k'][0]
'a' not in 'b' and 'a' in 'a'
not 'a' in 'b'
2 ** 3 ** 2
10 - 3 - 2, 100 / 10 / 2, 2 * 3 % 4
1 ~ 2 + 3
'%s' % 1 ~ 2
namespace(a=1).a, namespace({'b': 2}, c=3).c
namespace(a=1)
cycler('a', 'b').next(), cycler('x').current
s.nope
s.nope()
d.nope()
d['x']['y']
''.x is defined
'{:d}'.format('x')
'abc'[5:], 'abc'[2:1], 'abc'[::-2], 'abc'[-2:]
'abc'[::0]
nums[1:2] + nums[:1]
'é' | length, 'é'.upper(), 'ÀÉ'.lower(), 'ß' | upper, 'ǆ'.title()
9223372036854775807, -9223372036854775807
0.1, 100.0, 1e22, 1.7976931348623157e308, 5e-324, 2.0**70, 1/3
1.0 == 1, '1' == 1, none == false, [] == false
'a' * 0, 'a' * -1, [] * 5
{'a': {'b': {'c': 1}}}.a.b.c
{'a': 1}['a'], [1, 2][-1], (1, 2, 3)[::2], 'str'[1]
{**d} is defined
(t, f)[0], (t)
"a'b", 'a"b', "\\"", '\\''
true.x is defined
dict(a=1).items() | list | first | last
"%.3s|%5s|%-6.2f|% d" % ("abcdef", "ab", 3.14159, 42)
[3, 1] | sort | first, [[2, 'b'], [1, 'a']] | sort
(words | sort)[0] ~ (nums | max)
1 is not none and n is none
range(0, 10, 3), range(-9223372036854775807, 9223372036854775807, 2), range(5, 0, -2)
'a,b'.split(',', -9223372036854775807), 'aa'.replace('a', 'b', -9223372036854775807), 'a b'.rsplit(none, -2)
'x'.center(-9223372036854775807), 'x'.zfill(-9223372036854775807), 1.5 | round(-9223372036854775807)
'abc' | truncate(-9223372036854775807, leeway=0)
2.5 | indent
nums | wordwrap
(nums | first)[1:]
""".strip("\n").split("\n")

# Whole templates, one a line.
WHOLE = r"""
{% if t %}yes{% else %}no{% endif %}
{% if f %}a{% elif t %}b{% else %}c{% endif %}
{% if f %}a{% elif n %}b{% endif %}end
{% for x in nums %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}
{% for x in empty %}x{% else %}none{% endfor %}
{% for x in nums if x > 1 %}{{ loop.index }}:{{ x }} {% else %}none{% endfor %}
{% for x in nums if x > 9 %}{{ x }}{% else %}none{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for k in d %}{{ k }}{% endfor %}
{% for c in 'añb' %}[{{ c }}]{% endfor %}
{% for x in nums %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }}|{% endfor %}
{% for x in nums %}{{ loop.previtem }}<{{ x }}<{{ loop.nextitem }} {{ loop.previtem is defined }}{{ loop.nextitem is undefined }};{% endfor %}
{% for x in nums %}{{ loop.cycle('a', 'b') }}{% endfor %}
{% for x in [1,1,2,2,1] %}{% if loop.changed(x) %}{{ x }}{% endif %}{% endfor %}
{% for a in [1,2] %}{% for b in [3,4] %}{{ a }}{{ b }}{{ loop.depth }}{{ loop.index }} {% endfor %}{{ loop.index }};{% endfor %}
{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}
{% for x in nums %}{% for y in nums %}{% break %}{% endfor %}{{ x }}{% else %}e{% endfor %}
{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}
{% for a in 5 %}{{ a }}{% endfor %}
{% for a in none %}{{ a }}{% endfor %}
{% for a in undefined_var %}{{ a }}{% else %}nothing{% endfor %}
{% for item in [{'n': 1, 'c': [{'n': 2, 'c': [{'n': 3}]}]}] recursive %}{{ loop.depth }}{{ item.n }}{% if item.c %}({{ loop(item.c) }}){% endif %}{% endfor %}
{% for x in 1, 2, 3 %}{{ x }}{% endfor %}
{% set a = 1 %}{{ a }}{% set a = a + 1 %}{{ a }}
{% set a = 0 %}{% for x in nums %}{% set a = a + x %}{{ a }} {% endfor %}{{ a }}
{% set ns = namespace(n=0) %}{% for x in nums %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}
{% set d2 = {} %}{% set d2.x = 1 %}{{ d2 }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, e) = [3, 4] %}{{ c }}{{ e }}
{% set a = 1, 2 %}{{ a }}
{% set a, b = 1 %}
{% set x %}in {{ s }} block{% endset %}[{{ x }}]
{% set x | upper | replace('O', '0') %}hello{% endset %}{{ x }}
{% set outer = 1 %}{% set x %}{% set outer = 2 %}{{ outer }}{% endset %}{{ x }}{{ outer }}
{% if t %}{% set v = 5 %}{% endif %}{{ v }}
{% for x in [1] %}{% set v = 5 %}{% endfor %}{{ v is defined }}
{% macro m(a, b=2, c=a) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=4, a=0) }} {{ m() }} {{ m.name }}
{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(zz=2) }}
{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}body {{ s }}{% endcall %}
{% macro m(l) %}{% for x in l %}{{ caller(x, loop.index) }}{% endfor %}{% endmacro %}{% call(v, i) m(nums) %}({{ v }}:{{ i }}){% endcall %}
{% macro m() %}{% if caller %}c{{ caller() }}{% else %}none{% endif %}{% endmacro %}{{ m() }}{% call m() %}x{% endcall %}
{% macro fact(n) %}{% if n <= 1 %}1{% else %}{{ n * fact(n - 1) | int }}{% endif %}{% endmacro %}{{ fact(10) }}
{% macro a() %}A{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}
{% set g = 1 %}{% macro m() %}{{ g }}{% set g = 5 %}{{ g }}{% endmacro %}{{ m() }}{{ g }}
{% set g = 1 %}{% macro m() %}{{ g }}{% endmacro %}{% set g = 2 %}{{ m() }}
{% macro m(x) %}{{ x }}{% endmacro %}{% for x in nums %}{{ m(x) }}{% endfor %}{{ m(x='<') | length }}
{% macro outer() %}{% macro inner(z) %}<{{ z }}>{% endmacro %}{{ inner(1) }}{% endmacro %}{{ outer() }}
{% macro m(a='x' ~ 'y', b=[1]) %}{{ a }}{{ b }}{% endmacro %}{{ m() }}{{ m(*['p', 'q']) }}{{ m(**{'b': 3}) }}
{% filter upper %}abc {{ s }}{% endfilter %}
{% filter replace('a', 'b') | title %}banana split{% endfilter %}
{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}
{% set a = 5 %}{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}
{% generation %}x{{ s }}{% endgeneration %}
a{# comment {{ x }} {% if %} #}b
{% raw %}{{ raw }} {% if %}{% endraw %}
{%- raw -%}  x  {%- endraw -%}  y
{{ '{{' }} {{ "%}" }} {{ '#}' }} {{ {'a': {'b': 1}} }} {{ {'a': {'b': 1}}}}
{{ "}}" }}{{ '{% x %}' }}
{% set a = {'x': {'y': 1}} %}{{ a.x.y }}
{% if nums %}{% for x in nums %}{% if x == 1 %}one{% elif x == 2 %}two{% else %}?{% endif %}{% endfor %}{% endif %}
{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}
{% set j = joiner(', ') %}{% for x in nums %}{{ j() }}{{ x }}{% endfor %}
{% set g = nums | map('string') %}{{ g | list }}{{ g | list }}
{% for g in people | groupby('city.id') %}{{ g.grouper }}:{{ g.list | map(attribute='name') | join('+') }};{% endfor %}
{% for k, l in people | groupby('city.id') %}{{ k }}{{ l | length }}{% endfor %}
{% for row in [1,2,3,4,5] | batch(2, '-') %}{{ row | join }}|{% endfor %}
{% for k, v in d | dictsort %}{{ k }}{{ v }}{% endfor %}
{% for k, v in d | items %}{{ k }}{{ v }}{{ loop.last }}{% endfor %}
{% set x = [] %}{% set _ = x.append(1) %}{{ x }}
{% set x = {'a': 1} %}{{ x.update({'b': 2}) }}{{ x }}
{% if undefined_var %}a{% else %}b{% endif %}
{% if undefined_var is defined and undefined_var.x %}a{% else %}b{% endif %}
{% if d.a == 1 and d['b'] > 1 or f %}ok{% endif %}
{% if not (t and f) %}ok{% endif %}
{% if 1, 2 %}ok{% endif %}
{% set loop_messages = people[1:] %}{% for m in loop_messages %}{{ m.name }}{% endfor %}
{% for m in people %}{% if (m.age | default(0)) % 2 == 1 %}{{ m['name'] | trim }}{% endif %}{% endfor %}
{% for m in people | reverse %}{{ m.name }}{% endfor %}
{% for m in people[::-1] %}{{ loop.index0 }}{{ m.name }}{% endfor %}
{% endif %}
{% if t %}
{% for x in nums %}
{% else %}
{% if t %}{% endfor %}
{% bogus %}
{% if %}{% endif %}
{% set %}
{% for in nums %}{% endfor %}
{{ }}
{{ s
{% if t
{# open
{% raw %} open
{{ s }} }} %} #} x
{% break %}
{% macro %}{% endmacro %}
{% set true = 1 %}{{ true }}
{{ 'a' if t else 'b' }}{{ 'x' if n is none }}
{{ s }}{{ s | length }}{{ nums | length > 2 }}
{{- 'x' }}
{{ raise_exception('stop') if f else 'go' }}
{% if f %}{{ raise_exception('stop') }}{% endif %}fine
{%if t%}x{%endif%}
{%   if   t   %}x{%   endif   %}
{% if t -%} x {%- else -%} y {%- endif %} z
{% set a = 'x' -%} {{ a }}
{% set content = '' %}{% for p in [{'type': 'text', 'text': 'a'}, {'type': 'image'}] %}{% if p.type == 'text' %}{% set content = content + p.text %}{% endif %}{% endfor %}[{{ content }}]
{% autoescape false %}{{ html }}{% endautoescape %}
{% macro m(x) -%} {{ x }} {%- endmacro %}[{{ m(1) }}]
{% set a = namespace() %}{% set a.b = 1 %}{{ a.b }}{{ a.c is defined }}
{% set ns = namespace(l=[]) %}{% set ns.l = ns.l + [1] %}{% set ns.l = ns.l + [2] %}{{ ns.l }}
{% for x in nums %}{{ loop.index is divisibleby 2 }}{% endfor %}
{% for x in nums %}{{ loop.index % 2 == 0 }}{% endfor %}
{% for i in range(3) %}{% set outer_loop = loop %}{% for j in range(2) %}{{ outer_loop.index }}{{ loop.index }} {% endfor %}{% endfor %}
{% for x in nums %}{% if loop.first %}{% set y = 'f' %}{% endif %}{{ y }}{% endfor %}
{{ loop is defined }}
{% set loop = 3 %}{{ loop }}
{% for loop in nums %}{{ loop }}{% endfor %}
{% set s = 'shadow' %}{{ s }}{% for s in nums %}{{ s }}{% endfor %}{{ s }}
{% if s == 'Hello, World' and s|length == 12 and s[0] == 'H' %}ok{% endif %}
""".strip("\n").split("\n")


# And those of several lines.
MULTI = [
    "  {% raw %}\n x\n  {% endraw %}\ny",
    "a\n  {%- if t %}\n  b\n  {%- endif %}\n\nc",
    "a\n   {% if t %}\nb\n   {% endif %}\nc\n",
    "  {%+ if t %}x{% endif %}\n  {% if t +%}\nx{% endif %}",
    "   {{ s }}\n   {# c #}\nz\n",
    "\t{% set a = 1 %}\nq {% set a = 1 %}\nr",
    "a{% if t %}\n\nb{% endif %}\n\n\nc",
    "{{ 'a' }}\n{{ 'b' }}\n\nend\n\n",
    "one\n\n\n", "one\n", "\n", "", " \n ", "a\r\nb\rc\n{{ s }}\r\n",
    "{% for x in nums -%}\n  {{ x }}\n{%- endfor %}\n",
    "{% for x in nums %}\n- {{ x }}\n{% endfor %}\ntail\n",
    "{% if t %}   \nx\n{% endif %}\n",
    "x\n{#- strip -#}   x   {#- strip -#}   \ny",
    "{%- set x = 1 -%}\n   {{- x -}}\n   {%- if x == 1 -%}\n      one\n   {%- endif -%}\n",
    "{# a #}\n{# b #}\nx", "x {# a #}\n  {# b #}\n y", "  {#+ a #}\n x", "{# a +#}\n x",
    "{{ s -}}\n\n  x", "x  \n\n {{- s }}", "{{ s +}}\n x", "{{+ s }}",
    "{% set x = 'a\nb' %}\n{{ x }}", "{{ 'a\\\nb' }}",
    "{% if t %}\n  {% for x in nums %}\n    {{ x }}\n  {% endfor %}\n{% endif %}\nend",
    "{% raw %}\n{{ x }}\n{% endraw %}\nz", "{% raw -%}\n{{ x }}\n{%- endraw %}\nz", "{%- raw %} {% endraw +%}\nz",
    "{% macro m(x) %}\n  <{{ x }}>\n{% endmacro %}\n{{ m(1) }}\n",
    "{% set x %}\n a\n{% endset %}\n[{{ x }}]", "{{\n s\n}}", "{% if\n t\n%}y{% endif %}",
    "{%- for m in people %}\n    {{- m.name ~ '\\n' }}\n{%- endfor %}\n", "a {%- set x = 1 %}\n b",
    "{{ 'x' }}  {% if t %}  y  {% endif %}  z", "  {% if t %}x{% endif %}  \n  {{ s }}",
    "{% if f %}\n{% elif t %}\n  z\n{% endif %}", "x\n\n{%- if t %} y{% endif %}", "a\u00a0{%- if t %}b{% endif -%}\u00a0c",
    "{% call(a) m(1) %}{% endcall %}", "{{ m }}{% macro m() %}{% endmacro %}",
    "{% for x in nums %}\n{% if x == 1 %}\n{% continue %}\n{% endif %}\n{{ x }}\n{% endfor %}",
    "{# {# nested #} #}", "{{ '#}' }}{# '#}", "{% raw %}{% raw %}{% endraw %}",
    "\u00fc{{ u }}\u4e16\n", "{{ 1 }}{{ 2 }}\n{{ 3 }}\n\n",
]


def main():
    env = environment()
    sources = ["{{ %s }}" % line for line in PRINTED]
    sources += WHOLE + MULTI
    cases, seen = [], set()
    for source in sources:
        if source in seen:
            continue
        seen.add(source)
        case = {"template": source}
        try:
            case["text"] = env.from_string(source).render(**VARS)
            if " at 0x" in case["text"]:  # nobody asks for addresses
                continue
        except Exception as error:  # whatever it is: the template is refused
            case["error"] = "%s: %s" % (type(error).__name__, error)
        cases.append(case)
    json.dump({"vars": VARS, "cases": cases}, sys.stdout, ensure_ascii=False, indent=1)
    print()


if __name__ == "__main__":
    main()
