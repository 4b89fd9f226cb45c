"""Users of a Django site come in by their session, though none of Django's middleware has run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SITE = """
import json, sys
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="-" * 50,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1] + "/site.sqlite3"}},
    MIDDLEWARE=[],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    ALLOWED_HOSTS=["*"],
)
django.setup()
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.test import Client
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient
from werkzeug.test import Client as WSGIClient

from backupkit import BackupPipeline, DatabaseHistory, Directory
from backupkit.integrations.asgi import (BackupManager, by_django_user, mounted_wsgi)

with connection.schema_editor() as editor:
    for model in apps.get_models():
        editor.create_model(model)
folder = sys.argv[1]
pipeline = BackupPipeline(
    "shop", [Directory(folder)], folder + "/no", encryptor=None,
    history=DatabaseHistory("sqlite:///" + folder + "/records.sqlite3"),
)
groups = {"support": {"view"}, "operators": {"run"}}

def page(authorize):
    return BackupManager(pipeline, authorize=authorize, secret="not to be guessed")

def user(name, *groups, **more):
    made = User.objects.create_user(name, password="correct horse", **more)
    for group in groups:
        made.groups.add(Group.objects.get_or_create(name=group)[0])
    return made

def cookie_of(one):
    client = Client()
    client.force_login(one)
    return client.cookies["sessionid"].value

def abilities(cookie, **how):
    found = []
    authorize = by_django_user(**how)

    def telling(request):
        said = authorize(request)
        found.append(said)
        return PlainTextResponse("") if not isinstance(said, Response) else said

    headers = {} if cookie is None else {"cookie": "sessionid=" + cookie}
    answer = TestClient(page(telling), follow_redirects=False).get("/audit?a=1&b=2", headers=headers)
    if isinstance(found[0], Response):
        return [answer.status_code, answer.headers["location"]]
    return [getattr(found[0], "who", None), sorted(getattr(found[0], "abilities", found[0]))]

root = user("root", is_superuser=True)
admin, support = user("admin", "admin"), user("support", "support", "operators", "others")
staff, gone = user("staff", is_staff=True), user("gone", is_superuser=True)
gone_cookie, changed_cookie, out_cookie = cookie_of(gone), cookie_of(root), cookie_of(root)
gone.is_active = False
gone.save()
told = {
    "superuser": abilities(cookie_of(root)),
    "administrators": abilities(cookie_of(admin)),
    "groups": abilities(cookie_of(support), groups=groups),
    "groups that are not named": abilities(cookie_of(support)),
    "staff": abilities(cookie_of(staff)),
    "inactive": abilities(gone_cookie),
    "nobody": abilities(None),
    "made up": abilities("x" * 32),
    "odd": abilities("../../etc/passwd"),
    "login": abilities(None, login="/accounts/login/"),
}
Session.objects.all().delete()
told["logged out"] = abilities(out_cookie)
changed_cookie = cookie_of(root)
root.set_password("another horse")
root.save()
told["with another password"] = abilities(changed_cookie)
inside = mounted_wsgi(get_wsgi_application(), "/admin/backups", page(by_django_user()))
cookie = "sessionid=" + cookie_of(admin)
told["in WSGI"] = [
    WSGIClient(inside, use_cookies=False).get("/admin/backups/audit", headers={"cookie": one}).status_code
    for one in (cookie, "sessionid=wrong")
]
kept = cookie_of(admin)
settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "+" * 50, [settings.SECRET_KEY]
told["after a new SECRET_KEY"] = [abilities(kept)[0], Session.objects.filter(session_key=kept).exists()]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-c", SITE, str(folder)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


EVERYTHING = ["administer", "delete", "download", "restore", "run", "view"]


@pytest.mark.parametrize(
    ("who", "said"),
    [
        ("superuser", ["root", EVERYTHING]),
        ("administrators", ["admin", EVERYTHING]),
        ("groups", ["support", ["run", "view"]]),
        ("groups that are not named", ["support", []]),
        ("staff", ["staff", []]),
        ("inactive", [None, []]),
        ("nobody", [None, []]),
        ("made up", [None, []]),
        ("odd", [None, []]),
        ("login", [303, "/accounts/login/?next=%2Faudit%3Fa%3D1%26b%3D2"]),
        ("logged out", [None, []]),
        ("with another password", [None, []]),
        ("in WSGI", [200, 403]),
        ("after a new SECRET_KEY", ["admin", True]),
    ],
)
def test_the_user_of_the_session_may_what_superusers_and_groups_may(told: Any, who: str, said: Any) -> None:
    assert told[who] == said
