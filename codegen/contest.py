"""Two objects of one model, run in turns: is the second one faster, and does it say the same?"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runtime import Engine, load
from ..search.noise import versus
from .verify import allowed_output_error, largest_error

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
        before, after: The least seconds of an inference, of the first and the second object.
        ratio: Median of the sessions' ratios after / before; a session is several turns of both
            since they were loaded.
        noise: How far from 1 the ratio must be to be no chance.
        error: Largest difference of their outputs, as a part of what is allowed; infinite if they
            must be equal, and are not.
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
            much = f", {self.error:.1f} times what is allowed" if math.isfinite(self.error) else ""
            return f"the tuned object's outputs differ{much}"
        if self.ratio < 1 - self.noise:
            return ""
        takes = f"the tuned object takes {self.ratio:.1%} of the time before"
        within = f", which is within the noise of {self.noise:.1%}"
        return takes + (within if self.ratio < 1 + self.noise else "")


def contest(before: Path, after: Path, threads: int, level: int) -> Contest:
    """Run two objects in turns on random inputs.

    Args:
        before, after: The objects.
        threads: Of both.
        level: Optimization level: how far their outputs may be apart.

    Raises:
        LreError: If one of them cannot be loaded.
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
        feeds, others = (engines[0].random_inputs(SEED + number + more) for more in (0, 1))
        wanted, other = engines[0].infer(feeds), engines[0].infer(others)
        error = _error(wanted, engines[1].infer(feeds), other, level)
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


def _error(
    wanted: Mapping[str, Any], actual: Mapping[str, Any], other: Mapping[str, Any], level: int
) -> float:
    """Largest difference over all outputs as a part of the allowed one.

    Args:
        wanted, actual: Of both objects for the same inputs.
        other: Of the first one for other inputs: says how far outputs move.
        level: Optimization level.
    """
    worst = 0.0
    for name, reference in wanted.items():
        spread = largest_error(reference, other[name])
        # each may be as far from the reference as `--verify` allows
        allowed = 2 * allowed_output_error(reference, spread, level)
        error = largest_error(actual[name], reference)
        if error:
            worst = max(worst, error / allowed if allowed else math.inf)
    return worst
