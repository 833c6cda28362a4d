"""The bars that figures are held against."""

from __future__ import annotations

import math
from typing import Any

import pytest
import verdicts
from runners import runner_name
from verdicts import Verdict


def run_of(**models: dict[int, tuple[float, float, float]]) -> dict[str, Any]:
    """A run: model -> level -> (ratio to the best peer, time / target, share of peak)."""
    keys = ("ratio", "of_target", "of_peak")
    return {
        "models": {
            name: {
                "control": 1.01,
                "steps": [],
                "runners": {
                    runner_name(level): dict(zip(keys, figures))
                    for level, figures in levels.items()
                },
            }
            for name, levels in models.items()
        }
    }


@pytest.mark.parametrize(
    ("best", "least", "expected"),
    [
        (10.0, 2.0, 7.2),  # far from the limit: 0.72 of the peer
        (10.0, 8.37, 9.0),  # near it: 93 % of peak
        (10.0, 9.9, 10.0),  # the peer is at the limit itself
    ],
)
def test_target(best: float, least: float, expected: float) -> None:
    assert verdicts.target(best, least) == pytest.approx(expected)


def test_geometric_mean() -> None:
    assert verdicts.geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
    assert math.isnan(verdicts.geometric_mean([]))


def test_a_verdict_is_met_at_its_bar_and_never_by_nan() -> None:
    assert Verdict("a", 1.0, 1.0).met and not Verdict("a", 1.001, 1.0).met
    assert Verdict("a", 0.9, 0.9, True).met and not Verdict("a", 0.89, 0.9, True).met
    assert not Verdict("a", math.nan, 1.0).met and not Verdict("a", math.nan, 1.0, True).met


def test_point_1_takes_the_slowest_and_the_mean() -> None:
    run = run_of(a={3: (0.8, 0.9, 0.8)}, b={3: (1.05, 1.2, 0.8)})
    slowest, mean = verdicts.verdicts_of(1, run)
    assert (slowest.value, slowest.met) == (1.05, False) and "(b)" in slowest.text
    assert mean.value == pytest.approx(math.sqrt(0.9 * 1.2)) and not mean.met


def test_point_2_judges_named_models_and_every_step_from_level_3() -> None:
    run = run_of(vgg16={4: (0.5, 1, 1)}, resnet50={4: (0.85, 1, 1)})
    step = {"low": 3, "high": 4, "ratio": 1.04, "same_code": False}
    run["models"]["resnet50"]["steps"] = [step, {**step, "low": 2, "high": 3, "ratio": 9.0}]
    assert [one.met for one in verdicts.verdicts_of(2, run)] == [True, False, False]


def test_point_2_misses_models_that_were_not_measured() -> None:
    assert not verdicts.all_met(verdicts.verdicts_of(2, run_of(resnet50={4: (0.5, 1, 1)})))


def test_point_4_tells_models_whose_peer_has_longer_vectors() -> None:
    run = run_of(a={3: (0.9, 0.98, 0.9), 4: (0.5, 0.6, 1.6)}, b={3: (1.2, 1.2, 0.94)})
    run["models"]["b"]["runners"][runner_name(4)] = {"of_target": 1.2}
    mean, with_winograd = verdicts.verdicts_of(4, run)
    assert not mean.met and with_winograd.met and "level 4" in with_winograd.text
    run["models"]["b"]["runners"]["openvino"] = {"of_peak": 1.13}
    mean, equals, _ = verdicts.verdicts_of(4, run)
    assert not mean.met and equals.met
    assert equals.value == pytest.approx(0.98) and "without b," in equals.text


@pytest.mark.parametrize(
    ("ratio", "same", "met"),
    [(1.2, False, False), (1.2, True, True), (1.02, False, True), (0.7, False, True)],
)
def test_point_5_lets_the_same_code_be_as_slow_as_it_likes(
    ratio: float, same: bool, met: bool
) -> None:
    run = run_of(a={})
    run["models"]["a"]["steps"] = [{"low": 1, "high": 2, "ratio": ratio, "same_code": same}]
    assert verdicts.all_met(verdicts.verdicts_of(5, run)) is met


def test_point_6() -> None:
    assert [v.met for v in verdicts.verdicts_of(6, run_of(resnet50={3: (1, 1, 0.91)}))] == [True]
    assert [v.met for v in verdicts.verdicts_of(6, run_of(resnet50={3: (1, 1, 0.89)}))] == [False]


def test_startup() -> None:
    ratio = {"peak_mb": 0.67, "first_result_median_ms": 0.2}
    assert [one.met for one in verdicts.startup({"a": {"ratio": ratio}})] == [False, True]


def test_noise_is_the_largest_difference_of_a_runner_from_itself() -> None:
    run = run_of(a={}, b={})
    run["models"]["b"]["control"] = 0.96
    assert verdicts.noise_of(run) == pytest.approx(0.04)
