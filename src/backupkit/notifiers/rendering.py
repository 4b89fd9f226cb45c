"""From what happened to what is sent: a subject, a text, HTML, and the few facts that a chat service shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backupkit.errors import NotificationError
from backupkit.model import Notice
from backupkit.notifiers.languages import Words, checked_language, shortened
from backupkit.notifiers.statements import Level, Pair, Statement, Table, statement_of
from backupkit.printable import printable
from backupkit.zones import zone_named

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = ("subject.txt", "message.txt", "message.html")

_FOLDER = os.path.join(os.path.dirname(__file__), "templates")
_LONGEST_SUBJECT = 200
_FEW = 5  # problems, and destinations, that are told in a chat
_SHORT = 300  # characters of each


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent. `fields` are the labels and values that chat services show beside each other."""

    subject: str
    text: str
    html: str
    fields: tuple[Pair, ...]
    level: Level
    lead: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderer:
    """Makes messages, in one language, with times told in one zone.

    `templates` is a folder. Those of `subject.txt`, `message.txt` and `message.html` that it holds are used
    instead of ours. One that is broken is not used, and the message says so: better told plainly than never.

    Needs jinja2: `pip install 'backupkit[notifications]'`.
    """

    language: str = "en"
    time_zone: str = "UTC"
    templates: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        checked_language(self.language)
        zone_named(self.time_zone)
        try:
            import jinja2  # noqa: F401 - rather missed now than when there is something to tell
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "The texts of notifications need jinja2: pip install 'backupkit[notifications]'"
            ) from error

    def message(self, notice: Notice) -> Message:
        """What is sent about a notice, whatever the user's own templates are like."""
        try:
            return self.strictly(notice)
        except NotificationError as error:
            if self.templates is None:
                raise
            return self._made(notice, None, remark=printable(str(error)))

    def strictly(self, notice: Notice) -> Message:
        """The same; NotificationError if one of the user's own templates is broken."""
        return self._made(notice, self.templates)

    def _made(
        self, notice: Notice, templates: str | os.PathLike[str] | None, *, remark: str | None = None
    ) -> Message:
        words = Words.of(self.language, self.time_zone)
        statement = statement_of(notice, words)
        environment = _environment(words, templates)
        context = {name: getattr(statement, name) for name in Statement.__slots__}
        context |= {"notice": notice, "language": self.language, "remark": remark}
        subject, text, html = (_rendered(environment, name, context, templates) for name in TEMPLATES)
        return Message(
            subject=shortened(printable(" ".join(subject.split())), _LONGEST_SUBJECT),
            text=text,
            html=html,
            fields=tuple(_fields(statement, words, remark)),
            level=statement.level,
            lead=statement.lead,
        )


def _environment(words: Words, templates: str | os.PathLike[str] | None) -> Environment:
    import jinja2

    folders = [_FOLDER] if templates is None else [os.fspath(templates), _FOLDER]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_translations(words.translations, newstyle=True)  # type: ignore[attr-defined]
    return environment


def _rendered(
    environment: Environment, name: str, context: dict[str, object], templates: str | os.PathLike[str] | None
) -> str:
    try:
        return environment.get_template(name).render(context).strip() + "\n"
    except Exception as error:  # whatever a template does, it must not keep anybody from being told
        if templates is None:
            raise
        line = f", line {error.lineno}" if hasattr(error, "lineno") else ""
        raise NotificationError(
            f"The template {name} in {os.fspath(templates)!r} is broken ({type(error).__name__}{line}: "
            f"{shortened(str(error), _SHORT)}): correct it, or remove it to use the text of backupkit."
        ) from error


def _fields(statement: Statement, words: Words, remark: str | None) -> Iterator[Pair]:
    """What a chat shows, and may fold: the first problems, the facts, each destination in a few lines."""
    if statement.problems:
        lines = [shortened(str(problem), _SHORT) for problem in statement.problems[:_FEW]]
        yield (
            words.gettext("Problems"),
            "\n".join(_cut(lines, len(statement.problems) + statement.hidden, words)),
        )
    yield from statement.facts
    if statement.tables:
        yield from (pair for pair in _places(statement.tables[0], words) if pair not in statement.facts)
    if remark is not None:
        yield words.gettext("Template"), shortened(remark, _SHORT)


def _places(table: Table, words: Words) -> Iterator[Pair]:
    """The rows of a table, as fields: cell by cell if there is one, row by row otherwise."""
    if len(table.rows) == 1 and not table.hidden:
        yield from zip(table.columns, table.rows[0], strict=True)
        return
    for place, *cells in table.rows[:_FEW]:
        said = [f"{label}: {cell}" for label, cell in zip(table.columns[1:], cells, strict=True)]
        yield place, "\n".join(said)
    more = len(table.rows) + table.hidden - _FEW
    if more > 0:
        yield table.title, words.ngettext("and %(num)s more", "and %(num)s more", more)


def _cut(lines: list[str], count: int, words: Words) -> list[str]:
    more = count - len(lines)
    return [*lines, words.ngettext("and %(num)s more", "and %(num)s more", more)] if more > 0 else lines
