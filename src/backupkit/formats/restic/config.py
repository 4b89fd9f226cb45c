"""The object `config`: which version of the format this is, who the repository is, and its chunker parameter."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backupkit.errors import ConfigurationError, IntegrityError
from backupkit.formats.restic.layout import CONFIG, is_id
from backupkit.formats.restic.polynomial import random_polynomial


@dataclass(frozen=True, slots=True)
class Config:
    """`id` is the repository's, 64 hexadecimal digits; `polynomial` its secret chunker parameter."""

    id: str
    polynomial: int = field(repr=False)

    @classmethod
    def made(cls, polynomial: int | None = None) -> Config:
        """That of a new repository, with the chunker parameter of another one if given."""
        return cls(os.urandom(32).hex(), random_polynomial() if polynomial is None else polynomial)

    @classmethod
    def parse(cls, fields: Mapping[str, Any], *, location: str) -> Config:
        try:
            version = int(fields["version"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise IntegrityError(
                f"The config of the repository at {location} has no version.", where=CONFIG
            ) from error
        if version == 1:
            raise ConfigurationError(
                f"The repository at {location} is of version 1 of its format, which has no compression: bring it "
                "to version 2 with restic, by `restic migrate upgrade_repo_v2`."
            )
        if version != 2:
            raise ConfigurationError(
                f"The repository at {location} is of version {version} of its format, which is newer than this "
                "library knows: bring backupkit up to date."
            )
        try:
            polynomial = int(fields["chunker_polynomial"], 16)
            if not is_id(fields["id"]) or polynomial <= 0:
                raise ValueError("its id or chunker polynomial is none")
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(
                f"The config of the repository at {location} is incomplete: {error}.", where=CONFIG
            ) from error
        return cls(fields["id"], polynomial)

    def fields(self) -> dict[str, Any]:
        return {"version": 2, "id": self.id, "chunker_polynomial": f"{self.polynomial:x}"}
