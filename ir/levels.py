"""The optimization levels, and what each is the first to do."""

from __future__ import annotations

__all__ = ["ALGORITHMS", "DEFAULT", "FUSED", "LAYOUTS", "LEVELS", "ORACLE"]

ORACLE = 1  # a kernel an op, plain loops, every check: what the others are compared with
FUSED = 2  # ops fused into kernels, templates, fast mathematical functions
LAYOUTS = 3  # layouts over the whole graph, attention as one kernel
ALGORITHMS = 4  # algorithms that sum in another order

LEVELS = range(ORACLE, ALGORITHMS + 1)
DEFAULT = LAYOUTS
