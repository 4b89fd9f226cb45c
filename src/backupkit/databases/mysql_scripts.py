"""What dumping and loading both know of the scripts that mysqldump and mariadb-dump write."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from backupkit._chunks import closing_iterator

BODIES, BODIES_END = b"\nDELIMITER ;;\n", b"\nDELIMITER ;\n"
"""The lines around bodies of routines, triggers and events, in which any text may stand."""

_SANDBOX = re.compile(rb"/\*M?!999999\\- enable the sandbox mode \*/ *\n")


def beginning(chunks: Iterable[bytes], *, sandbox: bool, first: bytes = b"") -> Iterator[bytes]:
    """The dump with `first` at its beginning, and without MariaDB's line for its clients unless `sandbox`.

    That line, which locks a client into a sandbox, has to be the first, and is an error for MySQL's clients.
    """
    with closing_iterator(chunks) as iterator:
        head = b""
        for chunk in iterator:
            head += chunk
            if b"\n" in head:
                break
        line = _SANDBOX.match(head)
        if line is not None and sandbox:
            yield line[0]
        yield first + head[line.end() if line else 0 :]
        yield from iterator
