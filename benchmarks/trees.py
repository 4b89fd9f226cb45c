"""The two trees that benchmarks are run on; with one Python version always the same bytes.

Programs are told apart by how well they compress, so the content has to be as hard as what applications keep.
Of the large files a third is media (random bytes, which nothing shrinks), and a sixth each an access log, an
SQL dump, a table of measurements, and source text. The small files are nine tenths source text, the rest
settings and icons. Source text and the words of the rest are real: pieces of Python's own standard library.

Without the media, zlib's level 9 leaves about a quarter: of logs 24 %, SQL 37 %, tables 18 %, sources 21 %. Of a
Debian system's own files it leaves 13 % (logs) to 30 % (changelogs), 21 % of Python and 25 % of Perl.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

MB = 1_000_000
_LARGE = (2, 8, 16, 28, 38)  # MB; one file of each kind per size, 552 MB together
_SMALL = 40_000
_PER_FOLDER = 200
_PROSE = re.compile(r"[A-Za-z][A-Za-z ,.;:'-]{28,90}")


@dataclass(frozen=True)
class Tree:
    """What is in a tree that was made."""

    files: int
    size: int


def large_files(root: Path, scale: float) -> Tree:
    """Files of 2 to 38 MB times the scale."""
    corpus = Corpus(random.Random(1))
    count = total = 0
    root.mkdir()
    for size in _LARGE:
        for name, lines in KINDS:
            content = filled(lines(corpus), int(size * MB * scale))
            (root / f"{count:02}-{name}").write_bytes(content)
            count += 1
            total += len(content)
    return Tree(count, total)


def small_files(root: Path, scale: float) -> Tree:
    """Files of 200 bytes to 16 KB, small ones more often, 200 to a folder."""
    corpus = Corpus(random.Random(2))
    chance = corpus.chance
    count = total = 0
    while count < _SMALL * scale:
        folder = root / f"folder-{count // _PER_FOLDER:03}"
        folder.mkdir(parents=True, exist_ok=True)
        size = int(200 * 80 ** chance.random())
        match count % 20:
            case 0:
                name, content = "icon.png", chance.randbytes(size)
            case 1:
                name, content = "settings.json", filled(settings(corpus), size)
            case _:
                name, content = "module.py", corpus.excerpt(size)
        (folder / f"{count:05}-{name}").write_bytes(content)
        count += 1
        total += size
    return Tree(count, total)


class Corpus:
    """Real source text and prose, and one seeded chance for everything drawn from it."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        library = Path(sysconfig.get_path("stdlib"))
        paths = [path for path in sorted(library.rglob("*.py")) if "site-packages" not in path.parts]
        chance.shuffle(paths)
        self.source = b"".join(itertools.takewhile(bool, self._texts(paths)))
        lines = self.source.decode(errors="replace").splitlines()
        self.prose = [line.strip() for line in lines if _PROSE.fullmatch(line.strip())]
        self.words: list[str] = sorted(
            {word.lower() for line in self.prose for word in re.findall("[A-Za-z]{3,}", line)}
        )
        self.chance.shuffle(self.words)

    @staticmethod
    def _texts(paths: list[Path], limit: int = 24 * MB) -> Iterator[bytes]:
        for path in paths:
            text = path.read_bytes()[:200_000]  # of the few huge tables of code points a beginning only
            limit -= len(text)
            if limit < 0:
                return
            yield text or b"\n"

    def excerpt(self, size: int) -> bytes:
        start = self.chance.randrange(len(self.source) - size)
        return self.source[start : start + size]

    def word(self) -> str:
        return self.words[int(len(self.words) * self.chance.random() ** 3)]  # some far more often than others

    def sentence(self) -> str:
        """Half of one sentence and half of another, because there are not enough to come once each."""
        chance, prose = self.chance.random, self.prose
        one, other = (prose[int(len(prose) * chance())].split() for _ in range(2))
        return " ".join((*one[: len(one) // 2], *other[len(other) // 2 :]))


def filled(parts: Iterator[bytes], size: int) -> bytes:
    content = bytearray()
    for part in parts:
        content += part
        if len(content) >= size:
            break
    return bytes(content[:size])


def media(corpus: Corpus) -> Iterator[bytes]:
    while True:
        yield corpus.chance.randbytes(1 << 20)


def access_log(corpus: Corpus) -> Iterator[bytes]:
    """Combined log format with a request id, as web servers behind a proxy write it."""
    chance = corpus.chance
    drawn, bits = chance.random, chance.getrandbits
    agents = [f"Mozilla/5.0 ({corpus.word()}; {corpus.word()}) Engine/{bits(9)}.{bits(5)}" for _ in range(60)]
    visitors = [
        (f"{bits(8)}.{bits(8)}.{bits(8)}.{bits(8)}", agents[int(60 * drawn() ** 2)]) for _ in range(8000)
    ]
    pages = [f"/{corpus.word()}/{corpus.word()}-{number}" for number in range(4000)]
    now = datetime(2024, 1, 1, tzinfo=UTC)
    while True:
        now += timedelta(seconds=drawn() * 3)
        stamp = now.strftime("%d/%b/%Y:%H:%M:%S +0000")
        for _ in range(1 + bits(2)):
            address, agent = visitors[int(8000 * drawn() ** 2)]
            page = pages[int(4000 * drawn() ** 3)]
            referer = pages[int(4000 * drawn() ** 3)]
            status = 200 if drawn() < 0.9 else (301, 304, 404, 500)[bits(2)]
            yield (
                f'{address} - - [{stamp}] "GET {page}?page={bits(4)} HTTP/1.1" {status} {bits(15)} '
                f'"https://shop.example{referer}" "{agent}" {drawn():.3f} {bits(48):012x}\n'
            ).encode()


def sql_dump(corpus: Corpus) -> Iterator[bytes]:
    """Rows of customers' orders: names, addresses, dates, prices, a sentence or two, a token."""
    chance = corpus.chance
    drawn, bits = chance.random, chance.getrandbits
    now = datetime(2023, 1, 1, tzinfo=UTC)
    for number in itertools.count(1):
        if number % 100 == 1:
            yield b";\nINSERT INTO `orders` (`id`,`customer`,`email`,`placed`,`total`,`note`,`token`) VALUES\n"
        now += timedelta(seconds=drawn() * 900)
        first, last = corpus.word(), corpus.word()
        note = " ".join(corpus.sentence() for _ in range(bits(2))).replace("'", "''")
        token = "" if bits(2) else f"{bits(128):032x}"
        yield (
            f"({number},'{first.title()} {last.title()}','{first}.{last}{bits(6)}@example.com',"
            f"'{now:%Y-%m-%d %H:%M:%S}',{drawn() * 500:.2f},'{note}','{token}'),\n"
        ).encode()


def measurements(corpus: Corpus) -> Iterator[bytes]:
    """A table in CSV: a time, a sensor, values that wander and values that jump, a state."""
    chance = corpus.chance
    drawn, bits = chance.random, chance.getrandbits
    names = [f"{corpus.word()}-{number:03}" for number in range(200)]
    warmth = [20 * drawn() for _ in names]
    pressure = [1000 * drawn() for _ in names]
    now = datetime(2024, 1, 1, tzinfo=UTC)
    while True:
        now += timedelta(seconds=10)
        stamp = now.isoformat(timespec="seconds")
        for number, name in enumerate(names):
            warmth[number] += drawn() - 0.5
            pressure[number] += 4 * drawn() - 2
            state = "ok" if bits(4) else ("late", "low", "replaced", "silent")[bits(2)]
            yield f"{stamp},{name},{warmth[number]:.2f},{pressure[number]:.1f},{bits(7)},{state}\n".encode()


def source_text(corpus: Corpus) -> Iterator[bytes]:
    at = corpus.chance.randrange(len(corpus.source))
    while True:
        yield corpus.source[at : at + MB]
        at = (at + MB) % len(corpus.source)


def settings(corpus: Corpus) -> Iterator[bytes]:
    while True:
        one = {
            corpus.word(): corpus.word(),
            corpus.word(): corpus.chance.getrandbits(16),
            "note": corpus.sentence(),
        }
        yield json.dumps(one, indent=2).encode() + b",\n"


KINDS: tuple[tuple[str, Callable[[Corpus], Iterator[bytes]]], ...] = (
    ("photo.jpg", media),
    ("access.log", access_log),
    ("shop.sql", sql_dump),
    ("film.mp4", media),
    ("measured.csv", measurements),
    ("source.txt", source_text),
)

TREES: dict[str, Callable[[Path, float], Tree]] = {"large files": large_files, "small files": small_files}
