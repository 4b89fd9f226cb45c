"""Archives that others wrote, beside ours: listed, looked into, confirmed, copied, removed."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from backupkit.errors import BackupNotFoundError, DestinationError, IntegrityError
from backupkit.formats.zip.format import Zip
from backupkit.formats.zip.repository import ZipRepository
from backupkit.model import Backup
from backupkit.passphrase import Passphrase
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from backupkit.testing.repositories import BOTH
from tests.formats.zip.foreign_archives import FILES, SECRET, Member, by_hand, by_pyzipper, by_zipfile
from tests.formats.zip.test_repository import ID, checked, write

LEGACY = "2026-01-31-02-00-00"


def opened(
    destination: MemoryDestination | FaultyDestination, zone: str | None = "Europe/Berlin"
) -> ZipRepository:
    with Zip(legacy_time_zone=zone).open(
        destination, name="shop", encryptor=Passphrase(SECRET)
    ) as repository:
        return repository


def stored(archive: bytes | None = None, stem: str = LEGACY) -> tuple[MemoryDestination, Backup]:
    destination = MemoryDestination()
    destination.write(f"shop/{stem}.zip", [by_pyzipper() if archive is None else archive])
    (backup,) = opened(destination).list()
    return destination, backup


def test_it_is_listed_unconfirmed_with_the_time_of_its_name_and_no_read() -> None:
    destination, _ = stored()
    counting = FaultyDestination(destination)
    (backup,) = opened(counting).list()
    assert (backup.id, backup.name, backup.made_by) == (LEGACY, "shop", "laravel-backup")
    assert backup.time == datetime(2026, 1, 31, 1, 0, tzinfo=UTC)
    assert (backup.complete, backup.contents, backup.good) == (None, frozenset(), False)
    assert backup.stored == len(destination.objects[f"shop/{LEGACY}.zip"])
    assert counting.calls["read"] == 0


@pytest.mark.parametrize(("stem", "zone"), [(LEGACY, None), ("export", "Europe/Berlin")])
def test_without_a_time_in_its_name_it_is_as_old_as_its_object(stem: str, zone: str | None) -> None:
    destination, _ = stored(stem=stem)
    (backup,) = opened(destination, zone).list()
    assert backup.time == destination.stat(f"shop/{stem}.zip").modified
    assert backup.made_by == ("other" if stem == "export" else "laravel-backup")


def test_its_details_need_no_passphrase() -> None:
    destination, backup = stored()
    with Zip().open(destination, name="shop") as repository:
        details = repository.details(backup)
    assert details.contents == {"files", "databases"}
    assert (details.entries, details.size) == (len(FILES), sum(map(len, FILES.values())))
    assert (details.complete, details.host, details.tags) == (None, None, None)


def test_its_entries_are_read() -> None:
    destination, backup = stored()
    found = {entry.path: b"".join(entry.chunks()) for entry in opened(destination).read(backup)}
    assert found == FILES


def test_the_only_thing_wrong_with_a_whole_one_is_that_nothing_confirms_it() -> None:
    destination, backup = stored()
    (problem,) = opened(destination).check(backup)
    assert (problem.severity, "no summary" in problem.message) == ("warning", True)


@pytest.mark.parametrize(
    ("names", "ending"),
    [
        (["db-dumps/a.sql", "b"], "full"),
        (["db-dumps/a.sql"], "databases"),
        (["b"], "files"),
    ],
)
def test_confirming_it_writes_a_summary_whose_name_says_what_it_holds(names: list[str], ending: str) -> None:
    destination, backup = stored(by_zipfile(dict.fromkeys(names, b"x")))
    confirmed = opened(destination).confirm(backup)
    assert sorted(destination.objects) == [f"shop/{LEGACY}.{ending}.complete.json", f"shop/{LEGACY}.zip"]
    assert json.loads(destination.objects[f"shop/{LEGACY}.{ending}.complete.json"]) == {
        "id": LEGACY,
        "name": "shop",
        "complete": True,
        "entries": len(names),
        "size": len(names),
        "stored": backup.stored,
        "host": None,
        "tags": [],
        "problems": 0,
    }
    (listed,) = opened(destination).list()
    assert listed == confirmed
    assert listed.good
    assert [*opened(destination).check(listed)] == []
    details = opened(destination).details(listed)
    assert (details.entries, details.size, details.host, details.tags) == (len(names), len(names), None, ())


def test_a_summary_that_says_something_else_is_noticed() -> None:
    destination, backup = stored()
    opened(destination).confirm(backup)
    text = destination.objects.pop(f"shop/{LEGACY}.full.complete.json")
    destination.write(f"shop/{LEGACY}.databases.complete.json", [text])
    (problem,) = opened(destination).check(backup)
    assert "does not say what" in problem.message


def test_two_summaries_mean_the_worse_one_and_what_both_say() -> None:
    destination, _ = stored()
    destination.write(f"shop/{LEGACY}.full.complete.json", [b"{}"])
    destination.write(f"shop/{LEGACY}.files.incomplete.json", [b"{}"])
    (backup,) = opened(destination).list()
    assert (backup.complete, backup.contents) == (False, frozenset({"files"}))


def test_one_that_holds_nothing_is_never_confirmed() -> None:
    destination, backup = stored(by_hand())
    (problem,) = opened(destination).check(backup)
    assert (problem.severity, "holds nothing" in problem.message) == ("error", True)


def test_what_is_no_archive_is_listed_but_has_no_details() -> None:
    destination, backup = stored(b"not an archive")
    for call in (opened(destination).details, opened(destination).confirm):
        with pytest.raises(IntegrityError):
            call(backup)


def test_ours_under_another_name_is_read_as_ours() -> None:
    destination = MemoryDestination()
    write(destination, key=Passphrase(SECRET), tags=["before the upgrade"])
    archive = destination.objects.pop(f"shop/{ID}.zip")
    destination.objects.clear()
    destination.write("shop/before-upgrade.zip", [archive])
    (backup,) = opened(destination).list()
    assert backup.made_by == "other"
    (entry,) = opened(destination).read(backup)
    assert (entry.path, b"".join(entry.chunks())) == ("f", b"content")
    assert [problem.severity for problem in opened(destination).check(backup)] == ["warning"]
    confirmed = opened(destination).confirm(backup)
    assert (confirmed.complete, confirmed.contents) == (True, BOTH)
    (listed,) = opened(destination).list()
    assert opened(destination).details(listed).tags == ("before the upgrade",)


def test_one_of_ours_that_lost_its_manifest_is_not_taken_for_a_foreign_one() -> None:
    destination = MemoryDestination()
    backup = write(destination).backup
    destination.objects[f"shop/{ID}.zip"] = by_zipfile()
    with pytest.raises(IntegrityError):
        checked(destination, backup)


def test_removing_it_begins_with_the_archive() -> None:
    destination, backup = stored()
    opened(destination).confirm(backup)
    fault = Fault(method="delete", call=2, does=DestinationError("gone", location="memory:"))
    with pytest.raises(DestinationError):
        opened(FaultyDestination(destination, [fault])).remove(backup)
    assert [*destination.objects] == [f"shop/{LEGACY}.full.complete.json"]
    assert [*opened(destination).list()] == []
    freed = len(destination.objects[f"shop/{LEGACY}.full.complete.json"])
    assert opened(destination).prune().freed == freed
    assert not destination.objects


def test_pruning_leaves_it_and_its_summary_alone() -> None:
    destination, backup = stored()
    opened(destination).confirm(backup)
    assert opened(destination).prune().freed == 0
    assert len(destination.objects) == 2


def test_removing_one_leaves_those_whose_names_begin_alike() -> None:
    destination, backup = stored(stem="app")
    destination.write("shop/app.zip.zip", [b""])
    destination.write("shop/app.files.zip", [b""])
    destination.write("shop/app-2.zip", [b""])
    opened(destination).confirm(backup)
    opened(destination).remove(backup)
    assert sorted(destination.objects) == ["shop/app-2.zip", "shop/app.files.zip", "shop/app.zip.zip"]


def test_a_copy_is_the_same_backup() -> None:
    destination, backup = stored()
    opened(destination).confirm(backup)
    other = MemoryDestination("other")
    opened(destination).copy(backup, other)
    assert other.objects == destination.objects


def test_one_that_is_gone_is_not_found() -> None:
    destination, backup = stored()
    destination.objects.clear()
    for use in (opened(destination).read, opened(destination).check):
        with pytest.raises(BackupNotFoundError, match=LEGACY):
            list(use(backup))
    with pytest.raises(BackupNotFoundError, match=LEGACY):
        opened(destination).details(backup)


def test_a_refused_entry_is_told_and_the_others_are_read() -> None:
    destination, backup = stored(by_hand(Member(name=b"../f"), Member(name=b"g")))
    refused, good = opened(destination).read(backup)
    assert (good.path, b"".join(good.chunks())) == ("g", b"content\n")
    with pytest.raises(IntegrityError, match=r"\.\./f"):
        list(refused.chunks())
