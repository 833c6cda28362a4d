"""Lets tests of schedules import what they share: `kernels`, `tolerances`, the ops' `samples`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent, HERE.parent / "ir" / "ops"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
