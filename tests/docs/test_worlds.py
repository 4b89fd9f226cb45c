"""The tables by which the documentation is run say nothing that is not so, and a block that lies is found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docs.blocks import LANGUAGES, PAGES, ROOT, Block, blocks, code_of, name_of
from tests.docs.outside import NOT_RUN, STAND_INS
from tests.docs.telling import failure_of
from tests.docs.worlds import WORLDS, World

CODE = {name_of(page): code_of(page) for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_language_is_one_that_something_is_done_with(page: Path) -> None:
    unknown = {block.language for block in code_of(page)} - LANGUAGES.keys()
    assert not unknown, f"{unknown}: what is output has no language, and others are in tests/docs/blocks.py"


@pytest.mark.parametrize(("page", "begin"), NOT_RUN)
def test_what_is_not_run_is_still_there(page: str, begin: str) -> None:
    assert [block for block in CODE[page] if block.code.startswith(begin)]


@pytest.mark.parametrize("program", STAND_INS)
def test_what_a_program_stands_for_is_still_used(program: str) -> None:
    assert [
        page for page, found in CODE.items() if any(re.search(rf"\b{program}\b", one.code) for one in found)
    ]


@pytest.mark.parametrize(("page", "world"), WORLDS.items(), ids=list(WORLDS))
def test_a_world_names_nothing_that_its_page_has_not(page: str, world: World) -> None:
    text = "\n".join(block.code for block in CODE[page])
    assert [one for one in world.replace if one not in text] == []
    assert [one for one in world.days if one != "some day" and one not in text] == []
    for begin in (
        *world.after,
        *world.needs,
        *(f"# {file}" for file in world.append if file != "backups.py"),
    ):
        assert any(block.code.startswith(begin) for block in CODE[page]), begin


def nowhere(server: str) -> Mapping[str, str]:
    raise AssertionError(server)


def failure(text: str, folder: Path) -> str | None:
    return failure_of("new-page.md", [*blocks(text)], folder, nowhere)


def test_a_later_block_has_what_an_earlier_one_left(tmp_path: Path) -> None:
    text = """
```python
# shop/tool.py
pears = 3
```
```sh
export PEARS=$(python -c 'from shop.tool import pears; print(pears)')
mkdir below && cd below
false      # exit code 1: as it should
```
```python
import os
assert (os.environ["PEARS"], os.path.basename(os.getcwd()), pears) == ("3", "below", 3)
assert os.path.exists("/srv/shop/orders.csv")
```
```console
$ echo "$PEARS pears"
3 pears
$ false
$ echo $?
1
```
```cron
0 3 * * *  cd /srv/shop && test -f orders.csv
```
"""
    assert failure(text, tmp_path) is None


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("python\nraise ValueError('no pears')", "no pears"),
        ("sh\necho apples\nbackupkit list /mnt/nowhere\necho pears", "It ended at: backupkit list"),
        ("sh\npip install 'backupkit[pears]'", "no extras ['pears']"),
        ("sh\ntrue    # exit code 3: incomplete", "It ended"),
        ("console\n$ echo pears\napples", "and not:\napples"),
        ("cron\n0 3 * *  false", "no line of a crontab"),
        ("json\n{", "JSONDecodeError"),
        ("toml\n[tool.backupkit", "TOMLDecodeError"),
    ],
)
def test_a_block_that_lies_is_named_with_its_line_and_the_missing_world(
    block: str, said: str, tmp_path: Path
) -> None:
    told = failure(f"# A page\n\n```{block}\n```\n", tmp_path)
    assert told is not None
    assert f"new-page.md, the {block.partition(chr(10))[0]} block at line 4" in told
    assert said in told
    assert "tests/docs/worlds.py has no other for it" in told


def test_blocks_in_lists_are_found_with_their_lines() -> None:
    assert [*blocks("Text\n\n- item:\n\n  ```sh\n  ls\n  ```\n")] == [Block(6, "sh", "ls\n")]


def test_pages_are_found_wherever_they_are() -> None:
    assert {ROOT / "README.md", ROOT / "docs/tutorial.md", ROOT / "docs/how-to/be-told.md"} <= {*PAGES}
