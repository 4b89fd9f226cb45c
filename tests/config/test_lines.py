"""Each key of a TOML file has a line, however it is written."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from backupkit.config.lines import KeyPath, lines_of

TEXT = '''\
# a comment with [brackets] = 1
title = "a # in a text"

[defaults]
"quoted key" = 1
'literal' = 2   # [not.a.table]
a.b = { c = 1, "d.e" = [1, 2] }

[pipelines.shop]
long = """
[not] = a table
"" still
"""
list = [
  "one",  # with a comment ]
  { two = "}" },
  [3, 4],
]

[[pipelines.shop.jobs]]
when = 1979-05-27T07:32:00Z
[[pipelines.shop.jobs]]
when = \'\'\'it's\'\'\'
[pipelines.shop.jobs.more]
x = -1.5e3
'''


def paths(data: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key and every place in a list."""
    if path:
        yield path
    if isinstance(data, dict):
        for key, value in data.items():
            yield from paths(value, (*path, key))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from paths(value, (*path, number))


def test_the_line_of_each_key_is_found() -> None:
    found = lines_of(TEXT)
    shop = ("pipelines", "shop")
    assert {
        ("title",): 2,
        ("defaults",): 4,
        ("defaults", "quoted key"): 5,
        ("defaults", "literal"): 6,
        ("defaults", "a", "b", "c"): 7,
        ("defaults", "a", "b", "d.e", 1): 7,
        shop: 9,
        (*shop, "long"): 10,
        (*shop, "list"): 14,
        (*shop, "list", 1, "two"): 16,
        (*shop, "list", 2, 0): 17,
        (*shop, "jobs", 0, "when"): 21,
        (*shop, "jobs", 1, "when"): 23,
        (*shop, "jobs", 1, "more", "x"): 25,
    }.items() <= found.items()
    assert set(paths(tomllib.loads(TEXT))) == found.keys()


KEYS = st.sampled_from(["a", "b-2", '"c d"', "'e.f'", '"\\u00e9\\""', "a.b", " c . d ", "1"])
SIMPLE = st.sampled_from(
    [
        "1",
        "true",
        "-1.5e3",
        "1979-05-27 07:32:00",
        '"#"',
        "'['",
        '"""x\n"" ]"""',
        "'''\n'\n'''",
        '""',
        "''",
        '"\\""',
    ]
)
BLANK = st.sampled_from(["", " ", "\n", " # ] }\n", "\n\n\t"])
VALUES = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.lists(st.tuples(BLANK, inner), max_size=3).map(
            lambda found: "[" + ",".join(f"{blank}{value}" for blank, value in found) + "]"
        ),
        st.lists(st.tuples(KEYS, inner), max_size=2, unique_by=lambda pair: pair[0].strip()[:2]).map(
            lambda found: "{" + ", ".join(f"{key} = {value}" for key, value in found) + "}"
        ),
    ),
    max_leaves=6,
)
LINES = st.one_of(
    st.builds("{} = {}".format, KEYS, VALUES),
    st.builds("[{}]".format, KEYS),
    st.builds("[[{}]]".format, KEYS),
    BLANK,
)


@given(st.lists(LINES, max_size=8).map("\n".join))
def test_whatever_is_toml_has_a_line_for_each_key(text: str) -> None:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    found = lines_of(text)
    assert set(paths(data)) <= found.keys()
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())
