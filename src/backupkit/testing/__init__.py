"""For third parties: the contracts of every seam as test classes, and fakes. Needs pytest and hypothesis."""

from __future__ import annotations

import pkgutil

try:
    import pytest
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("backupkit.testing needs pytest: pip install 'backupkit[testing]'") from error

# So that a contract that is broken says what it compared, as tests of a project's own do.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))
