"""Which world each page of the documentation needs to be run in.

A page that is not here is run in the plain one, see `sandbox.made`: an application in /srv/shop with an SQLite
database, an empty /mnt/backup, and a module `backups` with a pipeline. What a page needs beside that is added to
the table below, never to the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PASSPHRASE = "correct-horse-battery-staple-orbit"


@dataclass(frozen=True, kw_only=True)
class World:
    """What there is beside the plain world when a page is run. `{name}` in any text is an address of its servers.

    `servers` are private ones of these names, started for the page (see conftest.py), and `env` are variables.
    `before` is for the shell, `programs` are scripts, `append` is Python that stands below the block that is the
    file of that name. Then come backups of 03:00, one for each date of the page in `days`, which says how many
    days ago it is to be, of the plain sources, with `snapshots` in restic's form. `names` is Python before the
    first block, `after` is Python after each block that begins so, and `then` after the last one, to do what a
    page only describes. `long` says that all of it takes some seconds.

    `replace` are texts of the page that mean the world outside, with what stands for it. `answers` are what a
    person writes: by the end of the prompt, for each block with questions in turn; the last one stays. `needs` are
    modules that a block, by how it begins, imports and the tests need not have.
    """

    servers: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    before: str = ""
    programs: Mapping[str, str] = field(default_factory=dict)
    append: Mapping[str, str] = field(default_factory=dict)
    days: Mapping[str, int] = field(default_factory=dict)
    snapshots: bool = False
    names: str = ""
    after: Mapping[str, str] = field(default_factory=dict)
    then: str = ""
    long: bool = False
    replace: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    needs: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def is_heavy(self) -> bool:
        """Whether its page is only run by the session `docs`."""
        return self.long or not {*self.servers} <= {"ssh", "mail", "http", "webdav"}


PLAIN = World()

_S3 = {
    "AWS_ENDPOINT_URL": "{s3}",
    "AWS_ACCESS_KEY_ID": "admin",
    "AWS_SECRET_ACCESS_KEY": "a-secret-key-that-nobody-may-see",
    "AWS_DEFAULT_REGION": "us-east-1",
}
_7ZZ = {"Enter password (will not be echoed):": [PASSPHRASE]}
_SUCCEEDS = 'assert pipeline.run().outcome == "succeeded"'
_BACKUP = {"some day": 1}
# What a crontab finds: the application with its virtual environment.
_CRON = """
mkdir -p /srv/shop/venv/bin
ln -s "$(command -v backupkit)" /srv/shop/venv/bin/backupkit
sed 's|os.environ."DATABASE_URL".|"sqlite:////srv/shop/shop.sqlite3"|' backups.py > /srv/shop/backups.py
"""
_SETTINGS = """
[pipelines.shop]
sources = "/srv/shop"
destinations = "/mnt/backup"
encryptor = "environment"
"""
# A port of its own, and a server there that is left running when it answers.
_PORT = """
import os, socket

with socket.create_server(("127.0.0.1", 0)) as nobody:
    os.environ["PORT"] = str(nobody.getsockname()[1])
"""
_SERVED_BY = (
    "{} > server.log 2>&1 &\n"
    'curl -s --retry 100 --retry-delay 1 --retry-connrefused -o /dev/null "http://127.0.0.1:$PORT/" '
)
_SSH = """
mkdir -p -m 700 ~/.ssh /srv/backups /srv/other
cp {ssh_key} ~/.ssh/client && chmod 600 ~/.ssh/client
echo 'IdentityFile ~/.ssh/client' > ~/.ssh/config
"""
_PUBLIC_KEY = "age1wz62w7x46mf4xxzv5zg2mf2gys60zna2me6f7hwekgl33sf2338smr6ntq"
_PRIVATE_KEY = "AGE-SECRET-KEY-1DGJ0LCSNG2WLRL6ZMSUKREHT8V0QV6VXMRMFLCAE2JRKK4LTJPTQAC27J5"

WORLDS: dict[str, World] = {
    "README.md": World(
        servers=["s3", "mail"],
        env={
            **_S3,
            "BACKUP_NOTIFICATION_EMAIL": "ops@example.org",
            "MAIL_HOST": "127.0.0.1",
            "MAIL_PORT": "{mail}",
        },
        before="mkdir -p /media/disk",
        days={"2026-12-31": 1, "2026-11-23": 2, "2026-03-01": 4},
        replace={
            "2026-03-01T02": "2026-03-01T03",
            "backupkit restore /mnt/backup      ": "backupkit restore --help",  # it leads a person
            "backupkit web     --app backups:pipeline": "backupkit web --help",  # it stays
            ".123456Z": ".000000Z",
            # It is lost by then, or else there would be nothing to restore.
            "backupkit restore /mnt/backup --to env:DATABASE_URL": ": > /srv/shop/shop.sqlite3\n"
            "backupkit restore /mnt/backup --to env:DATABASE_URL",
        },
        answers=_7ZZ,
    ),
    "docs/how-to/back-up-a-bucket.md": World(
        servers=["s3"],
        env=_S3,
        replace={"https://s3.elsewhere.example": "{s3}"},
        names="""
import fsspec
with fsspec.open("s3://shop-media/pear.jpg", "wb") as file:
    file.write(b"a pear")
""",
        after={"import os": _SUCCEEDS},
        then="""
from pathlib import Path
assert Path("/srv/restored/media/pear.jpg").read_bytes() == b"a pear"
""",
    ),
    "docs/how-to/back-up-a-django-application.md": World(
        servers=["s3"],
        env=_S3,
        append={
            "settings.py": """
SECRET_KEY = "only here"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/srv/shop/shop.sqlite3"}}
INSTALLED_APPS += ["django.contrib.staticfiles"]
MEDIA_ROOT = "/srv/shop/uploads"
STATIC_URL, STATIC_ROOT = "static/", "/srv/shop/static"
USE_TZ = True
""",
        },
        before="sed 's/shop.settings/settings/' {root}/examples/django_shop/manage.py > manage.py",
        after={
            "# settings.py": """
import django
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()
""",
        },
        replace={
            "python manage.py backup restore --database default --create": "rm /srv/shop/shop.sqlite3\n"
            "python manage.py backup restore --database default --create",
            "--only files --to /srv/shop ": "--only files --to /srv/shop --overwrite ",
        },
        then="""
from django.test import RequestFactory
told = []
asked = RequestFactory().get("/admin/backups/").environ
list(application(asked, lambda status, headers: told.append((status, dict(headers)["location"]))))
assert told == [("303 See Other", "/admin/login/?next=%2Fadmin%2Fbackups%2F")]
""",
    ),
    "docs/how-to/back-up-a-fastapi-application.md": World(
        env={"SHOP_BACKUP_PASSWORD": PASSPHRASE},
        then="""
from starlette.testclient import TestClient
known = ("operator", os.environ["SHOP_BACKUP_PASSWORD"])
assert TestClient(app).get("/admin/backups/").status_code == 401
assert TestClient(app).get("/admin/backups/", auth=known).status_code == 200
""",
    ),
    "docs/how-to/back-up-a-flask-application.md": World(
        servers=["postgresql"],
        env={"DATABASE_URL": "{postgresql}/shop"},
        replace={"postgresql://shop@localhost": "{postgresql}"},
        then="""
app.secret_key = "only here"
client = app.test_client()
assert client.get("/admin/backups/").status_code == 403
with client.session_transaction() as inside:
    inside["role"] = "admin"
assert client.get("/admin/backups/").status_code == 200
""",
    ),
    "docs/how-to/back-up-a-web-application.md": World(
        before="mkdir /srv/shop/database && mv /srv/shop/shop.sqlite3 /srv/shop/database/database.sqlite",
        env={"DATABASE_URL": "sqlite:////srv/shop/database/database.sqlite"},
        then=_SUCCEEDS,
    ),
    "docs/how-to/back-up-databases.md": World(
        servers=["postgresql"],
        env={"DATABASE_URL": "{postgresql}/shop"},
        names="""
from types import SimpleNamespace
from sqlalchemy import create_engine
default = {"ENGINE": "django.db.backends.sqlite3", "NAME": "/srv/shop/shop.sqlite3"}
settings = SimpleNamespace(DATABASES={"default": default})
engine = create_engine("sqlite:////srv/shop/shop.sqlite3")
url = "{postgresql}/postgres"
""",
        then=f"""
{_SUCCEEDS}
for one in [*sources, source, servers]:
    assert all(any(entry.chunks()) for entry in one.entries() if entry.kind == "file"), one
""",
    ),
    "docs/how-to/back-up-over-sftp.md": World(
        servers=["ssh"],
        env={"BACKUP_KEY_PASSPHRASE": "six-words"},
        before=f"""{_SSH}
mkdir /etc/backupkit
cp {{ssh_key}} /etc/backupkit/id_ed25519
chmod 600 /etc/backupkit/id_ed25519
ssh-keygen -q -p -N six-words -f /etc/backupkit/id_ed25519
""",
        replace={
            "sftp://backup@storage.example:2222": "sftp://{ssh}",
            "sftp://backup@storage.example": "sftp://{ssh}",
            "ssh-keyscan -t ed25519 storage.example": "ssh-keyscan -p {ssh_port} -t ed25519 127.0.0.1",
            "-user backup": '-user "$(id -un)"',
        },
        after={
            "ssh-keyscan": f"""
{_SUCCEEDS}
import shutil
shutil.copy("storage.keys", "/etc/backupkit/storage.keys")
""",
            "import os": "assert [*destination.list()]",
        },
    ),
    "docs/how-to/back-up-to-azure.md": World(
        servers=["azure"],
        env={"AZURE_STORAGE_CONNECTION_STRING": "{azure}", "BACKUP_AZURE": "{azure}"},
        replace={"?account_name=example": ""},
        then=f"{_SUCCEEDS}\nassert [*destination.list()]",
    ),
    "docs/how-to/back-up-to-dropbox.md": World(
        env={"DROPBOX_REFRESH_TOKEN": "a-token", "DROPBOX_APP_KEY": "a-key"},
    ),
    "docs/how-to/back-up-to-s3.md": World(
        servers=["s3"],
        env={**_S3, "S3_KEY": "admin", "S3_SECRET": _S3["AWS_SECRET_ACCESS_KEY"]},
        then=f"{_SUCCEEDS}\nassert [*destination.list()]",
    ),
    "docs/how-to/back-up-to-webdav.md": World(
        servers=["webdav"],
        env={"DAV_PASSWORD": "hunter2"},
        before='mkdir /etc/ssl && cp "$(python -m certifi)" /etc/ssl/company.pem',
        replace={"webdav://backup@dav.example/": "{webdav}/"},
        then=_SUCCEEDS,
    ),
    "docs/how-to/be-told.md": World(
        long=True,
        servers=["mail"],
        env={
            "BACKUP_NOTIFICATION_EMAIL": "ops@example.org",
            "MAIL_HOST": "127.0.0.1",
            "MAIL_PORT": "{mail}",
            "OPS_MAIL_URL": "mailtos://user:password@example.org?smtp=mail.example.org&to=ops@example.org",
            "SLACK_URL": "https://hooks.slack.com/services/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",
            "DISCORD_URL": "https://discord.com/api/webhooks/123456789012345678/dSECRET4-dSECRET4_dSECRET4",
        },
        before="mkdir -p /srv/shop/venv/bin && ln -s $(command -v backupkit) /srv/shop/venv/bin/",
        after={
            "from backupkit import BackupPipeline": """
import shutil
shutil.copy("backups.py", "/srv/shop/backups.py")
""",
        },
        replace={
            "BACKUP_NOTIFICATION_EMAIL=ops@example.org": "BACKUP_NOTIFICATION_EMAIL=ops@example.org\n"
            "MAIL_HOST=127.0.0.1\nMAIL_PORT={mail}",
        },
    ),
    "docs/how-to/change-the-passphrase.md": World(
        long=True,
        before="echo kitten-kitten-kitten-kitten > /etc/shop/backup.passphrase.old",
        days=_BACKUP,
        snapshots=True,
        answers={
            "New passphrase:": ["another-horse-battery-staple-orbit", "that-of-a-colleague-who-has-one"],
            "The same again:": ["another-horse-battery-staple-orbit", "that-of-a-colleague-who-has-one"],
        },
        after={
            "backupkit key change": """
os.environ["BACKUP_ARCHIVE_PASSWORD"] = "another-horse-battery-staple-orbit"
""",
        },
        replace={
            "5a0e2f41": "$(backupkit key list /mnt/backup --json | python -c '\n"
            "import json, sys\n"
            'print(next(key["id"] for key in json.load(sys.stdin)["keys"] if not key["in_use"]))\')',
        },
    ),
    "docs/how-to/check-a-destination.md": World(servers=["s3"], env=_S3),
    "docs/how-to/choose-what-to-keep.md": World(days={"2026-12-31": 1}),
    "docs/how-to/databases-more-often.md": World(
        before=_CRON,
        days=_BACKUP,
        replace={"--to restored --only": '--to "$(mktemp -d)" --only'},  # one or the other
    ),
    "docs/how-to/dump-any-database.md": World(
        servers=["postgresql"],
        # The server is on another port, and this user has no database of the same name.
        env={
            "PGPORT": "{postgresql_port}",
            "PGHOST": "localhost",
            "PGUSER": "backup",
            "PGPASSFILE": "/etc/shop/pgpass",
        },
        before="umask 077 && echo 'localhost:{postgresql_port}:*:backup:the-password' > /etc/shop/pgpass",
        after={
            "from datetime import timedelta": f"""
pipeline.sources = (*pipeline.sources, postgresql)
{_SUCCEEDS}
""",
        },
    ),
    "docs/how-to/encrypt-to-a-public-key.md": World(
        before="cp {root}/examples/age_public_key.py age_encryption.py",
        programs={
            "age-keygen": f"#!/bin/sh\necho {_PRIVATE_KEY} > \"$2\"\necho 'Public key: {_PUBLIC_KEY}'\n"
        },
        replace={"age1…": _PUBLIC_KEY},
        after={"from age_encryption import Age": _SUCCEEDS},
        needs={
            "from age_encryption import Age": ["pyrage"],
            "from pathlib import Path": ["pyrage"],
        },
    ),
    "docs/how-to/find-the-last-good-version.md": World(
        long=True,
        days={"2026-11-24": 3, "2026-11-25": 2},
        snapshots=True,
        replace={"the passphrase": PASSPHRASE},
    ),
    "docs/how-to/incomplete-or-damaged.md": World(
        days={"2026-11-22": 2},
        names="""
from pathlib import Path
(archive,) = Path("/mnt/backup/shop").glob("*.zip")
content = bytearray(archive.read_bytes())
content[content.index(b"shop/uploads/pear.jpg") + 60] ^= 1
archive.write_bytes(content)
""",
    ),
    "docs/how-to/incremental-snapshots.md": World(
        servers=["s3"],
        env=_S3,
        before="mkdir /srv/other && echo x > /srv/other/x",
        # Not every machine may mount, and there is no other repository to copy from.
        programs={
            "restic": '#!/bin/sh\ncase $1 in mount | copy) exit 0 ;; esac\nPATH=${PATH#*:} exec restic "$@"\n'
        },
    ),
    "docs/how-to/keep-a-backup.md": World(
        days={"2026-12-31": 1, "2026-03-01": 3},
        after={"from datetime import": "keep(pipeline)"},
        replace={"2026-03-01T02": "2026-03-01T03"},
    ),
    "docs/how-to/management-page.md": World(
        long=True,
        env={"CI_TOKEN": "of-sixteen-letters", "PAGE_PASSWORD": "of-some-letters"},
        before="""
cat > tasks.py <<'END'
from celery import Celery
from backups import pipeline
from backupkit.integrations.celery import register

app = Celery("shop", broker="redis://127.0.0.1:1", backend="redis://127.0.0.1:1")  # which nobody asks yet
register(app, pipeline)
END
""",
        names=_PORT,
        replace={
            "backupkit web --app backups:pipeline ": _SERVED_BY.format(
                'backupkit web --app backups:pipeline --password-env PAGE_PASSWORD --port "$PORT"'
            ),
        },
        after={
            "# main.py": """
from starlette.testclient import TestClient
from types import SimpleNamespace

@app.middleware("http")
async def known(request, call_next):
    request.state.user = SimpleNamespace(roles=request.headers["roles"].split())
    return await call_next(request)

with TestClient(app) as client:
    for role, status in (("", 403), ("admin", 200)):
        assert client.get("/admin/backups/", headers={"roles": role}).status_code == status
""",
            "from backupkit import DatabaseHistory": _SUCCEEDS,
        },
    ),
    "docs/how-to/move-from-laravel-backup.md": World(
        before="mkdir -p /var/www/shop /mnt/backup/shop && echo '<?php' > /var/www/shop/index.php",
        names="""
import pyzipper
with pyzipper.AESZipFile("/mnt/backup/shop/2026-01-31-02-30-00.zip", "w", encryption=pyzipper.WZ_AES) as archive:
    archive.setpassword(os.environ["BACKUP_ARCHIVE_PASSWORD"].encode())
    archive.writestr("db-dumps/mysql-shop.sql", "INSERT INTO fruits VALUES ('apple');")
    archive.writestr("var/www/shop/index.php", "<?php")
""",
        replace={"restore disk --to found": "restore disk --to found-too"},  # the other is there already
        then="confirm_all(pipeline)",
    ),
    "docs/how-to/move-to-snapshots.md": World(
        long=True,
        servers=["ssh"],
        before=f"""{_SSH}
cat {{ssh_known_hosts}} > ~/.ssh/known_hosts
mkdir -p /mnt/archives /media/usb-disk
echo another-horse-battery-staple-orbit > ~/.other-passphrase
""",
        days={"2026-12-31": 1},
        replace={"sftp://backup@other/shop": "sftp://{ssh}/srv/other"},
        after={"# backups.py": 'assert archives.run().outcome == "succeeded"'},
    ),
    "docs/how-to/one-run-in-a-fleet.md": World(servers=["s3", "redis"], env={**_S3, "LOCKS_URL": "{redis}"}),
    "docs/how-to/open-without-backupkit.md": World(
        days={"2026-11-23": 2},
        names="""
import glob, shutil
for archive in glob.glob("/mnt/backup/shop/*.zip"):
    shutil.copy(archive, ".")
""",
        replace={
            ".123456Z": ".000000Z",
            "zip < /etc": "zip -aoa < /etc",  # what the line before has extracted
            "the passphrase, as UTF-8": PASSPHRASE,
        },
        answers=_7ZZ,
    ),
    "docs/how-to/print-a-recovery-sheet.md": World(days=_BACKUP, snapshots=True),
    "docs/how-to/read-one-file-of-yesterday.md": World(
        long=True,
        env={
            "FSSPEC_BACKUPKIT_REPOSITORY": "/mnt/backup",
            "FSSPEC_BACKUPKIT_PASSPHRASE": "env:BACKUP_ARCHIVE_PASSWORD",
        },
        before="""
mkdir /srv/shop/invoices && echo '1 pear' > /srv/shop/invoices/1.txt
python -c 'import pandas; pandas.DataFrame({"id": [1]}).to_parquet("/srv/shop/sales.parquet")' || true
""",
        days={"2026-11-22": 2},
        snapshots=True,
        needs={"import pandas": ["pandas", "pyarrow"], "from upath import UPath": ["upath"]},
    ),
    "docs/how-to/rehearse-a-restore.md": World(
        servers=["postgresql"],
        append={
            "shop/backups.py": """
from backupkit import BackupPipeline, Directory, Passphrase, PostgreSQL

pipeline = BackupPipeline(
    "shop",
    [Directory("/srv/shop"), PostgreSQL("{postgresql}/shop", count_rows=True)],
    "/mnt/backup",
    encryptor=Passphrase.from_file("/etc/shop/backup.passphrase"),
)
""",
        },
        before="backupkit run --app shop.backups:pipeline && cp -r shop /srv/shop/shop",
        replace={"postgresql://drill:secret@scratch-server": "{postgresql}"},
    ),
    "docs/how-to/repair-a-repository.md": World(
        long=True, days=_BACKUP, snapshots=True, replace={"correct horse battery staple": PASSPHRASE}
    ),
    "docs/how-to/restore-a-database.md": World(
        servers=["postgresql"],
        env={"CRM": "{postgresql}/crm_restored"},
        append={
            "backups.py": """
from backupkit import PostgreSQL

pipeline.sources = (Directory("/srv/shop"), PostgreSQL("{postgresql}/shop"))
""",
        },
        names="""
import psycopg
from backupkit import PostgreSQL

def anew(name):
    with psycopg.connect("{postgresql}/postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(f"CREATE DATABASE {name}")

pipeline.run()
""",
        after={
            "export SHOP=": """
anew("crm")
pipeline.sources = (*pipeline.sources, PostgreSQL("{postgresql}/crm"))
pipeline.run()
""",
            "backupkit restore /mnt/backup --database shop": """
pipeline.sources = pipeline.sources[:2]
pipeline.run()
""",
        },
        # Each line by itself is what a reader does: to a database that is not there, or to one that is empty.
        replace={
            "postgresql://shop:secret@localhost/": "{postgresql}/",
            "backupkit restore /mnt/backup --database shop=env:SHOP --database": "psql -q {postgresql}/postgres "
            "-c 'DROP DATABASE shop_restored'\nbackupkit restore /mnt/backup --database shop=env:SHOP --database",
            "backupkit restore /mnt/backup --to /srv/restored": "psql -q {postgresql}/postgres -c 'DROP DATABASE "
            "shop_restored' -c 'CREATE DATABASE shop_restored'\nbackupkit restore /mnt/backup --to /srv/restored",
            'pipeline.restore(to="postgresql://localhost/shop_restored"': 'pipeline.restore(to="{postgresql}/new"',
            'pipeline.restore(to="/srv/restored"': 'anew("shop_restored")\npipeline.restore(to="/srv/restored-too"',
            "postgresql://localhost/": "{postgresql}/",
        },
    ),
    "docs/how-to/restore-a-part.md": World(
        long=True,
        days={"2026-11-21": 1},
        names='import shutil\nshutil.copytree("/mnt/backup", "/mnt/theirs")',
        # Each by itself, to a folder of its own.
        replace={
            "--to found --include": '--to "$(mktemp -d)" --include',
            "--to found --backup": '--to "$(mktemp -d)" --backup',
            "/mnt/theirs --to found": '/mnt/theirs --to "$(mktemp -d)"',
        },
    ),
    "docs/how-to/restore-after-an-interruption.md": World(days={"2026-11-21": 1}),
    "docs/how-to/run-from-cron.md": World(
        before=_CRON, env={"BACKUPKIT_APP": "backups:pipeline"}, programs={"sleep": "#!/bin/sh\n"}
    ),
    "docs/how-to/run-on-a-schedule.md": World(
        before=f"""
mkdir -p /etc/systemd/system /etc/cron.d
echo BACKUP_ARCHIVE_PASSWORD=x > /etc/backupkit.env
cat > /etc/backupkit.toml <<'END'
{_SETTINGS}
schedule = "usual"
END
cat >> backups.py <<'END'

from backupkit.scheduling import Schedule, Scheduled

nightly = Schedule([Scheduled("0 3 * * *", "run")])
END
""",
        replace={"--user backup": '--user "$(id -un)"'},
    ),
    "docs/how-to/run-with-celery.md": World(
        servers=["s3", "redis"],
        env={**_S3, "REDIS_URL": "{redis}"},
        before=f"""
cat > /etc/backupkit.toml <<'END'
{_SETTINGS}
END
""",
        # As at the end of the first block, where it stands instead of what was done there.
        after={"from tasks import app": 'app = Celery("shop", broker=os.environ["REDIS_URL"])'},
        replace={
            # The worker stays, and so would the others.
            "--concurrency 2 --task-events": "--concurrency 2 --task-events > worker.log 2>&1 &",
            "tasks beat": "tasks beat --help > beat.help",
            "tasks flower": "tasks flower --help > flower.help",
        },
    ),
    "docs/how-to/settings-in-a-file.md": World(
        servers=["s3", "http"],
        env={
            **_S3,
            "S3_SECRET": _S3["AWS_SECRET_ACCESS_KEY"],
            "PING_URL": "{http}/ping",
            "FORUM_DATABASE_URL": "postgresql://forum@db.example/forum",
            "OLD_PASSPHRASE": "another-horse-battery-staple-orbit",
            "WEBHOOK_SECRET": "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0",
        },
        before="""
mkdir -p /srv/forum /run/secrets
cp /etc/shop/backup.passphrase /run/secrets/passphrase
echo "$DATABASE_URL" > /run/secrets/database_url
""",
        replace={
            # Without a terminal, as the page says below it.
            "backupkit config init  ": "backupkit config init --folder /srv/shop --database '${DATABASE_URL}' "
            "--destination /mnt/backup",
            "https://s3.example": "{s3}",
            'key = "shop"': 'key = "admin"',
        },
        after={"from backupkit.config import load": 'assert report.outcome == "succeeded"'},
    ),
    "docs/how-to/several-destinations.md": World(servers=["s3"], env=_S3, before="mkdir /mnt/disk"),
    "docs/how-to/several-pipelines.md": World(
        servers=["s3"], env=_S3, before="mkdir /srv/shop/media && echo x > /srv/shop/media/x"
    ),
    "docs/how-to/stop-workers-or-take-a-snapshot.md": World(
        before="mkdir /srv/.backup && cp -r /srv/shop /srv/.backup/shop",
        after={"import subprocess": "assert [entry.path for entry in files.entries()]"},
    ),
    "docs/how-to/verify-a-webhook.md": World(
        env={"BACKUP_WEBHOOK_SECRET": "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"},
        then="""
import json
from datetime import UTC, datetime

body, now = json.dumps({"occasion": "run failed", "name": "shop", "time": "now"}), datetime.now(UTC)
headers = {
    "webhook-id": "1",
    "webhook-timestamp": str(int(now.timestamp())),
    "webhook-signature": Webhook(os.environ["BACKUP_WEBHOOK_SECRET"]).sign("1", now, body),
}
assert hooks(headers, body.encode()) == 204
assert hooks({**headers, "webhook-signature": "v1,bm8="}, body.encode()) == 401
""",
    ),
    "docs/how-to/verify-backups.md": World(days={"2026-11-21": 2}),
    "docs/how-to/watch-the-health-of-backups.md": World(
        long=True,
        servers=["mail"],
        env={"BACKUP_NOTIFICATION_EMAIL": "ops@example.org", "MAIL_HOST": "127.0.0.1", "MAIL_PORT": "{mail}"},
        before="""
echo 'from backupkit import notifiers_from_env' >> backups.py
echo 'pipeline.notifiers = notifiers_from_env()' >> backups.py
backupkit run --app backups:pipeline
""",
    ),
    "docs/how-to/watch-with-prometheus.md": World(
        before="mkdir -p /var/lib/node_exporter",
        after={
            "from backupkit import BackupPipeline": f"""
{_SUCCEEDS}
assert "backupkit_last_success" in open("/var/lib/node_exporter/backups.prom").read()
""",
        },
    ),
    "docs/how-to/write-a-plug-in.md": World(
        long=True,
        before="cp {root}/examples/plugin_destination.py .",
        append={"my_plugins.py": "from plugin_destination import DatabaseDestination"},
    ),
    "docs/reference/command-line.md": World(
        days=_BACKUP,
        before=f"""
cat > /etc/backupkit.toml <<'END'
{_SETTINGS}
END
""",
    ),
    "docs/reference/databases.md": World(
        servers=["postgresql", "mariadb"],
        names="""
from backupkit import *

pipeline = BackupPipeline(
    "shop", [Directory("/srv/shop"), PostgreSQL("{postgresql}/shop")], "/mnt/backup", encryptor=None
)
pipeline.run()
both = BackupPipeline("both", [*pipeline.sources, MariaDB("{mariadb}/orders")], "/mnt/backup", encryptor=None)
both.run()
""",
        replace={
            "postgresql://admin@db.example": "{postgresql}",
            'pipeline.restore(to="/srv/restored"': 'both.restore(to="/srv/restored"',
            "postgresql://…/shop": "{postgresql}/empty",
            "mysql://…/orders": "{mariadb}/orders_restored",
        },
    ),
    "docs/reference/history.md": World(
        servers=["postgresql"],
        replace={"postgresql://shop:password@db": "{postgresql}"},
        then=_SUCCEEDS,
    ),
    "docs/reference/page-access.md": World(
        env={"GRAFANA_TOKEN": "0123456789abcdef"},
        names="""
from backupkit import *

pipeline = BackupPipeline(
    "shop", [Directory("/srv/shop")], "/mnt/backup", encryptor=None, history=DatabaseHistory("sqlite:///records.sqlite3")
)
""",
    ),
    "docs/reference/mysql.md": World(
        servers=["mariadb"],
        env={"SQL_CLIENT": '["mysql"]'},
        before="""
printf '[client]\\nuser=backup\\npassword="%s"\nhost=127.0.0.1\\nport=%s\n' the-password {mariadb_port} > ~/.my.cnf
echo 'CREATE TABLE pears (i int);' > mysql-shop.sql
""",
        names="from backupkit import *",
        replace={"GRANT SHOW_ROUTINE ON *.* TO backup;": ""},  # which MySQL has, and MariaDB has not
    ),
    "docs/reference/notifications.md": World(
        servers=["postgresql"],
        before="mkdir /etc/shop/notifications",
        replace={"postgresql://shop:password@db": "{postgresql}"},
    ),
    "docs/reference/page-api.md": World(
        env={"CI_TOKEN": "of-sixteen-letters"},
        names=_PORT,
        replace={
            "uvicorn page:app --port 8000": _SERVED_BY.format('uvicorn page:app --port "$PORT"'),
            "127.0.0.1:8000": "127.0.0.1:$PORT",
        },
    ),
    "docs/reference/settings.md": World(
        before=f"""
cat > backupkit.toml <<'END'
{_SETTINGS}
END
cp backupkit.toml /etc/shop/
touch /srv/shop/.env
""",
    ),
    "docs/tutorial.md": World(
        replace={"secrets.token_urlsafe(24)": f'"{PASSPHRASE}"'},  # which 7-Zip asks for
        answers=_7ZZ,
    ),
}
