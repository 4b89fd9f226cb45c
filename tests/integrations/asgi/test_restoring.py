"""Restoring by the page, step by step."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest

from backupkit import BackupPipeline, Directory, DirectoryTarget, Passphrase, Restic
from backupkit.integrations.actions import Action, Place
from backupkit.integrations.asgi import BackupManager
from backupkit.integrations.asgi.pages.restoring import STEPS
from backupkit.integrations.asgi.queues.threads import ThreadQueue
from backupkit.integrations.work import Work
from backupkit.testing.clocks import FrozenClock
from tests.integrations.asgi.forms import Form, shown
from tests.integrations.asgi.visitor import Browser, as_said


@contextmanager
def visited(shop: BackupPipeline, tmp_path: Path, **options: object) -> Iterator[Browser]:
    made = BackupManager(
        shop,
        authorize=as_said,
        scratch=tmp_path / "scratch",
        secret="not to be guessed",
        **options,  # type: ignore[arg-type]
    )
    try:
        yield Browser(made)
    finally:
        made.close()


def backup_of(shop: BackupPipeline) -> str:
    backup = shop.run().destinations[0].backup
    assert backup is not None
    return f"/pipelines/shop/backups/{backup.id}"


def previewed(browser: Browser, address: str, **fields: object) -> Work:
    return browser.done(browser.post(f"{address}/restore/preview", **fields))


def carried_out(browser: Browser, preview: Work) -> Work:
    page = browser.get(f"/operations/{preview.id}").text
    return browser.done(Form(page, "/restore").send(browser, confirm=preview.pipeline))


def tree_of(folder: Path) -> dict[str, str]:
    return {
        str(one.relative_to(folder)): one.read_text()
        for one in sorted(folder.rglob("*"))
        if one.is_file() and one.suffix != ".sqlite3"
    }


def customers(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return [name for (name,) in connection.execute("select name from customers")]


def test_a_backup_is_restored_to_a_new_folder_step_by_step(
    shop: BackupPipeline, browser: Browser, tmp_path: Path
) -> None:
    backup_of(shop)
    which = browser.get("/pipelines/shop/restore").text
    address = re.search(r'<th scope="row" role="rowheader"><a href="([^"]+)"', which)
    assert address is not None
    what = browser.get(address[1].replace("&amp;", "&")).text
    where = Form(what, "/restore").send(browser, what="files").text
    assert "Only its owner can enter it." in where
    preview = Form(where, "/restore").send(browser).text
    work = browser.done(Form(preview, "/restore/preview").send(browser))
    assert work.action.dry_run
    assert not (tmp_path / "scratch").exists()
    done = carried_out(browser, work)
    assert done.action == replace(work.action, dry_run=False)
    folder = Path(done.folder or "")
    assert folder.parent == tmp_path / "scratch"
    assert tree_of(folder) == {"files/hello.txt": "hello", "files/orders/1.csv": "id,total\n1,10\n"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_each_step_can_be_gone_back_to_with_all_that_was_chosen(
    shop: BackupPipeline, browser: Browser
) -> None:
    address = backup_of(shop)
    said = "path=files/hello.txt&path=files/orders&what=paths"
    page = browser.get(f"{address}/restore?{said}&step=preview").text
    steps = [one.replace("&amp;", "&") for one in re.findall(r'<li><a href="([^"]+)"', page)]
    assert len(steps) == 3
    for one in steps[1:]:
        page = browser.get(one).text
        assert page.count('name="kept"') == 2
        assert 'value="files%2Fhello.txt"' in page
    assert "path=files%2Forders" in browser.get(steps[0]).text


def test_a_preview_says_in_words_what_would_be_written_and_where(
    shop: BackupPipeline, browser: Browser, tmp_path: Path
) -> None:
    work = previewed(browser, backup_of(shop), what="files")
    page = shown(browser, "restore_preview.html", work)
    assert f"Writes 4 entries, 19 B, to a new folder below {tmp_path / 'scratch'} on " in page
    assert "Only its owner can enter it. Nothing that is there already is changed." in page


def test_chosen_paths_mean_themselves_whatever_characters_they_have(
    shop: BackupPipeline, browser: Browser, tmp_path: Path
) -> None:
    for name in ("[ab].txt", "a.txt", "!b *.txt", "b x.txt", "in the orders"):
        (tmp_path / "files" / name).write_text(name)
    (tmp_path / "files" / "orders" / "hello.txt").write_text("another")
    odd = os.fsdecode(b"\xff.txt")
    (tmp_path / "files" / odd).write_text("odd")
    chosen = [os.fsencode(f"files/{one}") for one in ("[ab].txt", "!b *.txt", "hello.txt", odd)]
    address = backup_of(shop)
    said = "&".join(f"path={quote_from_bytes(one)}" for one in chosen)
    where = Form(browser.get(f"{address}/restore?{said}").text, "/restore").send(browser).text
    page = Form(where, "/restore").send(browser).text
    done = carried_out(browser, browser.done(Form(page, "/restore/preview").send(browser)))
    restored = tree_of(Path(done.folder or ""))
    assert restored == {
        "files/[ab].txt": "[ab].txt",
        "files/!b *.txt": "!b *.txt",
        "files/hello.txt": "hello",
        f"files/{odd}": "odd",
    }


def test_what_is_ticked_in_the_folders_of_a_backup_is_chosen(
    shop: BackupPipeline, browser: Browser, tmp_path: Path
) -> None:
    odd = os.fsdecode(b"\xff 100%41.txt")
    (tmp_path / "files" / odd).write_text("odd")
    address = backup_of(shop)
    form = Form(browser.get(f"{address}/tree?path=files").text, "/restore")
    assert [name for name, _ in form.fields] == ["at"]
    part = browser.get(f"{address}/tree?path=files", **{"hx-request": "true"}).text
    ticks = re.findall(r'<input type="checkbox" form="chosen" name="kept" value="([^"]+)"', part)
    assert len(ticks) == 3
    form.fields += [("kept", one) for one in ticks if "hello" not in one]
    where = Form(form.send(browser).text, "/restore").send(browser).text
    page = Form(where, "/restore").send(browser).text
    done = carried_out(browser, browser.done(Form(page, "/restore/preview").send(browser)))
    restored = tree_of(Path(done.folder or ""))
    assert restored == {"files/orders/1.csv": "id,total\n1,10\n", f"files/{odd}": "odd"}


def test_who_may_not_restore_is_shown_nothing_to_tick(shop: BackupPipeline, browser: Browser) -> None:
    address = backup_of(shop)
    viewer = Browser(browser.manager, {"view", "download"})
    assert "chosen" not in viewer.get(f"{address}/tree?path=files").text


def test_a_path_that_was_typed_is_chosen_with_all_that_is_in_it(
    shop: BackupPipeline, browser: Browser
) -> None:
    page = browser.get(f"{backup_of(shop)}/restore").text
    page = Form(page, "/restore").send(browser, what="paths", path="/files/orders").text
    page = Form(page, "/restore").send(browser).text
    done = carried_out(browser, browser.done(Form(page, "/restore/preview").send(browser)))
    assert tree_of(Path(done.folder or "")) == {"files/orders/1.csv": "id,total\n1,10\n"}


def test_what_is_in_the_way_is_shown_and_replaced_only_if_that_is_asked_for(
    shop: BackupPipeline, tmp_path: Path
) -> None:
    address = backup_of(shop)
    (tmp_path / "site" / "files").mkdir(parents=True)
    (tmp_path / "site" / "files" / "hello.txt").write_text("mine")
    with visited(shop, tmp_path, places={"site": tmp_path / "site"}) as browser:
        work = previewed(browser, address, what="files", place="site")
        page = shown(browser, "restore_preview.html", work)
        assert "As it is now, nothing would be restored." in page
        assert "hello.txt" in page
        assert "confirm" not in page
        answer = browser.post(f"/operations/{work.id}/restore", confirm="shop")
        assert (answer.status_code, "found what keeps it from being done" in answer.text) == (400, True)
        again = re.search(r'<a href="([^"]+)">Preview it with what is there replaced', page)
        assert again is not None
        page = browser.get(again[1].replace("&amp;", "&")).text
        assert "Files and links that are in the way are replaced; all other files stay." in page
        work = browser.done(Form(page, "/restore/preview").send(browser))
        assert work.action.overwrite
        page = shown(browser, "restore_preview.html", work)
        assert "What would be replaced: 1<" in page
        assert "<li><code>files/hello.txt</code></li>" in page
        done = carried_out(browser, work)
    assert done.folder == str(tmp_path / "site")
    assert (tmp_path / "site" / "files" / "hello.txt").read_text() == "hello"


def test_a_dump_goes_into_the_database_that_a_place_names_and_what_that_replaces_is_said_before(
    shop: BackupPipeline, tmp_path: Path
) -> None:
    address = backup_of(shop)
    copy = tmp_path / "copy.sqlite3"
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("create table old (name text)")
    with visited(shop, tmp_path, places={"copies": {"shop": f"sqlite:///{copy}"}}) as browser:
        where = browser.get(f"{address}/restore?step=where").text
        assert f"the database sqlite:///{copy} (the dump shop)" in where
        assert "The database must be there and be empty, or nothing is restored." in where
        page = browser.get(f"{address}/restore?step=preview&place=copies").text
        assert "All that is in the database now is replaced. A failure leaves it as it was." in page
        kept = previewed(browser, address, place="copies")
        assert "is not empty" in shown(browser, "restore_preview.html", kept)
        work = previewed(browser, address, place="copies", overwrite="yes")
        page = shown(browser, "restore_preview.html", work)
        assert "Loads 1 dump, " in page
        assert f"<li><code>sqlite:///{copy}</code></li>" in page
        assert carried_out(browser, work).error is None
    assert customers(copy) == ["anna"]


def test_files_cannot_be_sent_to_databases(shop: BackupPipeline, tmp_path: Path) -> None:
    address = backup_of(shop)
    with visited(shop, tmp_path, places={"copies": {"shop": "sqlite:////tmp/none"}}) as browser:
        page = browser.get(f"{address}/restore?step=where&what=files").text
        assert re.search(r'value="copies" disabled', page)
        answer = browser.post(f"{address}/restore/preview", what="files", place="copies")
        assert (answer.status_code, "takes databases only" in answer.text) == (400, True)


def test_no_page_shows_the_password_of_a_place(shop: BackupPipeline, tmp_path: Path) -> None:
    address = backup_of(shop)
    secret = "postgresql://shop:tr0ubador@127.0.0.1:1/shop"
    places: dict[str, Place] = {
        "one": secret,
        "several": {"shop": secret, "more": secret},
        "wrong": "s3://me:tr0ubador@bucket",
        "odd": "postgresql://shop:tr0ubador@host:port/shop",
    }
    with visited(shop, tmp_path, places=places) as browser:
        told = [repr(browser.manager.page), repr(browser.manager.page.queue)]
        for place in places:
            told += [browser.get(f"{address}/restore?step={step}&place={place}").text for step in STEPS]
            work = previewed(browser, address, place=place)
            told += [repr(work), shown(browser, "restore_preview.html", work)]
    assert "postgresql://shop@127.0.0.1:1/shop" in told[3]
    assert [one for one in told if "tr0ubador" in one] == []


def test_the_one_place_to_restore_to_is_one_that_has_a_name(
    shop: BackupPipeline, browser: Browser, tmp_path: Path
) -> None:
    address = backup_of(shop)
    there = str(tmp_path / "there")
    assert browser.post(f"{address}/restore/preview", place=there, to=there).status_code == 400
    assert not (tmp_path / "there").exists()
    assert browser.get(f"{address}/restore?step=preview&place=/etc").status_code == 400


def test_a_place_that_replaces_by_itself_says_so_and_is_not_asked(
    shop: BackupPipeline, tmp_path: Path
) -> None:
    address = backup_of(shop)
    target = DirectoryTarget(tmp_path / "site", overwrite=True)
    with visited(shop, tmp_path, places={"site": target}) as browser:
        page = browser.get(f"{address}/restore?step=preview&place=site").text
        assert "Files and links that are in the way are replaced" in page
        assert 'name="overwrite"' not in page


def test_nothing_is_restored_without_the_name_of_the_pipeline(
    shop: BackupPipeline, browser: Browser, tmp_path: Path
) -> None:
    work = previewed(browser, backup_of(shop))
    for typed in ("", "Shop", "shops"):
        answer = browser.post(f"/operations/{work.id}/restore", confirm=typed)
        assert answer.headers["location"] == f"/operations/{work.id}?typed=otherwise"
    assert len(browser.manager.page.queue.recent()) == 1
    assert "Nothing was restored." in shown(browser, "restore_preview.html", work, query="typed=otherwise")


def test_a_confirmation_cannot_change_what_the_preview_has_shown(
    shop: BackupPipeline, browser: Browser, tmp_path: Path
) -> None:
    work = previewed(browser, backup_of(shop), path="files/hello.txt")
    done = browser.done(
        browser.post(
            f"/operations/{work.id}/restore",
            confirm="shop",
            place="/etc",
            what="all",
            overwrite="yes",
            at="x",
        )
    )
    assert done.action == replace(work.action, dry_run=False)


@pytest.mark.parametrize(
    ("verb", "made", "said"),
    [
        ("restore", {"who": "berta"}, "made by somebody else"),
        ("restore", {"stage": "working"}, "has not ended yet"),
        ("restore", {"stage": "lost"}, "found what keeps it"),
        ("restore", {"error": "No."}, "found what keeps it"),
        ("restore", {"report": None}, "found what keeps it"),
        ("restore", {"action": Action(verb="restore", backup="x")}, "is no preview of a restore"),
        ("restore", {"action": Action(verb="clean", dry_run=True)}, "is no preview of a restore"),
        ("clean", {}, "is no preview of a clean"),
    ],
)
def test_only_a_preview_that_ended_well_for_the_same_visitor_can_be_carried_out(
    shop: BackupPipeline, browser: Browser, verb: str, made: dict[str, object], said: str
) -> None:
    work = previewed(browser, backup_of(shop))
    queue = browser.manager.page.queue
    assert isinstance(queue, ThreadQueue)
    setting(queue, replace(work, **made))  # type: ignore[arg-type]
    answer = browser.post(f"/operations/{work.id}/{verb}", confirm="shop")
    assert (answer.status_code, said in answer.text) == (400, True), answer.text
    assert len(queue.recent()) == 1


def setting(queue: ThreadQueue, work: Work) -> None:
    queue._files._over[work.id] = work  # what is over is read once only


def test_a_preview_is_good_for_an_hour(shop: BackupPipeline, tmp_path: Path) -> None:
    clock = FrozenClock()
    address = backup_of(shop)
    with visited(shop, tmp_path, clock=clock) as browser:
        work = previewed(browser, address)
        clock.advance(timedelta(hours=1, seconds=1))
        assert "more than an hour old" in shown(browser, "restore_preview.html", work)
        answer = browser.post(f"/operations/{work.id}/restore", confirm="shop")
        assert (answer.status_code, "more than an hour old" in answer.text) == (400, True)
        clock.advance(timedelta(hours=-3))
        answer = browser.post(f"/operations/{work.id}/restore", confirm="shop")
        assert (answer.status_code, "more than an hour old" in answer.text) == (400, True)
        clock.advance(timedelta(hours=3, seconds=-2))
        assert browser.done(browser.post(f"/operations/{work.id}/restore", confirm="shop")).error is None


def test_of_several_copies_the_one_that_was_chosen_is_read(shop: BackupPipeline, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    shop = BackupPipeline(
        "shop", shop.sources, [tmp_path / "one", tmp_path / "two"], encryptor=None, checks=()
    )
    address = backup_of(shop)
    two = (tmp_path / "two").as_uri()
    with visited(shop, tmp_path) as browser:
        page = browser.get(f"{address}/restore").text
        assert "Which copy" in page
        page = Form(page, "/restore").send(browser, at=two).text
        page = Form(page, "/restore").send(browser).text
        work = browser.done(Form(page, "/restore/preview").send(browser))
        assert work.action.at == two
        done = carried_out(browser, work)
    assert done.report is not None
    assert [one.location for one in done.report.destinations] == [two]


def test_a_chosen_folder_of_a_snapshot_is_restored(shop: BackupPipeline, tmp_path: Path) -> None:
    (tmp_path / "snapshots").mkdir()
    shop = BackupPipeline(
        "shop",
        [Directory(tmp_path / "files")],
        tmp_path / "snapshots",
        encryptor=Passphrase("correct horse battery staple"),
        format=Restic(cache=False, workers=1),
    )
    address = backup_of(shop)
    with visited(shop, tmp_path) as browser:
        work = previewed(browser, address, path=str(tmp_path / "files" / "orders"))
        assert "14 B" in shown(browser, "restore_preview.html", work)
        done = carried_out(browser, work)
    restored = tree_of(Path(done.folder or ""))
    assert [Path(one).name for one in restored] == ["1.csv"]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/pipelines/shop/backups/none/restore", 404),
        ("/pipelines/none/restore", 404),
        ("{backup}/restore?at=/etc", 404),
        ("{backup}/restore?what=nothing", 400),
        ("{backup}/restore?what=paths&step=preview", 400),
        ("{backup}/restore?path=%00&step=preview", 400),
        ("{backup}/restore?" + "path=x&" * 2000, 400),
        ("{backup}/restore?step=%3Cscript%3E&path=%3Cscript%3E&place=%3Cscript%3E", 200),
    ],
)
def test_what_is_odd_in_an_address_is_refused_in_a_sentence(
    shop: BackupPipeline, browser: Browser, address: str, status: int
) -> None:
    answer = browser.get(address.replace("{backup}", backup_of(shop)))
    assert answer.status_code == status
    assert "<script>" not in answer.text


def test_who_may_not_restore_is_shown_no_form(shop: BackupPipeline, browser: Browser) -> None:
    work = previewed(browser, backup_of(shop))
    assert "<form" not in shown(browser, "restore_preview.html", work, "view", "run")
    assert "made by somebody else" in shown(browser, "restore_preview.html", work, who="berta")
    viewer = Browser(browser.manager, {"view", "run", "download", "delete", "administer"})
    assert viewer.post(f"/operations/{work.id}/restore", confirm="shop").status_code == 403
