"""`import backupkit` is cheap: what is large or optional is imported by what needs it, when it needs it."""

from __future__ import annotations

import subprocess
import sys

LATE = (
    *("asyncio", "sqlite3", "subprocess", "zoneinfo"),
    *("cryptography", "filelock", "pathspec", "pyzipper", "tenacity", "zstandard"),
    *("fsspec", "s3fs", "gcsfs", "adlfs", "asyncssh", "dropbox", "webdav4"),
    *("llvmlite", "typer", "rich", "questionary", "pytest", "hypothesis"),
    *(
        "apprise",
        "jinja2",
        "requests",
        "redis",
        "sqlalchemy",
        "prometheus_client",
        "gettext",
        "urllib.request",
    ),
    *("cronsim", "pydantic", "redis", "celery", "apscheduler", "django"),
)

# What the interpreter's own start has loaded (a .pth file may load anything) is not ours.
PROGRAM = """
import sys
before = set(sys.modules)
import backupkit
print(*sorted(set(sys.modules) - before))
"""


def test_importing_the_package_imports_nothing_large_or_optional() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, check=True)
    loaded = done.stdout.split()
    assert "backupkit" in loaded
    assert [name for name in LATE if name in loaded] == [], (
        "`python -X importtime -c 'import backupkit'` shows who imported it"
    )
