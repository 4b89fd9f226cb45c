"""How do I keep a history of every operation, and tell another program, which checks that it was us?

`history=` keeps every report in a database (here an SQLite file) and reads it back. A webhook is signed after the
Standard Webhooks specification: the receiver below checks it with nothing but the standard library; libraries
for it exist in most languages. A database notifier keeps what an application shows as unread notifications.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import (
    BackupPipeline,
    DatabaseHistory,
    DatabaseNotifier,
    Directory,
    Passphrase,
    WebhookNotifier,
)

SECRET = "whsec_" + base64.b64encode(b"an example: 24 to 64 random bytes").decode()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        signature = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        fresh = abs(time.time() - int(self.headers["webhook-timestamp"])) < 300
        genuine = hmac.compare_digest(signature, self.headers["webhook-signature"]) and fresh
        if genuine:
            notice = json.loads(body)
            print(f"received: {notice['occasion']} of {notice['name']}", flush=True)
        self.send_response(204 if genuine else 401)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    with TemporaryDirectory() as temporary, HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = Path(temporary)
        (root / "shop").mkdir()
        (root / "shop" / "orders.csv").write_text("2,pears\n")
        (root / "backups").mkdir()

        database = f"sqlite:///{root}/records.sqlite3"  # or postgresql://…, mysql://…, or your engine
        history = DatabaseHistory(database)
        notifications = DatabaseNotifier(database)
        pipeline = BackupPipeline(
            "shop",
            Directory(root / "shop"),
            root / "backups",
            encryptor=Passphrase("correct horse battery staple orbit"),
            history=history,
            notifiers=[
                notifications,
                WebhookNotifier(f"http://127.0.0.1:{server.server_port}/hooks/backups", SECRET),
            ],
        )
        pipeline.run()
        pipeline.verify()

        for report in history.reports("shop"):
            print(f"history: {report.operation} {report.outcome}, {report.entries} entries")
        print(f"unread: {[one.occasion for one in notifications.unread()]}")
        notifications.mark_all_read()
        print(f"unread: {notifications.count(unread=True)}")
        server.shutdown()


if __name__ == "__main__":
    main()
