"""What a person is told of a place before anything is restored to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from backupkit import DatabaseTarget, DirectoryTarget
from backupkit.integrations.actions import Place
from backupkit.integrations.asgi.pages.places import in_words

PG, MY = "postgresql://shop:tr0ubador@db1/shop", "mysql://shop:tr0ubador@db2/crm"


@pytest.mark.parametrize(
    ("place", "where", "keeping", "replacing"),
    [
        (
            "/srv/site",
            "the folder /srv/site on here",
            "Nothing that is there is replaced: if a file is in the way, nothing is restored.",
            "Files and links that are in the way are replaced; all other files stay.",
        ),
        (
            Path("/srv/site"),
            "the folder /srv/site on here",
            "Nothing that is there is replaced: if a file is in the way, nothing is restored.",
            "Files and links that are in the way are replaced; all other files stay.",
        ),
        (
            DirectoryTarget("/srv/site", overwrite=True),
            "the folder /srv/site on here",
            "Files and links that are in the way are replaced; all other files stay.",
            None,
        ),
        (
            PG,
            "the database postgresql://shop@db1/shop (the only dump)",
            "The database must be there and be empty, or nothing is restored.",
            "All that is in the database now is replaced. A failure leaves it as it was.",
        ),
        (
            {"shop": PG, "crm": MY},
            "the database postgresql://shop@db1/shop (the dump shop) and "
            "the database mysql://shop@db2/crm (the dump crm)",
            "Each of these databases must be there and be empty, or nothing is restored.",
            "All that is in these databases now is replaced. The dump is read through first; if loading it fails "
            "after that, the database is left empty.",
        ),
        (
            {"shop": PG, "copy": f"{PG}2"},
            "the database postgresql://shop@db1/shop (the dump shop) and "
            "the database postgresql://shop@db1/shop2 (the dump copy)",
            "Each of these databases must be there and be empty, or nothing is restored.",
            "All that is in these databases now is replaced. One that fails stays as it was; the others go on.",
        ),
        (
            DatabaseTarget(PG, create=True),
            "the database postgresql://shop@db1/shop (the only dump)",
            "The database is made if it is missing, and must be empty otherwise, or nothing is restored.",
            None,
        ),
        (
            {"shop": DatabaseTarget(PG, overwrite=True)},
            "the database postgresql://shop@db1/shop (the dump shop)",
            "The database may hold something: all of that is replaced. A failure leaves it as it was.",
            None,
        ),
        ("s3://me:tr0ubador@bucket", "nothing that can be restored to", "It is named wrongly.", None),
    ],
)
def test_a_place_says_where_it_is_and_what_becomes_of_what_is_there(
    place: Place, where: str, keeping: str, replacing: str | None
) -> None:
    words = in_words("it", place, "here")
    assert (words.where, words.keeping, words.replacing) == (where, keeping, replacing)
    assert "tr0ubador" not in repr(words)
