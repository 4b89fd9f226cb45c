"""The fields of what a request sends: of a form or of a JSON object."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

_LONGEST = 64 << 10
_PATIENCE = 30  # seconds for all of it


async def fields(request: Request) -> Mapping[str, Any]:
    """Each name once; of a name that a form has several times, all its values. HTTPException for what is none."""
    body = await _body(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    match kind:
        case "application/json":
            return _of_json(body)
        case "application/x-www-form-urlencoded":
            return _of_form(body)
        case _ if body:
            raise HTTPException(415, "Send a form or JSON.")
        case _:
            return {}


async def _body(request: Request) -> bytes:
    body = b""
    try:
        async with asyncio.timeout(_PATIENCE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _LONGEST:
                    raise HTTPException(413, "That is more than this page takes.")
    except (TimeoutError, ClientDisconnect):
        raise HTTPException(408, "The request has not come to its end.") from None
    return body


def _of_json(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "This is no JSON.") from None
    if not isinstance(found, dict):
        raise HTTPException(400, "This is no JSON object.")
    return found


def _of_form(body: bytes) -> Mapping[str, Any]:
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="surrogateescape", max_num_fields=2000
        )
    except ValueError:
        raise HTTPException(400, "This form cannot be read.") from None
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:  # of a list of boxes, all that are ticked
            before = found[name]
            found[name] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            found[name] = value
    return found
