"""The bars that the figures of a run are held against.

    target = min(best peer, max(0.72 * best peer, floor / 0.93))

A run is what `compare.py` writes: per model the runners with their times and ratios, the target,
and the ratios of each level to the one below. Verdicts look at nothing else, so they can be passed
on stored figures again.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runners import runner_name
from turns import NOISE

PEER_SHARE = 0.72
PEAK_SHARE = 0.93
NO_SLOWER = 1.0 + NOISE
LEVEL_4 = {"vgg16": 0.55, "resnet50": 0.84}  # of the best peer
SHARE_OF_PEAK = {"resnet50": 0.90}  # at level 3
MEMORY = 0.66  # of ONNX Runtime's peak
START = 0.25  # of its time from import to first result

Run = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """One bar: what is measured, the figure, its limit; at most or at least."""

    text: str
    value: float
    bar: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """NaN meets no bar."""
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        state = "met   " if self.met else "MISSED"
        return f"{state}  {self.text}: {self.value:.3f} {sign} {self.bar:g}"

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {"text": self.text, "value": self.value, "bar": self.bar, "met": self.met}


def target(best_peer: float, least: float) -> float:
    """The time to reach, in the unit of its arguments."""
    return min(best_peer, max(PEER_SHARE * best_peer, least / PEAK_SHARE))


def of_peers(runners: Mapping[str, Any], key: str) -> list[float]:
    """A figure of every runner that is none of leip's."""
    return [figures[key] for name, figures in runners.items() if not name.startswith("leip")]


def geometric_mean(values: Sequence[float]) -> float:
    """Of positive values; NaN of none."""
    return math.exp(statistics.fmean(math.log(value) for value in values)) if values else math.nan


def no_slower_than_peers(run: Run, level: int = 3) -> list[Verdict]:
    """None slower than the best peer beyond the noise."""
    ratios = _of(run, level, "ratio")
    name, worst = max(ratios.items(), key=lambda item: item[1], default=("no model", math.nan))
    return [Verdict(f"{runner_name(level)}, slowest to the best peer ({name})", worst, NO_SLOWER)]


def mean_of_targets(run: Run, level: int = 3) -> list[Verdict]:
    """The geometric mean of time / target."""
    mean = geometric_mean(list(_of(run, level, "of_target").values()))
    return [Verdict(f"{runner_name(level)}, geometric mean of time / target", mean, 1.0)]


def mean_of_targets_of_equals(run: Run, level: int = 3) -> list[Verdict]:
    """The same mean over the models whose peers keep to the target's vectors, where some do not.

    A peer that is limited to AVX2 and yet is faster than any AVX2 code can be computes with longer
    vectors: OpenVINO's transformers call a library of products that asks the CPU alone.
    """
    equal = {
        name: max(of_peers(model["runners"], "of_peak"), default=0.0) <= 1.0 + NOISE
        for name, model in run["models"].items()
    }
    if all(equal.values()):
        return []
    kept = [value for name, value in _of(run, level, "of_target").items() if equal[name]]
    others = ", ".join(name for name, is_equal in equal.items() if not is_equal)
    text = f"the same without {others}, whose peer is beyond the target's peak"
    return [Verdict(text, geometric_mean(kept), 1.0)]


def mean_of_targets_of_level_4(run: Run) -> list[Verdict]:
    """The mean with Winograd: for a bar that names no level."""
    return mean_of_targets(run, level=4)


def level_4(run: Run) -> list[Verdict]:
    """Named models by their bars, all others no slower than level 3."""
    ratios = _of(run, 4, "ratio")
    found = [
        Verdict(f"{name}, level 4 to the best peer", ratios.get(name, math.nan), bar)
        for name, bar in LEVEL_4.items()
    ]
    return found + [one for one in levels(run) if "level 4 to level 3" in one.text]


def levels(run: Run) -> list[Verdict]:
    """No level slower than the one below beyond the noise, or its code is the same."""
    return [
        Verdict(f"{name}, level {step['high']} to level {step['low']}", step["ratio"], NO_SLOWER)
        for name, model in run["models"].items()
        for step in model["steps"]
        if not step["same_code"]
    ]


def share_of_peak(run: Run) -> list[Verdict]:
    """Share of the measured peak at level 3."""
    shares = _of(run, 3, "of_peak")
    return [
        Verdict(f"{name}, share of peak at level 3", shares.get(name, math.nan), bar, True)
        for name, bar in SHARE_OF_PEAK.items()
    ]


def startup(models: Mapping[str, Any]) -> list[Verdict]:
    """Peak memory and time to first result, as shares of ONNX Runtime's."""
    found = []
    for name, model in models.items():
        ratio = model["ratio"]
        found.append(Verdict(f"{name}, peak memory to ONNX Runtime's", ratio["peak_mb"], MEMORY))
        first = ratio["first_result_median_ms"]
        found.append(Verdict(f"{name}, import to first result to ONNX Runtime's", first, START))
    return found


POINTS: Mapping[int, tuple[Callable[[Run], list[Verdict]], ...]] = {
    1: (no_slower_than_peers, mean_of_targets),
    2: (level_4,),
    3: (no_slower_than_peers,),
    4: (mean_of_targets, mean_of_targets_of_equals, mean_of_targets_of_level_4),
    5: (levels,),
    6: (share_of_peak,),
}


def verdicts_of(point: int, run: Run) -> list[Verdict]:
    """All bars of a point, judged by one run."""
    return [verdict for judge in POINTS[point] for verdict in judge(run)]


def noise_of(run: Run) -> float:
    """How far the same object in a second engine was from itself at most (A/A)."""
    return max((abs(model["control"] - 1) for model in run["models"].values()), default=math.nan)


def all_met(found: Iterable[Verdict]) -> bool:
    """Whether no bar is missed."""
    return all(verdict.met for verdict in found)


def _of(run: Run, level: int, key: str) -> dict[str, float]:
    """A figure of one level by model; NaN where it was not measured."""
    return {
        name: model["runners"].get(runner_name(level), {}).get(key, math.nan)
        for name, model in run["models"].items()
    }
