"""gitignore patterns, matched by pathspec: what a source leaves out, and what a restore selects."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING

from backupkit.errors import ConfigurationError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_SPECIAL = frozenset("*?[\\")  # what may stand for something else in a gitignore pattern


def matcher(patterns: Sequence[str], *roots: str) -> Callable[[str], bool]:
    """Return what tells whether a relative path matches; a folder's path must end in "/".

    A pattern that begins with one of `roots`, absolute paths of the same folder, means that very path below
    it. Exact for a walk that does not enter what is excluded. Raises ConfigurationError for a pattern that
    gitignore does not know or that can match nothing.
    """
    if not patterns:
        return lambda path: False
    compiled = _compiler()
    lines = _checked_lines(patterns, roots)
    # pathspec is made for the paths of files: of a folder it cannot tell whether a pattern matched it or
    # one above it, which weighs less. So a folder is put as if it were a file, to patterns for either.
    files = compiled(lines).match_file
    folders = compiled([_for_folders(line) for line in lines]).match_file

    def matches(path: str) -> bool:
        path = _in_one_line(path)
        return folders(path[:-1]) if path.endswith("/") else files(path)

    return matches


def finder(patterns: Sequence[str], *, ignore_case: bool = False) -> Callable[[str], bool]:
    """Return what tells whether a pattern means this very path; a folder's path must end in "/".

    Unlike `matcher`, what is in a folder that is meant is not meant for that alone. A path written out as a pattern
    means itself, whatever characters it has. ConfigurationError as of `matcher`, or if there is no pattern.
    """
    if not patterns:
        raise ConfigurationError("No pattern says what to look for: give one, such as '*.csv'.")
    for pattern in patterns:
        if not pattern.strip() or pattern.startswith("#"):
            raise ConfigurationError(f"The pattern {pattern!r} means nothing: correct it or leave it out.")
    fold = str.lower if ignore_case else str
    patterns = [fold(pattern) for pattern in patterns]
    spelled_out = frozenset(pattern.lstrip("/") for pattern in patterns)
    compiled = _compiler()
    lines = _checked_lines(patterns, ())
    # The last rule that means a path decides; each is a regular expression, and what it calls ps_d is the end of a
    # folder that was meant, with more behind it.
    files, folders = (
        [
            (rule.regex, rule.include)
            for rule in reversed([*compiled(some).patterns])
            if rule.regex is not None and rule.include is not None
        ]
        for some in (lines, [_for_folders(line) for line in lines])
    )

    def means(path: str) -> bool:
        path = fold(path)
        whole = path.removesuffix("/")
        if path in spelled_out or whole in spelled_out:
            return True
        rules = folders if path.endswith("/") else files
        whole = _in_one_line(whole)
        for regex, include in rules:
            found = regex.match(whole)
            if found is not None and found.groupdict().get("ps_d") is None:
                return bool(include)
        return False

    return means


def folders_within(patterns: Sequence[str]) -> Sequence[str] | None:
    """The paths at or below which all is that the patterns can match; None if that may be anywhere."""
    paths = []
    for pattern in patterns:
        whole = pattern.strip()
        if whole.startswith("!") or "/" not in whole.rstrip("/"):
            return None
        # A path written out means itself, with the blanks at its beginning that a pattern has not.
        for one in dict.fromkeys((whole, pattern)):
            literal = list(takewhile(lambda name: not _SPECIAL & {*name}, one.strip("/").split("/")))
            if not literal:
                return None
            paths.append("/".join(literal))
    return paths


def pattern_of(path: str) -> str:
    """A pattern that means this very path, and all that is in it."""
    body = escaped(path)
    if path[-1:].isspace() and not path.endswith(" "):  # of blanks at the end, only a space can be escaped
        body = f"{body[:-1]}[{path[-1]}]"
    return f"/{body}"


def path_of(pattern: str) -> str:
    """The path that `pattern_of` made this of."""
    body = pattern.removeprefix("/")
    return re.sub(r"\\(.)|\[(.)\]\Z", lambda found: found[1] or found[2], body, flags=re.DOTALL)


def escaped(text: str) -> str:
    """What stands for this text in a pattern, whatever characters it has."""
    return re.sub(r"([*?\[\]\\ ])", r"\\\1", text)


def is_on_the_way(folder: str, path: str) -> bool:
    """Whether the folder leads to the path, or is at or below it."""
    return f"{folder}/".startswith(f"{path}/") or path.startswith(f"{folder}/")


def _compiler() -> Callable[[Sequence[str]], GitIgnoreSpec]:
    from pathspec import GitIgnoreSpec  # here: it takes longer to import than this package

    # The other backends refuse names that are not UTF-8.
    return partial(GitIgnoreSpec.from_lines, backend="simple")


def _checked_lines(patterns: Sequence[str], roots: Sequence[str]) -> Sequence[str]:
    """As gitignore has them; ConfigurationError for what is none, or can match nothing."""
    compiled = _compiler()
    lines = [_as_gitignore(pattern, roots) for pattern in patterns]
    for pattern, line in zip(patterns, lines, strict=True):
        try:
            rules = [*compiled([line]).patterns, *compiled([_for_folders(line)]).patterns]
        except (ValueError, re.error) as error:
            raise ConfigurationError(f"{pattern!r} is no gitignore pattern: correct it.") from error
        if any(rule.include is None for rule in rules) and line.strip() and not line.startswith("#"):
            raise ConfigurationError(
                f"The pattern {pattern!r} can match nothing: correct it or leave it out."
            )
    return lines


def _in_one_line(path: str) -> str:
    # In a regular expression "." does not match a newline and "$" matches before one. A name can
    # hold any byte but zero, so zero stands in for it.
    return path.replace("\n", "\0")


def _as_gitignore(pattern: str, roots: Sequence[str]) -> str:
    sign, body = ("!", pattern[1:]) if pattern.startswith("!") else ("", pattern)
    if body.startswith("/") and body.rstrip("/") in roots:
        raise ConfigurationError(f"The pattern {pattern!r} is the whole source: leave it out.")
    for root in roots:
        if body.startswith(f"{root}/"):
            body = body.removeprefix(root)
            break
    # "a/**/" is every folder in "a"; pathspec would take the files in "a" as well.
    body = re.sub(r"/\*\*/\s*$", "/**/*/", body)
    return (sign + body).replace("\n", "\0")


def _for_folders(line: str) -> str:
    """Drop the slash that keeps a pattern from matching files; a blank after a backslash is no padding."""
    return (line if line.endswith("\\ ") else line.rstrip()).rstrip("/")
