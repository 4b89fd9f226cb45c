"""Backups by HTTP: start one in the background, see how it stands, and whether all is well."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from concurrent.futures import Future
from functools import wraps
from threading import Thread

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from backupkit import BackupAlreadyRunningError, Report
from backupkit.integrations.django import get_pipeline

View = Callable[[HttpRequest], JsonResponse]

_latest: Future[Report] = Future()  # of this process; one that was never begun
_AT_ONCE = 0.5  # seconds in which a run finds out that another is under way


def for_operators(view: View) -> View:
    """Let those in who have the token."""

    @csrf_exempt
    @wraps(view)
    def guarded(request: HttpRequest) -> JsonResponse:
        given = request.headers.get("Authorization", "").encode()
        if not settings.BACKUP_TOKEN or not hmac.compare_digest(
            given, f"Bearer {settings.BACKUP_TOKEN}".encode()
        ):
            return JsonResponse({"error": "The token is missing or wrong."}, status=401)
        return view(request)

    return guarded


@for_operators
def backups(request: HttpRequest) -> JsonResponse:
    """How the latest run stands, and which backups there are; a POST starts another run."""
    if request.method == "POST":
        try:
            _start()
        except BackupAlreadyRunningError as error:
            return JsonResponse({"error": str(error)}, status=409)
        return JsonResponse({"latest": _standing()}, status=202)
    listing = get_pipeline().list()
    return JsonResponse({"latest": _standing(), "backups": [backup.id for backup in listing.backups]})


@for_operators
def health(request: HttpRequest) -> JsonResponse:
    """What `manage.py backup monitor` says, for a service that asks by HTTP."""
    report = get_pipeline().monitor(notify=False)
    healthy = report.outcome == "succeeded"
    problems = [problem.message for problem in report.problems]
    return JsonResponse({"healthy": healthy, "problems": problems}, status=200 if healthy else 503)


def _start() -> None:
    """Make a backup in a thread. BackupAlreadyRunningError if there is a run already, whoever started it."""
    global _latest
    run: Future[Report] = Future()

    def work() -> None:
        try:
            run.set_result(get_pipeline().run())
        except BaseException as error:
            run.set_exception(error)

    run.set_running_or_notify_cancel()
    # A daemon: a server that is stopped need not wait, and a run that is cut off leaves nothing that counts.
    Thread(target=work, name="backup", daemon=True).start()
    try:
        if isinstance(error := run.exception(timeout=_AT_ONCE), BackupAlreadyRunningError):
            raise error
    except TimeoutError:
        pass  # it is under way
    _latest = run


def _standing() -> dict[str, object]:
    if not _latest.done():
        return {"state": "under way" if _latest.running() else "none"}
    if (error := _latest.exception()) is not None:
        return {"state": "failed", "problems": [str(error)]}
    report = _latest.result()
    return {"state": report.outcome, "problems": [problem.message for problem in report.problems]}
