"""Imports go downwards only: the table below is the architecture, and this file holds the code to it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import backupkit

PACKAGE = Path(backupkit.__file__).parent
HERE = "tests/test_layers.py"

# A room is a module or folder directly below the package. It may import what stands below it, and itself.
LAYERS = (
    {
        *("errors", "model", "plain_data", "printable", "prune_limits", "sizes", "state_folder", "zones"),
        *("_chunks", "_flattening", "_parallel", "_processes", "_program"),
    },
    {
        "protocols",
        "events",
        "passphrase",
        "retrying",
        "patterns",
        "databases",
        "filesystems",
        "tables",
        "_waiting",
    },
    {
        *("formats", "sources", "targets", "destinations", "compression", "retention", "health", "observers"),
        *("notifiers", "history", "memory", "summaries", "_health_news", "locking", "marks", "selection"),
    },
    {
        "pipeline",
        "backups",
        *("_at_destinations", "_looking_into", "_keeping_up"),
        "opening",
        *("browsing", "repository_urls"),
        "_finding",
        *("_comparing", "_looking", "_measuring"),
        *("_keys", "_recovery_sheet"),
        *("examining", "examining_pipelines", "_trials"),
        "_operation",
        "_reading",
        "_cleaning",
        "_deleting",
        "_downloading",
        *("_copied_entries", "_copying"),
        "_monitoring",
        "_parts",
        "_pinning",
        "_repairing",
        "_unlocking",
        "_verifying",
        "_restoring",
        "_restore_worker",
        "_restore_workers",
        "_shares",
        "_entry_file",
        "_telling",
        "_writing",
        *("_drilling", "_placing", "_questioning", "_scratch", "_scratch_redis"),
    },
    {"cli", "__main__", "config", "integrations", "scheduling"},
)
LAYER = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}

# Within a layer: who may lean on whom, and why. Each pair goes one way; of hosts, each may start another one.
NEIGHBOURS = {
    ("prune_limits", "errors"): "an unreadable limit is a ConfigurationError",
    ("prune_limits", "sizes"): "it may be a size",
    ("sizes", "errors"): "an unreadable size is a ConfigurationError",
    ("state_folder", "errors"): "so is having nowhere to remember anything",
    ("zones", "errors"): "so is an unknown time zone",
    ("_flattening", "model"): "what is in the parts of a source",
    ("_parallel", "_chunks"): "who reads ahead closes what it read from",
    ("_processes", "errors"): "what cannot be sent is told by one that can",
    ("plain_data", "model"): "reports and what is in them",
    ("plain_data", "errors"): "what cannot be read back is an error of ours",
    ("protocols", "events"): "the contracts name the values that pass through them",
    ("protocols", "passphrase"): "the same",
    ("protocols", "retrying"): "the same",
    ("protocols", "databases"): "the same",
    ("filesystems", "retrying"): "how long to wait before asking again",
    ("formats", "compression"): "a format has a compressor of its own choice",
    ("examining", "_trials"): "the steps of an examination",
    ("examining_pipelines", "pipeline"): "what is examined",
    ("examining_pipelines", "_reading"): "what of a source a run reads",
    ("opening", "backups"): "what is opened",
    ("backups", "_at_destinations"): "where they are, and which is meant",
    ("backups", "_looking_into"): "what looks",
    ("backups", "_keeping_up"): "what keeps them",
    ("_looking_into", "_at_destinations"): "where they are, and which is meant",
    ("_keeping_up", "_at_destinations"): "the same",
    ("browsing", "_at_destinations"): "the same",
    ("pipeline", "_at_destinations"): "the same",
    ("_at_destinations", "_finding"): "which backup is meant",
    ("backups", "_finding"): "what is known of it",
    ("_looking_into", "_finding"): "the newest come first",
    ("_keeping_up", "_finding"): "which of them are to be copied",
    ("_at_destinations", "_operation"): "what every operation has in common",
    ("_looking_into", "_operation"): "the same",
    ("_keeping_up", "_operation"): "the same",
    ("pipeline", "_finding"): "the same",
    ("_looking_into", "_comparing"): "where two of them differ",
    ("_comparing", "_operation"): "how several errors are raised",
    ("_looking_into", "_looking"): "in which of them something stands",
    ("_looking", "_comparing"): "what is the same content",
    ("_looking_into", "_measuring"): "what they take",
    ("backups", "_operation"): "what every operation has in common",
    ("pipeline", "_operation"): "the same",
    ("_reading", "_operation"): "the same",
    ("pipeline", "_telling"): "who is told of an operation",
    ("_cleaning", "_operation"): "the same",
    ("_verifying", "_operation"): "the same",
    ("backups", "_verifying"): "how one copy is verified",
    ("backups", "_shares"): "how much of it",
    ("backups", "_restore_workers"): "how a restore is spread",
    ("_restore_workers", "_restore_worker"): "what each of them does",
    ("_restore_workers", "_operation"): "what every operation has in common",
    ("_restoring", "_operation"): "the same",
    ("backups", "_restoring"): "where a restore writes to",
    ("_drilling", "_operation"): "the same",
    ("_drilling", "_scratch"): "scratch places, made and removed",
    ("_placing", "_scratch"): "the same",
    ("_placing", "_scratch_redis"): "the same, for a server of its own",
    ("_scratch_redis", "_scratch"): "how what was kept is told",
    ("_drilling", "_placing"): "where a drill restores to",
    ("_drilling", "_questioning"): "what a drill asks",
    ("_questioning", "_placing"): "it names what is asked",
    ("pipeline", "_parts"): "what it can be made of",
    ("_at_destinations", "_parts"): "the same",
    ("pipeline", "_placing"): "what a drill is told",
    ("pipeline", "_drilling"): "how a drill is held",
    ("pipeline", "_reading"): "what a run reads",
    ("pipeline", "_writing"): "how a backup is made",
    ("_writing", "_operation"): "the same",
    ("_writing", "_reading"): "what a run reads",
    ("pipeline", "_cleaning"): "how a destination is cleaned",
    ("pipeline", "_monitoring"): "how the backups stand",
    ("_monitoring", "_cleaning"): "what killed runs left behind",
    ("_keeping_up", "_copying"): "how backups are copied elsewhere",
    ("_copying", "_operation"): "what every operation has in common",
    ("_copying", "_copied_entries"): "what is written again",
    ("_copied_entries", "_operation"): "the same",
    ("_keeping_up", "_keys"): "who may open the backups",
    ("_keys", "_operation"): "what every operation has in common",
    ("_keeping_up", "_recovery_sheet"): "what is printed for the worst case",
    ("_recovery_sheet", "_keys"): "how a repository is opened",
    ("_recovery_sheet", "_operation"): "the same",
    ("_keeping_up", "_deleting"): "what must not go, and what goes with it",
    ("_downloading", "_operation"): "the same",
    ("_looking_into", "_downloading"): "an archive as a file",
    ("backups", "_downloading"): "where it is written to",
    ("_deleting", "_operation"): "what every operation has in common",
    ("_keeping_up", "_pinning"): "how a backup is pinned everywhere",
    ("_pinning", "_operation"): "the same",
    ("_keeping_up", "_repairing"): "how one destination is repaired",
    ("_repairing", "_operation"): "the same",
    ("_keeping_up", "_unlocking"): "whether there are locks",
    ("_looking_into", "_entry_file"): "how one entry is opened",
    ("_looking_into", "browsing"): "backups as a file system",
    ("browsing", "_entry_file"): "how one entry is opened",
    ("repository_urls", "backups"): "what is opened",
    ("repository_urls", "opening"): "how it is opened",
    ("repository_urls", "browsing"): "what a URL leads to",
    ("pipeline", "backups"): "a pipeline is its list of backups and what can be done to them",
    ("integrations", "scheduling"): "what is done when",
    ("config", "scheduling"): "a pipeline's schedule is one of its settings",
    ("cli", "scheduling"): "schedules are shown, and given to cron and systemd, at the command line",
    ("integrations", "config"): "what Django's settings say",
    ("integrations", "cli"): "`manage.py backup` and `flask backup` are the command line",
    ("cli", "integrations"): "`backupkit web` serves the page",
    ("cli", "config"): "settings are checked, shown and begun at the command line",
    ("__main__", "cli"): "`python -m backupkit` is the command line",
}

# These stand outside: the public names come from everywhere, and the conformance kit tests everything.
ROOT, KIT = "__init__", "testing"

REQUIRED = {
    *("cryptography", "Cryptodome", "filelock", "fsspec", "isal", "pathspec", "pyzipper", "tenacity"),
    "zstandard",
}
OPTIONAL = {
    "adlfs": {"filesystems"},
    "aiobotocore": {"filesystems"},
    "aiohttp": {"filesystems"},
    "azure": {"filesystems"},
    "gcsfs": {"filesystems"},
    "google": {"filesystems"},
    "google_crc32c": {"filesystems"},
    "borghash": {"formats"},
    "llvmlite": {"formats"},
    "pyfastcdc": {"formats"},
    "pymongo": {"databases"},
    "apprise": {"notifiers"},
    "jinja2": {"notifiers", "integrations"},
    "requests": {"filesystems", "notifiers"},
    "redis": {"integrations", "locking"},
    "celery": {"integrations"},
    "billiard": {"integrations"},
    "sqlalchemy": {"tables", "notifiers", "history", "integrations", "locking"},
    "prometheus_client": {"observers", "integrations"},
    "asyncssh": {"filesystems"},
    "smbclient": {"filesystems"},
    "httpx": {"filesystems"},
    "webdav4": {"filesystems"},
    "typer": {"cli"},
    "questionary": {"cli"},
    "click": {"integrations"},
    "starlette": {"integrations"},
    "anyio": {"integrations"},
    "limits": {"integrations"},
    "uvicorn": {"cli"},
    "cronsim": {"scheduling"},
    "apscheduler": {"integrations"},
    "django": {"integrations"},
    "pydantic": {"config"},
    "pydantic_core": {"config"},
    "dotenv": {"config"},
    "rich": {"cli", "observers"},
    "s3fs": {"filesystems"},
    "botocore": {"filesystems"},
    "dropbox": {"filesystems"},
    "stone": {"filesystems"},
    "urllib3": {"filesystems"},
    "pytest": {KIT},
    "hypothesis": {KIT},
}

NO_NAMES = {"utils", "util", "helpers", "helper", "base", "common", "misc"}


def room_of(path: str) -> str:
    """The room of a module, from its path below the package: `formats/zip/aes.py` is in `formats`."""
    return path.split("/")[0].removesuffix(".py")


def imported(module: ast.Module, path: str) -> Iterator[tuple[ast.stmt, str]]:
    """Yield each import with the full dotted name of what it imports, wherever in the module it stands."""
    package = ["backupkit", *path.split("/")[:-1]]
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else []
            source = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node, f"{source}.{alias.name}"


def only_for_types(module: ast.Module) -> set[ast.AST]:
    """Every node below an `if TYPE_CHECKING:`."""
    return {
        below
        for node in ast.walk(module)
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
        for statement in node.body
        for below in ast.walk(statement)
    }


def objection(room: str, name: str, *, for_types: bool) -> str | None:
    """Why this room may not import that name, or None."""
    top, _, rest = name.partition(".")
    if top != "backupkit":
        if top in sys.stdlib_module_names or (top == "_typeshed" and for_types):
            return None
        if top in OPTIONAL:
            return None if room in OPTIONAL[top] else f"{top} may be imported in {sorted(OPTIONAL[top])} only"
        if top not in REQUIRED:
            return f"{top} is not a known dependency: declare it in pyproject.toml and name it in {HERE}"
        return f"layer 0 has the standard library only, not {top}" if LAYER.get(room) == 0 else None

    if room in {ROOT, KIT}:
        return None
    other = rest.partition(".")[0]
    if other == KIT:
        return "only tests import backupkit.testing"
    if other not in LAYER:
        # `from backupkit import Zip`: the package itself, which imports everything.
        return (
            None if LAYER[room] == len(LAYERS) - 1 else "import the module that defines it, not the package"
        )
    if other == room or LAYER[other] < LAYER[room] or (room, other) in NEIGHBOURS:
        return None
    if (room, other) == ("errors", "model") and for_types:
        return None
    return f"{room} (layer {LAYER[room]}) may not import {other} (layer {LAYER[other]})"


def violations(path: str, source: str) -> list[str]:
    """What is wrong with the imports of the module at this path below the package."""
    room = room_of(path)
    if room not in {ROOT, KIT, *LAYER}:
        return [f"{path}: the room {room!r} has no layer: decide which it belongs to and add it in {HERE}"]
    module = ast.parse(source)
    types = only_for_types(module)
    found = [
        f"{path}:{node.lineno}: `{ast.unparse(node)}`: {why}"
        for node, name in imported(module, path)
        if (why := objection(room, name, for_types=node in types))
    ]
    return list(dict.fromkeys(found))


def modules() -> list[str]:
    return sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def read(path: str) -> str:
    return (PACKAGE / path).read_text(encoding="utf-8")


def assert_none(found: list[str]) -> None:
    """Fail with all of them: pytest itself would show the first of a list."""
    assert not found, "\n".join(["", *found])


def test_imports_go_downwards_only() -> None:
    assert_none([line for path in modules() for line in violations(path, read(path))])


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("model.py", "from backupkit.events import Started"),
        ("model.py", "import zstandard"),
        ("events.py", "def late():\n    from backupkit.protocols import Source"),
        ("retention.py", "import backupkit.health"),
        ("sources/files.py", "from backupkit import targets"),
        ("sources/files.py", "from ..targets import DirectoryTarget"),
        ("destinations/local.py", "from backupkit.compression import Deflate"),
        ("backups.py", "from backupkit.pipeline import BackupPipeline"),
        ("pipeline.py", "from backupkit import Zip"),
        ("errors.py", "from backupkit.model import Report"),
        ("events.py", "if TYPE_CHECKING:\n    from backupkit.protocols import Source"),
        ("cli/demo.py", "from backupkit.testing import MemoryDestination"),
        ("health.py", "import rich.progress"),
        ("sources/files.py", "import pytest"),
        ("sources/files.py", "import requests"),
        ("plugins.py", ""),
    ],
)
def test_an_import_that_breaks_the_rules_is_named(path: str, source: str) -> None:
    (violation,) = violations(path, source)
    assert violation.startswith(path)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("errors.py", "if TYPE_CHECKING:\n    from backupkit.model import Report"),
        ("retrying.py", "import tenacity"),
        ("formats/zip/writer.py", "from backupkit.compression import Deflate"),
        ("formats/zip/writer.py", "from .records import LocalHeader"),
        ("formats/zip/writer.py", "from backupkit.formats.zip import records"),
        ("pipeline.py", "from backupkit.backups import latest\nfrom backupkit import locking"),
        ("observers.py", "import rich.progress"),
        ("cli/demo.py", "import typer\nfrom backupkit import BackupPipeline"),
        ("testing/sources.py", "import pytest\nfrom backupkit.sources import files"),
        ("__init__.py", "from backupkit.pipeline import BackupPipeline"),
    ],
)
def test_an_import_that_keeps_the_rules_passes(path: str, source: str) -> None:
    assert violations(path, source) == []


def test_every_module_says_what_it_is() -> None:
    assert_none([path for path in modules() if not ast.get_docstring(ast.parse(read(path)))])


def test_annotations_are_never_evaluated() -> None:
    line = "from __future__ import annotations"
    with_code = [path for path in modules() if len(ast.parse(read(path)).body) > 1]
    assert_none([path for path in with_code if line not in read(path).splitlines()])


def test_no_module_has_a_name_that_says_nothing() -> None:
    parts = {path: {part.strip("_").removesuffix(".py") for part in path.split("/")} for path in modules()}
    assert_none([path for path, names in parts.items() if names & NO_NAMES])


def test_only_the_command_line_prints() -> None:
    printing = [
        f"{path}:{node.lineno}"
        for path in modules()
        if room_of(path) != "cli"
        for node in ast.walk(ast.parse(read(path)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert_none(printing)
