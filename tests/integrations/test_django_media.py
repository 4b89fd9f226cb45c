"""Django's storages as sources, with what they are reached by."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, storages

from backupkit import Directory, FsspecSource
from backupkit.errors import ConfigurationError
from backupkit.integrations.django import get_pipeline
from backupkit.model import Entry
from backupkit.protocols import Source
from tests.integrations.conftest import Django
from tests.storage.s3 import SECRET, S3Server

STATIC = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
FOLDER = "django.core.files.storage.FileSystemStorage"


class PrivateStorage(InMemoryStorage):
    """One that nobody but its application knows."""


def media(site: Django, **storages: Any) -> list[Source]:
    site(BACKUPKIT={"databases": False, "media": True}, STORAGES={"staticfiles": STATIC, **storages})
    return list(get_pipeline().sources)


def bucket(site: Django, backend: str, **options: Any) -> FsspecSource:
    (source,) = media(site, default={"BACKEND": backend, "OPTIONS": options})
    assert isinstance(source, FsspecSource)
    return source


def options_of(source: FsspecSource) -> dict[str, Any]:
    return dict(source._root._options)


def test_every_storage_but_that_of_static_files_is_media(site: Django) -> None:
    sources = media(
        site,
        default={"BACKEND": FOLDER},
        invoices={"BACKEND": FOLDER, "OPTIONS": {"location": "/srv/invoices"}},
        private={"BACKEND": FOLDER, "OPTIONS": {"location": "/srv/private/media"}},
    )
    assert [(type(one), one.name) for one in sources] == [
        (Directory, "media"),
        (Directory, "invoices"),
        (Directory, "private"),  # a second folder called media
    ]


def test_a_site_without_media_is_its_databases(site: Django) -> None:
    site(MEDIA_ROOT="")
    assert [one.name for one in get_pipeline().sources] == ["sqlite-db.sqlite3"]


def test_a_folder_that_is_asked_for_and_not_set_is_refused(site: Django) -> None:
    site(BACKUPKIT={"media": ["default"]}, MEDIA_ROOT="")
    with pytest.raises(ConfigurationError, match="set MEDIA_ROOT"):
        get_pipeline()


def test_a_bucket_of_s3_is_reached_by_what_the_storage_is_reached_by(site: Django) -> None:
    source = bucket(
        site,
        "storages.backends.s3.S3Storage",
        bucket_name="shop-media",
        location="media/2026",
        access_key="AKIA",
        secret_key="s3cret",
        endpoint_url="https://s3.example",
        region_name="eu-central-1",
        addressing_style="path",
        signature_version="s3v4",
    )
    assert (source.name, source.allow_empty) == ("media", True)
    assert source.location == "s3://shop-media/media/2026?endpoint_url=https://s3.example"
    assert options_of(source) == {
        "key": "AKIA",
        "secret": "s3cret",
        "endpoint_url": "https://s3.example",
        "client_kwargs": {"region_name": "eu-central-1"},
        "config_kwargs": {"signature_version": "s3v4", "s3": {"addressing_style": "path"}},
    }


@pytest.mark.services
def test_what_django_storages_has_written_is_what_is_backed_up(site: Django, s3_server: S3Server) -> None:
    source = bucket(
        site,
        "storages.backends.s3.S3Storage",
        bucket_name=s3_server.new_bucket(),
        location="media",
        access_key="admin",
        secret_key=SECRET,
        endpoint_url=s3_server.endpoint,
        addressing_style="path",
        region_name="us-east-1",
    )
    assert [one.path for one in source.entries()] == ["media"]  # there is nothing yet
    storages["default"].save("2026/pear.jpg", ContentFile(b"\xff\xd8"))
    entries = [one for one in source.entries() if isinstance(one, Entry)]
    assert [one.path for one in entries] == ["media", "media/2026", "media/2026/pear.jpg"]
    assert b"".join(entries[-1].chunks()) == b"\xff\xd8"


def test_a_bucket_of_google_is_reached_by_its_credentials(site: Django) -> None:
    from google.auth.credentials import AnonymousCredentials

    made: Any = AnonymousCredentials  # google-auth's has no types
    credentials = made()
    source = bucket(
        site,
        "storages.backends.gcloud.GoogleCloudStorage",
        bucket_name="shop-media",
        project_id="shop",
        credentials=credentials,
    )
    assert source.location == "gs://shop-media?project=shop"
    assert options_of(source) == {"project": "shop", "token": credentials}


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")
def test_a_container_of_azure_is_reached_by_its_account(site: Django) -> None:
    source = bucket(
        site,
        "storages.backends.azure_storage.AzureStorage",
        azure_container="media",
        account_name="shop",
        account_key="a2V5",
        endpoint_suffix="core.example",
    )
    assert source.location == "abfs://media?account_host=shop.blob.core.example&account_name=shop"
    assert options_of(source) == {
        "account_name": "shop",
        "account_key": "a2V5",
        "account_host": "shop.blob.core.example",
    }


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")
def test_a_credential_that_cannot_be_used_here_is_refused(site: Django) -> None:
    with pytest.raises(ConfigurationError, match=r"STORAGES\['default'\] opens Azure by a token_credential"):
        bucket(
            site,
            "storages.backends.azure_storage.AzureStorage",
            azure_container="media",
            account_name="shop",
            token_credential=object(),
        )


def test_a_storage_that_is_not_known_asks_for_a_source(site: Django) -> None:
    backend = {"BACKEND": f"{__name__}.PrivateStorage"}
    with pytest.raises(ConfigurationError, match=r"STORAGES\['default'\].*PrivateStorage.* give a source"):
        media(site, default=backend)
