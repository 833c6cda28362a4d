"""Attention as one kernel: sizes, masks, blocks of keys, both instruction sets."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from kernels import avx2_host, build, expected, host, one_op, spread, task_of
from x86_kernels import TARGETS, host_has

from leip.ir import DType, Graph, TensorType, Value
from leip.ir.ops import MatmulAttrs, SliceAttrs, SoftmaxAttrs, TransposeAttrs
from leip.ir.target import Target
from leip.schedules.select import select
from leip.schedules.task import Task
from leip.schedules.template import InvalidConfig, NotApplicable
from leip.schedules.x86.attention import AttentionConfig as Config
from leip.schedules.x86.attention import AttentionTemplate

TEMPLATE = AttentionTemplate()
HEADS = TransposeAttrs((0, 2, 1, 3))


def f32(*shape: int) -> TensorType:
    return TensorType(DType.F32, shape)


def attend(g: Graph, q: Value, k: Value, v: Value, *masks: Value, form: str = "rows") -> Value:
    """softmax(q @ k * 0.125 + masks) @ v"""
    scores = g.op("matmul", q, k, attrs=MatmulAttrs(transpose_b=form == "rows"))
    scores = g.op("mul", scores, g.add_constant(np.float32(0.125)))
    for mask in masks:
        if mask.dtype.is_bool:
            scores = g.op("where", mask, scores, g.add_constant(np.float32(-np.inf)))
        else:
            scores = g.op("add", scores, mask)
    return g.op("matmul", g.op("softmax", scores, attrs=SoftmaxAttrs(-1)), v)


def heads(
    batch: int,
    count: int,
    rows: int,
    keys: int,
    depth: int,
    width: int,
    *masks: TensorType,
    constants: tuple[int, ...] = (),
    target: Target | None = None,
    threads: int = 2,
) -> Task:
    """Operands [batch, tokens, heads, size], as projections give them, and the result likewise."""
    g = Graph("body")
    q = g.add_input("q", f32(batch, rows, count, depth))
    k = g.add_input("k", f32(batch, keys, count, depth))
    v = g.add_input("v", f32(batch, keys, count, width))
    more = [g.add_input(f"m{i}", type) for i, type in enumerate(masks)]
    moved = [g.op("transpose", x, attrs=HEADS) for x in (q, k, v)]
    g.set_outputs([g.op("transpose", attend(g, *moved, *more), attrs=HEADS)])
    return task_of(g, constants=constants, target=target, threads=threads)


def feeds(task: Task, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    arrays = []
    for value in task.body.inputs:
        if value.dtype.is_bool:
            array = rng.random(value.shape) < 0.7
            array[..., 0] = True
        else:
            array = rng.standard_normal(value.shape)
        arrays.append(array.astype(value.dtype.numpy))
    return arrays


def close(got: np.ndarray, wanted: np.ndarray) -> None:
    """Softmax is within [0, 1]: errors are those of sums of as many terms as there are keys."""
    np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-5, equal_nan=True)


def check(task: Task, *configs: Config | None, arrays: list[np.ndarray] | None = None) -> None:
    arrays = feeds(task) if arrays is None else arrays
    with np.errstate(invalid="ignore"):
        (wanted,) = expected(task, arrays)
    for config in configs or (None,):
        (kernel,) = build([task], TEMPLATE, [config])
        close(kernel.run(arrays)[0], wanted)


SIZES = [
    (1, 2, 128, 128, 64, 64),
    (1, 3, 197, 197, 64, 64),
    (2, 3, 17, 33, 16, 16),
    (1, 1, 1, 1, 1, 1),
    (1, 1, 1, 40, 64, 64),
    (3, 2, 5, 7, 3, 5),
    (1, 2, 12, 16, 72, 40),
    (1, 1, 50, 15, 20, 24),
    (2, 1, 9, 31, 96, 129),
]


@pytest.mark.parametrize("isa", ("host", "avx2"))
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_sizes(size: tuple[int, ...], isa: str) -> None:
    check(heads(*size, target=avx2_host() if isa == "avx2" else host()))  # type: ignore[arg-type]


MASKS = {
    "keys": f32(2, 1, 1, 37),
    "rows and keys": f32(1, 1, 21, 37),
    "all": f32(2, 3, 21, 37),
    "heads and keys": f32(3, 1, 37),
    "one per row": f32(21, 1),
    "truth values": TensorType(DType.BOOL, (2, 1, 21, 37)),
}


@pytest.mark.parametrize("isa", ("host", "avx2"))
@pytest.mark.parametrize("mask", MASKS)
def test_masks(mask: str, isa: str) -> None:
    target = avx2_host() if isa == "avx2" else host()
    task = heads(2, 3, 21, 37, 32, 32, MASKS[mask], target=target)
    check(task, None, Config(block=16, rows=4, key_vectors=1))


def test_two_masks() -> None:
    check(heads(2, 2, 10, 20, 16, 16, MASKS["one per row"].with_(shape=(10, 1)), f32(20)))


@pytest.mark.parametrize("block", (0, 32))
def test_causal(block: int) -> None:
    """A constant mask of -inf above the diagonal: the first rows have few keys."""
    task = heads(1, 2, 70, 70, 32, 32, f32(70, 70), constants=(3,))
    arrays = feeds(task)
    arrays[3] = np.triu(np.full((70, 70), -np.inf, np.float32), 1)
    check(task, Config(block=block), arrays=arrays)


@pytest.mark.parametrize("block", (0, 32))
def test_ends_of_the_numbers(block: int) -> None:
    """Rows that are masked throughout are NaN, as softmax says; so are rows with NaN or +inf."""
    task = heads(1, 1, 40, 70, 32, 32, f32(40, 70))
    arrays = feeds(task)
    mask = arrays[3]
    mask[0] = -np.inf
    mask[1, :69] = -np.inf  # one key is left, in the last block
    mask[2, 1:] = -np.inf  # one in the first
    mask[3] = np.finfo(np.float32).min  # what models write who fear -inf
    mask[4, 50], mask[5, 3], mask[6, 69] = np.nan, np.inf, np.nan
    mask[7, :40], mask[8, 40:] = 1e4, -1e4  # far apart
    mask[9], mask[10] = 1e30, -1e30
    with np.errstate(invalid="ignore"):
        (wanted,) = expected(task, arrays)
    bad = np.isnan(wanted).all(axis=(0, 2, 3))
    assert list(np.flatnonzero(bad)) == [0, 4, 5, 6]
    check(task, Config(block=block), arrays=arrays)


@pytest.mark.parametrize("isa", ("host", "avx2"))
def test_long_sequences(isa: str) -> None:
    """Scores are stored by blocks: temporary memory grows with the keys, not with their square."""
    target = avx2_host() if isa == "avx2" else host()
    task = heads(1, 2, 300, 2500, 32, 48, f32(1, 1, 1, 2500), target=target)
    config = TEMPLATE.default(task)
    assert isinstance(config, Config) and config.block
    packed = 2500 * (32 + 48) * 4
    assert TEMPLATE.build(task, config).workspace < packed + 300_000 < 300 * 2500 * 4
    check(task)


@pytest.mark.parametrize("rows", (40, 197, 300, 500))
def test_groups_of_strips_are_equal(rows: int) -> None:
    """No strip is computed again because a group had room for it."""
    config = TEMPLATE.default(heads(1, 2, rows, 2500, 32, 48))
    assert isinstance(config, Config) and config.block
    strips = -(-rows // config.rows)
    groups = -(-strips // config.strips)
    assert groups * config.strips - strips < groups


def test_configs() -> None:
    task = heads(1, 3, 29, 83, 24, 40)
    default = TEMPLATE.default(task)
    assert default == next(iter(TEMPLATE.space(task)))
    check(task, *spread(list(TEMPLATE.space(task)), 3), Config(5, 2, 1, 48, 3, 2), Config(bands=5))


@pytest.mark.parametrize(
    "config", (Config(rows=0), Config(rows=30), Config(block=10), Config(12, 8, 8), Config(bands=0))
)
def test_invalid_configs(config: Config) -> None:
    with pytest.raises(InvalidConfig):
        TEMPLATE.build(heads(1, 1, 29, 29, 16, 16), config)


@pytest.mark.parametrize("threads", (1, 2, 3))
def test_threads(threads: int) -> None:
    """One head for several threads: its rows are cut."""
    task = heads(1, 1, 200, 64, 64, 64, threads=threads)
    config = TEMPLATE.default(task)
    assert isinstance(config, Config) and config.bands == threads
    check(task)


def test_keys_by_columns() -> None:
    """k as [depth, keys], which needs no transposition, with batches that broadcast."""
    for keys in (48, 37):
        g = Graph("body")
        q = g.add_input("q", f32(2, 3, 11, 16))
        k = g.add_input("k", f32(3, 16, keys))
        v = g.add_input("v", f32(1, 1, keys, 16))
        g.set_outputs([attend(g, q, k, v, form="columns")])
        check(task_of(g))


def test_slices_and_two_axes() -> None:
    """A third each of one projection, as in ViT, without an axis of batches."""
    g = Graph("body")
    x = g.add_input("x", f32(20, 9, 16))
    parts = []
    for i in range(3):
        one = g.op("slice", x, attrs=SliceAttrs((1,), (3 * i,), (3 * i + 3,), (1,)))
        parts.append(g.op("transpose", one, attrs=TransposeAttrs((1, 0, 2))))
    y = g.op("transpose", attend(g, *parts), attrs=TransposeAttrs((1, 0, 2)))
    g.set_outputs([y])
    check(task_of(g))
    g = Graph("body")
    g.set_outputs([attend(g, *(g.add_input(name, f32(18, 32)) for name in "qkv"))])
    check(task_of(g))


@pytest.mark.parametrize("name", TARGETS)
def test_registers(name: str) -> None:
    """The default's tiles fit the registers that a target has."""
    target = TARGETS[name]
    config = TEMPLATE.default(heads(1, 12, 128, 128, 64, 64, target=target))
    assert isinstance(config, Config)
    wide = max(config.key_vectors, config.value_vectors)
    assert config.rows * wide + wide + 1 <= target.vector_registers
    if name != "avx2" and not host_has("avx512f"):
        return
    TEMPLATE.build(heads(1, 12, 128, 128, 64, 64, target=target), config)


def test_chosen() -> None:
    assert select(heads(1, 2, 16, 16, 8, 8)).template.name == TEMPLATE.name


def refused(make: str) -> Task:
    g = Graph("body")
    q, k, v = (g.add_input(name, f32(2, 8, 8)) for name in "qkv")
    if make == "another axis":
        scores = g.op("matmul", q, k)
        out = g.op("matmul", g.op("softmax", scores, attrs=SoftmaxAttrs(1)), v)
    elif make == "values are transposed":
        scores = g.op("matmul", q, k)
        attrs = MatmulAttrs(transpose_b=True)
        out = g.op("matmul", g.op("softmax", scores, attrs=SoftmaxAttrs(-1)), v, attrs=attrs)
    elif make == "relu after":
        out = g.op("relu", attend(g, q, k, v))
    elif make == "made by relu":
        out = attend(g, g.op("relu", q), k, v)
    elif make == "by columns":
        out = g.op("transpose", attend(g, q, k, v), attrs=TransposeAttrs((0, 2, 1)))
    else:
        return task_of(one_op("matmul", MatmulAttrs(), [f32(8, 8), f32(8, 8)]))
    g.set_outputs([out])
    return task_of(g)


@pytest.mark.parametrize(
    "reason",
    (
        "another axis",
        "values are transposed",
        "relu after",
        "made by relu",
        "by columns",
        "not a softmax",
    ),
)
def test_refused(reason: str) -> None:
    with pytest.raises(NotApplicable, match=reason):
        TEMPLATE.check(refused(reason))
