from __future__ import annotations

import pytest

from backupkit.databases.postgresql_names import printed, table_names
from backupkit.errors import ConfigurationError


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("orders", '"orders"'),
        ("User", '"User"'),
        ("shop.orders", '"shop"."orders"'),
        ("audit_*", '"audit_"*'),
        ("*.log?", '*."log"?'),
        ('public."odd.name"', '"public"."odd.name"'),
        ('"a""b*"', '"a""b*"'),
        ("price$[1]|x", '"price$[1]|x"'),
        ('say "hi there"', '"say hi there"'),
    ],
)
def test_all_but_wildcards_and_dots_means_itself(name: str, pattern: str) -> None:
    (parsed,) = table_names([name], option="tables")
    assert parsed.pattern == pattern


@pytest.mark.parametrize("name", ["", "a.b.c", "a.", ".b", '"a', "a\0b"])
def test_what_is_no_name_of_a_table_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="no name of a table"):
        table_names([name], option="tables")


def test_one_text_instead_of_a_list_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"give a list, \['orders'\]"):
        table_names("orders", option="tables")


@pytest.mark.parametrize(
    ("name", "schema", "table", "meant"),
    [
        ("orders", "public", "orders", True),
        ("orders", "shop", "orders", True),
        ("shop.orders", "public", "orders", False),
        ("orders", "public", "Orders", False),
        ("audit_*", "public", "audit_2024", True),
        ("audit_?", "public", "audit_2024", False),
        ("a.b", "a", "bb", False),
    ],
)
def test_a_name_means_the_same_tables_of_an_archive(name: str, schema: str, table: str, meant: bool) -> None:
    (parsed,) = table_names([name], option="tables")
    assert parsed.matches(schema, table) is meant


def test_only_what_needs_quotes_is_recorded_in_quotes() -> None:
    assert printed("public", "order") == "public.order"
    assert printed("Shop", 'a"b') == '"Shop"."a""b"'
