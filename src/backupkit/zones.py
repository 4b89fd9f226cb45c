"""Time zones as people name them."""

from __future__ import annotations

from datetime import UTC, tzinfo

from backupkit.errors import ConfigurationError


def zone_named(key: str) -> tzinfo:
    """The time zone of this name, such as "Europe/Berlin"; ConfigurationError if this machine has none."""
    if key == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(key)
    except (LookupError, OSError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(
            f'There is no time zone {key!r} on this machine: use "UTC", or a name such as "Europe/Berlin" '
            "with the system's time zone data or the package tzdata installed."
        ) from error
