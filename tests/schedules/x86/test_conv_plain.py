"""Convolutions of plain images, pixels in lanes: numbers, bands, refusals, configs."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from x86_kernels import TARGETS, check_task, conv_task, host_targets

from leip.schedules.template import InvalidConfig, NotApplicable
from leip.schedules.x86.conv_plain import ConvPlain, problem
from leip.schedules.x86.conv_plain_nest import ConvPlainConfig as Config
from leip.schedules.x86.conv_plain_nest import band_of
from leip.schedules.x86.tiles import rounds

K1: dict[str, Any] = dict(kernel=(1, 1))
K3: dict[str, Any] = dict(kernel=(3, 3), pads=1)

CASES: dict[str, dict[str, Any]] = {
    "3x3": dict(ci=5, size=(9, 10), co=24, **K3),
    "3x3, residual and maps": dict(ci=5, size=(9, 10), co=7, **K3, residual=True, maps=True),
    "3x3, stride 2": dict(ci=5, size=(9, 15), co=24, **K3, stride=2),
    "3x3, asymmetric pads": dict(ci=3, size=(8, 8), co=5, kernel=(3, 3), pads=(0, 1, 2, 0)),
    "3x3, one pixel": dict(ci=4, size=(1, 1), co=3, **K3),
    "3x3, narrow": dict(ci=4, size=(40, 2), co=3, **K3),
    "3x3, wide": dict(ci=2, size=(2, 300), co=3, **K3),
    "depthwise": dict(ci=6, size=(19, 15), co=6, **K3, groups=6, batch=2),
    "depthwise, 5x5, stride 2": dict(
        ci=6, size=(56, 56), co=6, kernel=(5, 5), pads=2, groups=6, stride=2
    ),
    "depthwise, two filters a channel": dict(ci=6, size=(19, 15), co=12, **K3, groups=6),
    "groups": dict(ci=12, size=(13, 15), co=24, **K3, groups=4, residual=True),
    "groups of prime features": dict(ci=4, size=(13, 15), co=34, **K3, groups=2),
    "dilated": dict(ci=7, size=(15, 19), co=3, kernel=(3, 3), dilation=2, pads=2),
    "dilated, stride 2": dict(
        ci=7, size=(15, 19), co=3, kernel=(3, 3), dilation=3, pads=2, stride=2, batch=2, maps=True
    ),
    "2x2, stride 3": dict(ci=3, size=(17, 17), co=33, kernel=(2, 2), stride=3),
    "7x7, stride 2, silu": dict(
        ci=3, size=(35, 35), co=33, kernel=(7, 7), pads=3, stride=2, epilogue="silu"
    ),
    "11x11, stride 4": dict(ci=3, size=(47, 63), co=26, kernel=(11, 11), pads=2, stride=4),
    "11 wide, dilated": dict(ci=3, size=(9, 70), co=26, kernel=(2, 11), dilation=3, stride=2),
    "prologue": dict(ci=5, size=(9, 10), co=7, **K3, prologue=True),
    "1x1": dict(ci=40, size=(5, 9), co=21, **K1, residual=True),
    "1x1, whole vectors": dict(ci=8, size=(8, 8), co=12, **K1),
    "1x1, one row of tiles and a pixel": dict(ci=8, size=(7, 7), co=12, **K1, batch=2),
    "1x1, prologue, silu": dict(
        ci=40, size=(15, 19), co=21, **K1, prologue=True, epilogue="silu", maps=True
    ),
    "1x1, stride 2": dict(ci=40, size=(15, 19), co=21, **K1, stride=2),
    "1x1, groups": dict(ci=40, size=(15, 19), co=20, **K1, groups=4),
    "one axis": dict(ci=3, size=(1035,), co=33, kernel=(7,), pads=3, stride=2),
    "one axis, 1": dict(ci=3, size=(1035,), co=33, kernel=(1,)),
    "three axes, 1": dict(ci=3, size=(3, 5, 9), co=33, kernel=(1,) * 3, residual=True, maps=True),
}


@pytest.mark.parametrize("name", CASES)
def test_numbers(name: str) -> None:
    for target in host_targets():
        check_task(conv_task(**CASES[name], blocks=(1, 1), target=target), ConvPlain())


@pytest.mark.parametrize("rows, cols", [(1, 13), (3, 13), (5, 13), (2, 4), (5, 6)])
@pytest.mark.parametrize("stride", [1, 2])
def test_bands(rows: int, cols: int, stride: int) -> None:
    """Bands that divide an image of 5 x 13 and that do not."""
    size = (stride * 5 - stride + 1, stride * 13 - stride + 1)
    task = conv_task(3, size, 10, (3, 3), pads=1, stride=stride, blocks=(1, 1))
    check_task(task, ConvPlain(), Config(features=4, vectors=2, rows=rows, cols=cols))


@pytest.mark.parametrize("parts", [2, 3, 4])
@pytest.mark.parametrize("groups, stride", [(1, 1), (1, 2), (3, 1)])
def test_features_in_parts(parts: int, groups: int, stride: int) -> None:
    """Tiles that parts divide and that they do not: 2 of 7 features, 4 of 3 or of 1 a group."""
    arguments = dict(kernel=(3, 3), pads=1, stride=stride, groups=groups, residual=True)
    for target in host_targets():
        task = conv_task(3, (9, 11), 12, **arguments, blocks=(1, 1), target=target)  # type: ignore[arg-type]
        features = 12 // groups // 4 if groups > 1 else 7
        config = Config(features, 2, 3, problem(task).shape.cols, parts)
        if groups > 1 and 4 % parts:
            with pytest.raises(InvalidConfig, match="does not divide the 4 tiles of a group"):
                ConvPlain().build(task, config)
            continue
        check_task(task, ConvPlain(), config)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize(
    "case",
    [
        dict(ci=6, size=(9, 11), co=22, **K3, groups=2, residual=True, maps=True),
        dict(ci=9, size=(11, 13), co=33, **K1, groups=3, residual=True, batch=2),
        dict(ci=6, size=(9, 11), co=39, **K3, stride=2, groups=3, epilogue="silu"),
    ],
)
def test_features_of_a_group_that_tiles_do_not_divide(parts: int, case: dict[str, Any]) -> None:
    """11 or 13 features of a group in tiles of 7, 6 and 4: the last ones are not stored."""
    for features in (6, 4) if parts == 2 else (7, 4):
        for target in host_targets():
            task = conv_task(**case, blocks=(1, 1), target=target)
            p = problem(task)
            if rounds(p.shape.group_features, features) % parts:
                continue
            row = p.row is not None
            cols = 2 * p.lanes if row else p.shape.cols
            check_task(task, ConvPlain(), Config(features, 2, 1 if row else 3, cols, parts))


@pytest.mark.parametrize("parts", [2, 3])
def test_features_of_a_row_of_pixels_in_parts(parts: int) -> None:
    for target in host_targets():
        task = conv_task(9, (11, 13), 10, (1, 1), blocks=(1, 1), residual=True, target=target)
        lanes = problem(task).lanes
        check_task(task, ConvPlain(), Config(4, 2, 1, 2 * lanes, parts))


@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("size", [(16, 16), (11, 13)])
@pytest.mark.parametrize("extra", [{}, dict(prologue=True, epilogue="silu"), dict(batch=2)])
def test_a_row_of_pixels_that_one_tile_reads_is_not_copied(
    features: int, size: tuple[int, int], extra: dict[str, Any]
) -> None:
    for target in host_targets():
        task = conv_task(37, size, features, **K1, **extra, blocks=(1, 1), target=target)
        config = Config(features, 2, 1, 4 * problem(task).lanes)
        check_task(task, ConvPlain(), config)
        assert "pad" not in ConvPlain().build(task, config).functions[0].script()


@pytest.mark.parametrize("cols", [1, 2, 3, 7, 8, 15, 17, 23, 33, 60])
def test_rows_of_any_width(cols: int) -> None:
    """Rows that vectors divide and that they do not; the last is moved back and stays a vector."""
    config = Config(features=3, vectors=1, rows=3, cols=cols)
    for target in host_targets():
        task = conv_task(2, (3, cols), 3, **K3, blocks=(1, 1), residual=True, target=target)
        check_task(task, ConvPlain(), config)
        text = ConvPlain().build(task, config).functions[0].script()
        assert "T.where" not in text.split('T.sblock("out")')[1]


@pytest.mark.parametrize("chunks", [2, 3, 6])
@pytest.mark.parametrize("stride, groups, parts", [(1, 1, 1), (2, 1, 1), (2, 1, 2), (1, 2, 1)])
def test_channels_in_chunks(chunks: int, stride: int, groups: int, parts: int) -> None:
    """Sums over chunks, with tiles of features and pixels that divide and that do not."""
    arguments = dict(kernel=(3, 3), pads=1, stride=stride, groups=groups, residual=True)
    for target in host_targets():
        task = conv_task(6 * groups, (9, 23), 14, **arguments, blocks=(1, 1), target=target)  # type: ignore[arg-type]
        cols = problem(task).shape.cols
        check_task(task, ConvPlain(), Config(7 if groups > 1 else 4, 2, 2, cols, parts, chunks))


def test_channels_beyond_the_second_level_cache_are_in_chunks() -> None:
    for target in TARGETS.values():
        task = conv_task(754, (95, 95), 30, (3, 3), pads=1, stride=2, blocks=(1, 1), target=target)
        config = ConvPlain().default(task)
        assert isinstance(config, Config)
        p = problem(task)
        copied = band_of(p, config).copied(754 // config.chunks)
        assert copied * 4 <= target.caches.l2 * 3 // 4


def test_few_bands_share_features() -> None:
    """An image of one band and many features makes work for both threads."""
    task = conv_task(1, (7, 7), 824, (5, 5), pads=2, blocks=(1, 1), target=TARGETS["znver4"])
    config = ConvPlain().default(task)
    assert isinstance(config, Config)
    assert config.parts * rounds(7, config.rows) % task.threads == 0
    assert config.parts > 1


@pytest.mark.parametrize("vectors", [1, 2, 3])
@pytest.mark.parametrize("tiles", [1, 2])
def test_row_of_pixels(vectors: int, tiles: int) -> None:
    task = conv_task(9, (11, 13), 10, (1, 1), blocks=(1, 1), residual=True)
    lanes = problem(task).lanes
    check_task(task, ConvPlain(), Config(4, vectors, 1, tiles * vectors * lanes))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 5])
@pytest.mark.parametrize("dilation", [1, 2])
def test_band_covers_what_its_tiles_read(stride: int, kernel: int, dilation: int) -> None:
    size = (31, 33)
    arguments = dict(stride=stride, dilation=dilation, pads=dilation * (kernel // 2))
    task = conv_task(2, size, 3, (kernel, kernel), blocks=(1, 1), **arguments)  # type: ignore[arg-type]
    p = problem(task)
    if p.row is not None:
        return
    band = band_of(p, Config(3, 2, 4, p.shape.cols))
    last = [(kernel - 1) * dilation // stride] * 2
    assert band.computed - 1 + last[0] * band.width + last[1] < band.height * band.width
    assert band.computed >= (band.rows - 1) * band.width + band.cols
    assert band.phases == (min((kernel - 1) * dilation + 1, stride),) * 2


def test_refusals() -> None:
    def refused(reason: str, **changes: Any) -> None:
        with pytest.raises(NotApplicable, match=reason):
            ConvPlain().check(conv_task(**{**CASES["3x3"], "blocks": (1, 1), **changes}))

    refused("blocked by channels", blocks=(1, 16))
    refused("blocked by channels", ci=16, blocks=(16, 1))
    refused("9 pixels do not fill a vector", size=(3, 3), **K1, pads=0, target=TARGETS["znver4"])
    refused("plain loops", level=1)


@pytest.mark.parametrize(
    "changes, reason",
    [
        (dict(rows=10), "exceeds the image"),
        (dict(vectors=0), "below 1"),
        (dict(parts=0), "below 1"),
        (dict(chunks=2), "does not divide 5 channels"),
        (dict(features=40, vectors=8), "beyond the registers"),
    ],
)
def test_illegal_configs(changes: dict[str, int], reason: str) -> None:
    task = conv_task(**CASES["3x3"], blocks=(1, 1))
    config = dataclasses.replace(ConvPlain().default(task), **changes)
    with pytest.raises(InvalidConfig, match=reason):
        ConvPlain().build(task, config)


def test_configs_of_the_space_are_legal_and_differ() -> None:
    task = conv_task(**CASES["3x3, stride 2"], blocks=(1, 1))
    configs = list(ConvPlain().space(task))
    assert len(set(configs)) == len(configs) > 4
    check_task(task, ConvPlain(), configs[-1])


def test_inner_loop_has_no_guard() -> None:
    """Padding is in the copy: nothing is asked where multiply-adds are."""
    task = conv_task(**CASES["3x3"], blocks=(1, 1))
    text = ConvPlain().build(task, ConvPlain().default(task)).functions[0].script()
    update = text.split('T.sblock("acc_update")')[1].split("T.sblock")[0]
    assert "if_then_else" not in update
    assert "if_then_else" in text.split('T.sblock("pad")')[1].split("T.sblock")[0]


@pytest.mark.parametrize("columns, unrolled", [(7, True), (11, False)])
def test_wide_windows_are_loops(columns: int, unrolled: bool) -> None:
    """24 accumulators stay in registers over 7 taps in a row; over 11 LLVM moved them about."""
    task = conv_task(3, (40, 80), 24, (2, columns), blocks=(1, 1), target=TARGETS["avx512"])
    config = Config(features=12, vectors=2, rows=4, cols=80 - columns + 1)
    text = ConvPlain().build(task, config).functions[0].script()
    taps = f"in T.unroll({columns})" in text
    assert taps == unrolled
