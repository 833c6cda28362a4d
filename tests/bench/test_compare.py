"""How times of one run become ratios, targets and a table."""

from __future__ import annotations

from typing import Any

import compare
import pytest


def model() -> dict[str, Any]:
    blocks = {"leip level 3": [[0.008, 0.009]], "onnxruntime": [[0.012]], "openvino": [[0.010]]}
    return {
        "flops": 1_200_000_000,
        "work": [[1_200_000_000, 0]],
        "control": 1.0,
        "steps": [],
        "runners": compare._figures(blocks, ["onnxruntime", "openvino"]),
    }


def test_ratios_are_to_the_faster_peer() -> None:
    runners = model()["runners"]
    assert runners["leip level 3"]["ratio"] == pytest.approx(0.8)
    assert runners["onnxruntime"]["ratio"] == pytest.approx(1.2)


def test_targets_come_from_the_limits_of_the_run() -> None:
    one = model()
    limits = {"peak_gflops": 200.0, "bandwidth_gbs": 20.0, "last_level_cache": 1 << 20}
    compare.hold_against_target(one, limits)
    assert one["floor_ms"] == pytest.approx(6.0)
    assert one["target_ms"] == pytest.approx(7.2)
    assert one["runners"]["leip level 3"]["of_target"] == pytest.approx(8 / 7.2)
    assert one["runners"]["leip level 3"]["of_peak"] == pytest.approx(0.75)


def test_without_peers_there_are_times_and_shares_only() -> None:
    figures = compare._figures({"leip level 3": [[0.008]]}, [])
    assert set(figures["leip level 3"]) == {"min_ms", "median_ms", "runs"}


def test_every_point_has_runs_of_files_of_their_own() -> None:
    assert set(compare.POINTS) == set(compare.verdicts.POINTS)
    for scenarios in compare.POINTS.values():
        assert len({scenario.file_stem for scenario in scenarios}) == len(scenarios)
