"""Measuring in turns: whoever is compared runs in the same minute on the same machine.

ONNX Runtime's workers go on spinning for about 30 ms after a call and would tax whoever comes next,
so there is a pause before each turn. The order rotates from round to round.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

from runners import Runner

PAUSE = 0.06  # seconds before each turn
TURN = 0.1  # seconds of a turn, at least
MIN_RUNS = 3  # of a turn
LONG = 1.0  # seconds of a run; of those that take longer one makes a turn
NOISE = 0.03  # below, the median ratio of blocks decides

Blocks = list[list[float]]  # times in seconds, turn by turn


def turn(runner: Runner, seconds: float = TURN) -> list[float]:
    """One turn: a pause, one run that is not counted, then timed ones."""
    time.sleep(PAUSE)
    runs = MIN_RUNS if timed(runner) < LONG else 1
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < runs or time.perf_counter() < end:
        samples.append(timed(runner))
    return samples


def timed(runner: Runner) -> float:
    """Seconds of one run."""
    started = time.perf_counter()
    runner.run()
    return time.perf_counter() - started


def measure(
    runners: Sequence[Runner],
    rounds: int,
    between: Callable[[], None] = lambda: None,
    seconds: float = TURN,
) -> dict[str, Blocks]:
    """Times of each runner by its name, a block a round; the order rotates."""
    blocks: dict[str, Blocks] = {runner.name: [] for runner in runners}
    for number in range(rounds):
        shift = number % len(runners)
        for runner in [*runners[shift:], *runners[:shift]]:
            blocks[runner.name].append(turn(runner, seconds))
        between()
    return blocks


def fastest(blocks: Sequence[Sequence[float]]) -> float:
    """The least time of all turns."""
    return min(map(min, blocks))


def median_ratio(mine: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> float:
    """The median over blocks of (fastest of mine / fastest of others)."""
    return statistics.median(min(a) / min(b) for a, b in zip(mine, others, strict=True))


def ratio(mine: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> float:
    """The ratio of two runners' times: of minima, or of blocks where that is within the noise."""
    minima = fastest(mine) / fastest(others)
    return median_ratio(mine, others) if abs(minima - 1) < NOISE else minima
