"""How long kernels take: rounds of calls while nobody else is on the cores, until they agree."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence

from .trial_kernel import Loaded, Subject
from .trial_messages import Result

__all__ = ["Quiet", "Timer", "compare", "measure"]

ROUND = 6e-3  # seconds of a round of calls
MOST_CALLS, LEAST_CALLS = 512, 3
SLOW = 20e-3  # seconds of a call from which on one is a round
LEAST_ROUNDS, MOST_ROUNDS = 4, 16
BUDGET = 0.12  # seconds of all rounds, unless the least number takes longer
STABLE = 0.005  # how far apart the two best rounds may be
SLOWED = 1.1  # of the best time of the probe: somebody else is on the cores
PATIENCE = 0.5  # seconds of waiting for them to leave
PAUSE = 0.01
BASELINE = 30  # probes, with pauses, before the first round
TURNS = 15
TURNS_BUDGET = 0.6  # seconds of all turns of a comparison; at least LEAST_ROUNDS are run


def _calls(seconds: float) -> int:
    """Calls of a round, by the time of one."""
    if seconds >= SLOW:
        return 1
    return max(LEAST_CALLS, min(MOST_CALLS, round(ROUND / max(seconds, 1e-7))))


class Quiet:
    """Says whether the cores are ours alone, by the time that the same arithmetic takes."""

    def __init__(self) -> None:
        self._best: dict[int, int] = {}  # by threads

    def __call__(self, loaded: Loaded) -> bool:
        if loaded.threads not in self._best:
            # somebody may be on the cores right now, and seldom stays for so long
            self._best[loaded.threads] = min(self._patient(loaded) for _ in range(BASELINE))
        now = loaded.probe()
        # may rise slowly: a machine that has become slower for good is no reason to wait
        best = min(now, round(self._best[loaded.threads] * 1.0005) + 1)
        self._best[loaded.threads] = best
        return now <= best * SLOWED

    @staticmethod
    def _patient(loaded: Loaded) -> int:
        time.sleep(PAUSE)
        return loaded.probe()


class Timer:
    """Times rounds of calls while the cores are ours; where they never are, as they come."""

    def __init__(self, quiet: Quiet, loaded: Loaded) -> None:
        self._quiet, self._loaded = quiet, loaded
        self._patience = PATIENCE

    def round(self, subjects: Sequence[Subject], calls: Sequence[int]) -> list[float]:
        """The usual time of a call in a round of calls, of each subject in turn."""
        while True:
            before = self._quiet(self._loaded)
            times = [
                statistics.median(subject.call(count).tolist())
                for subject, count in zip(subjects, calls, strict=True)
            ]
            if (before and self._quiet(self._loaded)) or self._patience <= 0:
                return times
            time.sleep(PAUSE)
            self._patience -= PAUSE + sum(map(math.prod, zip(times, calls)))


def measure(subject: Subject, timer: Timer) -> Result:
    """Rounds of calls until the two best agree."""
    calls = _calls(subject.first())
    times: list[float] = []
    end = time.perf_counter() + BUDGET
    while len(times) < MOST_ROUNDS:
        times += timer.round([subject], [calls])
        best, second, *_ = [*sorted(times), math.inf]
        late = time.perf_counter() > end
        enough = LEAST_ROUNDS // 2 if calls == 1 and late else LEAST_ROUNDS
        if len(times) >= enough and (late or second <= best * (1 + STABLE)):
            break
    subject.check()  # what it wrote last, too
    return Result(tuple(times))


def compare(subjects: Sequence[Subject], timer: Timer) -> list[Result]:
    """One round of each in turn, forwards and backwards."""
    calls = [_calls(subject.first()) for subject in subjects]
    turns: list[list[float]] = []
    end = time.perf_counter() + TURNS_BUDGET
    while len(turns) < TURNS and (len(turns) < LEAST_ROUNDS or time.perf_counter() < end):
        step = 1 if len(turns) % 2 == 0 else -1
        turns.append(timer.round(subjects[::step], calls[::step])[::step])
    for subject in subjects:
        subject.check()
    return [Result(times) for times in zip(*turns)]
