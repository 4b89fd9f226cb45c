"""Django's storages → sources: the folder or bucket in which an application keeps what its users upload."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage, storages

from backupkit.errors import ConfigurationError
from backupkit.protocols import Source
from backupkit.sources.files import Directory
from backupkit.sources.remote import FsspecSource

STATIC = "staticfiles"
"""The alias of what `collectstatic` makes anew."""


def media_aliases() -> list[str]:
    """The storages that hold media: all but that of static files, and but folders that are not set."""
    return [
        alias
        for alias in settings.STORAGES
        if alias != STATIC and (folder_of(alias) != "" or alias != "default")
    ]


def folder_of(alias: str) -> str | None:
    """The folder of this machine that a storage is; None if it is something else, "" if MEDIA_ROOT is not set."""
    storage = _storage(alias)
    if not isinstance(storage, FileSystemStorage):
        return None
    return str(storage.location) if storage.base_location else ""


def media_sources(aliases: Sequence[str]) -> list[Source]:
    """A source for each of these storages. A folder is called by its name, a bucket "media" or by its alias."""
    sources: list[Source] = []
    for alias in aliases:
        folder = folder_of(alias)
        if folder == "":
            raise ConfigurationError(f"The storage {alias!r} has no folder: set MEDIA_ROOT.")
        if folder is None:
            url, options = _bucket(alias)
            name = "media" if alias == "default" else alias
            # What is empty is no mistake here: it is the place that the application itself writes to.
            sources.append(FsspecSource(url, name=name, allow_empty=True, storage_options=options))
        else:
            taken = PurePath(folder).name in [one.name for one in sources]
            sources.append(Directory(folder, name=alias if taken else None))
    return sources


def _storage(alias: str) -> Any:
    try:
        return storages[alias]
    except (
        ImproperlyConfigured,
        KeyError,
        TypeError,
        ValueError,
    ) as error:  # whatever its class makes of the options
        raise ConfigurationError(
            f"STORAGES[{alias!r}] is no storage: {error or type(error).__name__}"
        ) from error


def bucket_url(alias: str) -> str:
    """Where a storage that is no folder keeps its files."""
    return _bucket(alias)[0]


def _bucket(alias: str) -> tuple[str, Mapping[str, Any]]:
    """The URL of a storage, and the options that it is reached by."""
    storage = _storage(alias)
    classes = [f"{one.__module__}.{one.__qualname__}" for one in type(storage).__mro__]
    known = next((_KNOWN[one] for one in classes if one in _KNOWN), None)
    if known is None:
        raise ConfigurationError(
            f"STORAGES[{alias!r}] is a {classes[0]}, which is not known here: leave it out of media, and give a "
            "source for what it holds."
        )
    url, options = known(alias, storage)
    return url, _said(options)


def _s3(alias: str, storage: Any) -> tuple[str, Mapping[str, Any]]:
    return _url("s3", storage.bucket_name, storage), {
        "key": storage.access_key,
        "secret": storage.secret_key,
        "token": storage.security_token,
        "profile": storage.session_profile,
        "endpoint_url": storage.endpoint_url,
        "use_ssl": None if storage.use_ssl else False,
        "client_kwargs": _said({"region_name": storage.region_name, "verify": storage.verify}),
        "config_kwargs": _said(
            {
                "signature_version": storage.signature_version,
                "proxies": storage.proxies,
                "s3": _said({"addressing_style": storage.addressing_style}),
            }
        ),
    }


def _google(alias: str, storage: Any) -> tuple[str, Mapping[str, Any]]:
    return _url("gs", storage.bucket_name, storage), {
        "project": storage.project_id,
        "token": storage.credentials,
    }


def _azure(alias: str, storage: Any) -> tuple[str, Mapping[str, Any]]:
    if storage.token_credential is not None and not (storage.account_key or storage.sas_token):
        raise ConfigurationError(
            f"STORAGES[{alias!r}] opens Azure by a token_credential, which cannot be used here: leave it out of "
            "media, and give a source with a credential of its own."
        )
    usual = storage.endpoint_suffix in (None, "core.windows.net")
    return _url("abfs", storage.azure_container, storage), {
        "account_name": storage.account_name,
        "account_key": storage.account_key,
        "sas_token": storage.sas_token,
        "connection_string": storage.connection_string,
        "account_host": None if usual else f"{storage.account_name}.blob.{storage.endpoint_suffix}",
    }


_KNOWN: Mapping[str, Callable[[str, Any], tuple[str, Mapping[str, Any]]]] = {
    "storages.backends.s3.S3Storage": _s3,
    "storages.backends.s3boto3.S3Boto3Storage": _s3,
    "storages.backends.gcloud.GoogleCloudStorage": _google,
    "storages.backends.azure_storage.AzureStorage": _azure,
}
"""The classes of django-storages, whose subclasses in applications only set a bucket or a folder in it."""


def _url(scheme: str, bucket: str, storage: Any) -> str:
    return f"{scheme}://{bucket}/{str(storage.location).strip('/')}".rstrip("/")


def _said(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value not in (None, {}, "")}
