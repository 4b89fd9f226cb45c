"""What is decided about packs, from an index and what is used of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.errors import ConfigurationError, IntegrityError
from backupkit.formats.restic.index import BlobIndex
from backupkit.formats.restic.packing import PACK_SIZE
from backupkit.formats.restic.packs import EMPTY, PackedBlob, packed_size
from backupkit.formats.restic.prune_planning import PrunePlan, plan_prune
from backupkit.formats.restic.used_blobs import UsedBlobs
from backupkit.prune_limits import PruneLimits

ALL = PruneLimits("0 B")
MiB = 1 << 20
Blobs = Sequence[tuple[str, int]]
"""Of a pack: names of blobs, in capitals those of trees, and their sizes."""


class Marked:
    """Marks as `UsedBlobs` has them."""

    def __init__(self, index: BlobIndex, used: str) -> None:
        self._numbers = {(name.isupper(), index.number(id_of(name), tree=name.isupper())) for name in used}

    def has(self, number: int, *, tree: bool) -> bool:
        return (tree, number) in self._numbers


def id_of(blob: str) -> bytes:
    return blob.encode().rjust(32, b"\0")


def pack_of(name: str) -> str:
    return name.encode().hex().zfill(64)


def planned(
    packs: Mapping[str, Blobs],
    used: str,
    limits: PruneLimits = ALL,
    *,
    sizes: Mapping[str, int] | None = None,
    unread: str = "",
) -> PrunePlan:
    """The plan for packs that are there as the index says, unless `sizes` says otherwise of some."""
    index = BlobIndex()
    there = {}
    for name, blobs in packs.items():
        offset = 0
        described = []
        for blob, size in blobs:
            described.append(PackedBlob(id_of(blob), blob.isupper(), offset, size, 0))
            offset += size
        index.add(pack_of(name), described)
        there[name] = EMPTY + sum(packed_size(size, compressed=False) for _, size in blobs)
    there |= sizes or {}
    return plan_prune(
        index,
        cast("UsedBlobs", Marked(index, used)),
        {pack_of(name): size for name, size in there.items() if size},
        limits,
        unread={(blob.isupper(), id_of(blob)) for blob in unread},
        location="here",
    )


def names(packs: Mapping[str, int]) -> str:
    return "".join(sorted(bytes.fromhex(pack).decode().strip("\0") for pack in packs))


def test_what_is_used_in_full_stays() -> None:
    plan = planned({"p": [("a", 5 * MiB)]}, "a")
    assert (plan.unknown, plan.useless, plan.repack, plan.gone) == ({}, {}, {}, set())
    assert (plan.freed, plan.unused) == (0, 0)


def test_what_no_index_has_and_what_nothing_needs_goes() -> None:
    plan = planned({"p": [("a", 5 * MiB)], "q": [("b", MiB)]}, "a", sizes={"r": 7})
    assert (names(plan.unknown), names(plan.useless), names(plan.repack)) == ("r", "q", "")
    assert plan.freed == 7 + EMPTY + packed_size(MiB, compressed=False)


def test_what_is_used_in_part_is_stored_anew() -> None:
    plan = planned({"p": [("a", 5 * MiB), ("b", MiB)]}, "a")
    assert names(plan.repack) == "p"
    assert plan.repacked == packed_size(5 * MiB, compressed=False)
    assert plan.freed == EMPTY + packed_size(MiB, compressed=False)


def test_as_much_of_no_use_stays_as_the_limit_allows_and_the_worst_goes_first() -> None:
    packs = {"p": [("a", 9 * MiB), ("b", MiB)], "q": [("c", 5 * MiB), ("d", 5 * MiB)]}
    assert names(planned(packs, "ac").repack) == "pq"
    assert names(planned(packs, "ac", PruneLimits("10%")).repack) == "q"
    assert names(planned(packs, "ac", PruneLimits("2 MiB")).repack) == "q"
    assert names(planned(packs, "ac", PruneLimits("50%")).repack) == ""
    assert names(planned(packs, "ac", PruneLimits(None)).repack) == ""
    assert planned(packs, "ac", PruneLimits(None)).unused == 6 * MiB + 2 * 37


def test_no_more_is_stored_anew_than_the_limit_allows() -> None:
    packs = {"p": [("a", 9 * MiB), ("b", MiB)], "q": [("c", 5 * MiB), ("d", 5 * MiB)]}
    assert names(planned(packs, "ac", PruneLimits("0 B", "11 MiB")).repack) == "q"
    assert names(planned(packs, "ac", PruneLimits("0 B", "1 MiB")).repack) == ""


def test_what_is_too_large_for_the_limit_is_passed_over_and_small_packs_go_first() -> None:
    packs: dict[str, Blobs] = {"p": [("a", 5 * MiB), ("b", MiB)], "q": [("c", 5 * MiB), ("d", 5 * MiB)]}
    assert names(planned(packs, "ac", PruneLimits("0 B", "7 MiB")).repack) == "p"
    packs["p"] = [("a", MiB), ("b", 100)]
    assert names(planned(packs, "ac", PruneLimits("0 B", "10.5 MiB")).repack) == "p"


def test_trees_are_stored_anew_however_little_is_of_no_use() -> None:
    packs = {"p": [("A", 5 * MiB), ("B", 10)], "q": [("c", 9 * MiB), ("d", 10)]}
    assert names(planned(packs, "Ac", PruneLimits("5%")).repack) == "p"


def test_a_pack_of_both_types_is_stored_anew() -> None:
    assert names(planned({"p": [("A", 5 * MiB), ("b", MiB)]}, "Ab").repack) == "p"


def test_ten_small_packs_are_merged_and_nine_are_not() -> None:
    small: Mapping[str, Blobs] = {name: [(name, 100)] for name in "abcdefghij"}
    assert names(planned(small, "abcdefghij").repack) == "abcdefghij"
    assert names(planned({name: small[name] for name in "abcdefghi"}, "abcdefghi").repack) == ""


def test_packs_are_small_beside_many_that_are_larger() -> None:
    packs: dict[str, Blobs] = {
        chr(0x4E00 + number): [(chr(0x4E00 + number), 12 * MiB)] for number in range(500)
    }
    packs |= {name: [(name, 5 * MiB)] for name in "abcdefghijkl"}
    assert names(planned(packs, "".join(packs)).repack) == "abcdefghijkl"


def test_packs_as_we_make_them_are_not_small_beside_larger_ones() -> None:
    packs: dict[str, Blobs] = {
        chr(0x4E00 + number): [(chr(0x4E00 + number), 128 * MiB)] for number in range(500)
    }
    packs |= {name: [(name, 16 * MiB)] for name in "abcdefghijkl"}
    assert names(planned(packs, "".join(packs)).repack) == ""


def test_of_a_blob_that_stands_twice_the_copy_stays_that_is_stored_anew_already() -> None:
    # As an interrupted prune leaves it: "q" has what was of use in "p".
    plan = planned({"p": [("a", 5 * MiB), ("x", MiB)], "q": [("a", 5 * MiB)]}, "a")
    assert (names(plan.useless), names(plan.repack)) == ("p", "")
    assert plan.kept == {(False, id_of("a")): (pack_of("q"), 0)}


def test_a_pack_of_nothing_but_copies_goes() -> None:
    plan = planned({"p": [("a", 5 * MiB), ("b", MiB)], "q": [("b", MiB)]}, "ab")
    assert (names(plan.useless), names(plan.repack)) == ("q", "")


def test_copies_stay_where_something_else_is_needed_and_then_where_most_of_them_are() -> None:
    packs: dict[str, Blobs] = {
        "p": [("a", MiB), ("b", 5 * MiB)],
        "q": [("b", 5 * MiB), ("d", 5 * MiB)],
        "r": [("d", 5 * MiB), ("e", MiB)],
    }
    plan = planned(packs, "abde")
    assert (names(plan.useless), names(plan.repack)) == ("q", "")
    packs = {"p": [("a", MiB), ("b", MiB)], "q": [("a", MiB), ("b", MiB), ("c", MiB)], "r": [("c", MiB)]}
    plan = planned(packs, "abc")
    assert (names(plan.useless), names(plan.repack)) == ("pr", "")


def test_of_copies_that_all_stay_one_may_be_missing() -> None:
    plan = planned({"p": [("a", MiB)], "q": [("a", MiB)]}, "a", sizes={"p": 0}, unread="a")
    assert ({*plan.gone}, names(plan.useless), names(plan.repack)) == ({pack_of("p")}, "", "")


def test_a_copy_stays_in_a_pack_that_is_whole() -> None:
    plan = planned({"p": [("a", 5 * MiB)], "q": [("a", 5 * MiB), ("b", MiB)]}, "a", sizes={"p": 0})
    assert names(plan.repack) == "q"
    assert {*plan.gone} == {pack_of("p")}


def test_a_blob_that_stands_twice_in_one_pack_is_kept_once() -> None:
    plan = planned({"p": [("a", 5 * MiB), ("a", 5 * MiB)]}, "a")
    assert plan.repacked == packed_size(5 * MiB, compressed=False)
    assert len(plan.kept) == 1


@pytest.mark.parametrize("size", [0, 5])
def test_where_what_is_used_stands_in_a_pack_that_is_missing_or_another_nothing_is_planned(size: int) -> None:
    with pytest.raises(IntegrityError, match=r"data/00/0+70 at here, missing there or of another size"):
        planned({"p": [("a", 5 * MiB)], "q": [("b", MiB)]}, "a", sizes={"p": size})


def test_what_nothing_needs_may_be_missing_or_another() -> None:
    plan = planned({"p": [("a", 5 * MiB)], "q": [("b", MiB)], "r": [("c", MiB)]}, "a", sizes={"q": 0, "r": 5})
    assert (names(plan.useless), {*plan.gone}) == ("r", {pack_of("q")})


@pytest.mark.parametrize("limit", ["5 percent", "101%", "-1", "5G", ""])
def test_a_limit_that_is_none_is_refused(limit: str) -> None:
    with pytest.raises(ConfigurationError):
        PruneLimits(limit)


@pytest.mark.parametrize(
    ("limit", "allowed"),
    [("0 B", 0), ("5%", 50), ("100%", float("inf")), (None, float("inf")), ("2 kB", 2000), (7, 7)],
)
def test_a_share_is_one_of_all_that_is_stored(limit: int | str | None, allowed: float) -> None:
    assert PruneLimits(limit).unused_beside(950) == allowed


# Whatever a repository looks like

NAMES = "abcdefghijklABCDEFGHIJKL"
SIZES = (100, MiB, 5 * MiB, 20 * MiB)


@st.composite
def repositories(draw: st.DrawFn) -> tuple[Mapping[str, Blobs], str, set[str]]:
    """Packs in which blobs stand once or several times, those that are used, and packs that are not there."""
    sizes = {name: draw(st.sampled_from(SIZES)) for name in NAMES}
    blobs = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4)
    packs = {
        str(number): [(name, sizes[name]) for name in names]
        for number, names in enumerate(draw(st.lists(blobs, min_size=1, max_size=25)))
    }
    known = sorted({name for held in packs.values() for name, _ in held})
    used = draw(st.sets(st.sampled_from(known)))
    return packs, "".join(sorted(used)), draw(st.sets(st.sampled_from(sorted(packs)), max_size=2))


def carried_out(packs: Mapping[str, Blobs], used: str, plan: PrunePlan, turn: int) -> dict[str, Blobs]:
    """The packs after a plan, with what is stored anew in packs of 16 MiB."""
    repack, going = names(plan.repack), {*plan.useless, *plan.gone, *plan.repack}
    anew: list[list[tuple[str, int]]] = []
    for is_tree in (False, True):
        fresh: list[tuple[str, int]] = []
        for name, held in packs.items():
            offset = 0
            for blob, size in held:
                here = pack_of(name), offset
                offset += size
                kept = plan.kept.get((blob.isupper(), id_of(blob)), here) == here
                if pack_of(name) in plan.repack and blob.isupper() == is_tree and blob in used and kept:
                    fresh.append((blob, size))
                    if sum(length for _, length in fresh) >= PACK_SIZE:
                        anew.append(fresh)
                        fresh = []
        anew += [fresh] if fresh else []
    assert repack or not anew
    left = {name: held for name, held in packs.items() if pack_of(name) not in going}
    return left | {f"{turn}.{number}": held for number, held in enumerate(anew)}


@given(repositories(), st.sampled_from(["0 B", "5%", "20 MiB", None]))
def test_pruning_keeps_all_that_is_used_and_comes_to_an_end(
    repository: tuple[Mapping[str, Blobs], str, set[str]], max_unused: str | None
) -> None:
    packs, used, missing = repository
    limits = PruneLimits(max_unused)
    if not {*used} <= {blob for name, held in packs.items() if name not in missing for blob, _ in held}:
        with pytest.raises(IntegrityError):
            planned(packs, used, limits, sizes=dict.fromkeys(missing, 0))
        return
    plan = planned(packs, used, limits, sizes=dict.fromkeys(missing, 0))
    turns = 0
    while plan.useless or plan.gone or plan.repack:
        turns += 1
        assert turns <= 2, "of which the second has what several copies hid"
        packs = carried_out(packs, used, plan, turns)
        stand = [blob for held in packs.values() for blob, _ in held]
        assert {*used} <= {*stand}
        plan = planned(packs, used, limits)
    if max_unused == "0 B":
        assert turns <= 1
        assert sorted(stand if turns else (blob for held in packs.values() for blob, _ in held)) == sorted(
            used
        )
        assert plan.unused == 0


@given(repositories(), st.sets(st.sampled_from(NAMES)))
def test_of_what_could_not_be_read_all_copies_stay(
    repository: tuple[Mapping[str, Blobs], str, set[str]], unread: set[str]
) -> None:
    packs, used, _ = repository
    before = [blob for held in packs.values() for blob, _ in held]
    plan = planned(packs, used, unread="".join(unread))
    after = [blob for held in carried_out(packs, used, plan, 1).values() for blob, _ in held]
    for blob in {*used}:
        assert after.count(blob) == (before.count(blob) if blob in unread else 1)
