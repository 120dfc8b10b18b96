from __future__ import annotations

import sys
from pathlib import Path

# importlib mode does not put a test's folder on the path; the builder beside these tests is plain code.
sys.path.insert(0, str(Path(__file__).parent))
