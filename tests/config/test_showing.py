"""What settings come to is shown whole, and without a secret."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backupkit.config.building import built, surroundings_of
from backupkit.config.reading import Read
from backupkit.config.showing import effective, toml_of

NEEDED = {"sources": "/srv/shop", "destinations": "/mnt/backup", "encryptor": "none"}


def shown(environ: dict[str, str] | None = None, **keys: object) -> dict[str, Any]:
    """What is shown of a pipeline that has these keys besides what it needs."""
    read = Read({"pipelines": {"shop": {**NEEDED, **keys}}}, "here")
    return effective(built(read, surroundings_of(None, environ=environ or {})).made["shop"])


def test_parts_are_shown_with_what_they_have_without_a_word() -> None:
    found = shown(
        {"DAYS": "3"},
        retention={"type": "tiered", "keep_all_days": "${DAYS}", "max_size": "50GB"},
        compressor="zstd",
        leftovers_after="90 minutes",
    )
    assert found["sources"] == [{"type": "directory", "path": "/srv/shop", "follow_symlinks": False}]
    assert found["retention"] == {
        "type": "tiered",
        "keep_all_days": 3,
        "keep_daily_days": 16,
        "keep_weekly_weeks": 8,
        "keep_monthly_months": 4,
        "keep_yearly_years": 2,
        "max_size": "50GB",
        "minimum": 1,
        "time_zone": "UTC",
    }
    assert (found["compressor"], found["leftovers_after"]) == ({"type": "zstd", "level": 2}, "90 minutes")


def test_what_is_shown_reads_like_settings_and_makes_the_same_pipeline() -> None:
    keys: dict[str, Any] = {
        "sources": [
            "/srv/shop",
            "redis://h/",
            {"type": "parallel", "sources": ["mysql://h/a", "sqlite:////a.db"]},
        ],
        "retention": {"type": "any_of", "policies": ["keep_all", {"type": "keep_last", "count": 2}]},
        "format": {"type": "zip", "legacy_time_zone": "Europe/Berlin"},
        "schedule": "usual",
        "retry": {"tries": 5},
    }
    first = shown(**keys)
    again = tomllib.loads("\n".join(toml_of("shop", first)))["pipelines"]["shop"]
    assert shown(**again) == first


SECRET = "hunter2-is-secret"
HOOK = f"https://hooks.slack.com/services/T1234567/B1234567/{SECRET.replace('-', '')}abcdefgh"


@pytest.mark.parametrize(
    "keys",
    [
        {"encryptor": {"passphrase": SECRET, "previous": [SECRET]}},
        {"encryptor": {"passphrase": "${S}"}},
        {"encryptor": {"command": ["vault", SECRET]}},
        {"sources": f"postgresql://u:{SECRET}@h/x"},
        {"sources": {"type": "database", "url": f"mysql://u@h/x?password={SECRET}"}},
        {"sources": {"type": "mongodb", "url": f"mongodb://u:{SECRET}@a,b/x"}},
        {
            "sources": {
                "type": "command",
                "argv": ["x", f"--password={SECRET}"],
                "name": "x",
                "env": {"PGPASSWORD": SECRET, "X": "${S}"},
            }
        },
        {"sources": {"url": "memory://b", "storage_options": {"anything": SECRET}}},
        {"destinations": f"sftp://u:{SECRET}@h/x"},
        {"destinations": f"sftp://u:a%2F{SECRET}@h/x"},
        {
            "destinations": {
                "url": "s3://b",
                "secret": SECRET,
                "key": "${S}",
                "client_kwargs": {"aws_x": SECRET},
            }
        },
        {"destinations": {"url": "s3://b", "storage_options": {"token": SECRET, "list": [SECRET]}}},
        {"notifiers": [f"mailtos://u:{SECRET}@example.org", HOOK]},
        {"notifiers": {"type": "ping", "url": f"https://hc-ping.com/{SECRET}"}},
        {"notifiers": {"type": "webhook", "url": f"https://h/{SECRET}", "secret": "whsec_" + "c2VjcmV0" * 4}},
        {"history": f"postgresql+psycopg://u:{SECRET}@h/x"},
    ],
)
def test_no_secret_is_shown(keys: dict[str, Any]) -> None:
    text = json.dumps(shown({"S": SECRET}, **keys))
    assert SECRET not in text
    assert SECRET.replace("-", "") not in text
    assert "c2VjcmV0" not in text


def test_what_is_no_secret_is_shown_beside_one() -> None:
    found = shown(
        destinations={"url": "s3://b", "secret": "x", "endpoint_url": "https://s3.example", "anon": False},
        notifiers="mailtos://u:p@example.org",
        encryptor={"passphrase": "${S}"},
    )
    (destination,) = found["destinations"]
    assert destination["endpoint_url"] == "https://s3.example"
    assert (destination["secret"], destination["anon"]) == ("***", False)
    assert found["notifiers"][0]["urls"] == ["mailtos://***"]
    assert found["encryptor"]["passphrase"] == "*** (from environment variable S)"


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(exclude_characters="\0/%?#[]@:$", exclude_categories=("C", "Z")), min_size=12))
def test_whatever_a_secret_is_it_is_not_shown(secret: str) -> None:
    found = shown(
        {"S": secret},
        encryptor={"passphrase": "${S}"},
        sources=[
            "postgresql://u:${S}@h/x",
            {"type": "command", "argv": ["x"], "name": "x", "env": {"A": "${S}"}},
        ],
        destinations={"url": "s3://b", "secret": "${S}"},
    )
    assert secret not in json.dumps(found, ensure_ascii=False)
    assert secret not in "\n".join(toml_of("shop", found))
