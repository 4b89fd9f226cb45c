"""Pictures of how a pipeline's backups stand: values in, SVG and a table out. `drawn` puts them together."""

from __future__ import annotations

from backupkit.integrations.asgi.pictures.drawn import Drawn

__all__ = ["Drawn"]
