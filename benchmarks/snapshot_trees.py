"""The trees that snapshots are made of, and what changes in them from one snapshot to the next.

With one Python version always the same bytes; `trees.py` tells what the words, lines and rows are made of.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from trees import MB, Corpus, Tree, access_log, filled, media, sql_dump

_FOLDERS, _PER_FOLDER = 800, 50
_LARGE = {"film.mp4": 400, "machine.img": 250, "access.log": 100}  # MB
_DUMP = 120  # MB
_MEDIAN, _SIGMA = 4000, 1.4  # bytes, and how far sizes lie apart: the mean is 2.7 times the median


def many_files(root: Path, scale: float) -> Tree:
    """40,000 files in 800 folders; sizes log-normal, three quarters source text, the others random bytes."""
    corpus = Corpus(random.Random(3))
    chance = corpus.chance
    count = total = 0
    for folder in (
        root / f"part-{number // 40:02}" / f"{number:03}" for number in range(int(_FOLDERS * scale))
    ):
        folder.mkdir(parents=True)
        for _ in range(_PER_FOLDER):
            size = min(int(chance.lognormvariate(0, _SIGMA) * _MEDIAN) + 1, 2 * MB)
            name, make = ("bin", chance.randbytes) if count % 4 == 3 else ("txt", corpus.excerpt)
            content = make(size)
            (folder / f"{count:05}.{name}").write_bytes(content)
            count += 1
            total += len(content)
    return Tree(count, total)


def large_files(root: Path, scale: float) -> Tree:
    """Random bytes, a machine's disk (text, random bytes and zeros in turn), and a log."""
    corpus = Corpus(random.Random(4))
    contents: dict[str, Iterator[bytes]] = {
        "film.mp4": media(corpus),
        "machine.img": _disk(corpus),
        "access.log": access_log(corpus),
    }
    root.mkdir()
    for name, size in _LARGE.items():
        _write(root / name, contents[name], int(size * MB * scale))
    return Tree(len(_LARGE), sum(path.stat().st_size for path in root.iterdir()))


def dump(root: Path, scale: float) -> Tree:
    """The SQL text of a database, in one file."""
    root.mkdir()
    _write(root / "shop.sql", sql_dump(Corpus(random.Random(5))), int(_DUMP * MB * scale))
    return Tree(1, int(_DUMP * MB * scale))


def change_some_files(root: Path, number: int) -> None:
    """Every hundredth file gets other content of the same size, as far as it goes."""
    corpus = Corpus(random.Random(number))
    for path in sorted(path for path in root.rglob("*") if path.is_file())[number % 100 :: 100]:
        content = corpus.chance.randbytes(path.stat().st_size)
        path.write_bytes(content if path.suffix == ".bin" else corpus.excerpt(len(content)))


def change_within_files(root: Path, number: int) -> None:
    """A hundredth of each file, in ten places, is written over, and a little is added at the end."""
    chance = random.Random(number)
    for path in sorted(root.iterdir()):
        size = path.stat().st_size
        with path.open("r+b") as file:
            for _ in range(10):
                file.seek(chance.randrange(size))
                file.write(chance.randbytes(size // 1000))
            file.seek(0, 2)
            file.write(chance.randbytes(1000))


def change_rows(root: Path, number: int) -> None:
    """A hundredth of the rows differ, in ten runs of neighbours, and become longer; as many are added."""
    chance = random.Random(number)
    path = root / "shop.sql"
    rows = path.read_bytes().splitlines(keepends=True)
    run = len(rows) // 1000
    for _ in range(10):
        start = chance.randrange(len(rows) - run)
        rows[start : start + run] = [row.replace(b"',", b" again',", 1) for row in rows[start : start + run]]
    added = [b"(%d,'%s'),\n" % (number, chance.randbytes(60).hex().encode()) for _ in range(10 * run)]
    path.write_bytes(b"".join([*rows, *added]))


def _disk(corpus: Corpus) -> Iterator[bytes]:
    for number in itertools.count():
        size = corpus.chance.randrange(4, 512) * 1024
        yield (corpus.excerpt(size), corpus.chance.randbytes(size), corpus.excerpt(size), bytes(size))[
            number % 4
        ]


def _write(path: Path, parts: Iterator[bytes], size: int) -> None:
    with path.open("wb") as file:
        while size > 0:
            size -= file.write(filled(parts, min(size, 8 * MB)))


Make = Callable[[Path, float], Tree]
Change = Callable[[Path, int], None]

TREES: dict[str, tuple[str, Make, Change]] = {
    "small": ("small files", many_files, change_some_files),
    "large": ("large files", large_files, change_within_files),
    "dump": ("a database's dump", dump, change_rows),
}
