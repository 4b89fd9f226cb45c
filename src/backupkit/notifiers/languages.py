"""The languages of notifications: their catalogues, and how each writes times, durations and numbers of things.

The English texts are the keys. The Korean ones stand in locale/ko/LC_MESSAGES/backupkit.po; after a change of
either, `nox -s translations` brings the catalogue up to date and compiles it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from backupkit.errors import ConfigurationError
from backupkit.model import Contents, DestinationOutcome
from backupkit.sizes import format_size
from backupkit.zones import zone_named

if TYPE_CHECKING:
    from gettext import NullTranslations

LANGUAGES = ("en", "ko")

_DOMAIN = "backupkit"
_FOLDER = os.path.join(os.path.dirname(__file__), "locale")


def shortened(text: str, limit: int) -> str:
    """The text, cut to so many characters, the last of which then says so."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def checked_language(language: str) -> str:
    if language not in LANGUAGES:
        known = ", ".join(f'"{one}"' for one in LANGUAGES)
        raise ConfigurationError(f"There are no texts in the language {language!r}: use one of {known}.")
    return language


@dataclass(frozen=True, slots=True)
class Words:
    """One language, and the zone its times are told in."""

    translations: NullTranslations
    zone: tzinfo

    @classmethod
    def of(cls, language: str, time_zone: str) -> Words:
        from gettext import NullTranslations, translation

        if checked_language(language) == "en":
            return cls(NullTranslations(), zone_named(time_zone))
        return cls(translation(_DOMAIN, _FOLDER, languages=[language]), zone_named(time_zone))

    def gettext(self, text: str) -> str:
        return self.translations.gettext(text)

    def ngettext(self, one: str, many: str, count: int) -> str:
        """The text for so many things, with the number in place of `%(num)s`."""
        return self.translations.ngettext(one, many, count) % {"num": f"{count:,}"}

    def number(self, count: int) -> str:
        return f"{count:,}"

    def time(self, time: datetime) -> str:
        """To the minute, with the zone."""
        local = time.astimezone(self.zone)
        return self.gettext("%(year)04d-%(month)02d-%(day)02d %(hour)02d:%(minute)02d %(zone)s") % {
            "year": local.year,
            "month": local.month,
            "day": local.day,
            "hour": local.hour,
            "minute": local.minute,
            "zone": local.tzname() or "",
        }

    def took(self, length: timedelta) -> str:
        """How long something took: "12.3 s", "3 min 20 s", "1 h 5 min"."""
        seconds = max(0.0, length.total_seconds())
        if seconds < 59.95:  # above, it would be rounded to "60.0 s"
            return self.gettext("%(seconds)s s") % {"seconds": f"{seconds:.1f}"}
        whole = round(seconds)
        if whole < 3600:
            parts = {"minutes": whole // 60, "seconds": whole % 60}
            return self.gettext("%(minutes)d min %(seconds)d s") % parts
        return self.gettext("%(hours)d h %(minutes)d min") % {
            "hours": whole // 3600,
            "minutes": whole % 3600 // 60,
        }

    def age(self, length: timedelta) -> str:
        """The two largest units: "2 days 3 hours", "1 day 5 minutes"."""
        minutes = max(0, length // timedelta(minutes=1))
        days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
        parts = [
            self.ngettext("%(num)s day", "%(num)s days", days) if days else "",
            self.ngettext("%(num)s hour", "%(num)s hours", hours) if hours else "",
            self.ngettext("%(num)s minute", "%(num)s minutes", rest) if rest else "",
        ]
        return " ".join([part for part in parts if part][:2]) or self.gettext("less than a minute")

    def growth(self, count: int | None) -> str:
        """By how much something grew; a dash if that is not known."""
        if count is None:
            return "–"
        return f"{'+' if count > 0 else '−' if count < 0 else '±'}{format_size(abs(count))}"

    def contents(self, contents: Iterable[Contents]) -> str:
        match sorted(contents):
            case ["databases", "files"]:
                return self.gettext("files and databases")
            case ["databases"]:
                return self.gettext("databases only")
            case ["files"]:
                return self.gettext("files only")
            case _:
                return self.gettext("unknown until it is verified")

    def outcome(self, outcome: DestinationOutcome) -> str:
        return {
            "succeeded": self.gettext("succeeded"),
            "incomplete": self.gettext("incomplete"),
            "failed": self.gettext("failed"),
            "unknown": self.gettext("unknown"),
        }[outcome]
