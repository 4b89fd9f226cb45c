"""How do I keep my backups on S3?

Give the URL of a bucket, and let the environment have the credentials, as for every AWS tool. The bucket here is of
moto, a stand-in on this machine; leave `stand_in` and the endpoint away, and it is Amazon's.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import BackupPipeline, Directory, KeepLast, Passphrase


@contextmanager
def stand_in() -> Iterator[str]:
    """The address of something that speaks like S3, and has a bucket "backups"."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="backups")
        yield endpoint
    finally:
        server.stop()


def main() -> None:
    os.environ["AWS_ACCESS_KEY_ID"] = "the key of the host that backs up"
    os.environ["AWS_SECRET_ACCESS_KEY"] = "its secret"
    with TemporaryDirectory() as temporary, stand_in() as endpoint:
        root = Path(temporary)
        (root / "shop").mkdir()
        (root / "shop" / "orders.csv").write_text("1,apples\n")

        pipeline = BackupPipeline(
            "shop",
            Directory(root / "shop"),
            f"s3://backups/shop?endpoint_url={endpoint}",  # or "s3://backups/shop"
            encryptor=Passphrase("correct horse battery staple orbit"),
            retention=KeepLast(2),
        )
        for _ in range(3):
            print("run:", pipeline.run().outcome)
        print("verify:", pipeline.verify().outcome)
        pipeline.clean()
        print("backups:", len(pipeline.list().backups))
        pipeline.restore(to=root / "restored")
        print((root / "restored" / "shop" / "orders.csv").read_text(), end="")


if __name__ == "__main__":
    main()
