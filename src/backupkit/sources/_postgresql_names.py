"""The patterns by which pg_dump takes the tables that are meant, their partitions included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter

from backupkit.databases.postgresql import Partition
from backupkit.databases.postgresql_names import TableName, quoted

_TOGETHER = 200  # in one pattern: Linux takes no argument above 128 KiB


def patterns(names: Sequence[TableName], partitions: Sequence[Partition]) -> Iterator[str]:
    """Those of the names, then those of all partitions of partitioned tables that the names mean.

    pg_dump itself takes a partitioned table without its partitions, that is without rows, unless it is of
    version 16 or newer and told otherwise. Several partitions share one pattern, which may go on to match when
    one of them is dropped before pg_dump begins.
    """
    for name in names:
        yield name.pattern
    meant = {
        (part.schema, part.name): part
        for part in partitions
        if any(
            name.matches(part.whole_schema, part.whole) and (name.schema or part.whole_found)
            for name in names
        )
    }
    for schema, parts in groupby((meant[key] for key in sorted(meant)), attrgetter("schema")):
        tables = [quoted(part.name) for part in parts]
        for start in range(0, len(tables), _TOGETHER):
            yield f"{quoted(schema)}.({'|'.join(tables[start : start + _TOGETHER])})"
