"""The schema that editors check settings by agrees with what is read."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from backupkit.config import from_mapping
from backupkit.config.building import pipeline_signature
from backupkit.config.parts import KINDS
from backupkit.config.schema import settings_schema
from backupkit.config.starter import Wanted, starter

DOCS = Path(__file__).parent.parent.parent / "docs"
BLOCK = re.compile(r"^```toml\n(.*?)^```", re.M | re.S)
BLOCKS = [
    pytest.param(found[1], id=f"{page.stem}-{number}")
    for page in sorted(DOCS.glob("**/*.md"))
    for number, found in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")))
]
NEEDED = {"sources": "/srv/shop", "destinations": "/mnt/backup", "encryptor": "none"}
# What the examples of the documentation take from the environment.
ENVIRON = {
    "DATABASE_URL": "postgresql://shop@db.example/shop",
    "FORUM_DATABASE_URL": "mysql://forum@db.example/forum",
    "WEBHOOK_SECRET": "whsec_" + "c2VjcmV0" * 4,
    "PING_URL": "https://hc-ping.com/0000",
    "S3_SECRET": "secret",
}


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft7Validator:
    found = settings_schema()
    jsonschema.Draft7Validator.check_schema(found)
    return jsonschema.Draft7Validator(found)


@pytest.mark.parametrize("text", BLOCKS)
def test_the_examples_of_the_documentation_load_and_keep_the_schema(
    text: str, schema: jsonschema.Draft7Validator, tmp_path: Path
) -> None:
    (tmp_path / "database_url").write_text(ENVIRON["DATABASE_URL"])
    data = tomllib.loads(text.replace("/run/secrets", str(tmp_path)))
    data = data.get("tool", {}).get("backupkit", data)
    if "project" not in data:
        assert [error.message for error in schema.iter_errors(data)] == []
        assert from_mapping(data, environ=ENVIRON).pipelines


def test_the_starter_keeps_the_schema_that_it_names(schema: jsonschema.Draft7Validator) -> None:
    text = starter(
        Wanted(
            name="a.shop", folder='/srv/"a" $b', database="${DATABASE_URL}", destinations=["/mnt", "s3://b"]
        )
    )
    assert text.startswith("#:schema ./backupkit.schema.json\n")
    assert [*schema.iter_errors(tomllib.loads(text))] == []


@pytest.mark.parametrize(
    "keys",
    [
        {"other": 1},
        {"compressor": "zst"},
        {"encryptor": "my passphrase"},
        {"retention": {"type": "tiered", "keep_all_dayz": 1}},
        {"retention": {"type": "keep_last", "count": "three"}},
        {"retention": {"type": "keep_last"}},
        {"checks": 3},
        {"sources": {"type": "around", "source": {"type": "directory"}}},
        {"schedule": [{"when": "0 3 * * *", "verb": "walk"}]},
        {"retry": {"sleep": "os:sleep"}},
    ],
)
def test_what_is_not_read_does_not_keep_the_schema(
    keys: dict[str, Any], schema: jsonschema.Draft7Validator
) -> None:
    assert not schema.is_valid({"pipelines": {"shop": {**NEEDED, **keys}}})


@pytest.mark.parametrize(
    "keys",
    [
        {"compressor": "${COMPRESSOR}"},
        {"retention": {"type": "keep_last", "count": "${COUNT:-3}"}},
        {"encryptor": "${PASSPHRASE}"},
        {"encryptor": {"passphrase": "file:/run/secrets/x", "previous": "${OLD}"}},
        {
            "sources": [
                "/a",
                {"path": "/b", "exclude": ["*.log"]},
                {"type": "database", "url": "x", "tables": ["a"]},
            ]
        },
        {"destinations": {"url": "s3://b", "key": "id", "client_kwargs": {"region_name": "x"}}},
        {"leftovers_after": "6h", "schedule": "usual"},
    ],
)
def test_what_is_read_keeps_the_schema(keys: dict[str, Any], schema: jsonschema.Draft7Validator) -> None:
    data = {"defaults": {"observers": "log"}, "pipelines": {"shop": {**NEEDED, **keys}}}
    assert [error.message for error in schema.iter_errors(data)] == []


def test_every_key_and_every_type_is_in_the_schema() -> None:
    definitions = settings_schema()["$defs"]
    assert {f"{kind.name}.{name}" for kind in KINDS for name in kind.types} <= definitions.keys()
    keys = {one.name for one in pipeline_signature().parameters} - {"executor", "clock"}
    assert definitions["pipeline"]["properties"].keys() == keys


def test_a_package_that_cannot_be_imported_does_not_keep_the_schema_from_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[backupkit.locks]\nshared = nowhere_to_be_found:Lock\n")
    monkeypatch.syspath_prepend(tmp_path)
    definitions = settings_schema()["$defs"]
    assert definitions["locks.shared"]["properties"] == {"type": {"const": "shared"}}
