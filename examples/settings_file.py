"""How do I keep the settings in a file instead of Python?

Write `backupkit.toml`: a table for each pipeline, and what they share in `[defaults]`. Secrets stay in the
environment or in files. `load()` makes the pipelines, and tells all that is wrong at once, with lines.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import SettingsError
from backupkit.config import load

SETTINGS = """\
[defaults]
destinations = "backups"
encryptor = { passphrase = "${BACKUP_PASSPHRASE}" }
lock = { type = "machine", folder = "locks" }
memory = { type = "file", folder = "memory" }

[pipelines.shop]
sources = [{ type = "directory", path = "shop", exclude = ["*.log"] }]
retention = { type = "tiered", keep_all_days = 7, max_size = "${LARGEST:-50GB}" }
schedule = [{ when = "0 3 * * *", verb = "run" }]

[pipelines.forum]
sources = "forum"
compressor = "zstd"
"""


def main() -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        for name in ("shop", "forum"):
            (root / name).mkdir()
            (root / name / f"{name}.txt").write_text(f"{name}\n")
        (root / "backups").mkdir()
        file = root / "backupkit.toml"
        file.write_text(SETTINGS)

        settings = load(file, environ={"BACKUP_PASSPHRASE": "correct horse battery staple orbit"})
        for name, pipeline in settings.pipelines.items():
            print(f"{name}: {pipeline.run().outcome}")
        print(f"scheduled: {[str(one.job) for one in settings.schedules['shop'].jobs]}")

        file.write_text(SETTINGS.replace("keep_all_days", "keep_al_days").replace('"zstd"', '"zst"'))
        try:
            load(file)
        except SettingsError as error:
            for problem in error.problems:
                print(problem.removeprefix(f"{root}/").partition(" Known")[0])


if __name__ == "__main__":
    main()
