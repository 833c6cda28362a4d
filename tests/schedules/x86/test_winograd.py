"""Winograd convolutions: numbers, error, when they are chosen, refusals, knobs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kernels import avx2_host, host
from tolerances import WINOGRAD
from x86_kernels import TARGETS, check_task, conv_task, host_targets, run_task

from leip.codegen.build import BuildOptions, build_object
from leip.codegen.kernel_build import WorkerPool
from leip.codegen.measure import task_graph
from leip.ir.target import Target
from leip.runtime import load
from leip.schedules.select import Override, select
from leip.schedules.task import Task
from leip.schedules.template import InvalidConfig, NotApplicable
from leip.schedules.x86.conv_winograd import ConvWinograd
from leip.schedules.x86.winograd import TILES, weight_transform
from leip.schedules.x86.winograd_model import WinogradConfig as Config

NAME = ConvWinograd.name


def winograd_task(
    ci: int, size: tuple[int, int], co: int, *, target: Target | None = None, **arguments: Any
) -> Task:
    """A 3x3 conv at level 4 in blocks of whole vectors."""
    target = target or host_targets()[-1]
    lanes = target.vector_bits // 32
    options: dict[str, Any] = dict(kernel=(3, 3), pads=1, level=4, blocks=(lanes, lanes))
    return conv_task(ci, size, co, target=target, **{**options, **arguments})


# name -> arguments of winograd_task
CASES: dict[str, dict[str, Any]] = {
    "7x7": dict(ci=32, size=(7, 7), co=32),
    "13x13": dict(ci=16, size=(13, 13), co=40),
    "14x14, residual": dict(ci=64, size=(14, 14), co=64, residual=True),
    "8x8, tiles divide": dict(ci=32, size=(8, 8), co=32),
    "224x5": dict(ci=16, size=(224, 5), co=16),
    "one pixel": dict(ci=16, size=(1, 1), co=16),
    "odd channels": dict(ci=24, size=(9, 11), co=58, residual=True),
    "3 channels": dict(ci=3, size=(9, 9), co=5),
    "batch 2": dict(ci=16, size=(7, 6), co=40, batch=2, residual=True),
    "unpadded": dict(ci=16, size=(9, 9), co=16, pads=0),
    "asymmetric": dict(ci=16, size=(8, 9), co=16, pads=(0, 1, 2, 0)),
    "wide padding": dict(ci=16, size=(5, 5), co=16, pads=3),
    "maps": dict(ci=20, size=(5, 5), co=20, maps=True),
    "heavy epilogue": dict(ci=16, size=(9, 9), co=20, epilogue="silu", residual=True),
    "one feature": dict(ci=16, size=(9, 9), co=1, epilogue="sigmoid"),
}


@pytest.mark.parametrize("m", TILES)
@pytest.mark.parametrize("name", CASES)
def test_numbers(name: str, m: int) -> None:
    for target in host_targets():
        task = winograd_task(**CASES[name], target=target)
        config = next(c for c in ConvWinograd().space(task) if c.m == m)
        check_task(task, ConvWinograd(), config)


SPLITS = [
    Config(m=4, vectors=2, tiles=3, inner=2, band=2, group=2, split=1),
    Config(m=4, vectors=1, tiles=5, inner=4, band=1, group=1, split=2),  # shares are not equal
    Config(m=2, vectors=3, tiles=4, inner=8, band=3, group=1, split=2),  # padded with a panel
    Config(m=2, vectors=1, tiles=7, inner=1, band=2, group=3, split=1),
]


@pytest.mark.parametrize("config", SPLITS, ids=str)
def test_bands_groups_and_shares_that_do_not_divide(config: Config) -> None:
    for target in host_targets():
        lanes = target.vector_bits // 32
        task = winograd_task(24, (13, 11), 4 * lanes + 3, batch=2, target=target)
        check_task(task, ConvWinograd(), config)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("channels", [16, 256])
@pytest.mark.parametrize("m", TILES)
def test_error(m: int, channels: int, positive: bool) -> None:
    """As a share of the largest result, against float64."""
    task = winograd_task(channels, (12, 12), 32, epilogue="abs" if positive else "relu")
    config = next(c for c in ConvWinograd().space(task) if c.m == m)
    got, expected = run_task(task, ConvWinograd(), config)
    error = np.abs(got - expected).max() / np.abs(expected).max()
    assert error < WINOGRAD[m] * channels**0.5


@pytest.mark.parametrize("m", TILES)
def test_weights_of_one_tap_are_outer_products_of_the_transform(m: int) -> None:
    weights = np.zeros((1, 1, 3, 3), np.float32)
    weights[0, 0, 1, 1] = 1
    points = weight_transform(m, weights).reshape(m + 2, m + 2)
    assert points.dtype == np.float32
    np.testing.assert_allclose(points, np.outer(points[:, 1], points[1, :]) / points[1, 1])


def chosen(ci: int, size: int, co: int, target: str, **arguments: Any) -> tuple[str, Any, str]:
    task = winograd_task(ci, (size, size), co, target=TARGETS[target], **arguments)
    choice = select(task)
    return choice.template.name, choice.config, choice.why


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("threads", [1, 2])
def test_large_images_take_large_tiles(target: str, threads: int) -> None:
    for channels, size in ((64, 56), (128, 28), (256, 56), (64, 224)):
        name, config, _ = chosen(channels, size, channels, target, threads=threads)
        assert name == NAME
        assert config.m == 4


@pytest.mark.parametrize("target", TARGETS)
def test_many_weights_of_few_pixels_are_not_worth_four_times_the_bytes(target: str) -> None:
    """512 x 512 at 7 x 7: 38 MB of weights for F(4), 17 MB for F(2), 9 MB as they are."""
    name, config, why = chosen(512, 7, 512, target)
    assert name != NAME or config.m == 2
    assert name == NAME or "of the modelled time of a direct convolution" in why
    name, config, _ = chosen(512, 7, 512, target, batch=16)
    assert name == NAME


def test_few_channels_are_not_worth_the_transforms() -> None:
    name, _, _ = chosen(16, 7, 16, "avx512")
    assert name != NAME


@pytest.mark.parametrize("level", [2, 3])
def test_below_level_4_it_is_refused_and_not_chosen(level: int) -> None:
    task = winograd_task(64, (56, 56), 64, level=level)
    with pytest.raises(NotApplicable, match=f"level {level}"):
        ConvWinograd().check(task)
    assert select(task).template.name == "conv_f32_direct__x86"


def test_asked_for_it_is_taken_where_it_would_not_be_chosen() -> None:
    task = winograd_task(512, (7, 7), 512)
    assert select(task, Override(NAME, "m=4")).template.name == NAME


REFUSALS: list[tuple[dict[str, Any], str]] = [
    (dict(kernel=(5, 5), pads=2), "3x3"),
    (dict(stride=2), "stride"),
    (dict(dilation=2, pads=2), "dilated"),
    (dict(groups=2), "groups"),
    (dict(blocks=(1, 8)), "input is not blocked"),
    (dict(blocks=(8, 1)), "output is not blocked"),
    (dict(blocks=(4, 8)), "input is not blocked by vectors"),
    (dict(prologue=True), "prologue"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSALS, ids=[r for _, r in REFUSALS])
def test_refusals(change: dict[str, Any], reason: str) -> None:
    task = winograd_task(16, (9, 9), 16, target=TARGETS["avx2"], **change)
    with pytest.raises(NotApplicable, match=reason):
        ConvWinograd().check(task)


def test_illegal_configs() -> None:
    task = winograd_task(16, (7, 7), 16, target=TARGETS["avx2"])
    default = Config(m=4, vectors=1, tiles=4, inner=4, band=1, group=1, split=1)
    ConvWinograd().build(task, default)
    for change in (
        dict(m=3), dict(vectors=0), dict(inner=3), dict(tiles=40), dict(band=2), dict(group=4),
        dict(split=3), dict(vectors=9),
    ):  # fmt: skip
        with pytest.raises(InvalidConfig):
            ConvWinograd().build(task, dataclasses.replace(default, **change))


KNOBS = {"m": 2, "vectors": 1, "tiles": 4, "inner": 2, "band": 2, "group": 2, "split": 2}


@pytest.mark.parametrize("knob", KNOBS)
def test_every_knob_changes_the_code(knob: str) -> None:
    task = winograd_task(32, (14, 14), 64, target=TARGETS["avx2"])
    config = Config(m=4, vectors=2, tiles=5, inner=4, band=1, group=1, split=1)
    assert set(KNOBS) == {field.name for field in dataclasses.fields(Config)}
    here = ConvWinograd().build(task, config).functions[0].script()
    other = dataclasses.replace(config, **{knob: KNOBS[knob]})
    assert ConvWinograd().build(task, other).functions[0].script() != here


def test_equal_tasks_give_equal_code_and_equal_packs() -> None:
    scripts, packs = [], []
    for _ in range(2):
        task = winograd_task(32, (14, 14), 32)
        template = ConvWinograd()
        config = template.default(task)
        scripts.append(template.build(task, config).functions[0].script())
        pack = template.packs(task, config)[1]
        weights = np.arange(32 * 32 * 9, dtype=np.float32).reshape(32, 32, 3, 3)
        packs.append((pack.key, pack.apply(weights).tobytes()))
    assert scripts[0] == scripts[1]
    assert packs[0] == packs[1]


@pytest.mark.parametrize("target", TARGETS)
def test_defaults_fit_the_registers(target: str) -> None:
    for channels, size in ((64, 56), (128, 28), (256, 14), (512, 28)):
        task = winograd_task(channels, (size, size), channels, target=TARGETS[target])
        config = ConvWinograd().default(task)
        machine = TARGETS[target]
        tile = config.vectors * config.tiles
        assert tile + config.vectors + 1 <= machine.vector_registers
        assert tile >= 4 * machine.fma_ports, "too few chains to hide the latency"


def test_weights_are_prefetched_where_they_do_not_stay_near() -> None:
    def script(channels: int) -> str:
        task = winograd_task(channels, (14, 14), channels)
        return str(ConvWinograd().build(task, ConvWinograd().default(task)).functions[0].script())

    assert "prefetch" in script(256)
    assert "prefetch" not in script(16)


@pytest.mark.parametrize("resolve", [host, avx2_host], ids=["host", "avx2"])
@pytest.mark.parametrize(
    "config", ["m=4,tiles=4,band=1,split=1", "m=2,vectors=1,tiles=4,group=1,split=2"]
)
def test_two_threads_give_the_results_of_one(
    resolve: Callable[[], Target], config: str, tmp_path: Path
) -> None:
    """As a whole object; what a thread computes depends on no other."""
    task = winograd_task(32, (13, 13), 72, target=resolve(), residual=True)
    overrides = {task.key: Override(NAME, config)}
    options = BuildOptions(task.target, task.threads, task.level, "", overrides=overrides)
    result = build_object(task_graph(task), options, tmp_path, pool=WorkerPool(0))
    assert [kernel.choice.template.name for kernel in result.kernels] == [NAME]
    outputs = []
    for threads in (1, 2, 2):
        with load(str(result.library), threads=threads) as engine:
            outputs.append(engine.infer(engine.random_inputs(7))["y0"])
    assert np.isfinite(outputs[0]).all()
    assert np.ptp(outputs[0]) > 0
    for other in outputs[1:]:
        np.testing.assert_array_equal(outputs[0], other)
