"""The first `backupkit.toml` of an application: commented, and without a secret."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from backupkit.config.values import is_secret
from backupkit.databases.urls import is_database_url, parse_database_url
from backupkit.errors import ConfigurationError
from backupkit.pipeline import check_name
from backupkit.sources.application_excludes import APPLICATION_EXCLUDES

SCHEMA_FILE = "backupkit.schema.json"
DATABASE_VARIABLE = "DATABASE_URL"
PASSPHRASE_VARIABLE = "BACKUP_ARCHIVE_PASSWORD"  # noqa: S105 - the name of a variable
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody wants to begin with.

    `database` and `destinations` are as in settings, with variables, `${NAME}`; passwords must be in such.
    """

    name: str
    folder: str
    database: str = ""
    destinations: Sequence[str]
    encrypted: bool = True
    notifications: bool = True

    def __post_init__(self) -> None:
        check_name(self.name)
        for text in (self.database, *self.destinations):
            if holds_password(text):
                raise ConfigurationError(
                    "A URL with a password would stand in the file for everybody to read: put it into a variable "
                    f"of the environment, and give the name of that, as ${{{DATABASE_VARIABLE}}}."
                )
        if self.database and "${" not in self.database:
            parse_database_url(self.database)
        if not self.destinations:
            raise ConfigurationError("There is no destination: name a folder or a URL, at least one.")


def holds_password(text: str) -> bool:
    """Whether a URL has something in it that nobody else should read."""
    if is_database_url(text):
        return parse_database_url(text).password is not None
    place, _, query = text.partition("://")[2].partition("?")
    user, at, _ = place.rpartition("@")
    return bool(at and ":" in user) or any(is_secret(key) for key, _ in parse_qsl(query))


def name_from(folder: Path) -> str:
    """A name for the pipeline that backs up this folder."""
    return _NOT_IN_A_NAME.sub("-", folder.name).strip("-._").lower() or "application"


def starter(wanted: Wanted) -> str:
    """The text of the file."""
    folder = f'{{ type = "directory", path = {_literal(wanted.folder)}, exclude = [\n{_excludes()}    ] }}'
    sources = [f"    {folder},"]
    if wanted.database:
        sources.append(f"    {_text(wanted.database)},")
    else:
        sources.append(f'    # "${{{DATABASE_VARIABLE}}}",  # a database, by its URL')
    table = f"pipelines.{_key(wanted.name)}"
    destinations = "\n".join(f"    {_text(one)}," for one in wanted.destinations)
    return f"""\
#:schema ./{SCHEMA_FILE}
# For editors: `backupkit config schema > {SCHEMA_FILE}`.

# `backupkit config check` looks whether all is right, `backupkit config show` tells what it comes to.
# ${{NAME}} takes a variable of the environment, ${{NAME:-text}} another text where it is not set, and $$ is a
# dollar sign. Relative paths begin in the folder of this file.

[{table}]
# What is backed up: folders, databases, buckets, the output of programs.
sources = [
{chr(10).join(sources)}
]

# Where to: folders, which must be there, or URLs such as "s3://bucket/folder" or "sftp://backup@host/folder".
destinations = [
{destinations}
]

{_encryption(wanted)}

# What `backupkit monitor` asks.
checks = [
    {{ type = "maximum_age", days = 1 }},
    "future_dated",
    "leftovers",
]

{_notifications(wanted)}

# When what is done: a full run at 03:00, the databases every six hours, cleaning at 04:00, health at 09:00, and a
# summary on Mondays. It needs something that keeps to it, such as a scheduler or a queue.
schedule = "usual"

# What is kept: all for some days, then one a day, a week, a month and a year.
[{table}.retention]
type = "tiered"
keep_all_days = 7
keep_daily_days = 16
keep_weekly_weeks = 8
keep_monthly_months = 4
keep_yearly_years = 2
"""


def write_starter(path: Path, text: str) -> None:
    """Write the file, if there is none."""
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigurationError(
            f"{path} is there already, and nothing was written: change it, or name another file."
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror}): name another file."
        ) from error


def _encryption(wanted: Wanted) -> str:
    if wanted.encrypted:
        return (
            f"# Encrypted with the passphrase in the variable {PASSPHRASE_VARIABLE}. Keep it somewhere else as\n"
            '# well: without it nobody gets anything back. "none" would leave the backups readable.\n'
            'encryptor = "environment"'
        )
    return (
        '# Readable by whoever gets hold of the backups. "environment" would encrypt them with the passphrase in\n'
        f'# {PASSPHRASE_VARIABLE}.\nencryptor = "none"'
    )


def _notifications(wanted: Wanted) -> str:
    return (
        "# Who is told: BACKUP_NOTIFICATION_EMAIL (with MAIL_HOST and so on), BACKUP_SLACK_WEBHOOK_URL and\n"
        "# BACKUP_DISCORD_WEBHOOK_URL, those of them that are set.\n"
        f'{"" if wanted.notifications else "# "}notifiers = "environment"'
    )


def _excludes() -> str:
    lines, line = "", "       "
    for pattern in APPLICATION_EXCLUDES:
        if len(line) + len(pattern) > 100:
            lines, line = f"{lines}{line}\n", "       "
        line += f" {_literal(pattern)},"
    return f"{lines}{line}\n"


def _literal(text: str) -> str:
    """The text as it is: a folder may have any name, and a dollar sign in it."""
    return _text(text.replace("$", "$$"))


def _text(text: str) -> str:
    """The text in TOML's quotes."""
    return json.dumps(os.fspath(text), ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)
