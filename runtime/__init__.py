"""What ships to the device: the C engine's sources (`c/`) and the Python engine (`lre.py`).

Imports nothing of ours and no TVM.
"""

from __future__ import annotations

from .lre import Engine, KernelTime, LreError, LreFault, load

__all__ = ["Engine", "KernelTime", "LreError", "LreFault", "load"]
