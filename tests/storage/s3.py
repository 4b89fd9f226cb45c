"""A server of S3, as tests use it, whichever it is."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tests.storage.certificates import Certificate

SECRET = "a-secret-key-that-nobody-may-see"
"""Of the administrator."""
READER_SECRET = "read-only"


@dataclass(frozen=True)
class S3Server:
    """A running server. Its administrator's key is "admin"; "reader" may only read, with the secret "read-only"."""

    port: int
    secure_port: int
    certificate: Certificate

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def secure_endpoint(self) -> str:
        return f"https://127.0.0.1:{self.secure_port}"

    @cached_property
    def options(self) -> dict[str, Any]:
        """Of a destination there, as its administrator."""
        return {"key": "admin", "secret": SECRET, "endpoint_url": self.endpoint}

    def options_by(self, proxy: int) -> dict[str, Any]:
        """The same, by way of the proxy on this port."""
        return {**self.options, "endpoint_url": f"http://127.0.0.1:{proxy}"}

    @cached_property
    def client(self) -> Any:
        """An independent one, to look at what is there."""
        return client_of(self.endpoint, "admin", SECRET)

    def new_bucket(self, **options: Any) -> str:
        bucket = f"bucket-{uuid.uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=bucket, **options)
        return bucket


def client_of(endpoint: str, key: str, secret: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(
            request_checksum_calculation="when_required", response_checksum_validation="when_required"
        ),
    )
