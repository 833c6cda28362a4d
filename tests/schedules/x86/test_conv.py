"""Convolutions: numbers at sizes that divide and that do not, refusals, knobs."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from x86_kernels import TARGETS, check_task, conv_task, host_targets, layout_of

from leip.ir.target import Target
from leip.schedules.template import InvalidConfig, NotApplicable
from leip.schedules.x86.conv_direct import ConvDirect
from leip.schedules.x86.conv_first import ConvFirst
from leip.schedules.x86.depthwise import DepthwiseBlocked
from leip.schedules.x86.tiles import Machine

BLOCKS_OF_16 = TARGETS["znver4"]  # for what is only read, not run
K3 = dict(kernel=(3, 3), pads=1)
K1 = dict(kernel=(1, 1))

# name -> arguments of conv_task; blocks of 16 unless they say otherwise
DIRECT: dict[str, dict[str, Any]] = {
    "3x3": dict(ci=32, size=(14, 14), co=32, **K3),
    "3x3, odd everything": dict(ci=24, size=(13, 11), co=58, **K3),
    "3x3, stride 2, odd size": dict(ci=16, size=(9, 15), co=24, **K3, stride=2),
    "3x3, one pixel": dict(ci=16, size=(1, 1), co=16, **K3),
    "3x3, long rows are partitioned": dict(ci=16, size=(3, 61), co=16, **K3),
    "3x3, dilated": dict(ci=16, size=(12, 12), co=16, kernel=(3, 3), pads=2, dilation=2),
    "3x3, asymmetric pads": dict(ci=16, size=(8, 8), co=16, kernel=(3, 3), pads=(0, 1, 2, 0)),
    "5x1": dict(ci=16, size=(9, 9), co=16, kernel=(5, 1), pads=(2, 0, 2, 0)),
    "2x2, stride 2, no padding": dict(ci=16, size=(9, 9), co=16, kernel=(2, 2), stride=2),
    "batch 2, residual": dict(ci=16, size=(7, 7), co=40, **K3, batch=2, residual=True),
    "1x1": dict(ci=64, size=(7, 7), co=64, **K1, residual=True),
    "1x1, prime pixels": dict(ci=58, size=(1, 53), co=116, **K1, batch=2),
    "1x1, prime pixels, maps": dict(ci=16, size=(1, 53), co=24, **K1, maps=True),
    "1x1, maps": dict(ci=20, size=(5, 5), co=58, **K1, maps=True, batch=2, prologue=True),
    "3x3, maps": dict(ci=20, size=(5, 5), co=20, **K3, maps=True),
    "1x1, one pixel": dict(ci=116, size=(1, 1), co=8, **K1),
    "1x1, one number": dict(ci=1, size=(1, 1), co=8, **K1, blocks=(1, 16)),
    "1x1, one weight": dict(ci=1, size=(5, 5), co=1, **K1, blocks=(1, 1)),
    "1x1, stride 2": dict(ci=16, size=(9, 7), co=16, **K1, stride=2),
    "1x1, prologue": dict(ci=24, size=(6, 6), co=20, **K1, prologue=True),
    "3x3, prologue": dict(ci=20, size=(6, 6), co=20, **K3, prologue=True),
    "3x3, plain": dict(ci=5, size=(9, 10), co=24, **K3, blocks=(1, 1), residual=True),
    "1x1, plain": dict(ci=40, size=(5, 9), co=21, **K1, blocks=(1, 1), level=2),
    "blocked to plain": dict(ci=20, size=(7, 7), co=20, **K3, blocks=(16, 1)),
    "plain to blocked": dict(ci=9, size=(7, 7), co=20, **K1, blocks=(1, 16), prologue=True),
    "16 to 8": dict(ci=40, size=(7, 7), co=24, **K1, blocks=(16, 8), residual=True),
    "8 to 16": dict(ci=24, size=(7, 7), co=40, **K3, blocks=(8, 16)),
    "16 to 8, prologue": dict(ci=40, size=(7, 7), co=24, **K1, blocks=(16, 8), prologue=True),
    "blocks of 8": dict(ci=24, size=(7, 7), co=24, **K3, blocks=(8, 8)),
    "groups of whole blocks": dict(ci=64, size=(7, 7), co=64, **K3, groups=2),
    "groups of 4 channels": dict(ci=32, size=(7, 7), co=32, **K3, groups=8),
    "groups of 24 channels": dict(ci=48, size=(5, 5), co=96, **K1, groups=2),
    "one axis": dict(ci=16, size=(19,), co=24, kernel=(3,), pads=1),
    "one axis, 1": dict(ci=16, size=(19,), co=24, kernel=(1,)),
    "three axes, 1": dict(ci=16, size=(3, 5, 9), co=24, kernel=(1,) * 3, residual=True),
    "heavy epilogue": dict(ci=16, size=(9, 9), co=20, **K3, epilogue="silu"),
    "heavy epilogue, 1x1": dict(ci=16, size=(9, 9), co=20, **K1, epilogue="silu", residual=True),
    "one feature": dict(ci=16, size=(9, 9), co=1, **K3, epilogue="sigmoid", residual=True),
    "one feature, 1x1": dict(ci=16, size=(9, 9), co=1, **K1, epilogue="sigmoid"),
}


@pytest.mark.parametrize("name", DIRECT)
def test_direct(name: str) -> None:
    arguments = dict(DIRECT[name])
    for target in host_targets():
        blocks = arguments.get("blocks", (16, 16))
        lanes = target.vector_bits // 32
        blocks = tuple(min(block, lanes) for block in blocks)
        check_task(conv_task(**{**arguments, "blocks": blocks, "target": target}), ConvDirect())


@pytest.mark.parametrize("cols", [1, 6, 7, 8, 13])
@pytest.mark.parametrize("kernel", [1, 3])
def test_direct_tiles(cols: int, kernel: int) -> None:
    """Tiles that divide 13 columns and that do not, features that do not fill a tile."""
    task = conv_task(16, (5, 13), 40, (kernel, kernel), pads=kernel // 2, blocks=(8, 8))
    template = ConvDirect()
    config = dataclasses.replace(template.default(task), vectors=2, rows=1, cols=cols, inner=4)
    check_task(task, template, config)


@pytest.mark.parametrize("cols", [5, 7, 13])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("prologue", [False, True])
def test_direct_chunks(cols: int, kernel: int, prologue: bool) -> None:
    """Partial sums of bands, with bands and tiles that divide the image and that do not."""
    for target in host_targets():
        lanes = min(16, target.vector_bits // 32)
        task = conv_task(
            48, (5, 13), 40, (kernel, kernel), pads=kernel // 2, blocks=(lanes, lanes),
            target=target, residual=True, prologue=prologue,
        )  # fmt: skip
        template = ConvDirect()
        default = template.default(task)
        for band in (1, 2, 3):
            config = dataclasses.replace(
                default, vectors=2, rows=1, cols=cols, inner=8, chunk=16, band=band
            )
            check_task(task, template, config)


def test_the_next_chunk_is_prefetched() -> None:
    task = conv_task(64, (7, 7), 64, (1, 1), target=BLOCKS_OF_16)
    template = ConvDirect()
    config = dataclasses.replace(template.default(task), cols=7, chunk=32, band=7, inner=16)
    assert "T.prefetch(T.address_of(x1" in template.build(task, config).functions[0].script()
    config = dataclasses.replace(config, chunk=0, band=1)
    assert "T.prefetch(T.address_of(x1" not in template.build(task, config).functions[0].script()


@pytest.mark.parametrize(
    ("size", "more", "following"),
    [
        ((7, 7), {}, ["* 7 + ci % 16 + 7, 0]"]),
        ((28, 28), {"stride": 2}, ["// 14 * 2 + i0_", "// 2 * 2 + 2", "% 16 % 14 * 2, 0]"]),
        ((7, 7), {"blocks": (1, 16)}, []),
        ((7, 7), {"prologue": True}, []),
        ((7, 7), {"kernel": (3, 3), "pads": 1}, []),
    ],
)
def test_the_next_pixels_are_prefetched(
    size: tuple[int, int], more: dict[str, Any], following: list[str]
) -> None:
    """The next tile of a row; the next row where a tile is as wide as the image."""
    arguments: dict[str, Any] = {"kernel": (1, 1), **more}
    task = conv_task(64, size, 64, **arguments, target=BLOCKS_OF_16)
    template = ConvDirect()
    config = dataclasses.replace(template.default(task), vectors=2, chunk=0, band=1)
    cols = 7 if size == (7, 7) else 14
    config = dataclasses.replace(config, rows=1, cols=cols, order="pixels")
    script = template.build(task, config).functions[0].script()
    touches = [line for line in script.splitlines() if "T.prefetch(T.address_of(x0" in line]
    assert len(touches) == bool(following)
    assert all(part in touches[0] for part in following)


@pytest.mark.parametrize("blocks", [(16, 16), (16, 8), (8, 16), (8, 8)])
def test_a_prologue_is_vectorized_in_the_blocks_that_it_reads(blocks: tuple[int, int]) -> None:
    target = TARGETS["znver4"]
    task = conv_task(48, (7, 7), 24, (1, 1), blocks=blocks, prologue=True, target=target)
    template = ConvDirect()
    script = template.build(task, template.default(task)).functions[0].script()
    loops, _, _ = script.partition('T.sblock("pre")')
    assert f"T.vectorized({blocks[0]})" in loops.splitlines()[-2]


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_prologue_of_an_image_beyond_the_second_level_is_computed_for_few_pixels(
    target: Target,
) -> None:
    """What a band reads before it computes must be no more than a prefetcher has fetched."""
    lanes = target.vector_bits // 32
    task = conv_task(144, (56, 56), 24, (1, 1), blocks=(lanes, lanes), prologue=True, target=target)
    config = ConvDirect().default(task)
    assert config.band * config.cols * lanes * 4 <= 1024  # bytes of a block of channels


@pytest.mark.parametrize(
    ("channels", "size", "features", "cut"),
    [(160, 7, 960, True), (384, 14, 64, False), (1024, 14, 256, False)],
)
def test_avx2_cuts_reductions_where_partial_sums_stay_in_the_first_level(
    channels: int, size: int, features: int, cut: bool
) -> None:
    """Weights that come from memory are worth it there; elsewhere the sums cost more."""
    target = TARGETS["avx2"]
    task = conv_task(channels, (size, size), features, (1, 1), blocks=(8, 8), target=target)
    assert bool(ConvDirect().default(task).chunk) == cut


@pytest.mark.parametrize("channels", [288, 512, 1024])
def test_avx2_takes_twelve_chains_behind_a_prologue_and_bands_of_one_tile(channels: int) -> None:
    """Weights beyond the second level stream behind the arithmetic of such code."""
    target = TARGETS["avx2"]
    task = conv_task(channels, (14, 14), 128, (1, 1), blocks=(8, 8), prologue=True, target=target)
    config = ConvDirect().default(task)
    assert (config.vectors * config.cols, config.chunk, config.band) == (12, 0, 1)


@pytest.mark.parametrize("channels", [64, 384, 512])
def test_avx2_takes_twelve_chains_though_ten_would_fit_the_pixels_better(channels: int) -> None:
    """13 x 13 pixels are 34 tiles of 5 (one pixel too many) or 29 of 6 (five)."""
    task = conv_task(channels, (13, 13), 64, (1, 1), blocks=(8, 8), target=TARGETS["avx2"])
    config = ConvDirect().default(task)
    assert config.vectors * config.cols == 12


def test_more_chains_hide_more_of_the_latency() -> None:
    machine = Machine.of(TARGETS["avx2"])
    steps = [machine.chain_cycles(2, points) / (2 * points) for points in (3, 4, 5, 6)]
    assert steps == sorted(steps, reverse=True)
    assert all(step > 1 / machine.ports for step in steps)


def test_window_rows_in_the_padding_are_skipped() -> None:
    task = conv_task(16, (7, 7), 16, (3, 3), pads=1, target=BLOCKS_OF_16)
    script = ConvDirect().build(task, ConvDirect().default(task)).functions[0].script()
    assert "if T.bool" not in script
    assert any(line.strip().startswith("if ") and "kh" in line for line in script.splitlines())


def test_pixels_are_one_row_whose_last_tile_is_moved_back() -> None:
    task = conv_task(16, (7, 7), 16, (1, 1), target=BLOCKS_OF_16)
    template = ConvDirect()
    config = dataclasses.replace(template.default(task), cols=13, chunk=0, band=1)
    script = template.build(task, config).functions[0].script()
    assert "T.where" not in script, "no pixel is guarded"
    assert "T.min(" in script and "(1, 1, 49, 16)" in script
    config = dataclasses.replace(config, cols=7)
    assert "T.min(" not in template.build(task, config).functions[0].script()


def test_every_config_of_a_space_is_right() -> None:
    for template, task in (
        (ConvDirect(), conv_task(16, (9, 9), 40, (3, 3), pads=1, blocks=(8, 8))),
        (ConvFirst(), conv_task(3, (9, 9), 20, (3, 3), pads=1, blocks=(1, 8))),
        (DepthwiseBlocked(), conv_task(20, (9, 9), 20, (3, 3), pads=1, groups=20, blocks=(8, 8))),
    ):
        space = list(template.space(task))
        assert space[0] == template.default(task)
        assert len(set(space)) == len(space) > 2
        for config in space[:3]:
            check_task(task, template, config)


FIRST: dict[str, dict[str, Any]] = {
    "7x7, stride 2": dict(ci=3, size=(30, 34), co=24, kernel=(7, 7), pads=3, stride=2),
    "3x3": dict(ci=1, size=(9, 9), co=20, **K3),
    "3x3, asymmetric": dict(ci=3, size=(17, 18), co=16, kernel=(3, 3), pads=(0, 0, 1, 1), stride=2),
    "3x3, unpadded, plain output": dict(ci=3, size=(9, 9), co=5, kernel=(3, 3), blocks=(1, 1)),
    "one axis, batch 2": dict(ci=3, size=(17,), co=20, kernel=(3,), pads=1, batch=2),
    "heavy epilogue": dict(ci=3, size=(9, 9), co=20, **K3, epilogue="silu"),
}


@pytest.mark.parametrize("name", FIRST)
def test_first(name: str) -> None:
    for target in host_targets():
        arguments = {"blocks": (1, target.vector_bits // 32), **FIRST[name], "target": target}
        check_task(conv_task(**arguments), ConvFirst())


def test_first_layers_leave_registers_to_the_constants_of_a_long_epilogue() -> None:
    """SiLU made a tile of 12 accumulators spill; AVX-512 takes constants from memory."""

    def tile(target: str, epilogue: str) -> int:
        lanes = TARGETS[target].vector_bits // 32
        task = conv_task(
            *(3, (224, 224), 32, (3, 3)),
            **dict(stride=2, pads=1, blocks=(1, lanes), epilogue=epilogue, target=TARGETS[target]),
        )
        config = ConvFirst().default(task)
        return config.vectors * config.cols

    assert (tile("avx2", "relu"), tile("avx2", "silu")) == (12, 10)
    assert tile("avx512", "relu") == tile("avx512", "silu")


DEPTHWISE: dict[str, dict[str, Any]] = {
    "3x3, odd channels": dict(c=24, size=(9, 9), **K3),
    "3x3, long rows": dict(c=16, size=(3, 61), **K3),
    "5x5, stride 2": dict(c=32, size=(14, 13), kernel=(5, 5), pads=2, stride=2),
    "asymmetric": dict(c=16, size=(11, 11), kernel=(3, 3), pads=(0, 0, 1, 1), stride=2),
    "dilated": dict(c=16, size=(13, 13), kernel=(3, 3), pads=2, dilation=2),
    "unpadded": dict(c=16, size=(7, 7), kernel=(7, 7)),
    "prologue": dict(c=20, size=(7, 7), **K3, prologue=True),
    "heavy epilogue": dict(c=20, size=(7, 7), **K3, epilogue="silu"),
    "residual, batch 2": dict(c=20, size=(7, 7), **K3, residual=True, batch=2),
    "one axis": dict(c=16, size=(13,), kernel=(3,), pads=1),
    "one pixel": dict(c=3, size=(1, 1), **K3),
}


@pytest.mark.parametrize("name", DEPTHWISE)
def test_depthwise(name: str) -> None:
    for target in host_targets():
        arguments = dict(DEPTHWISE[name])
        c = arguments.pop("c")
        lanes = target.vector_bits // 32
        more = dict(groups=c, blocks=(lanes, lanes), target=target)
        check_task(conv_task(ci=c, co=c, **arguments, **more), DepthwiseBlocked())


REFUSALS = [
    (ConvDirect(), dict(ci=16, size=(3, 3), co=16, **K1, level=1), "level 1"),
    (ConvDirect(), dict(ci=16, size=(3, 3), co=16, **K1, batch=0), "empty"),
    (ConvDirect(), dict(ci=16, size=(3, 3, 3), co=16, kernel=(3, 1, 1)), "rank 5"),
    (ConvDirect(), dict(ci=40, size=(3, 3), co=40, **K1, groups=20), "groups"),
    (ConvFirst(), dict(ci=16, size=(3, 3), co=16, **K3), "blocked"),
    (ConvFirst(), dict(ci=9, size=(3, 3), co=16, **K3, blocks=(1, 16)), "9 input channels"),
    (DepthwiseBlocked(), dict(ci=16, size=(3, 3), co=16, **K3), "not depthwise"),
    (DepthwiseBlocked(), dict(ci=8, size=(3, 3), co=8, **K3, groups=8, blocks=(1, 1)), "blocked"),
]


@pytest.mark.parametrize(("template", "arguments", "reason"), REFUSALS)
def test_refusals(template: Any, arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotApplicable, match=reason):
        template.check(conv_task(**arguments, target=BLOCKS_OF_16))


def test_a_weight_that_is_not_constant_is_refused() -> None:
    task = dataclasses.replace(conv_task(16, (3, 3), 16, (1, 1)), constants=())
    with pytest.raises(NotApplicable, match="not a constant"):
        ConvDirect().check(task)


def test_illegal_configs() -> None:
    task = conv_task(16, (7, 7), 16, (3, 3), pads=1, target=BLOCKS_OF_16)
    default = ConvDirect().default(task)
    for change in (dict(inner=3), dict(cols=9), dict(vectors=0), dict(order="x"), dict(rows=8)):
        with pytest.raises(InvalidConfig):
            ConvDirect().build(task, dataclasses.replace(default, **change))


@pytest.mark.parametrize("knob", ["vectors", "rows", "cols", "inner", "chunk", "band", "order"])
def test_every_knob_of_direct_changes_the_code(knob: str) -> None:
    task = conv_task(32, (14, 14), 64, (3, 3), pads=1, target=BLOCKS_OF_16)
    template = ConvDirect()
    config = dataclasses.replace(template.default(task), chunk=0, band=1)
    here = template.build(task, config).functions[0].script()
    others = {"vectors": 1, "rows": 2, "cols": 5, "inner": 4, "chunk": 16, "band": 2}
    flipped = "pixels" if config.order == "features" else "features"
    other = dataclasses.replace(config, **{knob: others.get(knob, flipped)})
    assert template.build(task, other).functions[0].script() != here


def test_defaults_fit_the_registers() -> None:
    """For targets that this machine need not be."""
    for target in TARGETS.values():
        lanes = target.vector_bits // 32
        for size, channels in ((56, 64), (28, 128), (14, 256), (7, 512)):
            task = conv_task(
                channels, (size, size), channels, (3, 3), pads=1, blocks=(lanes, lanes),
                target=target,
            )  # fmt: skip
            config = ConvDirect().default(task)
            tile = config.vectors * config.rows * config.cols
            assert tile + config.vectors + 1 <= target.vector_registers
            assert tile >= 5 * target.fma_ports, "too few chains to hide the latency"


def test_layouts() -> None:
    assert str(layout_of(4, 16)) == "NCHW16c"
    assert layout_of(4, 1) is None
