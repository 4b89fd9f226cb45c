"""A page and its world → a story that is run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from tests.docs.blocks import ROOT, Block
from tests.docs.outside import INSTALLED, NOT_RUN
from tests.docs.sandbox import Sandbox, made, missing
from tests.docs.worlds import PLAIN, WORLDS, World

_PIPELINE = """# backups.py
import os

from backupkit import BackupPipeline, Directory, Passphrase, Restic, Zip, database

pipeline = BackupPipeline(
    "shop",
    [Directory("/srv/shop"), database(os.environ["DATABASE_URL"])],
    ["/mnt/backup"],
    encryptor=Passphrase.from_file("/etc/shop/backup.passphrase"),
    format={format}(),
)
"""
_DATE = re.compile(r"\b20\d\d-\d\d-\d\d")


def failure_of(
    page: str, blocks: Sequence[Block], folder: Path, address: Callable[[str], Mapping[str, str]]
) -> str | None:
    """Run all blocks of a page that can be; what went wrong, or None. `address` starts servers."""
    world = WORLDS.get(page, PLAIN)
    sandbox = made(folder)
    addresses = {key: value for server in world.servers for key, value in address(server).items()}
    env = {key: _filled(value, addresses) for key, value in world.env.items()}
    said = sandbox.tell(_story(page, world, sandbox, blocks, addresses), env)
    if said is None or page in WORLDS:
        return said
    return (
        f"{said}\n{page} was run in the plain world, for tests/docs/worlds.py has no other for it: if it needs a "
        "server, a file or a name that is not in that one, put it there."
    )


def _story(
    page: str, world: World, sandbox: Sandbox, blocks: Sequence[Block], addresses: Mapping[str, str]
) -> Mapping[str, object]:
    def own(text: str) -> str:
        return _filled(sandbox.mapped(text), {"root": str(ROOT), **addresses})

    def of_page(text: str) -> str:
        for outside, instead in world.replace.items():
            text = text.replace(outside, instead)
        return _filled(sandbox.mapped(_DATE.sub(lambda found: _date(found[0], world), text)), addresses)

    for program, script in world.programs.items():
        sandbox.program(program, _filled(script, addresses))
    made_before = (
        f"from tests.docs.past import make_backups\n"
        f"make_backups({str(sandbox.root)!r}, {[*world.days.values()]}, snapshots={world.snapshots})\n"
    )
    steps = [
        ("python", 1, own(_PIPELINE.replace("{format}", "Restic" if world.snapshots else "Zip"))),
        ("sh", 1, own(world.before)),
        ("python", 1, made_before if world.days else ""),
        ("python", 1, own(world.names)),
    ]
    for block in blocks:
        if is_run(page, block, world):
            steps.append((block.language, block.line, of_page(block.code)))
            steps += [
                ("python", 1, own(then))
                for begin, then in world.after.items()
                if block.code.startswith(begin)
            ]
    steps.append(("python", 1, own(world.then)))
    return {
        "page": page,
        "steps": [step for step in steps if step[2]],
        "answers": world.answers,
        "append": {file: own(code) for file, code in world.append.items()},
    }


def is_run(page: str, block: Block, world: World) -> bool:
    if any(page == of and block.code.startswith(begin) for of, begin in NOT_RUN):
        return False
    if os.environ.get("CI"):
        return True
    modules = [one for begin, some in world.needs.items() if block.code.startswith(begin) for one in some]
    return not missing(block.code, INSTALLED) and all(find_spec(module) for module in modules)


def _filled(text: str, addresses: Mapping[str, str]) -> str:
    for name, value in addresses.items():
        text = text.replace("{" + name + "}", value)
    return text


def _date(text: str, world: World) -> str:
    ago = world.days.get(text)
    return text if ago is None else f"{datetime.now(UTC) - timedelta(days=ago):%Y-%m-%d}"
