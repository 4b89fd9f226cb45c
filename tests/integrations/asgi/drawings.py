"""What the tests of pictures share: backups as literals, and figures taken apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

from hypothesis import strategies as st

from backupkit.integrations.asgi.pictures.figure import Picture, figure
from backupkit.model import Backup, Contents

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FULL: frozenset[Contents] = frozenset({"files", "databases"})
DATABASES: frozenset[Contents] = frozenset({"databases"})
SVG = "{http://www.w3.org/2000/svg}"
GB = 10**9

any_text = st.text(st.characters(codec=None), max_size=30)


def backup(age: timedelta, stored: int = GB, **values: Any) -> Backup:
    time = NOW - age
    plain: dict[str, Any] = {
        "id": f"{time:%Y-%m-%dT%H-%M-%SZ}",
        "name": "shop",
        "time": time,
        "contents": FULL,
        "location": "/mnt/backup",
        "complete": True,
        "stored": stored,
    }
    return Backup(**plain | values)


def days(sizes: Sequence[int], **values: Any) -> list[Backup]:
    """A backup a day of these sizes, the last one made now."""
    return [
        backup(timedelta(days=len(sizes) - 1 - place), size, **values) for place, size in enumerate(sizes)
    ]


backups = st.lists(
    st.builds(
        lambda age, **values: backup(timedelta(minutes=age), **values),
        st.integers(-20, 10**6),
        id=any_text,
        contents=st.sampled_from([FULL, DATABASES, frozenset[Contents]({"files"}), frozenset[Contents]()]),
        stored=st.integers(0, 10**18),
        complete=st.sampled_from([True, False, None]),
        damaged=st.booleans(),
        proven=st.sampled_from([None, NOW - timedelta(days=3)]),
    ),
    max_size=12,
)


def taken_apart(picture: Picture) -> ET.Element:
    """The figure as a tree. It is well-formed, without any style of its own, and nothing is outside of it."""
    text = figure(picture, "one")
    assert not re.search(r"style|\bon\w+=|url\(|href", text.replace("aria-labelledby", "")), text
    root = ET.fromstring(text.encode())  # noqa: S314 – it is ours
    drawing = root.find(f"{SVG}svg")
    if drawing is not None:
        height = float(drawing.get("height", ""))
        assert 0 < height < 2000
        assert all(one.tag in (f"{SVG}title", f"{SVG}desc") or one.get("aria-hidden") for one in drawing)
        for element in drawing.iterfind(f"{SVG}g/*"):
            for name, highest in (("x", 100.0), ("x1", 100.0), ("x2", 100.0), ("width", 100.0)):
                value = element.get(name, "0")
                assert -52 <= float(value.removesuffix("%")) <= highest, ET.tostring(element)
            for name in ("y", "y1", "y2"):
                assert 0 <= float(element.get(name, "0")) <= height, ET.tostring(element)
    return root


def heard(root: ET.Element) -> str:
    """What a screen reader says of the drawing."""
    drawing = root.find(f"{SVG}svg")
    assert drawing is not None
    assert drawing.get("role") == "img"
    spoken = {one.get("id"): one.text or "" for one in drawing if one.get("id")}
    ids = (*drawing.get("aria-labelledby", "").split(), *drawing.get("aria-describedby", "").split())
    return " | ".join(spoken[id_] for id_ in ids)


def table(root: ET.Element) -> list[list[str]]:
    return [[cell.text or "" for cell in row] for row in root.iterfind(".//tbody/tr")]


def tips(root: ET.Element, class_: str) -> list[str]:
    """What is said where one points at the marks of this class."""
    return [
        element.findtext(f"{SVG}title") or ""
        for element in root.iter()
        if class_ in element.get("class", "").split() and element.find(f"{SVG}title") is not None
    ]
