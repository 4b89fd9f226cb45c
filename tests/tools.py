"""The programs that tests need: archivers that read our archives and whose we read, database servers, a browser."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

# The Debian packages; `./dev test` installs the same ones.
PACKAGES = {
    "7zz": "7zip",
    "unzip": "unzip",
    "bsdtar": "libarchive-tools",
    "zip": "zip",
    "php": "php-cli php-zip",
    "initdb": "postgresql",
    "psql": "postgresql-client",
    "mariadbd": "mariadb-server",
    "mariadb-dump": "mariadb-client",
    "redis-server": "redis-server",
    "sshd": "openssh-server",
    "redis-cli": "redis-tools",
    "restic": "restic",
    "fusermount3": "fuse3 libfuse2",
    "crontab": "cron",
    "systemd-analyze": "systemd",
    "chromium": "chromium fonts-dejavu-core",
}
# What a program must be able to do, where it may be there without.
_CHECKS = {"php": ["-r", "exit(extension_loaded('zip') ? 0 : 1);"]}


def require_tool(name: str) -> Path:
    """Return the program's path, or skip the calling test with a reason that says how to install it.

    Where `CI` is set the test fails instead: there, a check that did not happen must not look green.
    """
    found = shutil.which(name)
    if found and (name not in _CHECKS or not subprocess.run([found, *_CHECKS[name]], check=False).returncode):
        return Path(found)
    reason = (
        f"{name} is not installed, or not in full: on Debian, `apt-get install {PACKAGES.get(name, name)}`"
    )
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
