"""How do I back up a FastAPI application, and get it back? `backupkit run --app backups:pipeline`, and `restore`.

See docs/how-to/back-up-a-fastapi-application.md. Start it with `uvicorn main:app`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Annotated

from backups import DATABASE, PHOTOS, TOKEN, pipeline, router, runs
from fastapi import Body, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse

from backupkit.integrations.asgi import EVERYTHING, BackupManager, by_password, by_token, first_of

operators = {"operator": (TOKEN, EVERYTHING)}
page = BackupManager(pipeline, authorize=first_of(by_token(operators), by_password(operators)))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    PHOTOS.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS products (name TEXT PRIMARY KEY)")
    yield
    await runs.stop()  # the server waits for a run to end, which it does at its next chunk
    await asyncio.to_thread(page.close)


app = FastAPI(lifespan=lifespan)
app.include_router(router)
app.mount("/admin/backups", page)  # the management page, for programs with the token and for browsers


@app.get("/products")
def products() -> dict[str, list[str]]:
    with closing(sqlite3.connect(DATABASE)) as database:
        return {"products": [name for (name,) in database.execute("SELECT name FROM products ORDER BY name")]}


@app.post("/products", status_code=201)
def add_product(product: Annotated[dict[str, str], Body()]) -> dict[str, str]:
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("INSERT INTO products VALUES (?)", [product["name"]])
    return {"added": product["name"]}


@app.get("/photos/{name}")
def photo(name: str) -> FileResponse:
    if not (PHOTOS / name).is_file():
        raise HTTPException(404)
    return FileResponse(PHOTOS / name)


@app.put("/photos/{name}", status_code=201)
async def add_photo(name: str, request: Request) -> dict[str, str]:
    (PHOTOS / name).write_bytes(await request.body())
    return {"stored": name}
