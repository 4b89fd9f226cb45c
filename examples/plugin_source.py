"""How do I back up something that backupkit does not know, such as what lies behind an HTTP API?

Write a source: a class with a `name`, `contents` and `entries()`, which yields one `Entry` for each thing, its
content on demand. Nothing is inherited or registered. Hold it to the contract with
`backupkit.testing.sources.SourceTests` (see tests/examples/test_plugins.py). This one backs up the pages of a
wiki.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, Protocol

from backupkit import BackupPipeline, Entry, Passphrase, Problem, Retry, SourceError


class WikiAPI(Protocol):
    """What the source needs of the wiki; a real client would make HTTP requests."""

    def titles(self) -> list[str]: ...

    def text(self, title: str) -> Iterator[bytes]: ...


class Wiki:
    """The pages of a wiki, each a file `<name>/<title>.md`."""

    contents: Literal["files"] = "files"

    def __init__(self, api: WikiAPI, *, name: str = "wiki") -> None:
        self.api = api
        self.name = name

    def entries(self) -> Iterator[Entry | Problem]:
        # Here and not in the constructor, so that a pipeline can be made without any I/O.
        try:
            titles = self.api.titles()
        except OSError as error:
            raise SourceError(
                f"The wiki did not list its pages ({error}): check that it is up.",
                path=self.name,
                retryable=True,
            ) from error
        yield Entry(path=self.name, kind="directory")  # before what is in it
        for file in sorted(f"{title}.md" for title in titles):  # siblings in name order
            title, path = file.removesuffix(".md"), f"{self.name}/{file}"
            if "/" in file:
                yield Problem(
                    message=f"The page {title!r} was left out: a file cannot be called so.", path=path
                )
            else:
                yield Entry(path=path, mode=0o644, chunks=partial(self._text, title, path))

    def _text(self, title: str, path: str) -> Iterator[bytes]:
        """The content. Whatever keeps it from being whole must raise: an iterator that ends has given all."""
        try:
            yield from self.api.text(title)
        except OSError as error:
            raise SourceError(
                f"The page {title!r} could not be read ({error}): check that the wiki is up.",
                path=path,
                retryable=True,
            ) from error


class ToyWiki:
    """Stands in for the API; the first answer to each of `flaky` breaks off in the middle."""

    def __init__(self, pages: Mapping[str, str], *, flaky: tuple[str, ...] = ()) -> None:
        self.pages = pages
        self.flaky = set(flaky)

    def titles(self) -> list[str]:
        return list(self.pages)

    def text(self, title: str) -> Iterator[bytes]:
        for line in self.pages[title].splitlines(keepends=True):
            yield line.encode()
            if title in self.flaky:
                self.flaky.remove(title)
                raise ConnectionResetError("connection reset by peer")


def main() -> None:
    wiki = ToyWiki(
        {"Start": "Welcome.\nRead on.\n", "Apples": "Red.\nGreen.\n", "a/b": "An odd title.\n"},
        flaky=("Apples",),
    )
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "backups").mkdir()
        pipeline = BackupPipeline(
            "wiki",
            Wiki(wiki),
            root / "backups",
            encryptor=Passphrase("correct horse battery staple orbit"),
            retry=Retry(wait=0),
        )
        report = pipeline.run()
        print(f"run: {report.outcome}")
        for problem in report.problems:
            print(f"{problem.severity}: {problem.message}")

        # The run lost a page, so this backup is not "latest", which is the newest good one: name it.
        newest = pipeline.list().backups[0]
        pipeline.restore(newest, to=root / "restored")
        for path in sorted((root / "restored" / "wiki").iterdir()):
            print(path.name, path.read_text().split())


if __name__ == "__main__":
    main()
