"""How far long steps are, and how long they took."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

__all__ = ["Clock", "Progress"]

# Called by long steps: what is being done, how much of it is done, and of how much (0: unknown).
Progress = Callable[[str, int, int], None]


class Clock:
    """Adds up the seconds of named steps: `with clock("link"): …`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            taken = time.perf_counter() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + taken
