"""Two objects of one model, run in turns: is the second one faster, and does it say the same?"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime import Engine, load
from ..search.noise import versus
from .verify import largest_error, tolerance_of

__all__ = ["Contest", "contest"]

SESSIONS = 7  # at least: where an engine's memory lies decides 1 or 2 % of its time, load by load
BLOCKS = 3  # of both, a session; the one that begins changes
MOST_SECONDS = 20.0  # to go on while it is not clear who is faster
CLEAR_NOISE = 0.01  # below, no more is worth knowing
TURN = 0.1  # seconds of a turn, at least
LEAST_RUNS = 3  # of a turn
PAUSE = 0.06  # seconds before a turn: the other engine's threads go on waiting actively for a while
DEVIATIONS = 3.0  # standard ones, of the sessions' median, that a ratio must be away from 1
SEED = 20240


@dataclass(frozen=True)
class Contest:
    """How it went.

    Attributes:
        before, after: The least seconds of an inference.
        ratio: Median of the blocks' ratios after / before.
        noise: How far from 1 the ratio must be to be no chance.
        error: Largest difference of their outputs, as a part of what is allowed.
    """

    before: float
    after: float
    ratio: float
    noise: float
    error: float

    @property
    def won(self) -> bool:
        """Whether the second one takes the first one's place."""
        return not self.reason

    @property
    def reason(self) -> str:
        """Why the first one stays; "" if the second one is faster beyond the noise, and right."""
        if not self.error <= 1:
            return f"the tuned object's outputs differ, {self.error:.1f} times what is allowed"
        if self.ratio < 1 - self.noise:
            return ""
        return (
            f"the tuned object takes {self.ratio:.1%} of the untuned one's time, which is within "
            f"the noise of {self.noise:.1%}"
            if self.ratio < 1 + self.noise
            else f"the tuned object takes {self.ratio:.1%} of the untuned one's time"
        )


def contest(before: Path, after: Path, threads: int, level: int) -> Contest:
    """Run two objects in turns on random inputs.

    Args:
        before, after: The objects.
        threads: Of both.
        level: Optimization level: how far their outputs may be apart.
    """
    sessions: list[list[tuple[float, float]]] = []
    error = 0.0
    end = time.perf_counter() + MOST_SECONDS
    while True:
        blocks, difference = _session((before, after), threads, level, len(sessions))
        sessions.append(blocks)
        error = max(error, difference)
        ratio, noise = _ratio(sessions)
        clear = abs(ratio - 1) > noise or noise <= CLEAR_NOISE
        if len(sessions) >= SESSIONS and (clear or time.perf_counter() > end):
            break
    least = [min(times) for times in zip(*(block for s in sessions for block in s))]
    return Contest(least[0], least[1], ratio, noise, error)


def _ratio(sessions: Sequence[Sequence[tuple[float, float]]]) -> tuple[float, float]:
    """(median ratio, noise): where memory lies is a session's luck, so a session is one turn."""
    ratios = [statistics.median(after / before for before, after in s) for s in sessions]
    return versus(ratios, DEVIATIONS)


def _session(
    paths: tuple[Path, Path], threads: int, level: int, number: int
) -> tuple[list[tuple[float, float]], float]:
    """Load both, run them in turns: (times block by block, how far their outputs are apart)."""
    order = (0, 1) if number % 2 == 0 else (1, 0)
    with ExitStack() as stack:
        engines = {n: stack.enter_context(load(str(paths[n]), threads=threads)) for n in order}
        feeds = engines[0].random_inputs(SEED + number)
        error = _error(engines[0].infer(feeds), engines[1].infer(feeds), level)
        blocks = []
        for block in range(BLOCKS):
            turns = order if block % 2 == 0 else order[::-1]
            times = {which: _turn(engines[which], feeds) for which in turns}
            blocks.append((times[0], times[1]))
    return blocks, error


def _turn(engine: Engine, feeds: Mapping[str, Any]) -> float:
    """The least time of a turn."""
    time.sleep(PAUSE)
    engine.infer(feeds)
    samples: list[float] = []
    end = time.perf_counter() + TURN
    while len(samples) < LEAST_RUNS or time.perf_counter() < end:
        started = time.perf_counter()
        engine.infer(feeds)
        samples.append(time.perf_counter() - started)
    return min(samples)


def _error(one: Mapping[str, Any], other: Mapping[str, Any], level: int) -> float:
    """Largest difference over all outputs as a part of the allowed one."""
    worst = 0.0
    for name, wanted in one.items():
        # each may be as far from the reference as that
        allowed = 2 * tolerance_of(level) * _largest(wanted)
        error = largest_error(np.asarray(other[name]), np.asarray(wanted))
        if error:
            worst = max(worst, error / allowed if allowed else np.inf)
    return float(worst)


def _largest(array: Any) -> float:
    values = np.abs(np.asarray(array, np.float64))
    values = values[np.isfinite(values)]
    return float(values.max()) if values.size else 0.0
