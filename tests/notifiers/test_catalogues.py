"""Every text has a Korean one, and what is shipped is what was translated."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from backupkit.notifiers.languages import LANGUAGES
from tests.notifiers import catalogues

TRANSLATED = [language for language in LANGUAGES if language != "en"]
PLACEHOLDER = re.compile(r"%\((\w+)\)")


def flaws(catalog: Catalog, wanted: Catalog) -> Iterator[str]:
    """Yield what is wrong with a translation."""
    for message in wanted:
        if not message.id:
            continue
        found = catalog.get(message.id)
        if found is None:
            yield f"missing: {message.id}"
        elif found.fuzzy:
            yield f"fuzzy: {message.id}"
        elif not all(text.strip() for text in catalogues.texts(found.string)):
            yield f"empty: {message.id}"
        elif len(catalogues.texts(found.string)) != (catalog.num_plurals if message.pluralizable else 1):
            yield f"too few or many forms: {message.id}"
        else:
            names = {name for one in catalogues.texts(message.id) for name in PLACEHOLDER.findall(one)}
            for text in catalogues.texts(found.string):
                if set(PLACEHOLDER.findall(text)) != names or (names and not can_be_filled(text, names)):
                    yield f"wrong placeholders: {message.id}"
    for message in catalog:
        if message.id and message.id not in wanted:
            yield f"used nowhere: {message.id}"


def can_be_filled(text: str, names: set[str]) -> bool:
    try:
        text % dict.fromkeys(names, 1)
    except (TypeError, ValueError):
        return False
    return True


def shipped(catalog: Catalog) -> dict[object, object]:
    return {catalogues.texts(one.id): catalogues.texts(one.string) for one in catalog if one.id}


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated_with_its_placeholders(language: str) -> None:
    assert list(flaws(catalogues.read(language), catalogues.extracted())) == [], "nox -s translations"


@pytest.mark.parametrize("language", TRANSLATED)
def test_what_is_compiled_is_what_was_translated(language: str) -> None:
    binary = catalogues.po(language).with_suffix(".mo").read_bytes()
    now = read_mo(io.BytesIO(catalogues.compiled(catalogues.read(language))))
    assert shipped(read_mo(io.BytesIO(binary))) == shipped(now), "nox -s translations"


def test_texts_of_code_and_of_templates_are_found() -> None:
    found = catalogues.extracted()
    assert "Backup of %(name)s failed" in found
    assert [where for where, _ in found["Time"].locations] == [
        "templates/message.html",
        "templates/message.txt",
    ]
    assert ("%(num)s day", "%(num)s days") in found


@pytest.mark.parametrize(
    ("translation", "flaw"),
    [
        ("", "missing: Backup of %(name)s"),
        ('msgid "Backup of %(name)s"\nmsgstr ""', "empty: Backup of %(name)s"),
        ('#, fuzzy\nmsgid "Backup of %(name)s"\nmsgstr "%(name)s 백업"', "fuzzy: Backup of %(name)s"),
        ('msgid "Backup of %(name)s"\nmsgstr "백업"', "wrong placeholders: Backup of %(name)s"),
        ('msgid "Backup of %(name)s"\nmsgstr "%(nam)s 백업"', "wrong placeholders: Backup of %(name)s"),
        ('msgid "Backup of %(name)s"\nmsgstr "%(name) 백업"', "wrong placeholders: Backup of %(name)s"),
    ],
)
def test_a_flaw_in_a_catalogue_is_found(translation: str, flaw: str) -> None:
    wanted = Catalog()
    wanted.add("Backup of %(name)s")
    written = read_po(io.BytesIO(translation.encode()), locale="ko")
    assert list(flaws(written, wanted)) == [flaw]


def test_a_text_that_nothing_uses_any_more_is_found() -> None:
    written = read_po(io.BytesIO('msgid "Gone"\nmsgstr "없음"'.encode()), locale="ko")
    assert list(flaws(written, Catalog())) == ["used nowhere: Gone"]
