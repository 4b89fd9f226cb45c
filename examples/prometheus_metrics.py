"""How do I watch my backups with Prometheus?

`PrometheusObserver(textfile=…)` writes what each operation ended with to a file for the node exporter. Each
process changes what it knows and leaves the rest, so a nightly run and an hourly monitor share one file. A
service that is scraped exposes `observer.registry` instead.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import BackupPipeline, Directory, Passphrase, PrometheusObserver


def main() -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "shop").mkdir()
        (root / "shop" / "stock.csv").write_text("2,pears\n", encoding="utf-8")
        (root / "backups").mkdir()
        (root / "node_exporter").mkdir()

        pipeline = BackupPipeline(
            "shop",
            Directory(root / "shop"),
            root / "backups",
            encryptor=Passphrase("correct horse battery staple orbit"),
            observers=[PrometheusObserver(textfile=root / "node_exporter" / "backups.prom")],
        )
        pipeline.run()
        pipeline.monitor()

        for line in (root / "node_exporter" / "backups.prom").read_text(encoding="utf-8").splitlines():
            name, _, value = line.rpartition(" ")
            if name.startswith(("backupkit_healthy{", "backupkit_backups{")):
                print(name.partition("{")[0], value)


if __name__ == "__main__":
    main()
