"""How do I back up the files that my application keeps in a bucket, and get them back?

Name the bucket as a source. Here it is a folder in memory, so that the example needs no account; with
`FsspecSource("s3://shop-media")` it is the same. What the store has and no folder can have is told by name.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import fsspec

from backupkit import BackupPipeline, FsspecSource, Passphrase


def main() -> None:
    bucket = fsspec.filesystem("memory")
    bucket.pipe_file("/shop-media/2026/apple.jpg", b"a picture of an apple")
    bucket.pipe_file("/shop-media/2026/pear.jpg", b"a picture of a pear")
    bucket.pipe_file("/shop-media/thumbnails/apple.jpg", b"small")

    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "backups").mkdir()
        pipeline = BackupPipeline(
            "shop",
            FsspecSource("memory://shop-media", name="media", exclude=["/thumbnails/"]),
            root / "backups",
            encryptor=Passphrase("correct horse battery staple orbit"),
        )
        print("run:", pipeline.run().outcome)

        pipeline.restore(to=root / "restored")
        restored = root / "restored" / "media"
        files = sorted(path for path in restored.rglob("*") if path.is_file())
        print("restored:", [path.relative_to(restored).as_posix() for path in files])

        bucket.pipe_file("/shop-media/2026//plum.jpg", b"an object whose name can be no path")
        report = pipeline.run()
        print("run:", report.outcome, [problem.path for problem in report.problems])


if __name__ == "__main__":
    main()
