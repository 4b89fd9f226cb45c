"""All that is wrong with settings is told at once, with its place, and never with a secret."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from backupkit.config import Settings, from_mapping, load
from backupkit.errors import ConfigurationError, SettingsError

NEEDED = {"sources": "/srv/shop", "destinations": "/mnt/backup", "encryptor": "none"}


def problems(**keys: object) -> list[str]:
    """What is wrong with a pipeline that has these keys besides what it needs."""
    with pytest.raises(SettingsError) as caught:
        from_mapping({"pipelines": {"shop": {**NEEDED, **keys}}}, environ={})
    return [problem.removeprefix("BACKUPKIT: pipelines.shop.") for problem in caught.value.problems]


def problems_of(path: Path, text: str) -> list[str]:
    """The same of a file, without the folder."""
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load(path, environ={})
    return [problem.removeprefix(f"{path.parent}/") for problem in str(caught.value).split("\n")]


def test_everything_that_is_wrong_is_told_with_its_line(tmp_path: Path) -> None:
    told = problems_of(
        tmp_path / "backupkit.toml",
        """\
[defaults]
destinations = "/mnt/backup"
retry = { tries = "often" }

[pipelines.shop]
sources = ["/srv/shop", "${DATABASE_URL}"]
encryptor = "environment"
compressor = "zst"

[pipelines.shop.retention]
type = "tiered"
keep_all_dayz = 7

[pipelines.forum]
sources = "/srv/forum"
encryptor = "none"
format = "restic"
retry = {}
""",
    )
    assert told == [
        "backupkit.toml:3: defaults.retry.tries: must be a whole number",
        "backupkit.toml:6: pipelines.shop.sources[1]: needs the environment variable DATABASE_URL, which is not "
        "set: set it, or write ${DATABASE_URL:-default}.",
        "backupkit.toml:8: pipelines.shop.compressor: is no type of compressor that is known here: did you mean "
        '"zstd"? Known are deflate, gzip, none, store, zstd.',
        "backupkit.toml:12: pipelines.shop.retention.keep_all_dayz: is no key that is known here: did you mean "
        '"keep_all_days"? Known are keep_all_days, keep_daily_days, keep_monthly_months, keep_weekly_weeks, '
        "keep_yearly_years, max_size, minimum, time_zone.",
        "backupkit.toml:14: pipelines.forum: is not possible: A restic repository is always encrypted: give "
        "encryptor=Passphrase.from_env(…) or the like.",
    ]


def test_what_is_wrong_in_a_project_file_has_its_line_and_table(tmp_path: Path) -> None:
    (told,) = problems_of(
        tmp_path / "pyproject.toml",
        '[tool.backupkit.pipelines.shop]\nsources = "a"\ndestinations = "b"\nencryptor = "none"\nlock = 5\n',
    )
    assert told.startswith("pyproject.toml:5: tool.backupkit.pipelines.shop.lock: is no lock")


def test_what_is_no_toml_is_told_with_line_and_column(tmp_path: Path) -> None:
    (told,) = problems_of(tmp_path / "backupkit.toml", "[pipelines]\nshop = \n")
    assert told == "backupkit.toml: no TOML: Invalid value (at line 2, column 8)."


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"sources": {"type": "directory"}}, "sources[0].path: is missing"),
        ({"sources": [{"name": "x"}]}, "sources[0]: says no type: use one of all_databases, around"),
        (
            {"checks": ["maximum_ago"]},
            'checks[0]: is no type of check that is known here: did you mean "maximum_age"?',
        ),
        (
            {"encryptor": "enviroment"},
            'encryptor: is no type of encryptor that is known here: did you mean "environ',
        ),
        ({"stall_limit": "soon"}, 'stall_limit: must be a duration, such as "15 minutes", "6h" or "P1D"'),
        ({"retention": {"type": "keep_last", "count": True}}, "retention.count: must be a whole number"),
        ({"retention": {"type": "keep_last", "count": 0}}, "retention: is not possible: KeepLast(count=0)"),
        (
            {"retention": {"type": "tiered", "max_size": "50G"}},
            "retention: is not possible: '50G' is not a size",
        ),
        (
            {"notifiers": {"type": "ping", "url": "https://x", "operation": "list"}},
            "notifiers[0].operation: must be one",
        ),
        (
            {"sources": {"type": "directory", "path": "/x", "exclude": "*.log"}},
            "sources[0].exclude: is no list",
        ),
        (
            {"sources": {"type": "around", "source": "/x", "hooks": ["nowhere:f"]}},
            "sources[0].hooks[0]: names nowhere:f",
        ),
        ({"sources": "${A"}, "sources[0]: holds ${ that begins no variable"),
        (
            {"destinations": {"url": "file:/nowhere"}},
            "destinations[0].url: is to be read from the file '/nowhere'",
        ),
        (
            {"destinations": {"url": "/mnt", "creat": True}},
            "destinations[0].creat: is no key that is known here: did you",
        ),
        (
            {"encryptor": {"passphrase": "x", "command": ["y"]}},
            "encryptor: is not possible: The passphrase must be said",
        ),
        (
            {"schedule": [{"when": "0 3 * *", "verb": "run"}]},
            "schedule[0]: is not possible: '0 3 * *' is no cron",
        ),
        (
            {"schedule": [{"when": "0 3 * * *", "verb": "run", "only": "databases"}]},
            "schedule[0].only: is not",
        ),
        (
            {"schedule": [{"when": "0 3 * * *", "verb": "run", "to": "/elsewhere"}]},
            "schedule[0].to: is not",
        ),
        (
            {"retention": {"type": "any_of", "policies": ["keep_al"]}},
            "retention.policies[0]: is no type of retention",
        ),
        (
            {"schedule": {"jobs": [{"when": "0 3 * * *", "verb": "run", "to": "/elsewhere"}]}},
            "schedule.jobs[0].to: is not",
        ),
        ({"retry": 3}, "retry: is no table"),
        ({"history": {"type": "database", "keep": "-1 s", "urls": "x"}}, "history.keep: must be a duration"),
    ],
)
def test_each_kind_of_mistake_is_told_with_its_key(keys: dict[str, Any], told: str) -> None:
    assert problems(**keys)[0].startswith(told)


def test_what_else_is_wrong_with_a_part_is_told_beside_a_key_that_is_not_known() -> None:
    told = problems(
        retention={"type": "tiered", "keep_all_dayz": 7, "max_size": "many"},
        checks=[{"type": "maximum_age", "day": 1, "days": -1}],
    )
    assert [one.partition(" is n")[0] for one in told] == [
        "retention.keep_all_dayz:",
        "retention:",
        "checks[0].day:",
        "checks[0]:",
    ]


def test_a_part_of_which_a_known_key_is_wrong_is_not_made_without_it() -> None:
    (told,) = problems(encryptor={"passphrase": 3})
    assert told.startswith("encryptor.passphrase: must be a text")
    (told,) = problems(retention={"type": "keep_last", "count": "x"})
    assert told.startswith("retention.count: must be a whole number")


def test_parts_that_do_not_fit_are_told_beside_other_mistakes() -> None:
    told = problems(
        destinations=["/mnt", "/mnt/"],
        checks="maximum_ago",
        colour="red",
        schedule=[{"when": "0 3 * * *", "verb": "run", "only": "databases"}],
    )
    assert [one.partition(" is n")[0] for one in told] == [
        "checks[0]:",
        "colour:",
        "BACKUPKIT: pipelines.shop:",
    ]
    assert "is named twice" in told[-1]
    told = problems(retry=3, schedule=[{"when": "0 3 * * *", "verb": "run", "only": "databases"}])
    assert [one.partition(":")[0] for one in told] == ["retry", "schedule[0].only"]


@pytest.mark.parametrize("key", ["format", "retention", "compressor"])
def test_parts_are_not_compared_with_one_that_is_wrong(key: str) -> None:
    (told,) = problems(**{"encryptor": "none", "destinations": ["/mnt", "/mnt/"], key: "nonsense"})
    assert told.startswith(f"{key}: is no type")


def test_a_job_in_a_list_has_its_own_line(tmp_path: Path) -> None:
    (told,) = problems_of(
        tmp_path / "backupkit.toml",
        """\
[pipelines.shop]
sources = "/srv/shop"
destinations = "/mnt/backup"
encryptor = "none"
schedule = [
    { when = "0 3 * * *", verb = "run" },
    { when = "0 4 * * *", verb = "run", only = "databases" },
]
""",
    )
    assert told.startswith("backupkit.toml:7: pipelines.shop.schedule[1].only: is not possible")


def test_no_encryptor_is_said_to_need_writing_down() -> None:
    with pytest.raises(SettingsError, match='encryptor: is missing: say encryptor = "environment"'):
        from_mapping({"pipelines": {"shop": {"sources": "/a", "destinations": "/b"}}}, environ={})


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "pipelines: is missing"),
        ({"pipelines": {}}, "pipelines: is missing"),
        ({"pipelines": 3}, "pipelines: is no table"),
        ({"pipelines": {"shop": 3}}, "pipelines.shop: is no table"),
        (
            {"pipelines": {"shop": NEEDED}, "pipeline": 1},
            "pipeline: is no key that is known here: did you mean",
        ),
        ({"pipelines": {"shop": NEEDED}, "defaults": 1}, "defaults: is no table"),
        ({"pipelines": {"a shop": NEEDED}}, "pipelines.a shop: is not possible: The pipeline name 'a shop'"),
    ],
)
def test_what_is_wrong_with_the_whole_is_told(data: Mapping[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        from_mapping(data, where="DJANGO", environ={})
    assert str(caught.value).startswith(f"DJANGO: {told}")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be read from .*nowhere\.toml"):
        load(tmp_path / "nowhere.toml")


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["${A}", "file:/x", "s3://b", "postgresql://u:p@h/x", "directory", "6h", date(2026, 1, 1)]
    )
    | st.sampled_from([time(1), datetime(2026, 1, 1, tzinfo=UTC), b"x", object()]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "url", "path", "count", "source"]) | st.text(max_size=5),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
KEYS = (
    *(
        "checks",
        "compressor",
        "delivery",
        "destinations",
        "encryptor",
        "format",
        "history",
        "leftovers_after",
        "lock",
    ),
    *(
        "memory",
        "notifiers",
        "observers",
        "retention",
        "retry",
        "schedule",
        "sources",
        "stall_limit",
        "other",
    ),
)
TYPES = (
    "directory",
    "command",
    "around",
    "tiered",
    "keep_last",
    "all_of",
    "webhook",
    "log",
    "database",
    "zip",
    "restic",
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            key: PLAIN
            | st.fixed_dictionaries({"type": st.sampled_from(TYPES)}, optional={"url": PLAIN, "path": PLAIN})
            for key in KEYS
        },
    )
)
@example({"leftovers_after": 1e300})
@example({"sources": {"type": "directory", "path": "\0"}})
@example({"checks": {"type": "maximum_age", "days": 10**400}})
def test_any_mapping_makes_pipelines_or_one_error_of_ours(keys: dict[str, Any]) -> None:
    with suppress(ConfigurationError):
        assert isinstance(from_mapping({"pipelines": {"shop": {**NEEDED, **keys}}}, environ={}), Settings)


@given(PLAIN)
def test_anything_makes_settings_or_one_error_of_ours(data: Any) -> None:
    with pytest.raises(ConfigurationError):
        from_mapping(data, environ={})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text() | st.binary())
@example("[pipelines.shop]\r\nsources='a'\r\n")
@example("a = " + "[" * 3000)
def test_any_file_makes_settings_or_one_error_of_ours(tmp_path: Path, text: str | bytes) -> None:
    file = tmp_path / "backupkit.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigurationError):
        load(file, environ={})


def test_tables_that_are_too_deep_are_told() -> None:
    source: object = "/srv/shop"
    for _ in range(3000):
        source = {"type": "around", "source": source}
    assert problems(sources=source)[0].endswith("too deep to be read")


SECRET = "hunter2-is-secret"


@pytest.mark.parametrize(
    "keys",
    [
        {"encryptor": SECRET},
        {"encryptor": {"passphrase": SECRET, "type": "passphrasse"}},
        {"encryptor": {"passphrase": [SECRET]}},
        {"encryptor": {"previous": SECRET, "command": 3}},
        {"sources": [f"postgresql://u:{SECRET}@h:port/x"]},
        {"sources": [{"type": "database", "url": f"mysql://u:{SECRET}@h/x", "tables": 3}]},
        {"sources": [{"type": "database", "url": f"{SECRET}"}]},
        {"destinations": [f"s3://{SECRET}@bucket"]},
        {"destinations": [{"url": "s3://b", "secret": SECRET, "endpoint_url": f"https://u:{SECRET}@h"}]},
        {"notifiers": SECRET},
        {"notifiers": f"unknown://{SECRET}"},
        {"notifiers": {"type": "apprise", "urls": [f"unknown://{SECRET}"]}},
        {"notifiers": {"type": "webhook", "url": f"http://example.org/{SECRET}", "secret": SECRET}},
        {"notifiers": {"type": "ping", "url": f"ftp://{SECRET}"}},
        {"history": f"nothing://u:{SECRET}@h/x"},
        {"lock": SECRET},
        {"memory": {"type": "database", "url": f"{SECRET}"}},
    ],
)
def test_no_error_shows_a_secret(keys: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        from_mapping({"pipelines": {"shop": {**NEEDED, **keys}}}, environ={})
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in f"{error} {error!r}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
