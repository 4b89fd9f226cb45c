"""How do I back up a Flask application, and get it back? `flask --app shop backup run`, and `restore`.

See docs/how-to/back-up-a-flask-application.md.
"""

from __future__ import annotations

import hmac
import os
import secrets
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from functools import wraps
from pathlib import Path
from threading import Thread

from flask import Flask, redirect, request, send_from_directory, session
from flask.typing import ResponseReturnValue
from starlette.requests import Request
from starlette.responses import RedirectResponse
from werkzeug.utils import secure_filename

from backupkit import (
    BackupAlreadyRunningError,
    BackupPipeline,
    Directory,
    Passphrase,
    Report,
    SQLite,
    notifiers_from_env,
)
from backupkit.integrations.asgi import EVERYTHING, Allowed, BackupManager, mounted_wsgi
from backupkit.integrations.click import backup_command

DATA = Path(os.environ.get("SHOP_DATA", "data")).absolute()
DATABASE, PHOTOS = DATA / "shop.sqlite3", DATA / "photos"
# Who has it may start backups by HTTP, and log in to the page; without one, nobody.
TOKEN = os.environ.get("SHOP_BACKUP_TOKEN") or secrets.token_urlsafe()

pipeline = BackupPipeline(
    "shop",
    [SQLite(DATABASE), Directory(PHOTOS)],
    os.environ.get("SHOP_BACKUPS", "/mnt/backup"),
    encryptor=Passphrase.from_env("BACKUP_ARCHIVE_PASSWORD"),
    notifiers=notifiers_from_env(),
)

app = Flask(__name__)
app.secret_key = os.environ.get("SHOP_SECRET_KEY") or secrets.token_bytes()
app.cli.add_command(backup_command(pipeline))


# The shop itself


@app.cli.command("init")
def init() -> None:
    """Make the database and the folder for photos."""
    PHOTOS.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS products (name TEXT PRIMARY KEY)")


@app.get("/products")
def products() -> ResponseReturnValue:
    with closing(sqlite3.connect(DATABASE)) as database:
        rows = database.execute("SELECT name FROM products ORDER BY name")
        return {"products": [name for (name,) in rows]}


@app.post("/products")
def add_product() -> ResponseReturnValue:
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("INSERT INTO products VALUES (?)", [request.get_json()["name"]])
    return {"added": request.get_json()["name"]}, 201


@app.get("/photos/<name>")
def photo(name: str) -> ResponseReturnValue:
    return send_from_directory(PHOTOS, name)


@app.put("/photos/<name>")
def add_photo(name: str) -> ResponseReturnValue:
    (PHOTOS / secure_filename(name)).write_bytes(request.get_data())
    return {"stored": secure_filename(name)}, 201


# Its backups


_latest: Future[Report] = Future()  # of this process; one that was never begun
_AT_ONCE = 0.5  # seconds in which a run finds out that another is under way


def for_operators(view: Callable[[], ResponseReturnValue]) -> Callable[[], ResponseReturnValue]:
    """Let those in who have the token."""

    @wraps(view)
    def guarded() -> ResponseReturnValue:
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {TOKEN}".encode()):
            return {"error": "The token is missing or wrong."}, 401
        return view()

    return guarded


@app.get("/backups")
@for_operators
def backups() -> ResponseReturnValue:
    """How the latest run stands, and which backups there are."""
    listing = pipeline.list()
    return {"latest": standing(), "backups": [backup.id for backup in listing.backups]}


@app.post("/backups")
@for_operators
def start_backup() -> ResponseReturnValue:
    """Make a backup in a thread; 409 if there is a run already, whoever started it."""
    global _latest
    run: Future[Report] = Future()

    def work() -> None:
        try:
            run.set_result(pipeline.run())
        except BaseException as error:
            run.set_exception(error)

    run.set_running_or_notify_cancel()
    # A daemon: a server that is stopped need not wait, and a run that is cut off leaves nothing that counts.
    Thread(target=work, name="backup", daemon=True).start()
    try:
        if isinstance(error := run.exception(timeout=_AT_ONCE), BackupAlreadyRunningError):
            return {"error": str(error)}, 409
    except TimeoutError:
        pass  # it is under way
    _latest = run
    return {"latest": standing()}, 202


@app.get("/health")
@for_operators
def health() -> ResponseReturnValue:
    """What `flask backup monitor` says, for a service that asks by HTTP."""
    report = pipeline.monitor(notify=False)
    healthy = report.outcome == "succeeded"
    problems = [problem.message for problem in report.problems]
    return {"healthy": healthy, "problems": problems}, 200 if healthy else 503


def standing() -> dict[str, object]:
    if not _latest.done():
        return {"state": "under way" if _latest.running() else "none"}
    if (error := _latest.exception()) is not None:
        return {"state": "failed", "problems": [str(error)]}
    report = _latest.result()
    return {"state": report.outcome, "problems": [problem.message for problem in report.problems]}


# The management page, for whom the session of Flask knows


@app.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    if request.method == "POST" and hmac.compare_digest(request.form["token"].encode(), TOKEN.encode()):
        session["operator"] = True
        return redirect("/admin/backups/")
    return (
        '<form method="post"><label>Token <input type="password" name="token"></label> <button>Enter</button>'
    )


def operators(request: Request) -> Allowed:
    with app.request_context(request.scope["wsgi_environ"]):
        return EVERYTHING if session.get("operator") else RedirectResponse("/login", 303)


page = BackupManager(pipeline, authorize=operators)
app.wsgi_app = mounted_wsgi(app.wsgi_app, "/admin/backups", page)  # type: ignore[method-assign, assignment]
