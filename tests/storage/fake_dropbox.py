"""A Dropbox of ours: as much of its API as a backup needs, with the limits that the SDK's docstrings tell of.

It follows https://www.dropbox.com/developers/documentation/http/documentation; an independent client, rclone, is
held against it in `test_fake_dropbox.py`. Everything is in memory, and may be changed while it runs.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import ssl
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import parse_qs

JSON: TypeAlias = dict[str, Any]
MiB = 1 << 20
BLOCK = 4 * MiB
LARGEST_REQUEST = 150 * MiB
SCOPES = frozenset({"account_info.read", "files.metadata.read", "files.content.read", "files.content.write"})


def content_hash(content: bytes) -> str:
    """https://www.dropbox.com/developers/reference/content-hash"""
    blocks = (content[start : start + BLOCK] for start in range(0, len(content), BLOCK))
    return hashlib.sha256(b"".join(hashlib.sha256(block).digest() for block in blocks)).hexdigest()


@dataclass(kw_only=True)
class Stored:
    """A file, or with `content` None a folder. `name` is the last part of its path, as it was spelled."""

    name: str
    content: bytes | None = None
    id: str = field(default_factory=lambda: f"id:{uuid.uuid4().hex[:22]}")
    revision: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(kw_only=True)
class Session:
    """An upload session: content by where it begins."""

    concurrent: bool
    pieces: dict[int, bytes] = field(default_factory=dict)
    closed: bool = False

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces.values()))

    @property
    def has_gaps(self) -> bool:
        end = 0
        for offset, content in sorted(self.pieces.items()):
            if offset != end:
                return True
            end += len(content)
        return False

    @property
    def content(self) -> bytes:
        return b"".join(content for _, content in sorted(self.pieces.items()))


@dataclass(kw_only=True)
class Token:
    """An access token: what it allows, and whether its four hours are over."""

    scopes: frozenset[str] = SCOPES
    expired: bool = False


@dataclass(kw_only=True)
class FakeDropbox:
    """What the server knows. `files` are by their paths in lower case; `port` takes TLS, `plain_port` does not.

    `refresh_tokens` are those of apps, by their keys. `seen` are the routes that were asked so far, with arguments.
    """

    files: dict[str, Stored] = field(default_factory=dict)
    revisions: dict[str, Stored] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    cursors: dict[str, list[JSON]] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=lambda: {"TOKEN": Token()})
    refresh_tokens: dict[str, str] = field(default_factory=lambda: {"REFRESH": "APP-KEY"})
    namespaces: set[str] = field(default_factory=lambda: {"1"})
    members: set[str] = field(default_factory=lambda: {"dbmid:ours"})
    quota: int = 1 << 40
    page: int = 2000
    seen: list[tuple[str, JSON]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    port: int = 0
    plain_port: int = 0

    @property
    def used(self) -> int:
        return sum(len(one.content or b"") for one in self.files.values())

    def asked(self, route: str) -> int:
        """How many requests there were for a route."""
        return sum(1 for name, _ in self.seen if name == route)

    def spelled(self, path: str) -> str:
        """How a path that exists is displayed."""
        parts = path.split("/")
        return "/".join(
            self.files["/".join(parts[: end + 1])].name if end else "" for end in range(len(parts))
        )

    def contents(self) -> Mapping[str, bytes]:
        """All files, by their displayed paths."""
        with self.lock:
            return {
                self.spelled(path): one.content for path, one in self.files.items() if one.content is not None
            }

    def described(self, path: str) -> JSON:
        """What is at this path in lower case."""
        where = {"path_lower": path, "path_display": self.spelled(path)}
        return {**where, **self.described_alone(self.files[path])}

    def described_alone(self, one: Stored) -> JSON:
        """The same without its path, which an older revision does not have."""
        described: JSON = {"name": one.name, "id": one.id}
        if one.content is None:
            return {".tag": "folder", **described}
        modified = one.modified.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            ".tag": "file",
            **described,
            "client_modified": modified,
            "server_modified": modified,
            "rev": one.revision,
            "size": len(one.content),
            "is_downloadable": True,
            "content_hash": content_hash(one.content),
        }

    def at(self, path: str, wrapped: str = "path") -> str:
        """The path in lower case of what exists under it; otherwise an answer says that there is nothing."""
        if path.startswith("id:"):
            path = next((lower for lower, one in self.files.items() if one.id == path), path)
        if path.lower() not in self.files:
            raise _refused(wrapped, "not_found")
        return path.lower()

    def make_folders(self, path: str) -> None:
        """Make the folders above a path."""
        parts = path.split("/")
        for end in range(2, len(parts)):
            above = "/".join(parts[:end]).lower()
            if self.files.setdefault(above, Stored(name=parts[end - 1])).content is not None:
                raise _ConflictError("file_ancestor")

    def keep(self, commit: JSON, content: bytes) -> JSON:
        """Make a file, by the rules of WriteMode."""
        path = str(commit["path"])
        if not re.fullmatch(r"(/[^/]+)+", path):
            raise _BadInputError(f"path: {path!r} did not match pattern '(/(.|[\\r\\n])*)'")
        lower, name = path.lower(), path.rpartition("/")[2]
        before = self.files.get(lower)
        if before is not None and before.content is None:
            raise _ConflictError("folder")
        if before is not None and _tag(commit.get("mode", "add")) == "add":
            if before.content == content and not commit.get("strict_conflict"):
                return self.described(lower)
            raise _ConflictError("file")
        if self.used - len(before.content or b"" if before else b"") + len(content) > self.quota:
            raise _WriteError({".tag": "insufficient_space"})
        self.make_folders(path)
        made = Stored(name=before.name if before else name, content=content)
        self.files[lower] = self.revisions[made.revision] = made
        return self.described(lower)


@dataclass(frozen=True, kw_only=True)
class _Call:
    """A request: its argument, and the content that came with it."""

    dropbox: FakeDropbox
    argument: JSON
    content: bytes = b""


class _RefusedError(Exception):
    """A 409: the route's own error."""

    def __init__(self, error: JSON) -> None:
        super().__init__(error)
        self.error = error


class _WriteError(Exception):
    """What keeps content from becoming a file; each route wraps it in its own way."""

    def __init__(self, error: JSON) -> None:
        super().__init__(error)
        self.error = error


class _ConflictError(_WriteError):
    def __init__(self, kind: str) -> None:
        super().__init__({".tag": "conflict", "conflict": {".tag": kind}})


class _BadInputError(Exception):
    """A 400, with a text."""


def _refused(*tags: str, **more: Any) -> _RefusedError:
    error: JSON = {".tag": tags[-1], **more}
    for tag in reversed(tags[:-1]):
        error = {".tag": tag, tag: error}
    return _RefusedError(error)


def _tag(value: Any) -> str:
    return str(value[".tag"] if isinstance(value, dict) else value)


# What is asked, one function for each route.


def _upload(call: _Call) -> JSON:
    try:
        return _untagged(call.dropbox.keep(call.argument, call.content))
    except _WriteError as error:
        raise _RefusedError({".tag": "path", "reason": error.error, "upload_session_id": ""}) from None


def _start(call: _Call) -> JSON:
    concurrent = _tag(call.argument.get("session_type") or "sequential") == "concurrent"
    if concurrent and call.content:
        raise _refused("concurrent_session_data_not_allowed")
    if concurrent and call.argument.get("close"):
        raise _refused("concurrent_session_close_not_allowed")
    session = Session(concurrent=concurrent, closed=bool(call.argument.get("close")))
    if call.content:
        session.pieces[0] = call.content
    name = f"pid_upload_session:{uuid.uuid4().hex}"
    call.dropbox.sessions[name] = session
    return {"session_id": name}


def _append(call: _Call) -> None:
    cursor = call.argument["cursor"]
    offset, last = cursor["offset"], bool(call.argument.get("close"))
    session = call.dropbox.sessions.get(cursor["session_id"])
    if session is None:
        raise _refused("not_found")
    if session.closed:
        raise _refused("closed")
    if not session.concurrent and offset != session.size:
        raise _refused("incorrect_offset", correct_offset=session.size)
    if session.concurrent and offset % BLOCK:
        raise _refused("concurrent_session_invalid_offset")
    if session.concurrent and len(call.content) % BLOCK and not last:
        raise _refused("concurrent_session_invalid_data_size")
    session.pieces[offset] = call.content
    session.closed = last


def _finish(call: _Call) -> JSON:
    return _untagged(_finished(call.dropbox, call.argument, call.content))


def _finish_batch(call: _Call) -> JSON:
    entries: list[JSON] = []
    for entry in call.argument["entries"]:
        try:
            made = _finished(call.dropbox, entry, b"")
            entries.append({**made, ".tag": "success"})
        except _RefusedError as refused:
            entries.append({".tag": "failure", "failure": refused.error})
    return {"entries": entries}


def _finished(dropbox: FakeDropbox, argument: JSON, content: bytes) -> JSON:
    cursor = argument["cursor"]
    session = dropbox.sessions.get(cursor["session_id"])
    if session is None:
        raise _refused("lookup_failed", "not_found")
    if session.concurrent and content:
        raise _refused("concurrent_session_data_not_allowed")
    if session.concurrent and not session.closed:
        raise _refused("concurrent_session_not_closed")
    if session.concurrent and session.has_gaps:
        raise _refused("concurrent_session_missing_data")
    if cursor["offset"] != session.size:
        raise _refused("lookup_failed", "incorrect_offset", correct_offset=session.size)
    try:
        made = dropbox.keep(argument["commit"], session.content + content)
    except _WriteError as error:
        raise _RefusedError({".tag": "path", "path": error.error}) from None
    del dropbox.sessions[cursor["session_id"]]
    return made


def _metadata(call: _Call) -> JSON:
    if call.argument["path"] == "":
        raise _BadInputError("The root folder is unsupported.")
    return call.dropbox.described(call.dropbox.at(call.argument["path"]))


def _list(call: _Call) -> JSON:
    path = call.argument["path"]
    if path == "/":
        raise _BadInputError('path: Specify the root folder as an empty string rather than as "/".')
    lower = call.dropbox.at(path) if path else ""
    if lower and call.dropbox.files[lower].content is not None:
        raise _refused("path", "not_folder")
    recursive = call.argument.get("recursive")
    found = [
        call.dropbox.described(one)
        for one in sorted(call.dropbox.files)
        if one.startswith(f"{lower}/") and (recursive or "/" not in one[len(lower) + 1 :])
    ]
    if recursive and lower:
        found.insert(0, call.dropbox.described(lower))
    return _page(call.dropbox, found)


def _list_on(call: _Call) -> JSON:
    rest = call.dropbox.cursors.get(call.argument["cursor"])
    if rest is None:
        raise _refused("reset")
    return _page(call.dropbox, rest)


def _page(dropbox: FakeDropbox, entries: list[JSON]) -> JSON:
    cursor = uuid.uuid4().hex
    dropbox.cursors[cursor] = entries[dropbox.page :]
    return {
        "entries": entries[: dropbox.page],
        "cursor": cursor,
        "has_more": bool(dropbox.cursors[cursor]),
    }


def _delete(call: _Call) -> JSON:
    path = call.dropbox.at(call.argument["path"], "path_lookup")
    deleted = call.dropbox.described(path)
    for one in [*call.dropbox.files]:
        if one == path or one.startswith(f"{path}/"):
            del call.dropbox.files[one]
    return {"metadata": deleted}


def _make_folder(call: _Call) -> JSON:
    path = call.argument["path"]
    there = call.dropbox.files.get(path.lower())
    if there is not None:
        raise _refused("path", "conflict", "folder" if there.content is None else "file")
    try:
        call.dropbox.make_folders(f"{path}/")
    except _WriteError as error:
        raise _RefusedError({".tag": "path", "path": error.error}) from None
    return {"metadata": _untagged(call.dropbox.described(path.lower()))}


def _move(call: _Call) -> JSON:
    return _relocate(call, keep=False)


def _copy(call: _Call) -> JSON:
    return _relocate(call, keep=True)


def _relocate(call: _Call, *, keep: bool) -> JSON:
    dropbox, to = call.dropbox, call.argument["to_path"]
    path = dropbox.at(call.argument["from_path"], "from_lookup")
    if to.lower() in dropbox.files:
        raise _refused("to", "conflict", "file")
    dropbox.make_folders(to)
    for one in [one for one in dropbox.files if one == path or one.startswith(f"{path}/")]:
        stored = dropbox.files[one] if keep else dropbox.files.pop(one)
        name = to.rpartition("/")[2] if one == path else stored.name
        dropbox.files[to.lower() + one[len(path) :]] = Stored(name=name, content=stored.content)
    return {"metadata": dropbox.described(to.lower())}


def _account(call: _Call) -> JSON:
    return {
        "account_id": f"dbid:{'A' * 35}",
        "name": {
            "given_name": "A",
            "surname": "B",
            "familiar_name": "A",
            "display_name": "A B",
            "abbreviated_name": "AB",
        },
        "email": "somebody@example.com",
        "email_verified": True,
        "disabled": False,
        "locale": "en",
        "referral_link": "https://example.com/",
        "is_paired": False,
        "account_type": {".tag": "basic"},
        "root_info": {".tag": "user", "root_namespace_id": "1", "home_namespace_id": "1"},
    }


def _space(call: _Call) -> JSON:
    return {
        "used": call.dropbox.used,
        "allocation": {".tag": "individual", "allocated": call.dropbox.quota},
    }


def _untagged(described: JSON) -> JSON:
    return {name: value for name, value in described.items() if name != ".tag"}


_ROUTES: dict[str, tuple[str, Callable[[_Call], JSON | None]]] = {
    "files/upload": ("files.content.write", _upload),
    "files/upload_session/start": ("files.content.write", _start),
    "files/upload_session/append_v2": ("files.content.write", _append),
    "files/upload_session/finish": ("files.content.write", _finish),
    "files/upload_session/finish_batch_v2": ("files.content.write", _finish_batch),
    "files/get_metadata": ("files.metadata.read", _metadata),
    "files/list_folder": ("files.metadata.read", _list),
    "files/list_folder/continue": ("files.metadata.read", _list_on),
    "files/delete_v2": ("files.content.write", _delete),
    "files/create_folder_v2": ("files.content.write", _make_folder),
    "files/move_v2": ("files.content.write", _move),
    "files/copy_v2": ("files.content.write", _copy),
    "users/get_current_account": ("account_info.read", _account),
    "users/get_space_usage": ("account_info.read", _space),
}


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    kind: str
    headers: Mapping[str, str] = field(default_factory=dict)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet,
    disable_nagle_algorithm = True  # which is sent at once: each answer would wait 40 ms otherwise
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST_REQUEST:
            self.close_connection = True
            self._send(_refusal({".tag": "payload_too_large"}))
            return
        chunked = self.headers.get("Transfer-Encoding", "") == "chunked"
        body = b"".join(self._chunks()) if chunked else self.rfile.read(length)
        if len(body) < length:  # it went away
            self.close_connection = True
            return
        route = self.path.removeprefix("/2/")
        with self.server.dropbox.lock:
            try:
                answer = self._token(body) if self.path == "/oauth2/token" else self._asked(route, body)
            except _BadInputError as error:
                text = f'Error in call to API function "{route}": {error}'
                answer = _Answer(400, text.encode(), "text/plain")
            except _RefusedError as error:
                answer = _refusal(error.error)
        self._send(answer)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _asked(self, route: str, body: bytes) -> _Answer:
        dropbox = self.server.dropbox
        header = self.headers.get("Dropbox-API-Arg")
        content = b"" if header is None else body
        argument: JSON = json.loads(header if header is not None else body or b"null") or {}
        dropbox.seen.append((route, argument))
        download = route == "files/download"
        scope, function = ("files.content.read", None) if download else _ROUTES.get(route, ("", None))
        if not scope:
            raise _BadInputError("there is no such function")
        root = json.loads(self.headers.get("Dropbox-API-Path-Root", "null"))
        if root is not None and root["namespace_id"] not in dropbox.namespaces:
            return _json(422, {"error_summary": "no_permission/..", "error": {".tag": "no_permission"}})
        if (refused := self._unauthorized(dropbox, scope)) is not None:
            return _json(401, {"error_summary": f"{_tag(refused)}/..", "error": refused})
        if function is None:
            return _downloaded(dropbox, argument["path"], self.headers.get("Range", ""))
        wanted = argument.get("content_hash")
        if wanted and wanted != content_hash(content):
            raise _refused("content_hash_mismatch")
        return _json(200, function(_Call(dropbox=dropbox, argument=argument, content=content)))

    def _unauthorized(self, dropbox: FakeDropbox, scope: str) -> JSON | None:
        token = dropbox.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        if token is None:
            return {".tag": "invalid_access_token"}
        if token.expired:
            return {".tag": "expired_access_token"}
        if self.headers.get("Dropbox-API-Select-User", "dbmid:ours") not in dropbox.members:
            return {".tag": "invalid_select_user"}
        if scope not in token.scopes:
            return {".tag": "missing_scope", "required_scope": scope}
        return None

    def _token(self, body: bytes) -> _Answer:
        dropbox = self.server.dropbox
        asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        dropbox.seen.append(("oauth2/token", {}))
        if dropbox.refresh_tokens.get(asked.get("refresh_token", "")) != asked.get("client_id"):
            what = {"error": "invalid_grant", "error_description": "refresh token is invalid or revoked"}
            return _json(400, what)
        name = f"sl.{uuid.uuid4().hex}"
        dropbox.tokens[name] = Token()
        return _json(200, {"access_token": name, "token_type": "bearer", "expires_in": 14400})

    def _send(self, answer: _Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("X-Dropbox-Request-Id", uuid.uuid4().hex)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()


def _downloaded(dropbox: FakeDropbox, path: str, range_: str) -> _Answer:
    if path.startswith("rev:"):
        stored = dropbox.revisions.get(path.removeprefix("rev:"))
        if stored is None:
            raise _refused("path", "not_found")
    else:
        stored = dropbox.files[dropbox.at(path)]
    if stored.content is None:
        raise _refused("path", "not_file")
    headers = {"Dropbox-API-Result": json.dumps(_untagged(dropbox.described_alone(stored)))}
    size = len(stored.content)
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", range_)
    if asked is None:
        return _Answer(200, stored.content, "application/octet-stream", headers)
    start, end = int(asked[1]), min(int(asked[2] or size), size - 1)
    if start >= size:
        return _Answer(416, b"", "text/plain", {"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    return _Answer(206, stored.content[start : end + 1], "application/octet-stream", headers)


def _json(status: int, body: JSON | None) -> _Answer:
    return _Answer(status, json.dumps(body).encode(), "application/json")


def _refusal(error: JSON) -> _Answer:
    return _json(409, {"error_summary": "/".join([*_all_tags(error), ".."]), "error": error})


def _all_tags(error: JSON) -> Iterator[str]:
    inner: Any = error
    while isinstance(inner, dict) and ".tag" in inner:
        yield inner[".tag"]
        inner = inner.get(inner[".tag"], inner.get("reason"))


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # those of clients that are still connected are ended, and waited for
    request_queue_size = 64

    def __init__(self, dropbox: FakeDropbox, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.dropbox = dropbox
        self._clients: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def get_request(self) -> tuple[socket.socket, Any]:
        client, address = self.socket.accept()
        self._clients.add(client)
        return client, address

    def server_close(self) -> None:
        for client in [*self._clients]:
            with suppress(OSError):
                socket.socket.shutdown(client, socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, *_: object) -> None:
        """Clients go away whenever they like."""


@contextmanager
def fake_dropbox(tls: ssl.SSLContext) -> Iterator[FakeDropbox]:
    """A running server, on two ports of this machine."""
    dropbox = FakeDropbox()
    servers = [_Server(dropbox, tls), _Server(dropbox, None)]
    dropbox.port, dropbox.plain_port = (server.server_address[1] for server in servers)
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield dropbox
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
