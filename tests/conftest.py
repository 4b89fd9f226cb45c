"""What holds for every test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import settings

# pytest's importlib mode leaves sys.path alone, and tests write `from tests.tools import …`.
sys.path.insert(0, str(Path(__file__).parent.parent))

# No deadline: the machines that run this are shared, and slowness is what benchmarks/ is for.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
