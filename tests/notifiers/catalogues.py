"""The catalogues of translated texts: what belongs into them, and bringing them up to date.

`python -m tests.notifiers.catalogues` (or `nox -s translations`) adds new texts to each .po, where they wait for a
translation, drops those that are gone, and compiles all.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

import backupkit.notifiers

PACKAGE = Path(backupkit.notifiers.__file__).parent
LOCALE = PACKAGE / "locale"

_JINJA = {"trimmed": "true", "trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}


def extracted() -> Catalog:
    """Every text that code and templates ask a translation for."""
    catalog = Catalog(project="backupkit", domain="backupkit")
    found = extract_from_dir(
        PACKAGE,
        method_map=[("**.py", "python"), ("templates/**", "jinja2.ext:babel_extract")],
        options_map={"templates/**": _JINJA},
    )
    for file, _, text, comments, context in sorted(found, key=lambda one: one[:2]):
        # No line numbers: they would change the catalogue with every change of the code.
        catalog.add(text, None, [(file, None)], auto_comments=comments, context=context)  # type: ignore[list-item]
    return catalog


def po(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / "backupkit.po"


def read(language: str) -> Catalog:
    with po(language).open("rb") as file:
        return read_po(file, locale=language, domain="backupkit")


def compiled(catalog: Catalog) -> bytes:
    binary = io.BytesIO()
    write_mo(binary, catalog)
    return binary.getvalue()


def update(language: str) -> list[str]:
    """Bring one catalogue up to date; the texts that still need a translation."""
    catalog = read(language)
    catalog.update(extracted(), no_fuzzy_matching=True, update_creation_date=False)
    catalog.obsolete.clear()
    catalog.msgid_bugs_address = catalog.last_translator = "none"
    catalog.revision_date = catalog.creation_date
    with po(language).open("wb") as file:
        write_po(file, catalog, width=100, sort_output=True)
    po(language).with_suffix(".mo").write_bytes(compiled(read(language)))
    return [str(one.id) for one in catalog if one.id and not all(texts(one.string))]


def texts(one: str | list[str] | tuple[str, ...] | None) -> tuple[str, ...]:
    """One text, or all its plural forms."""
    return (one or "",) if one is None or isinstance(one, str) else tuple(one)


def main() -> int:
    missing = [f"{path.name}: {text}" for path in sorted(LOCALE.iterdir()) for text in update(path.name)]
    sys.stdout.writelines(f"needs a translation: {line}\n" for line in missing)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
