"""TLS between MariaDB's programs and a server that has a certificate of its own authority."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from backupkit.errors import SourceError
from backupkit.sources.mysql import MariaDB
from tests.servers import Server, mariadb
from tests.services.mysql_databases import run

pytestmark = pytest.mark.services


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def write_certificates(folder: Path) -> None:
    """An authority (ca.pem), another that signed nothing (other.pem), and a server's key and certificate."""
    now = datetime.datetime.now(datetime.UTC)

    def certificate(
        subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey
    ) -> bytes:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=subject == issuer, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .sign(signer, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )

    authority, other, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    (folder / "ca.pem").write_bytes(certificate("authority", authority, "authority", authority))
    (folder / "other.pem").write_bytes(certificate("other", other, "other", other))
    (folder / "server.pem").write_bytes(certificate("server", server, "authority", authority))
    (folder / "server.key").write_bytes(
        server.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="bk-tls-", dir="/tmp"))  # the server runs as another user
    try:
        write_certificates(made)
        made.chmod(0o755)
        yield made
    finally:
        shutil.rmtree(made)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    settings = [f"ssl-cert={folder / 'server.pem'}", f"ssl-key={folder / 'server.key'}"]
    with mariadb(settings=settings) as running:
        run(running, "CREATE DATABASE shop", "CREATE TABLE shop.t (a int)")
        # A user who comes in by TLS only: what is dumped by this one went through it.
        run(running, "CREATE USER safe IDENTIFIED BY 'x' REQUIRE SSL", "GRANT ALL ON shop.* TO safe")
        yield running


def dumped(server: Server, asked: str, *, host: str = "127.0.0.1") -> bytes:
    url = server.url("shop", user="safe", password="x").replace("127.0.0.1", host)
    (entry,) = MariaDB(f"{url}?{asked}").entries()
    return b"".join(entry.chunks())


@pytest.mark.parametrize(
    "asked",
    [
        "ssl_mode=preferred",
        "ssl_mode=required",
        "ssl=true",
        "ssl_ca={folder}/ca.pem",
        "ssl_mode=verify_ca&ssl_ca={folder}/ca.pem",
        "ssl_mode=verify_identity&ssl_ca={folder}/ca.pem",
    ],
)
def test_what_the_server_can_show_is_enough(server: Server, folder: Path, asked: str) -> None:
    assert dumped(server, asked.format(folder=folder))


@pytest.mark.parametrize(
    ("asked", "host"),
    [
        ("ssl_ca={folder}/other.pem", "127.0.0.1"),
        ("ssl_mode=verify_ca&ssl_ca={folder}/other.pem", "127.0.0.1"),
        ("ssl_mode=verify_identity&ssl_ca={folder}/other.pem", "127.0.0.1"),
        ("ssl_mode=verify_identity", "127.0.0.1"),
        ("ssl_mode=verify_identity&ssl_ca={folder}/ca.pem", "localhost"),
    ],
)
def test_a_server_that_is_not_the_one_that_was_meant_is_refused(
    server: Server, folder: Path, asked: str, host: str
) -> None:
    with pytest.raises(SourceError, match="TLS could not be set up"):
        dumped(server, asked.format(folder=folder), host=host)


def test_tls_can_be_switched_off(server: Server) -> None:
    with pytest.raises(SourceError, match="Access denied"):
        dumped(server, "ssl_mode=disabled")
