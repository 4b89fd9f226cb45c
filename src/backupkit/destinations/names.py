"""What an object may be called: the one rule for every destination, so that nothing escapes its folder.

A name that any of the stores would refuse, cut or take for another is refused here, at all of them, so that a
backup can be copied from each to each:

- Windows, and so SMB, strips dots from the end of a name, and takes `nul.zip` for a device
  (https://learn.microsoft.com/windows/win32/fileio/naming-a-file).
- Dropbox keeps no `thumbs.db` and no `desktop.ini`, which it takes for rubbish of Windows
  (https://help.dropbox.com/sync/ignored-files).
- File systems have names of 255 bytes, of which the temporary name of an unfinished object takes 26.
- S3, GCS and Azure have names of 1024, of which the folder of the destination takes some.
- Azure's names have 254 parts, and 63 in an account with real folders
  (https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata).
"""

from __future__ import annotations

import re

from backupkit.errors import ConfigurationError

# No leading dot: "." and ".." cannot occur, and dot files are free for what is unfinished.
_COMPONENT = re.compile(r"[A-Za-z0-9_-](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?")
_TAKEN = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?|thumbs\.db|desktop\.ini", re.IGNORECASE)
_LONGEST_COMPONENT = 255 - len("..0123456789abcdef.partial")
_LONGEST_NAME = 700
_MOST_PARTS = 40


def is_component(text: str) -> bool:
    """Whether this can stand between two slashes of an object's name."""
    return (
        len(text) <= _LONGEST_COMPONENT
        and _COMPONENT.fullmatch(text) is not None
        and _TAKEN.fullmatch(text) is None
    )


def is_name(text: str) -> bool:
    """Whether an object can have this name."""
    parts = text.split("/")
    return len(text) <= _LONGEST_NAME and len(parts) <= _MOST_PARTS and all(map(is_component, parts))


def check_name(name: str) -> None:
    """Raise ConfigurationError unless an object can have this name."""
    parts = name.split("/")
    longest = max(map(len, parts))
    if len(name) > _LONGEST_NAME or len(parts) > _MOST_PARTS or longest > _LONGEST_COMPONENT:
        raise ConfigurationError(
            f"{name[:40]!r}… is too long to be the name of an object: use at most {_LONGEST_NAME} characters, and "
            f"{_LONGEST_COMPONENT} for each of at most {_MOST_PARTS} parts between slashes."
        )
    if not is_name(name):
        raise ConfigurationError(
            f"{name!r} cannot be the name of an object: use parts separated by '/', each of the characters "
            "A-Z a-z 0-9 . _ -, none beginning or ending with a dot, and none that Windows or Dropbox keep for "
            "themselves (con, nul, com1, thumbs.db …)."
        )
