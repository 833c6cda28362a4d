"""When one time is really below another: ratios of runs in turns, against how far they scatter."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

__all__ = ["versus"]

LEAST = 0.005  # by which a ratio must be away from 1 at least


def versus(ratios: Sequence[float], deviations: float) -> tuple[float, float]:
    """(median ratio, how far from 1 that must be to be no chance).

    Args:
        ratios: Of the times of both, one a turn.
        deviations: Standard deviations of the median that it must be away from 1.
    """
    ratio = statistics.median(ratios)
    # the median deviation does not mind a turn during which something else ran; 1.48 makes a
    # standard deviation of it
    deviation = 1.48 * statistics.median(abs(each - ratio) for each in ratios)
    return ratio, max(LEAST, deviations * deviation / math.sqrt(len(ratios)))
