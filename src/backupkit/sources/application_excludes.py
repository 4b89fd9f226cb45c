"""What web applications can do without, whatever their framework."""

from __future__ import annotations

APPLICATION_EXCLUDES: tuple[str, ...] = (
    # Secrets, by exact name: `.env.example` stays.
    ".env",
    # History that lives on a server anyway.
    ".git",
    ".hg",
    ".svn",
    # What a package manager fetches again; views and translations published for a package are edited by hand.
    "vendor/",
    "!**/views/vendor/",
    "!**/lang/vendor/",
    "node_modules/",
    "bower_components/",
    ".venv/",
    "venv/",
    ".tox/",
    ".nox/",
    # Caches. Frameworks expect these folders to exist, so only what is in them goes.
    "__pycache__/",
    "*.py[co]",
    ".cache/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    "/var/cache/*",
    "**/.next/cache/",
    "**/bootstrap/cache/*.php",
    "**/storage/framework/cache/*",
    "**/storage/framework/sessions/*",
    "**/storage/framework/views/*",
    # Logs. A folder called "log" further down may well be a module of the application.
    "*.log",
    "*.log.*",
    "/log/*",
    "/logs/*",
    "/var/log/*",
    "**/storage/logs/*",
    # Temporary folders and what desktops leave behind.
    "tmp/",
    "temp/",
    ".tmp/",
    ".DS_Store",
    "Thumbs.db",
)
"""What web applications of most frameworks can do without, as patterns for `Directory(exclude=…)`."""
