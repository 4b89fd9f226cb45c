from __future__ import annotations

import pytest

from backupkit.databases.postgresql import check_url
from backupkit.databases.urls import parse_database_url
from backupkit.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "socket", "hosts"),
    [
        ("postgresql://u@a:1,b:2/shop?target_session_attrs=read-write", "", (("a", 1), ("b", 2))),
        ("postgresql://u@/shop?host=a,b&port=1,2", "", (("a", 1), ("b", 2))),
        ("postgresql+psycopg2://u@/shop?host=a:1&host=b:2", "", (("a", 1), ("b", 2))),
        ("postgresql://u@/shop?host=/run/pg&port=5433", "/run/pg", (("", 5433),)),
        ("postgresql://u@:5433/shop?host=/run/pg", "/run/pg", (("", 5433),)),
        ("postgresql://u@%2Frun%2Fpg:5433/shop", "/run/pg", (("", 5433),)),
    ],
)
def test_servers_are_found_however_they_are_named(
    url: str, socket: str, hosts: tuple[tuple[str, int], ...]
) -> None:
    parsed = parse_database_url(url)
    assert (parsed.socket, parsed.hosts) == (socket, hosts)
    again = parse_database_url(parsed.full())
    assert (again.socket, again.hosts) == (socket, hosts)


@pytest.mark.parametrize("hosts", ["/run/a,/run/b", "/run/a,b"])
def test_a_socket_among_several_hosts_is_refused(hosts: str) -> None:
    with pytest.raises(ConfigurationError, match="a socket among several hosts"):
        parse_database_url(f"postgresql://u@/shop?host={hosts}")


def test_a_password_beside_a_file_of_passwords_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="a password and a passfile") as raised:
        check_url(parse_database_url("postgresql://u:secret@db/shop?passfile=/run/pass"))
    assert "secret" not in str(raised.value)
    check_url(parse_database_url("postgresql://u@db/shop?passfile=/run/pass"))
