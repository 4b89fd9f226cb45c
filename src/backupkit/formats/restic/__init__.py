"""Snapshots in the restic repository format, version 2: incremental, deduplicated, and read by stock restic.

The rules are those of restic's design document (`doc/design.rst` of restic/restic). From the bytes upwards:
`layout` names objects, `sealing` encrypts, `documents` are the JSON objects, `packs` hold blobs, `index` finds
them, `trees` are folders, `snapshots` are backups.
"""
