"""A PostgreSQL database into an encrypted archive by backupkit, and by the pipes that people write, in turn.

    python benchmarks/dumps.py [--quick] [--rounds 5] [--gigabytes 1.2]

The peers are `pg_dump | gzip -1`, `pg_dump | gzip` and `pg_dump | zstd -T0 | openssl enc`, of which only the last
encrypts and none looks whether the dump is whole. The server is a private one without fsync, its data in memory;
all run as whole processes, in each round in another order. Ours flushes its archive to the disk, the peers do not.
Printed are minimum, median and maximum of each figure, and of the ratios of each round's pair; then the peak memory
for a database a tenth as large. A time does not contain the server's own processes' CPU.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from programs import PASSPHRASE, Figures, Run, archive_in, show_figures, show_ratios, taken_in_turn, timed

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.servers import Server, postgresql

OURS = """
import os, sys
from backupkit import BackupPipeline, Passphrase, PostgreSQL
BackupPipeline(
    "bench", PostgreSQL(os.environ["BENCH_URL"], form=sys.argv[3]), sys.argv[1],
    encryptor=Passphrase(sys.argv[2]), compressor=sys.argv[4],
).run()
"""
# A gigabyte as pg_dump writes it, about: what applications keep, and as much as they keep of it.
TABLES = """
CREATE TABLE customers (
  id bigint PRIMARY KEY, name text, email text UNIQUE, address text, born date, created timestamptz);
INSERT INTO customers SELECT i, 'Customer ' || md5(i::text), 'c' || i || '@example.org',
  (i % 900) || (ARRAY[' High Street, ',' Main Road, ',' Station Lane, '])[1 + i % 3] || md5((i / 7)::text),
  date '1950-01-01' + (i * 37 % 20000)::int, timestamptz '2020-01-01' + i * interval '13 seconds'
  FROM generate_series(1, {customers}) i;
CREATE TABLE orders (
  id bigint PRIMARY KEY, customer bigint, placed timestamptz, status text, total numeric(12,2), note text);
INSERT INTO orders SELECT i, 1 + i::bigint * 7919 % {customers},
  timestamptz '2021-01-01' + i * interval '7 seconds',
  (ARRAY['paid','open','shipped','returned','cancelled'])[1 + i % 5], (i::bigint * 7919 % 1000000) / 100.0,
  CASE WHEN i % 3 = 0 THEN 'please leave it with the neighbour at number ' || i % 120 END
  FROM generate_series(1, {orders}) i;
CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz, body jsonb);
INSERT INTO events SELECT i, timestamptz '2022-01-01' + i * interval '3 seconds',
  jsonb_build_object('kind', (ARRAY['view','click','cart','search'])[1 + i % 4], 'session', md5((i / 9)::text),
    'path', '/shop/item/' || i * 31 % 50000, 'agent', 'Mozilla/5.0 (X11; Linux x86_64) rv:' || i % 120,
    'ms', i * 17 % 4000)
  FROM generate_series(1, {events}) i;
CREATE TABLE thumbnails (id bigint PRIMARY KEY, picture bytea);
INSERT INTO thumbnails SELECT i,
  decode((SELECT string_agg(md5((i * 100 + j)::text), '') FROM generate_series(1, 128) j), 'hex')
  FROM generate_series(1, {thumbnails}) i;
CREATE INDEX ON orders (customer); ANALYZE;
"""


def main() -> None:
    arguments = parsed()
    amount, rounds = (0.05, 1) if arguments.quick else (arguments.gigabytes, arguments.rounds)
    missing = [program for program in ("gzip", "zstd", "openssl") if shutil.which(program) is None]
    if missing:
        sys.exit(f"This benchmark needs {', '.join(missing)}: install them with apt-get")
    with (
        postgresql(settings=["shared_buffers=2GB", "max_wal_size=8GB"]) as server,
        tempfile.TemporaryDirectory(prefix="backupkit-bench-", dir=arguments.folder) as name,
    ):
        folder = Path(name)
        password = folder / "password"
        password.touch(mode=0o600)
        password.write_text(f"*:*:*:*:{server.password}\n".replace("\\", "\\\\").replace(":@", "\\:@"))
        for database, share in (("small", amount / 10), ("large", amount)):
            fill(server, database, share, password)
        size = measured(server, "large", password)
        print(
            f"pg_dump writes {size / 1e9:.2f} GB; {rounds} rounds; Python {sys.version.split()[0]}\n",
            flush=True,
        )
        runs = runs_of(server, "large", folder, password)
        figures = taken_in_turn(runs, rounds, fewer={})
        show_figures(figures)
        peers = [name for name in runs if name not in OWN]
        show_ratios(figures, [(peer, own) for own in OWN for peer in peers])
        print(f"{'peak MiB':20} {'a tenth':>9} {'all':>9}")
        for own in OWN:
            tenth = runs_of(server, "small", folder, password)[own]()
            print(f"{own:20} {tenth.peak:9.1f} {max(one.peak for one in figures[own]):9.1f}", flush=True)


OWN = ("plain, deflate", "plain, zstd", "custom, deflate", "custom, zstd")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a twentieth of a gigabyte, one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gigabytes", type=float, default=1.2, help="what pg_dump writes, about")
    parser.add_argument("--folder", type=Path, help="where archives are for the while")
    return parser.parse_args()


def fill(server: Server, database: str, gigabytes: float, password: Path) -> None:
    rows = {"customers": 800_000, "orders": 4_000_000, "events": 2_000_000, "thumbnails": 70_000}
    sql = TABLES.format(**{table: max(100, int(count * gigabytes)) for table, count in rows.items()})
    psql(server, "postgres", f"CREATE DATABASE {database}", password)
    psql(server, database, sql, password)


def psql(server: Server, database: str, sql: str, password: Path) -> None:
    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *reaching(server, database)]
    subprocess.run(command, input=sql.encode(), check=True, env={**os.environ, "PGPASSFILE": str(password)})


def measured(server: Server, database: str, password: Path) -> int:
    """The size of the plain dump; it also brings the data into memory."""
    command = f"pg_dump {shlex.join(reaching(server, database))} | wc -c"
    environment = {**os.environ, "PGPASSFILE": str(password)}
    return int(subprocess.run(["sh", "-c", command], check=True, env=environment, capture_output=True).stdout)


def reaching(server: Server, database: str) -> Sequence[str]:
    return ["-h", "127.0.0.1", "-p", str(server.port), "-U", server.user, "-w", "-d", database]


def runs_of(server: Server, database: str, folder: Path, password: Path) -> dict[str, Run]:
    dump = f"pg_dump {shlex.join(reaching(server, database))}"
    pipes = {
        "pg_dump | gzip -1": f"{dump} | gzip -1",
        "pg_dump | gzip": f"{dump} | gzip",
        "zstd -T0 | openssl": f"{dump} | zstd -q -T0 | openssl enc -aes-256-ctr -pbkdf2 -pass env:BENCH_PASSPHRASE",
    }
    runs: dict[str, Run] = {name: partial(piped, pipe, folder, password) for name, pipe in pipes.items()}
    for own in OWN:
        runs[own] = partial(ours, server.url(database), folder, own.split(", "))
    return runs


def piped(pipe: str, folder: Path, password: Path) -> Figures:
    target = folder / "piped"
    # With pipefail, the least that anyone should write; dash has none.
    command = ["bash", "-o", "pipefail", "-c", f"{pipe} > {shlex.quote(str(target))}"]
    figures = timed(command, PGPASSFILE=str(password), BENCH_PASSPHRASE=PASSPHRASE)
    return replace(figures, size=target.stat().st_size)


def ours(url: str, folder: Path, how: Sequence[str]) -> Figures:
    place = folder / "ours"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    figures = timed([sys.executable, "-c", OURS, str(place), PASSPHRASE, *how], BENCH_URL=url)
    return replace(figures, size=archive_in(place).stat().st_size)


if __name__ == "__main__":
    main()
