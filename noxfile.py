"""The project's sessions. `./dev test` runs the first five; `./dev test --list` shows all of them.

What follows `--` goes to the tool: `./dev test -s tests -- -k retention`.
"""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["format", "lint", "types", "tests", "page"]

ROOT = Path(__file__).parent
_MINUTE = "-max_total_time=60"
PAGE = ("tests/integrations/asgi", "tests/browser")
# One process more than there are processors, because many tests wait for a server that does not answer. By file:
# what the tests of one have in common, such as a server, is then made once.
SPREAD = ("-n", str(min((os.cpu_count() or 1) + 1, 4)), "--dist", "loadfile")
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")


def install(session: nox.Session, group: str, *, package: bool = True) -> None:
    """Install a dependency group and, in place, the package; once, until pyproject.toml changes."""
    wanted = [
        *nox.project.dependency_groups(PYPROJECT, group),
        *(["-e", f"{ROOT}[cli,speed]"] if package else []),
    ]
    # Asking pip every time would take seconds and a network: it builds a package in place anew each time.
    stamp = Path(session.virtualenv.location, "installed")
    state = f"{wanted}\n{PYPROJECT}"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != state:
        session.install(*wanted)
        stamp.write_text(state, encoding="utf-8")


@nox.session
def format(session: nox.Session) -> None:
    """Is everything laid out as ruff does it? (`ruff format` does it.)"""
    install(session, "lint", package=False)
    session.run("ruff", "format", "--check", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff's rules, as chosen in pyproject.toml."""
    install(session, "lint", package=False)
    session.run("ruff", "check", *session.posargs)


@nox.session
def types(session: nox.Session) -> None:
    """Mypy in strict mode over sources, tests, examples and this file."""
    install(session, "dev")
    session.run("python", "-m", "mypy", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests but those of the page, the examples and the stock tools included, in up to four processes."""
    install(session, "tests")
    session.run("python", "-m", "tests.storage.azurite")
    session.run("python", "-m", "tests.restics")
    # Where files are named, they may be those of the page.
    others = [] if session.posargs else [f"--ignore={folder}" for folder in PAGE]
    session.run("python", "-m", "pytest", "-q", *SPREAD, *others, *session.posargs)


@nox.session
def page(session: nox.Session) -> None:
    """The management page: what it answers, and all of it in Chromium; on Debian: chromium."""
    install(session, "tests")
    session.run("python", "-m", "pytest", "-q", *SPREAD, *PAGE, *session.posargs)


@nox.session
def screenshots(session: nox.Session) -> None:
    """Take the pictures of the management page in docs/images/page anew."""
    install(session, "tests")
    session.run("python", "-m", "tests.browser.screenshots", *session.posargs)


@nox.session
def interop(session: nox.Session) -> None:
    """Only the tests that hold our archives against stock tools, and that read what those write."""
    install(session, "tests")
    session.run("python", "-m", "tests.restics")
    session.run("python", "-m", "pytest", "-m", "interop", *session.posargs)


@nox.session
def services(session: nox.Session) -> None:
    """Only the tests that need a real server: PostgreSQL, MariaDB, Redis."""
    install(session, "tests")
    session.run("python", "-m", "tests.storage.azurite")
    session.run("python", "-m", "pytest", "-m", "services", *session.posargs)


@nox.session
def ceph(session: nox.Session) -> None:
    """The tests of S3 against Ceph instead of SeaweedFS; on Debian: ceph-mon ceph-osd ceph-common radosgw."""
    install(session, "tests")
    files = [*map(str, ROOT.glob("tests/destinations/test_s3*.py")), "tests/pipeline/test_s3.py"]
    session.run("python", "-m", "pytest", "-q", *files, *session.posargs, env={"BACKUPKIT_TESTS_S3": "ceph"})


@nox.session
def restic(session: nox.Session) -> None:
    """Snapshots against every stock restic that can be had, and killed at every call; see tests/restics.py."""
    install(session, "tests")
    session.run("python", "-m", "tests.restics")
    files = ["tests/formats/restic", *map(str, ROOT.glob("tests/interop/test_restic*.py"))]
    session.run(
        "python", "-m", "pytest", "-q", *files, *session.posargs, env={"BACKUPKIT_TESTS_RESTIC": "all"}
    )


@nox.session
def soak(session: nox.Session) -> None:
    """The crash and fault matrix with encryption, threads and more files."""
    install(session, "tests")
    session.run("python", "-m", "tests.faults", "--soak", *session.posargs)


@nox.session
def fleet(session: nox.Session) -> None:
    """Hundreds of pipelines on Celery workers that are killed at random for a minute, or `-- SECONDS SEED`."""
    install(session, "tests")
    session.run("python", "-m", "tests.integrations.celery.soak", *session.posargs)


@nox.session
def translations(session: nox.Session) -> None:
    """Bring the catalogues of translated texts up to date and compile them; tells what needs a translation."""
    install(session, "tests")
    session.run("python", "-m", "tests.notifiers.catalogues", *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Our speed, size and memory beside those of 7-Zip and PHP, on small trees unless told otherwise."""
    install(session, "tests")
    session.run("python", "benchmarks/zip_archive.py", *(session.posargs or ["--quick"]))


@nox.session
def dumps(session: nox.Session) -> None:
    """Dumps of a PostgreSQL database beside `pg_dump | gzip` and the like, a small one unless told otherwise."""
    install(session, "tests")
    session.run("python", "benchmarks/dumps.py", *(session.posargs or ["--quick"]))


@nox.session
def destinations(session: nox.Session) -> None:
    """Uploads to S3 and downloads beside boto3, obstore, rclone and s3fs, small ones unless told otherwise."""
    install(session, "benchmarks")
    session.run("python", "benchmarks/destinations.py", *(session.posargs or ["--quick"]))


@nox.session
def snapshots(session: nox.Session) -> None:
    """Snapshots beside restic and borg (on Debian: restic borgbackup), of small trees unless told otherwise."""
    install(session, "tests")
    session.run("python", "benchmarks/snapshots.py", *(session.posargs or ["--quick"]))


@nox.session
def plans(session: nox.Session) -> None:
    """Each retention policy on a hundred thousand backups, beside one that only puts them in order."""
    install(session, "tests")
    session.run("python", "benchmarks/retention.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Do the links of the documentation lead somewhere, and does its code do what it says, that on servers too?"""
    install(session, "docs")
    session.run("python", "-m", "tests.storage.azurite")
    files = ["tests/test_docs.py", "tests/docs"]
    session.run("python", "-m", "pytest", "-q", *files, *session.posargs, env={"BACKUPKIT_TESTS_DOCS": "all"})


@nox.session
def fuzz(session: nox.Session) -> None:
    """Coverage-guided fuzzing of what reads backups: a minute each, or `-- foreign -max_total_time=600`."""
    install(session, "fuzz")
    forms = (
        [session.posargs] if session.posargs else [[form, _MINUTE] for form in ("foreign", "own", "restic")]
    )
    for form, *options in forms:
        program = "restic_objects.py" if form == "restic" else "zip_archives.py"
        session.run("python", f"tests/fuzz/{program}", form, *options)
