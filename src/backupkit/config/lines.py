"""Where in a TOML file each key stands, which the parser of the standard library does not tell."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]

# Strings, the longest kinds first, so that an empty one is not taken for the beginning of a long one.
_STRING = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL)
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN = re.compile(r"[^,\]}#\n]+")  # a number, a date, true or false


def lines_of(text: str) -> Mapping[KeyPath, int]:
    """The line, counted from 1, of each key and of each element of a list; of a text that is TOML."""
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: dict[KeyPath, int] = {}
        self._counts: dict[KeyPath, int] = {}  # of the tables of a list, `[[name]]`

    def read(self) -> Mapping[KeyPath, int]:
        table: KeyPath = ()
        while not self._is_end():
            if self._takes("[["):
                table = self._header(of_a_list=True)
            elif self._takes("["):
                table = self._header(of_a_list=False)
            else:
                self._pair(table)
        return self._found

    def _header(self, *, of_a_list: bool) -> KeyPath:
        line = self._line()
        path: KeyPath = ()
        keys = self._keys()
        for key in keys:
            path = self._within((*path, key))
            self._found.setdefault(path, line)
        if of_a_list:
            path = path[:-1] if isinstance(path[-1], int) else path
            number = self._counts[path] = self._counts.get(path, -1) + 1
            path = (*path, number)
            self._found[path] = line
        self._takes("]]" if of_a_list else "]")
        return path

    def _within(self, path: KeyPath) -> KeyPath:
        """The last table of the list, if the path is that of one."""
        return (*path, self._counts[path]) if path in self._counts else path

    def _pair(self, table: KeyPath) -> None:
        line, path = self._line(), table
        for key in self._keys():
            path = (*path, key)
            self._found.setdefault(path, line)
        self._takes("=")
        self._value(path)

    def _keys(self) -> list[str]:
        keys = [self._key()]
        while self._takes("."):
            keys.append(self._key())
        return keys

    def _key(self) -> str:
        self._skip_blank()
        if found := _STRING.match(self._text, self._at):
            self._at = found.end()
            return str(tomllib.loads(f"key = {found[0]}")["key"])
        found = _BARE.match(self._text, self._at)
        if found is None:
            raise ValueError(f"no key at {self._at}")
        self._at = found.end()
        return found[0]

    def _value(self, path: KeyPath) -> None:
        if self._takes("["):
            number = 0
            while not self._takes("]"):
                self._skip_blank()
                self._found[*path, number] = self._line()
                self._value((*path, number))
                number += 1
                self._takes(",")
        elif self._takes("{"):
            while not self._takes("}"):
                self._skip_blank()
                self._pair(path)
                self._takes(",")
        else:
            self._skip_blank()
            found = _STRING.match(self._text, self._at) or _PLAIN.match(self._text, self._at)
            if found is None:
                raise ValueError(f"no value at {self._at}")
            self._at = found.end()

    def _takes(self, what: str) -> bool:
        self._skip_blank()
        if not self._text.startswith(what, self._at):
            return False
        self._at += len(what)
        return True

    def _is_end(self) -> bool:
        self._skip_blank()
        return self._at >= len(self._text)

    def _skip_blank(self) -> None:
        found = _BLANK.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1
