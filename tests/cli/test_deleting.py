"""The verb `delete`, as a real process."""

from __future__ import annotations

import re

from tests.cli.shop import Shop

APP = ("--app", "shop_backups:pipeline")


def test_delete_removes_the_one_that_is_named_and_no_newest_good_one_unless_by_force(saved: Shop) -> None:
    [old] = [path.stem for path in saved.backups.rglob("*.zip")]
    saved.backupkit("run", *APP)
    # Without the pipeline, and without the passphrase:
    done = saved.backupkit("delete", "backups", "--backup", old)
    assert (done.returncode, done.stderr) == (0, "")
    head, row = done.stdout.splitlines()
    assert re.fullmatch(r"The deletion of backups succeeded in [\d.]+ s: [\d.]+ kB freed\.", head)
    assert re.fullmatch(rf"  succeeded  {old}  [\d.]+ kB  {saved.backups.as_uri()}", row)
    [new] = [path.stem for path in saved.backups.rglob("*.zip")]
    refused = saved.backupkit("delete", *APP, "--backup", new)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "is the newest good backup of files and databases at file:" in refused.stderr
    code, report = saved.document("delete", *APP, "--backup", new, "--force")
    assert (code, report["operation"], report["outcome"]) == (0, "delete", "succeeded")
    assert saved.stored() == []


def test_delete_wants_to_know_which_one_and_knows_when_it_is_not_there(unchanged: Shop) -> None:
    missing = unchanged.backupkit("delete", *APP)
    assert (missing.returncode, "--backup" in missing.stderr) == (2, True)
    assert unchanged.backupkit("delete", *APP, "--backup", "1999").returncode == 10
