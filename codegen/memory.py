"""Placing buffers in one arena by their lifetimes.

A buffer is alive from the step that writes it to the last step that reads it. Buffers that are
alive at the same step get disjoint places; values that share one (`sharing.py`) are one buffer
here. Loads that follow stores to the same address modulo 4 KB wait for them, so the buffers of one
step are moved apart where that costs nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["ALIGNMENT", "Lifetime", "Placement", "peak_bytes", "place"]

ALIGNMENT = 64  # of every buffer and every packed constant: a cache line, a vector of AVX-512
PAGE = 4096
APART = 256  # bytes modulo 4 KB by which the buffers of a step should differ


@dataclass(frozen=True)
class Lifetime:
    """One buffer.

    Attributes:
        bytes: Its size.
        first: Step that writes it.
        last: Last step that uses it, `first` at least.
    """

    bytes: int
    first: int
    last: int

    def meets(self, other: Lifetime) -> bool:
        """Whether both are alive at some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Placement:
    """Where each buffer stands.

    Attributes:
        offsets: Byte offset by buffer, multiples of `ALIGNMENT`.
        total: Bytes of the arena.
    """

    offsets: tuple[int, ...]
    total: int


def place(
    buffers: Sequence[Lifetime], mates: Mapping[int, Sequence[int]] | None = None
) -> Placement:
    """Place buffers, largest first, each in the tightest gap that holds it.

    Args:
        buffers: What to place.
        mates: For each buffer those used by the same step as it is written, to be kept apart
            modulo 4 KB where there is room.
    """
    orders: list[Callable[[int], tuple[int, ...]]] = [
        lambda i: (-buffers[i].bytes, buffers[i].first, i),
        lambda i: (-buffers[i].bytes * (buffers[i].last - buffers[i].first + 1), i),
        lambda i: (buffers[i].first, -buffers[i].bytes, i),
    ]
    plans = [_place(buffers, sorted(range(len(buffers)), key=key), mates or {}) for key in orders]
    return min(plans, key=lambda plan: plan.total)


def peak_bytes(buffers: Sequence[Lifetime]) -> int:
    """The largest sum of sizes alive at one step: no arena can be smaller."""
    events: dict[int, int] = {}
    for buffer in buffers:
        size = _round(buffer.bytes)
        events[buffer.first] = events.get(buffer.first, 0) + size
        events[buffer.last + 1] = events.get(buffer.last + 1, 0) - size
    sums = itertools.accumulate(change for _, change in sorted(events.items()))
    return max(sums, default=0)


def _place(
    buffers: Sequence[Lifetime], order: Sequence[int], mates: Mapping[int, Sequence[int]]
) -> Placement:
    offsets: dict[int, int] = {}
    total = 0
    for index in order:
        buffer = buffers[index]
        taken = sorted(
            (offset, offset + _round(buffers[other].bytes))
            for other, offset in offsets.items()
            if buffer.meets(buffers[other])
        )
        avoid = [offsets[other] % PAGE for other in mates.get(index, ()) if other in offsets]
        offset = _fit(_round(buffer.bytes), taken, avoid)
        offsets[index] = offset
        total = max(total, offset + _round(buffer.bytes))
    return Placement(tuple(offsets[i] for i in range(len(buffers))), total)


def _fit(size: int, taken: Sequence[tuple[int, int]], avoid: Sequence[int]) -> int:
    best: tuple[int, int] | None = None  # (slack, offset)
    end = 0
    for start, stop in taken:
        if start - end >= size:
            slack = start - end - size
            if best is None or slack < best[0]:
                best = (slack, end + _shift(end, slack, avoid))
        end = max(end, stop)
    return best[1] if best is not None else end + _shift(end, PAGE, avoid)


def _shift(offset: int, slack: int, avoid: Sequence[int]) -> int:
    """How far to move on so that the offset differs modulo 4 KB from all in `avoid`."""
    for shift in range(0, min(slack, PAGE - ALIGNMENT) + 1, ALIGNMENT):
        here = (offset + shift) % PAGE
        if all(APART <= (here - other) % PAGE <= PAGE - APART for other in avoid):
            return shift
    return 0


def _round(size: int) -> int:
    # an empty tensor still gets an address of its own
    return max(ALIGNMENT, -(-size // ALIGNMENT) * ALIGNMENT)
