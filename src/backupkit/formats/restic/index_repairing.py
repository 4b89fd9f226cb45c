"""What an index must say: what the index objects that can be read say, held against the packs that are there.

By the rules of restic's `repair index`, except that of a pack which cannot say itself what is in it, the index is
still believed.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial

from backupkit._parallel import map_ordered
from backupkit.errors import IntegrityError, ObjectNotFoundError
from backupkit.formats.restic.index import BlobIndex
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.packs import EMPTY, PackedBlob, packed_size, read_header
from backupkit.protocols import nothing

_WINDOW = 16  # headers that are read at the same time: each is a short request or two


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSurvey:
    """What there is. `index` is what an index should say, and `sizes` are those of the packs, in bytes.

    `objects` are the index objects, and `unreadable` those of them that cannot be read, with the reason. `gone` are
    packs that an index describes and that are not there; `headers` is what those packs say themselves that no index
    has, or that are of another size than the index says: `unknown` and `resized`. Where a header cannot be read,
    `headless` says why. `lacks_indexes` says that an index object is unreadable, or that there is none.
    """

    index: BlobIndex
    sizes: Mapping[str, int]
    objects: Sequence[str]
    unreadable: Mapping[str, str]
    gone: frozenset[str]
    unknown: frozenset[str]
    resized: frozenset[str]
    headers: Mapping[str, Sequence[PackedBlob]]
    headless: Mapping[str, str]
    lacks_indexes: bool


def surveyed(
    repository: OpenedRepository, executor: Executor | None, *, between: Callable[[], None] = nothing
) -> IndexSurvey:
    """Read the index objects and list the packs; read the headers of those on which the two do not agree."""
    said = BlobIndex()
    unreadable: dict[str, str] = {}
    objects = repository.objects
    listed = [id for id, _ in objects.list("index")]
    for id in listed:
        between()
        try:
            said.take(objects.load("index", id, repository.sealer), where=objects.where("index", id))
        except ObjectNotFoundError:
            continue  # replaced since it was listed
        except IntegrityError as error:
            unreadable[id] = str(error)
    # After the index, so that what is written meanwhile does not seem to be gone.
    sizes = dict(objects.list("data"))
    expected = _expected(said)
    for pack in [pack for pack in expected if pack not in sizes]:
        between()
        with suppress(ObjectNotFoundError):  # a listing that was cut short once must cost no snapshot
            sizes[pack] = objects.size_of_pack(pack)
    gone = frozenset(pack for pack in expected if pack not in sizes)
    unknown = frozenset(pack for pack in sizes if pack not in expected)
    resized = frozenset(pack for pack, size in expected.items() if sizes.get(pack, size) != size)
    headers: dict[str, Sequence[PackedBlob]] = {}
    headless: dict[str, str] = {}
    packs = sorted(unknown | resized)
    read = partial(_header_or_why, repository, sizes)
    with closing(map_ordered(executor, read, packs, _WINDOW)) as found:  # type: ignore[type-var]  # a generator
        for pack, header in zip(packs, found, strict=True):
            between()
            if isinstance(header, str):
                headless[pack] = header
            else:
                headers[pack] = header
    changed = gone | (resized - headless.keys())
    index = said.without(changed) if changed else said
    for pack, blobs in headers.items():
        index.add(pack, blobs)
    return IndexSurvey(
        index=index,
        sizes=sizes,
        objects=listed,
        unreadable=unreadable,
        gone=gone,
        unknown=unknown,
        resized=resized,
        headers=headers,
        headless=headless,
        lacks_indexes=bool(unreadable) or not expected,
    )


def _expected(index: BlobIndex) -> Mapping[str, int]:
    """How large each pack must be, by what the index says of it."""
    names = index.packs()
    sizes = array("Q", [EMPTY]) * len(names)
    for tree in (False, True):
        for _, pack, _, length, uncompressed in index.all_places(tree=tree):
            sizes[pack] += packed_size(length, compressed=uncompressed > 0)
    return dict(zip(names, sizes, strict=True))


def header_of(repository: OpenedRepository, pack: str, size: int) -> Sequence[PackedBlob]:
    """What a pack of this size says itself that is in it; IntegrityError or ObjectNotFoundError if it cannot."""
    objects = repository.objects
    read = partial(objects.read_range, pack)
    return read_header(read, size, repository.sealer, where=objects.where("data", pack))


def _header_or_why(
    repository: OpenedRepository, sizes: Mapping[str, int], pack: str
) -> Sequence[PackedBlob] | str:
    """Its header, or why nobody can read it. Called on any thread."""
    try:
        return header_of(repository, pack, sizes[pack])
    except (IntegrityError, ObjectNotFoundError) as error:
        return str(error)
