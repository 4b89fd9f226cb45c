"""How am I told when a backup fails?

Give the pipeline notifiers. `notifiers_from_env` reads the environment of the application; `AppriseNotifier` takes
the URL of any service, and `on` says what it tells. Here the URL leads to a mail server that this example runs
itself, so that you see what arrives. A notifier that fails is a warning of the report, and never fails a backup.
"""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import AppriseNotifier, BackupPipeline, Directory, FileMemory, MachineLock, MaximumAge
from backupkit.testing.clocks import FrozenClock

MAILS: list[bytes] = []


class MailServer(socketserver.StreamRequestHandler):
    """Just enough of one to take a mail."""

    def handle(self) -> None:
        self.wfile.write(b"220 hello\r\n")
        for line in self.rfile:
            match line[:4].upper():
                case b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    MAILS.append(b"".join(iter(self.rfile.readline, b".\r\n")))
                    self.wfile.write(b"250 taken\r\n")
                case b"QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                case _:
                    self.wfile.write(b"250 fine\r\n")


@contextmanager
def mail_server() -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), MailServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def main() -> None:
    with TemporaryDirectory() as temporary, mail_server() as port:
        root = Path(temporary)
        (root / "shop").mkdir()
        (root / "shop" / "orders.csv").write_text("1,apples\n")
        (root / "backups").mkdir()
        clock = FrozenClock()  # so that two days pass at once

        pipeline = BackupPipeline(
            "shop",
            Directory(root / "shop"),
            root / "backups",
            encryptor=None,
            checks=[MaximumAge(days=1)],
            notifiers=[
                AppriseNotifier(f"mailto://127.0.0.1:{port}/?from=backup@shop.example&to=ops@shop.example"),
                AppriseNotifier(
                    f"mailto://127.0.0.1:{port}/?from=backup@shop.example&to=boss@shop.example",
                    on=["run succeeded", "summary"],
                    language="ko",
                    time_zone="Asia/Seoul",
                ),
            ],
            memory=FileMemory(root / "memory"),  # what has been told; by default in a folder of the system
            lock=MachineLock(root / "locks"),
            clock=clock,
        )

        pipeline.run()  # only the boss hears of it
        clock.now = clock.now.replace(month=2, day=3)
        pipeline.monitor()  # unhealthy: the team hears of it
        pipeline.monitor()  # still is: nobody hears of it again today
        pipeline.run(notify=False)  # nobody hears of this run
        pipeline.monitor()  # it is over
        pipeline.send_summary()  # each Monday, say: both hear of it

    for raw in MAILS:
        mail = message_from_bytes(raw, policy=policy.default)
        print(f"to {mail['To']}: {mail['Subject']}")
    text = message_from_bytes(MAILS[0], policy=policy.default).get_body(("plain",))
    print(text.get_content() if text else "")


if __name__ == "__main__":
    main()
