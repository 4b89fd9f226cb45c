"""The demo's other process: moves money between accounts until its standard input ends.

python -m backupkit.cli.demo_writer DATABASE
"""

from __future__ import annotations

import os
import secrets
import select
import sqlite3
import sys
from contextlib import closing

PAUSE = 0.001  # seconds between two transfers: busy, but not all there is to do on this machine


def transfer(connection: sqlite3.Connection, accounts: int) -> None:
    """Move money, in one transaction: between any two, the balances do not add up."""
    payer = secrets.randbelow(accounts) + 1
    payee = payer % accounts + 1
    amount = secrets.randbelow(100) + 1
    with connection:
        connection.execute("UPDATE account SET balance = balance - ? WHERE id = ?", (amount, payer))
        connection.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (amount, payee))
        connection.execute(
            "INSERT INTO transfer (payer, payee, amount, note) VALUES (?, ?, ?, ?)",
            (payer, payee, amount, os.urandom(100)),
        )


def main(database: str) -> None:
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        (accounts,) = connection.execute("SELECT count(*) FROM account").fetchone()
        transfer(connection, accounts)
        print("writing", flush=True)
        # The end of standard input is also the end of the demo's process, however that came.
        while not select.select([sys.stdin], [], [], PAUSE)[0]:
            transfer(connection, accounts)


if __name__ == "__main__":
    main(sys.argv[1])
