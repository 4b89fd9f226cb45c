"""Moving over: archives that others wrote, in a pipeline's folder and beside its own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from backupkit import (
    BackupNotFoundError,
    BackupPipeline,
    IntegrityError,
    KeepLast,
    MaximumAge,
    MaximumStorage,
    Passphrase,
    WrongPassphraseError,
    Zip,
    open_repository,
)
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.formats.zip.foreign_archives import FILES, SECRET, Member, by_hand, by_pyzipper, by_zipfile
from tests.pipeline.shop import Clock, Make, Scripted, content, down, messages, stored

OURS = [Scripted("app", {"app/a": b"a"}), Scripted("dumps", {"db-dumps/a": b"dump"}, "databases")]
DUMPS_ONLY = {"db-dumps/mysql-shop.sql": b"INSERT 1;\n"}
OLD, NEWER, NEWEST = "2026-11-20-02-00-00", "2026-11-21-02-00-00", "2026-11-22-02-00-00"


@pytest.fixture
def pipeline(make: Make, destination: MemoryDestination) -> BackupPipeline:
    return moved(make, destination)


def moved(make: Make, destination: object, **options: object) -> BackupPipeline:
    settings: dict[str, object] = {
        "encryptor": Passphrase(SECRET),
        "format": Zip(legacy_time_zone="Europe/Berlin"),
        "clock": Clock(),
    }
    return make(OURS, destination, **(settings | options))


def put(destination: MemoryDestination, stem: str, archive: bytes | None = None) -> None:
    destination.write(f"shop/{stem}.zip", [by_pyzipper() if archive is None else archive])


# Listing and finding


def test_they_are_listed_among_ours_by_their_time(
    pipeline: BackupPipeline, destination: MemoryDestination
) -> None:
    put(destination, OLD)
    ours = pipeline.run().destinations[0].backup
    assert ours
    put(destination, "2026-11-23-04-30-00")
    assert [one.id for one in pipeline.list().backups] == ["2026-11-23-04-30-00", ours.id, OLD]
    assert [one.made_by for one in pipeline.list().backups] == [
        "laravel-backup",
        "backupkit",
        "laravel-backup",
    ]
    assert pipeline.list().backups[-1].time == datetime(2026, 11, 20, 1, tzinfo=UTC)


def test_latest_is_none_that_was_not_verified(
    pipeline: BackupPipeline, destination: MemoryDestination
) -> None:
    put(destination, OLD)
    put(destination, "export")
    with pytest.raises(BackupNotFoundError, match="verify it if it is unconfirmed"):
        pipeline.get()
    pipeline.verify(OLD)
    assert pipeline.get().id == OLD
    put(destination, NEWER)
    assert pipeline.get().id == OLD


def test_one_can_be_named_and_restored_before_it_was_verified(
    pipeline: BackupPipeline, destination: MemoryDestination, tmp_path: Path
) -> None:
    put(destination, OLD)
    report = pipeline.restore(OLD, to=tmp_path / "out", only="databases")
    assert report.outcome == "succeeded"
    assert "unconfirmed" in messages(report.problems, "warning")[0]
    dump = "db-dumps/mysql-shop.sql"
    assert (tmp_path / "out" / dump).read_bytes() == FILES[dump]
    assert not (tmp_path / "out" / "var").exists()


def test_one_entry_can_be_opened(pipeline: BackupPipeline, destination: MemoryDestination) -> None:
    put(destination, OLD)
    with pipeline.open(OLD, "var/www/shop/index.php") as file:
        assert file.read() == FILES["var/www/shop/index.php"]


def test_a_url_and_a_passphrase_are_enough(tmp_path: Path) -> None:
    stored(tmp_path / "disk").write(f"shop-app/{OLD}.zip", [by_pyzipper()])
    for url in (tmp_path / "disk", tmp_path / "disk" / "shop-app"):
        backups = open_repository(url, SECRET)
        assert [one.id for one in backups.list().backups] == [OLD]
        assert backups.verify(OLD).outcome == "succeeded"
        assert backups.get().contents == {"files", "databases"}
        assert content(backups) == FILES


def test_somebodys_archives_in_a_neighbours_folder_do_not_make_latest_ambiguous(
    pipeline: BackupPipeline, destination: MemoryDestination, tmp_path: Path
) -> None:
    pipeline.run()
    destination.write("photos/holiday.zip", [by_zipfile()])
    assert open_repository(destination, SECRET).get().name == "shop"


def test_a_pipelines_folder_is_found_though_archives_lie_in_a_folder_of_it(tmp_path: Path) -> None:
    disk = stored(tmp_path / "disk")
    disk.write(f"shop/{OLD}.zip", [by_pyzipper()])
    disk.write("shop/exports/customers.zip", [by_zipfile()])
    assert [one.id for one in open_repository(tmp_path / "disk" / "shop").list().backups] == [OLD]
    assert [one.id for one in open_repository(tmp_path / "disk").list().backups] == [OLD]
    assert [one.id for one in open_repository(tmp_path / "disk/shop/exports").list().backups] == ["customers"]


# Verifying


def test_verifying_confirms_it_and_says_what_it_holds(
    pipeline: BackupPipeline, destination: MemoryDestination
) -> None:
    put(destination, OLD, by_pyzipper(DUMPS_ONLY))
    report = pipeline.verify(OLD)
    assert (report.outcome, report.entries) == ("succeeded", 1)
    assert messages(report.problems)[-1] == (
        f"The backup {OLD} was unconfirmed; it is whole and counts as complete, "
        "which was now recorded beside it."
    )
    (backup,) = pipeline.list().backups
    assert (backup.good, sorted(backup.contents)) == (True, ["databases"])
    assert backup.verified
    assert pipeline.verify(OLD).problems == ()


def test_a_damaged_one_is_not_confirmed(pipeline: BackupPipeline, destination: MemoryDestination) -> None:
    archive = bytearray(by_pyzipper())
    archive[200] ^= 1
    put(destination, OLD, bytes(archive))
    with pytest.raises(IntegrityError, match=r"1 place; first: db-dumps/mysql-shop\.sql is damaged"):
        pipeline.verify(OLD)
    (backup,) = pipeline.list().backups
    assert (backup.damaged, backup.complete) == (True, None)


def test_each_refused_entry_is_an_error_of_its_own(
    pipeline: BackupPipeline, destination: MemoryDestination
) -> None:
    put(destination, OLD, by_hand(Member(name=b"../f"), Member(name=b"g"), Member(name=b"h", method=9)))
    with pytest.raises(IntegrityError, match="2 places") as caught:
        pipeline.verify(OLD)
    assert caught.value.report
    errors = messages(caught.value.report.problems, "error")
    assert [error for error in errors if "refused" in error][:2] == [
        "The entry '../f' is refused: its path leads upwards.",
        "The entry 'h' is refused: it is compressed with deflate64, which is not read here: 7-Zip may open it.",
    ]


def test_a_wrong_passphrase_proves_nothing(make: Make, destination: MemoryDestination) -> None:
    put(destination, OLD)
    for key in (None, Passphrase("another one that is wrong")):
        pipeline = moved(make, destination, encryptor=key)
        with pytest.raises(WrongPassphraseError):
            pipeline.verify(OLD)
    assert [*destination.objects] == [f"shop/{OLD}.zip"]


# Restoring


def test_what_is_refused_is_told_and_the_rest_is_restored(
    pipeline: BackupPipeline, destination: MemoryDestination, tmp_path: Path
) -> None:
    hostile = [
        Member(name=b"../escaped"),
        Member(name=b"/" + b"x" * 300),
        Member(name=b"link", body=b"..", attributes=0o120777 << 16),
        Member(name=b"damaged", crc=1),
        Member(name=b"good"),
    ]
    put(destination, OLD, by_hand(*hostile))
    report = pipeline.restore(OLD, to=tmp_path / "out")
    assert report.outcome == "incomplete"
    assert len(messages(report.problems, "error")) == 4
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["out", "out/good"]


# Cleaning and health


def test_only_what_can_be_the_pipelines_is_cleaned(make: Make, destination: MemoryDestination) -> None:
    pipeline = moved(make, destination, retention=KeepLast(1))
    for stem in (OLD, NEWER, NEWEST, "export", "only-db-2020-01-01-00-00-00"):
        put(destination, stem)
    pipeline.verify("export")
    (result,) = pipeline.clean().destinations
    assert result.plan is not None
    assert [one.backup.id for one in result.plan.keep] == [NEWEST]
    assert [one.backup.id for one in result.plan.remove] == [NEWER, OLD]
    assert [name for name in destination.objects if name.endswith(".zip")] == [
        f"shop/{NEWEST}.zip",
        "shop/export.zip",
        "shop/only-db-2020-01-01-00-00-00.zip",
    ]
    assert pipeline.get("export").verified, "what is known of it stays too"


def test_removing_one_takes_what_is_known_of_it(make: Make, destination: MemoryDestination) -> None:
    pipeline = moved(make, destination, retention=KeepLast(1))
    for stem in (OLD, NEWEST):
        put(destination, stem)
        pipeline.verify(stem)
    pipeline.clean()
    assert not [name for name in destination.objects if OLD in name]
    assert len([name for name in destination.objects if NEWEST in name]) == 3


def test_the_only_full_one_outlives_newer_ones_of_the_databases(
    make: Make, destination: MemoryDestination
) -> None:
    put(destination, OLD)
    put(destination, NEWER, by_pyzipper(DUMPS_ONLY))
    put(destination, NEWEST, by_pyzipper(DUMPS_ONLY))
    (result,) = moved(make, destination, retention=KeepLast(1)).clean().destinations
    assert result.plan is not None
    assert [one.backup.id for one in result.plan.keep] == [NEWEST, OLD]
    assert [one.backup.id for one in result.plan.remove] == [NEWER]


def test_those_that_cannot_be_looked_into_stay(make: Make, destination: MemoryDestination) -> None:
    put(destination, OLD, b"not an archive")
    put(destination, NEWER, b"nor is this")
    put(destination, NEWEST)
    report = moved(make, destination, retention=KeepLast(1)).clean()
    assert report.destinations[0].plan is not None
    assert {one.backup.id: one.reasons for one in report.destinations[0].plan.keep} == {
        NEWEST: ("the newest",),
        NEWER: ("what it holds could not be found out",),
        OLD: ("what it holds could not be found out",),
    }
    warnings = messages(report.problems, "warning")
    assert [one.partition(": ")[0] for one in warnings] == [
        f"What the backup {id_} holds is not known, so it stays" for id_ in (NEWER, OLD)
    ]
    assert report.outcome == "succeeded"


def test_the_only_full_one_does_not_go_because_it_could_not_be_read_for_a_moment(
    make: Make, destination: MemoryDestination
) -> None:
    put(destination, OLD)
    put(destination, NEWEST, by_pyzipper(DUMPS_ONLY))
    deaf = FaultyDestination(destination, [Fault(method="read", does=down(retryable=True), call=None)])
    (result,) = moved(make, deaf, retention=KeepLast(1)).clean().destinations
    assert result.plan is not None
    assert [one.backup.id for one in result.plan.keep] == [NEWEST, OLD]


def test_cleaning_looks_only_into_what_is_not_known(make: Make, destination: MemoryDestination) -> None:
    put(destination, OLD)
    pipeline = moved(make, destination)
    pipeline.verify(OLD)
    destination.objects[f"shop/{OLD}.zip"] = b"cannot be looked into"
    assert pipeline.clean().problems == ()


def test_health_checks_see_what_is_cleaned(make: Make, destination: MemoryDestination) -> None:
    pipeline = moved(make, destination, checks=[MaximumAge(days=7), MaximumStorage(500)])
    put(destination, "export", by_zipfile({"db-dumps/a": bytes(10), "b": bytes(2000)}, method=0))
    pipeline.verify("export")
    (problem,) = pipeline.monitor().problems
    assert problem.check == "MaximumAge", "a verified export is no backup of this pipeline"
    put(destination, NEWEST)
    pipeline.verify(NEWEST)
    (problem,) = pipeline.monitor().problems
    assert problem.check == "MaximumStorage"
