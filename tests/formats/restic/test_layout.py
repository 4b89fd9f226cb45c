"""The names of objects."""

from __future__ import annotations

import hashlib

from backupkit.formats.restic.layout import id_in, is_id, object_name, storage_id

ID = hashlib.sha256(b"content").hexdigest()


def test_an_object_is_called_by_the_sha_256_of_its_content() -> None:
    assert storage_id(b"content") == ID


def test_packs_are_below_a_folder_of_their_first_two_digits_and_nothing_else_is() -> None:
    assert object_name("data", ID) == f"data/{ID[:2]}/{ID}"
    assert object_name("snapshots", ID) == f"snapshots/{ID}"


def test_the_id_is_the_last_part_of_a_name_and_nothing_else_is_an_object() -> None:
    assert id_in(object_name("data", ID)) == ID
    for name in (
        f"locks/{ID}-tmp",
        f"locks/{ID[1:]}",
        f"locks/{ID.upper()}",
        f"data/ab/.{ID}.partial",
        "config",
    ):
        assert id_in(name) is None


def test_an_id_in_a_document_is_64_hexadecimal_digits() -> None:
    assert is_id(ID)
    for wrong in (ID[1:], ID + "0", ID.upper(), ID + "\n", "g" * 64, "", None, 5, ID.encode()):
        assert not is_id(wrong)
