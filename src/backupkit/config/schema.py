"""The JSON Schema of settings, by which editors complete and check them; with the parts of installed packages.

Import this module where it is needed only: it needs pydantic.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from backupkit.config import parts
from backupkit.config.building import pipeline_signature
from backupkit.config.leaves import VARIABLE
from backupkit.config.models import model_of
from backupkit.config.parts import KINDS, Kind, part_named, types_of
from backupkit.config.signatures import Signature, signature_of
from backupkit.errors import ConfigurationError

# Draft 7 is what editors' extensions for TOML know.
_DRAFT = "http://json-schema.org/draft-07/schema#"
_UNTYPED = ("local", "remote", "directory", "fsspec", "passphrase")  # what else they say tells the type
_BY_TEXT = (parts.SOURCES, parts.DESTINATIONS, parts.NOTIFIERS, parts.HISTORIES, parts.MEMORIES, parts.LOCKS)
_TEXTS = {"type": "string"}
_FROM_ELSEWHERE = {"type": "string", "pattern": r"\$\{|^file:"}


def settings_schema() -> dict[str, Any]:
    """The schema of a whole file."""
    definitions = _Definitions()
    pipeline = definitions.table(pipeline_signature())
    del pipeline["required"]  # what it lacks may stand in the defaults
    pipeline["properties"]["schedule"] = {
        "description": '"usual": a full run at 03:00, the databases every six hours, and what goes with that.',
        "anyOf": [
            {"enum": ["usual", "none"]},
            {"$ref": "#/$defs/Schedule"},
            {"type": "array", "items": {"$ref": "#/$defs/Scheduled"}},
        ],
    }
    for kind in KINDS:
        definitions.found[kind.name] = definitions.kind(kind)
    return {
        "$schema": _DRAFT,
        "title": "backupkit",
        "type": "object",
        "properties": {
            "defaults": {
                "description": "What each pipeline has that does not say it itself.",
                "allOf": [{"$ref": "#/$defs/pipeline"}],
            },
            "pipelines": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {"$ref": "#/$defs/pipeline"},
            },
        },
        "required": ["pipelines"],
        "additionalProperties": False,
        "$defs": {"pipeline": pipeline, **dict(sorted(definitions.found.items()))},
    }


class _Generate(GenerateJsonSchema):
    ignored_warning_kinds = {"non-serializable-default"}  # noqa: RUF012 - pydantic's


class _Definitions:
    """What is referred to, by name."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Any]] = {}

    def kind(self, kind: Kind) -> dict[str, Any]:
        """A part of this kind: a text or a table."""
        names = [{"enum": types_of(kind)}, VARIABLE]
        if kind is parts.ENCRYPTORS:
            names = [{"enum": types_of(kind)}, _FROM_ELSEWHERE]
        return {
            "anyOf": [
                *([_TEXTS] if kind in _BY_TEXT else names),
                *(self._part(kind, name) for name in types_of(kind)),
            ]
        }

    def table(self, signature: Signature) -> dict[str, Any]:
        """What a part can be told."""
        described: dict[str, Any] = self._cleaned(
            model_of(signature).model_json_schema(by_alias=True, schema_generator=_Generate)
        )
        described.pop("description", None)
        described.setdefault("properties", {})
        first, _, _ = (inspect.getdoc(signature.make) or "").partition("\n")
        return {"description": first, **described}

    def _part(self, kind: Kind, name: str) -> dict[str, Any]:
        reference = f"{kind.name}.{name}"
        self.found[reference] = {}
        typed = {"type": {"const": name}}
        try:
            part = part_named(kind, name)
            table = self.table(part.signature) if part else {}
        except (ConfigurationError, ImportError) as error:  # of a package, and no reason to have no schema
            table = {"description": str(error), "properties": {}}
        table["properties"] = typed | table["properties"]
        if name not in _UNTYPED:
            table["required"] = ["type", *table.get("required", ())]
        self.found[reference] = table
        return {"$ref": f"#/$defs/{reference}"}

    def _cleaned(self, schema: Any) -> Any:
        """Without pydantic's titles, with references where a part belongs, and one value where a list may be."""
        if isinstance(schema, list):
            return [self._cleaned(one) for one in schema]
        if not isinstance(schema, dict):
            return schema
        if "x-part" in schema:
            return {"$ref": f"#/$defs/{schema['x-part']}"}
        if "x-table" in schema:
            return {"$ref": f"#/$defs/{self._named(schema['x-table'])}"}
        cleaned = {
            key: {name: self._cleaned(one) for name, one in value.items()}
            if key == "properties"
            else self._cleaned(value)
            for key, value in schema.items()
            if key != "title" and not (key == "default" and not isinstance(value, str | int | float))
        }
        return {"anyOf": [cleaned["items"], cleaned]} if cleaned.pop("x-alone", False) else cleaned

    def _named(self, path: str) -> str:
        module, _, name = path.partition(":")
        if name not in self.found:
            self.found[name] = {}
            self.found[name] = self.table(signature_of(getattr(import_module(module), name)))
        return name
