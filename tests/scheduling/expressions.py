"""Cron expressions of the classic kind, in all the ways of writing them."""

from __future__ import annotations

from hypothesis import strategies as st

_WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


@st.composite
def _terms(draw: st.DrawFn, first: int, last: int, names: list[str] = []) -> str:  # noqa: B006 – never changed
    start = draw(st.integers(first, last))
    end = draw(st.integers(start, last))
    step = draw(st.integers(1, last))
    named = names[start - first] if start - first < len(names) else str(start)
    forms = [
        "*",
        f"*/{step}",
        str(start),
        named,
        f"{start}-{end}",
        f"{start}-{end}/{step}",
        f"{start}/{step}",
    ]
    return draw(st.sampled_from(forms))


def _fields(first: int, last: int, names: list[str] = []) -> st.SearchStrategy[str]:  # noqa: B006
    return st.lists(_terms(first, last, names), min_size=1, max_size=2).map(",".join)


EXPRESSIONS = st.tuples(
    _fields(0, 59), _fields(0, 23), _fields(1, 28), _fields(1, 12, _MONTHS), _fields(0, 7, _WEEKDAYS)
).map(" ".join)
