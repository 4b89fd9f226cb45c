"""Time zones as people name them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

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


def machine_zone() -> tzinfo:
    """The zone of this machine's clock, by which its services go whatever TZ says here; UTC where none is set."""
    from zoneinfo import ZoneInfo

    try:
        with open("/etc/localtime", "rb") as file:
            return ZoneInfo.from_file(file)
    except FileNotFoundError:
        return UTC
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The time zone of this machine cannot be read from /etc/localtime ({error}): set it anew, with "
            "`timedatectl set-timezone`."
        ) from error


def same_clock(one: tzinfo, other: tzinfo, *, since: datetime) -> bool:
    """Whether clocks in both zones show the same from then on, for two years, whatever the zones are called."""
    moments = (since + timedelta(hours=hour) for hour in range(2 * 366 * 24))
    return all(
        moment.astimezone(one).utcoffset() == moment.astimezone(other).utcoffset() for moment in moments
    )
