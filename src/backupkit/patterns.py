"""gitignore patterns, matched by pathspec: what a source leaves out, and what a restore selects."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

from backupkit.errors import ConfigurationError


def matcher(patterns: Sequence[str], *roots: str) -> Callable[[str], bool]:
    """Return what tells whether a relative path matches; a folder's path must end in "/".

    A pattern that begins with one of `roots`, absolute paths of the same folder, means that very path below
    it. Exact for a walk that does not enter what is excluded. Raises ConfigurationError for a pattern that
    gitignore does not know or that can match nothing.
    """
    if not patterns:
        return lambda path: False
    from pathspec import GitIgnoreSpec  # here: it takes longer to import than this package

    # The other backends refuse names that are not UTF-8.
    compiled = partial(GitIgnoreSpec.from_lines, backend="simple")
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
    # pathspec is made for the paths of files: of a folder it cannot tell whether a pattern matched it or
    # one above it, which weighs less. So a folder is put as if it were a file, to patterns for either.
    files = compiled(lines).match_file
    folders = compiled([_for_folders(line) for line in lines]).match_file

    def matches(path: str) -> bool:
        # In a regular expression "." does not match a newline and "$" matches before one. A name can
        # hold any byte but zero, so zero stands in for it.
        path = path.replace("\n", "\0")
        return folders(path[:-1]) if path.endswith("/") else files(path)

    return matches


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
