"""Which config of a task is the best, after the challenges that its configs have won."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .configs import Items, items_of
from .record import Challenge, Config, Record

__all__ = ["Standing"]


class Standing:
    """How configs stand to the default: everything that says so goes by this one walk.

    A config's share is its part of the default's time: the product of the ratios that lead to it
    from the default on. In one log the last challenger that won has the least; in joined logs the
    order says nothing.

    Args:
        records: In order; only challenges that were won matter. All of one machine.

    Attributes:
        best: The config with the least share; None: the template's default.
        share: Its share. What wins as the other one does not run at all takes over that one's.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.best: Config | None = None
        self.share = 1.0
        self._shares: dict[Items, float] = {}
        for record in records:
            if isinstance(record, Challenge):
                self.learn(record)

    def learn(self, record: Challenge) -> bool:
        """Take over a challenge; whether its challenger is the best from now on."""
        if not record.won:
            return False
        share = self._shares.get(items_of(record.incumbent), 1.0) * (record.ratio or 1.0)
        key = items_of(record.challenger)
        self._shares[key] = share = min(share, self._shares.get(key, math.inf))
        if self.best is not None and share > self.share:
            return False
        self.best, self.share = record.challenger, share
        return True
