"""One transfer of one program, in a process of its own: `transfers.py upload|download PEER SIZE`.

Where to is in the environment, as S3_…. After its imports and one small object it sends or fetches the large one,
and prints as JSON how many seconds and how much processor time that took, and how far its memory rose.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

MiB = 1 << 20
KEY, SMALL = "folder/large", "folder/small"

Upload: TypeAlias = Callable[[str, Iterable[bytes]], None]
Download: TypeAlias = Callable[[str], Iterator[bytes]]


class Here:
    """The bucket, as the environment says."""

    endpoint = os.environ.get("S3_ENDPOINT", "")
    bucket = os.environ.get("S3_BUCKET", "")
    key = os.environ.get("S3_KEY", "")
    secret = os.environ.get("S3_SECRET", "")
    authority = os.environ.get("S3_AUTHORITY") or None


def content(size: int) -> Iterator[bytes]:
    """Fresh buffers of 1 MiB, none like another, and none that shrinks."""
    block = hashlib.shake_256(b"incompressible").digest(MiB - 8)
    for number in range(-(-size // MiB)):
        yield (number.to_bytes(8, "big") + block)[: size - number * MiB]


# Ours and the peers. What each imports is a part of its memory before, and none of its time.


def ours() -> tuple[Upload, Download]:
    from backupkit import open_destination

    options: dict[str, Any] = json.loads(os.environ.get("OURS", "{}"))
    if Here.authority:
        options["client_kwargs"] = {"verify": Here.authority}
    destination = open_destination(
        f"s3://{Here.bucket}", key=Here.key, secret=Here.secret, endpoint_url=Here.endpoint, **options
    )

    def upload(key: str, chunks: Iterable[bytes]) -> None:
        destination.write(key, chunks)

    return upload, destination.read


def s3fs() -> tuple[Upload, Download]:
    from s3fs import S3FileSystem

    fs = S3FileSystem(
        key=Here.key,
        secret=Here.secret,
        endpoint_url=Here.endpoint,
        client_kwargs={"verify": Here.authority} if Here.authority else None,
    )

    def upload(key: str, chunks: Iterable[bytes]) -> None:
        with fs.open(f"{Here.bucket}/{key}", "wb") as file:
            for chunk in chunks:
                file.write(chunk)

    def download(key: str) -> Iterator[bytes]:
        with fs.open(f"{Here.bucket}/{key}", "rb") as file:
            while chunk := file.read(MiB):
                yield chunk

    return upload, download


def boto3(like_ours: bool = False) -> tuple[Upload, Download]:
    import boto3
    from boto3.s3.transfer import TransferConfig

    client = s3_client()
    config = TransferConfig(**(alike("multipart_chunksize", "max_concurrency") if like_ours else {}))

    def upload(key: str, chunks: Iterable[bytes]) -> None:
        client.upload_fileobj(_Reader(chunks), Here.bucket, key, Config=config)

    def download(key: str) -> Iterator[bytes]:
        # It pushes to a file, and so the hashing happens in there.
        file = _Writer()
        client.download_fileobj(Here.bucket, key, file, Config=config)
        yield file.digest()

    assert boto3.__version__
    return upload, download


def boto3_like_ours() -> tuple[Upload, Download]:
    return boto3(like_ours=True)


def obstore(like_ours: bool = False) -> tuple[Upload, Download]:
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        Here.bucket,
        endpoint=Here.endpoint,
        access_key_id=Here.key,
        secret_access_key=Here.secret,
        region="us-east-1",
        client_options={
            "allow_http": True,
            "allow_invalid_certificates": bool(Here.authority),
            "timeout": "1h",
        },
    )
    options: dict[str, Any] = alike("buffer_size", "max_concurrency") if like_ours else {}

    def upload(key: str, chunks: Iterable[bytes]) -> None:
        with obstore.open_writer(store, key, **options) as writer:
            for chunk in chunks:
                writer.write(chunk)

    def download(key: str) -> Iterator[bytes]:
        for chunk in store.get(key).stream():
            yield bytes(chunk)

    return upload, download


def obstore_like_ours() -> tuple[Upload, Download]:
    return obstore(like_ours=True)


def rclone() -> tuple[Upload, Download]:
    program = str(Path(sysconfig.get_path("scripts"), "rclone"))
    settings = {
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_LOG_LEVEL": "ERROR",
        "RCLONE_CONFIG_THERE_TYPE": "s3",
        "RCLONE_CONFIG_THERE_PROVIDER": "SeaweedFS",
        "RCLONE_CONFIG_THERE_ENDPOINT": Here.endpoint,
        "RCLONE_CONFIG_THERE_ACCESS_KEY_ID": Here.key,
        "RCLONE_CONFIG_THERE_SECRET_ACCESS_KEY": Here.secret,
        "RCLONE_CONFIG_THERE_NO_CHECK_BUCKET": "true",
        **({"RCLONE_CA_CERT": Here.authority} if Here.authority else {}),
    }
    environment = {**os.environ, **settings}

    def upload(key: str, chunks: Iterable[bytes]) -> None:
        command = [program, "rcat", f"there:{Here.bucket}/{key}"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as process:
            assert process.stdin
            for chunk in chunks:
                process.stdin.write(chunk)
            process.stdin.close()
            _ended(process)

    def download(key: str) -> Iterator[bytes]:
        command = [program, "cat", f"there:{Here.bucket}/{key}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout
            while chunk := process.stdout.read(MiB):
                yield chunk
            _ended(process)

    return upload, download


def _ended(process: subprocess.Popen[bytes]) -> None:
    if process.wait():
        sys.exit(f"rclone failed with {process.returncode}")


def alike(size: str, concurrency: str) -> dict[str, int]:
    """Options that mean parts as large as ours, and as many at once."""
    from backupkit.filesystems.transfer import Transfer

    own = Transfer(**json.loads(os.environ.get("OURS", "{}")))
    return {size: own.part_size, concurrency: own.concurrency}


def s3_client() -> Any:
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=Here.endpoint,
        aws_access_key_id=Here.key,
        aws_secret_access_key=Here.secret,
        region_name="us-east-1",
        verify=Here.authority,
    )


PEERS: dict[str, Callable[[], tuple[Upload, Download]]] = {
    "ours": ours,
    "s3fs": s3fs,
    "boto3": boto3,
    "boto3, like ours": boto3_like_ours,
    "obstore": obstore,
    "obstore, like ours": obstore_like_ours,
    "rclone": rclone,
}


class _Reader:
    """What boto3 takes: a file of which it reads as much as makes a part."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = b""

    def read(self, size: int = 1 << 62) -> bytes:
        taken, length = [self._held], len(self._held)
        while length < size and (chunk := next(self._chunks, b"")):
            taken.append(chunk)
            length += len(chunk)
        joined = b"".join(taken)
        self._held = joined[size:]
        return joined[:size]


class _Writer:
    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def write(self, chunk: bytes) -> int:
        self._digest.update(chunk)
        return len(chunk)

    def digest(self) -> bytes:
        return self._digest.digest()


def used() -> float:
    """Processor time of this process and of those that it has waited for."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def peak(peer: str) -> float:
    """MiB, of this process, or of the one that it started."""
    if peer == "rclone":
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    # Not getrusage's, in which a parent leaves its mark.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def drained(peer: str, chunks: Iterable[bytes]) -> bytes:
    """The SHA-256 of what comes."""
    if peer.startswith("boto3"):
        return b"".join(chunks)
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.digest()


def managed(what: str, size: int) -> str | None:
    """Make a bucket, of a size with both objects in it; check what was uploaded; or remove the bucket."""
    client = s3_client()
    if what == "make":
        client.create_bucket(Bucket=Here.bucket)
        if size:
            client.put_object(Bucket=Here.bucket, Key=SMALL, Body=b"small")
            client.upload_fileobj(_Reader(content(size)), Here.bucket, KEY)
    elif what == "check":
        digest = hashlib.sha256()
        for chunk in client.get_object(Bucket=Here.bucket, Key=KEY)["Body"].iter_chunks(MiB):
            digest.update(chunk)
        return digest.hexdigest()
    else:
        for found in client.list_objects_v2(Bucket=Here.bucket).get("Contents", ()):
            client.delete_object(Bucket=Here.bucket, Key=found["Key"])
        client.delete_bucket(Bucket=Here.bucket)
    return None


def main(direction: str, peer: str, amount: str) -> None:
    size = int(amount)
    if direction in ("make", "check", "remove"):
        print(json.dumps(managed(direction, size)))
        return
    upload, download = PEERS[peer]()
    if direction == "upload":
        upload(SMALL + "-" + peer.replace(" ", "-").replace(",", ""), content(1024))
    else:
        drained(peer, download(SMALL))
    base, cpu, start = peak(peer), used(), time.perf_counter()
    if direction == "upload":
        upload(KEY, content(size))
    elif drained(peer, download(KEY)).hex() != os.environ["S3_SHA256"]:
        sys.exit(f"{peer} downloaded something else")
    wall, cpu = time.perf_counter() - start, used() - cpu
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak(peer) - base, "base": base}))


if __name__ == "__main__":
    main(*sys.argv[1:])
