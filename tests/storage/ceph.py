"""Ceph with its S3 gateway: a whole cluster of one monitor and one disk, on this machine."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.servers import free_port, listens, running, server_folder, wait_for
from tests.storage.certificates import self_signed
from tests.storage.s3 import READER_SECRET, SECRET, S3Server
from tests.tools import require_tool

_SETTINGS = """
[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{monitor}
public network = 127.0.0.0/8
cluster addr = 127.0.0.1
public addr = 127.0.0.1
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
log file = {folder}/$name.log
pid file = {folder}/$name.pid
[mon]
mon data = {folder}/mon
mon data avail crit = 1
auth allow insecure global id reclaim = false
[osd]
osd data = {folder}/osd
osd journal = {folder}/osd/journal
osd objectstore = bluestore
bluestore block create = true
bluestore block size = 21474836480
bluestore cache size = 268435456
osd memory target = 1073741824
[client.rgw]
rgw frontends = {frontends}
rgw thread pool size = 32
rgw crypt require ssl = false
# The gateway has other defaults for these, with which it waits for keys that nobody has.
ms mon client mode = crc
auth client required = none
auth cluster required = none
auth service required = none
"""


@contextmanager
def ceph() -> Iterator[S3Server]:
    """A running one, which speaks with and without TLS; a fresh cluster takes 20 s."""
    for package in ("ceph-mon", "ceph-osd", "radosgw"):  # each has the program of its name
        require_tool(package)
    with server_folder("nobody") as (folder, _), ExitStack() as daemons:
        certificate = self_signed(folder)
        monitor, port, secure_port = free_port(), free_port(), free_port()
        frontends = (
            f"beast endpoint=127.0.0.1:{port} ssl_endpoint=127.0.0.1:{secure_port} "
            f"ssl_certificate={certificate.certificate} ssl_private_key={certificate.key}"
        )
        fsid, disk = str(uuid.uuid4()), str(uuid.uuid4())
        settings = folder / "ceph.conf"
        settings.write_text(_SETTINGS.format(fsid=fsid, monitor=monitor, folder=folder, frontends=frontends))
        for name in ("mon", "osd"):
            (folder / name).mkdir()

        def do(*arguments: str | Path) -> None:
            subprocess.run(
                [arguments[0], "-c", settings, *arguments[1:]], check=True, capture_output=True, timeout=60
            )

        def start(name: str, *arguments: str, answers: int) -> None:
            logs = folder / f"{name}-output"
            logs.mkdir()
            process = daemons.enter_context(running([name, "-f", "-c", settings, *arguments], None, logs))
            wait_for(name, process, logs, lambda: listens(answers))

        addresses = f"[v2:127.0.0.1:{monitor}]"
        make: list[str | Path] = [
            "monmaptool",
            "--create",
            "--fsid",
            fsid,
            "--addv",
            "a",
            addresses,
            folder / "monmap",
        ]
        subprocess.run(make, check=True, capture_output=True)
        do("ceph-mon", "--mkfs", "-i", "a", "--monmap", folder / "monmap")
        start("ceph-mon", "-i", "a", answers=monitor)
        do("ceph", "osd", "new", disk)
        do("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk, "--no-mon-config")
        start("ceph-osd", "-i", "0", answers=monitor)
        start("radosgw", "-n", "client.rgw", answers=port)
        for name, secret, more in (("admin", SECRET, ()), ("reader", READER_SECRET, ("--op-mask=read",))):
            user = (f"--uid={name}", f"--display-name={name}", f"--access-key={name}", f"--secret={secret}")
            do("radosgw-admin", "user", "create", *user, *more)
        yield S3Server(port, secure_port, certificate)
