"""A private Ceph of one node with an S3 gateway: what many who keep S3 themselves run, and not the youngest.

It needs no manager and no cephx. Debian's Ceph 16.2 differs from S3 where a portable store must survive: it ignores
the condition on CompleteMultipartUpload and all checksums but MD5, and refuses checksum trailers over TLS.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers import free_port, listens, running, server_folder, wait_for
from tests.storage.certificates import self_signed
from tests.tools import require_tool

_PROGRAMS = {"ceph-mon": "ceph-mon", "ceph-osd": "ceph-osd", "radosgw": "radosgw", "ceph": "ceph-common"}
_ADMIN = ("AKADMIN", "SKADMIN")
_READER = ("AKREADER", "SKREADER")

_SETTINGS = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]
public network = 127.0.0.0/8
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
mon allow pool size one = true
mon warn on pool no redundancy = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd class load list = *
osd class default list = *
run dir = {folder}
admin socket = {folder}/$name.asok
pid file = {folder}/$name.pid
log file = {folder}/$name.log
log to stderr = false

[mon]
mon data = {folder}/mon-data
mon data avail crit = 1
auth allow insecure global id reclaim = false

[osd]
osd data = {folder}/osd-data
osd objectstore = bluestore
bluestore block create = true
bluestore block size = {room}
bluestore cache size = 134217728
osd memory target = 939524096

[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{http} {tls}
rgw thread pool size = 32
rgw enable usage log = false
rgw gc obj min wait = 1
# The gateway overrides these for itself, and would wait for a key for ever.
ms mon client mode = crc
auth client required = none
auth cluster required = none
auth service required = none
"""
_ROOM = 20 << 30  # of a file that only grows as it is used


@dataclass(frozen=True, kw_only=True)
class Ceph:
    """A running gateway. `reader` may only read; `authority` is the file to check its certificate against."""

    http: str
    https: str
    authority: Path
    admin: tuple[str, str] = _ADMIN
    reader: tuple[str, str] = _READER

    def make_bucket(self, name: str) -> None:
        """One of the administrator's; the reader is allowed everything in it that it may do at all."""
        arns = [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
        reader = {"AWS": ["arn:aws:iam:::user/reader"]}
        allowed = {"Effect": "Allow", "Principal": reader, "Action": "s3:*", "Resource": arns}
        fs = self._file_system()
        fs.call_s3("create_bucket", Bucket=name)
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        fs.call_s3("put_bucket_policy", Bucket=name, Policy=policy)

    def begin_upload(self, url: str) -> None:
        """Leave an unfinished upload of one part, as a process does that is killed."""
        bucket, _, key = url.removeprefix("s3://").partition("/")
        fs = self._file_system()
        begun = fs.call_s3("create_multipart_upload", Bucket=bucket, Key=key)
        part = {"UploadId": begun["UploadId"], "PartNumber": 1, "Body": b"part"}
        fs.call_s3("upload_part", Bucket=bucket, Key=key, **part)

    def _file_system(self) -> Any:
        import s3fs

        key, secret = self.admin
        return s3fs.S3FileSystem(key=key, secret=secret, endpoint_url=self.http, skip_instance_cache=True)


@contextmanager
def ceph() -> Iterator[Ceph]:
    """It takes some ten seconds to start, and a hundred megabytes of memory and of the disk."""
    for program, package in _PROGRAMS.items():
        require_tool(program, package)
    with server_folder("ceph") as (folder, user):
        certificate = self_signed(folder)
        ports = {name: free_port() for name in ("v2", "v1", "http", "https")}
        settings = folder / "ceph.conf"
        fsid = str(uuid.uuid4())
        tls = (
            f"ssl_endpoint=127.0.0.1:{ports['https']} ssl_certificate={certificate.certificate} "
            f"ssl_private_key={certificate.key}"
        )
        settings.write_text(_SETTINGS.format(folder=folder, fsid=fsid, tls=tls, room=_ROOM, **ports))
        for name in ("mon", "osd", "rgw", "mon-data", "osd-data"):
            (folder / name).mkdir()
        if user is not None:
            for path in folder.rglob("*"):
                shutil.chown(path, user)
        node = _Node(folder, user)
        node.make_monitor(fsid, ports)
        with node.running("mon", "ceph-mon", "-i", "a", ready=lambda: listens(ports["v2"])):
            node.make_store()
            with (
                node.running("osd", "ceph-osd", "-i", "0", ready=node.store_is_up),
                node.running("rgw", "radosgw", "-n", "client.rgw", ready=lambda: _answers(ports["http"])),
            ):
                node.add_user("admin", *_ADMIN)
                node.add_user("reader", *_READER, "--op-mask=read")
                yield Ceph(
                    http=f"http://127.0.0.1:{ports['http']}",
                    https=f"https://127.0.0.1:{ports['https']}",
                    authority=certificate.certificate,
                )


class _Node:
    def __init__(self, folder: Path, user: str | None) -> None:
        self._folder = folder
        self._user = user

    @contextmanager
    def running(self, what: str, program: str, *arguments: str, ready: Callable[[], bool]) -> Iterator[None]:
        command = [program, "-f", "-c", str(self._folder / "ceph.conf"), *arguments]
        with running(command, self._user, self._folder / what) as process:
            wait_for(f"Ceph ({what})", process, self._folder / what, ready)
            yield

    def make_monitor(self, fsid: str, ports: dict[str, int]) -> None:
        address = f"[v2:127.0.0.1:{ports['v2']},v1:127.0.0.1:{ports['v1']}]"
        monmap = str(self._folder / "monmap")
        self._done("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, monmap)
        self._done("ceph-mon", *self._settings, "--mkfs", "-i", "a", "--monmap", monmap)

    def make_store(self) -> None:
        store = str(uuid.uuid4())
        self._done("ceph", *self._settings, "osd", "new", store)
        made = ["--mkfs", "--osd-uuid", store, "--no-mon-config"]
        self._done("ceph-osd", *self._settings, "-i", "0", *made)

    def store_is_up(self) -> bool:
        return "1 up" in self._done("ceph", *self._settings, "osd", "stat")

    def add_user(self, name: str, key: str, secret: str, *options: str) -> None:
        who = [f"--uid={name}", f"--display-name={name}", f"--access-key={key}", f"--secret={secret}"]
        self._done("radosgw-admin", *self._settings, "user", "create", *who, *options)

    @property
    def _settings(self) -> Sequence[str]:
        return ["-c", str(self._folder / "ceph.conf")]

    def _done(self, *command: str) -> str:
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LC_ALL": "C",
            "HOME": str(self._folder),
        }
        try:
            done = subprocess.run(
                command,
                user=self._user,
                check=False,
                capture_output=True,
                cwd="/",
                env=environment,
                text=True,
                timeout=60,
            )
        except subprocess.TimeoutExpired:
            pytest.fail(f"{' '.join(command)} did not end", pytrace=False)
        if done.returncode:
            pytest.fail(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}", pytrace=False)
        return done.stdout


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
