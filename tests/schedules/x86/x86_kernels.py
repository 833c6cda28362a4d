"""Build one kernel of a task, run it, compare it with the interpreter."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from leip.ir import interpreter
from leip.ir.dtypes import DType
from leip.ir.graph import Graph, Value
from leip.ir.layout import Layout
from leip.ir.ops.conv import ConvAttrs
from leip.ir.ops.matmul import MatmulAttrs
from leip.ir.ops.pool import PoolAttrs
from leip.ir.ops.requantize import RequantizeAttrs
from leip.ir.ops.reshape import ReshapeAttrs
from leip.ir.ops.transpose import TransposeAttrs
from leip.ir.target import Caches, Target
from leip.ir.types import TensorType
from leip.schedules.in_place import prepare
from leip.schedules.task import Task
from leip.schedules.template import Knobs, Template

AVX2 = ("avx", "avx2", "f16c", "fma", "sse4.1", "sse4.2", "ssse3")
AVX512 = (*AVX2, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")
TARGETS = {
    "avx2": Target(
        "llvm", "x86", "x86_64-linux-gnu", "haswell", tuple(sorted(AVX2)), 256, 16,
        Caches(32 << 10, 256 << 10, 2 << 20), 2,
    ),
    "avx512": Target(
        "llvm", "x86", "x86_64-linux-gnu", "skylake-avx512", tuple(sorted(AVX512)), 512, 32,
        Caches(32 << 10, 1 << 20, 1 << 20), 2,
    ),
    "znver4": Target(
        "llvm", "x86", "x86_64-linux-gnu", "znver4", tuple(sorted((*AVX512, "avx512vnni"))),
        512, 32, Caches(32 << 10, 1 << 20, 2 << 20), 1,
    ),
}  # fmt: skip


def host_has(feature: str) -> bool:
    """Whether this machine has an instruction-set feature (LLVM's name)."""
    with open("/proc/cpuinfo") as file:
        flags = next(line for line in file if line.startswith("flags")).split()
    return feature.replace("avx512vnni", "avx512_vnni") in flags


def layout_of(rank: int, block: int) -> Layout | None:
    return Layout.blocked(rank, 1, block) if block > 1 else None


def compile_task(task: Task, template: Template, config: Knobs | None = None) -> tuple[Any, Knobs]:
    """The compiled function and the config it was built with."""
    import tvm

    config = template.default(task) if config is None else config
    positions = template.in_place(task, config)
    lowered, held = prepare(template.build(task, config), positions)
    assert held == positions, "the code is not what the template says"
    target = {"kind": "llvm", "mcpu": task.target.cpu, "mtriple": "x86_64-linux-gnu"}
    module = tvm.IRModule({"main": lowered.functions[0]})
    with tvm.transform.PassContext(config=dict(lowered.pass_config)):
        return tvm.compile(module, target=tvm.target.Target(target)), config


def random_feeds(task: Task, seed: int = 0, scale: float = 1.0) -> list[np.ndarray]:
    """Logical arrays for the body's inputs."""
    rng = np.random.default_rng(seed)
    feeds = []
    for value in task.body.inputs:
        if value.dtype.is_float:
            feeds.append((rng.standard_normal(value.shape) * scale).astype(value.dtype.numpy))
        else:
            info = np.iinfo(value.dtype.numpy)
            feeds.append(
                rng.integers(info.min, info.max, value.shape, value.dtype.numpy, endpoint=True)
            )
    return feeds


def bind_arrays(
    task: Task, template: Template, config: Knobs, feeds: Sequence[np.ndarray]
) -> list[Any]:
    """TVM tensors for all parameters: inputs (packed, laid out) and outputs (poisoned)."""
    import tvm

    packs = template.packs(task, config)
    arrays = []
    for position, (value, feed) in enumerate(zip(task.body.inputs, feeds, strict=True)):
        if position in packs:
            array = packs[position].apply(feed)
            assert array.shape == packs[position].type.shape
            assert array.dtype == packs[position].type.dtype.numpy
        else:
            array = value.layout.to_physical(feed) if value.layout else feed
        arrays.append(np.ascontiguousarray(array))
    for value in task.body.outputs:
        poison = np.nan if value.dtype.is_float else 77
        arrays.append(np.full(value.type.physical_shape, poison, value.dtype.numpy))
    return [tvm.runtime.tensor(array) for array in arrays]


def run_task(
    task: Task, template: Template, config: Knobs | None = None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """(got, expected), both logical; fails if a pad lane of the output is not zero.

    Fails too if another result is left where an operand stands whose memory it may take.
    """
    library, config = compile_task(task, template, config)
    feeds = random_feeds(task, seed)
    tensors = bind_arrays(task, template, config, feeds)
    library["main"](*tensors)
    value = task.body.outputs[0]
    stored = tensors[-1].numpy()
    for position in template.in_place(task, config):
        shared = bind_arrays(task, template, config, feeds)
        shared[-1] = shared[position]
        library["main"](*shared)
        assert shared[-1].numpy().tobytes() == stored.tobytes(), f"not in place of {position}"
    got = stored
    if value.layout is not None:
        got = value.layout.to_logical(stored, value.shape)
        again = value.layout.to_physical(got)
        assert np.array_equal(again, stored), "pad lanes are not zero"
    names = task.body.input_names
    expected = interpreter.run(task.body, dict(zip(names, feeds, strict=True)))
    return got, next(iter(expected.values()))


def check_task(task: Task, template: Template, config: Knobs | None = None) -> None:
    """Numbers of a template against the interpreter."""
    template.check(task)
    got, expected = run_task(task, template, config)
    if expected.dtype.kind != "f":
        assert np.array_equal(got, expected)
        return
    assert np.isfinite(got).all(), f"{np.isnan(got).sum()} values are NaN"
    error = np.abs(got - expected).max() / max(np.abs(expected).max(), 1e-6)
    assert error < 2e-5, f"relative error {error:.2e}"


def conv_task(
    ci: int,
    size: tuple[int, ...],
    co: int,
    kernel: tuple[int, ...],
    *,
    stride: int = 1,
    pads: tuple[int, ...] | int = 0,
    dilation: int = 1,
    groups: int = 1,
    batch: int = 1,
    blocks: tuple[int, int] = (16, 16),
    epilogue: str = "relu",
    prologue: bool = False,
    residual: bool = False,
    maps: bool = False,
    target: Target | None = None,
    level: int = 3,
    threads: int = 2,
) -> Task:
    """A conv with bias; `blocks` are the channel blocks of input and output (1 is plain).

    `maps` adds summands that have no batch axis, a constant one for all channels and a variable one
    for all pixels.
    """
    rank = len(size) + 2
    n = len(size)
    pads = (pads,) * (2 * n) if isinstance(pads, int) else pads
    graph = Graph("body")
    x = graph.add_input("x", TensorType(DType.F32, (batch, ci, *size), layout_of(rank, blocks[0])))
    w = graph.add_input("w", TensorType(DType.F32, (co, ci // groups, *kernel)))
    b = graph.add_input("b", TensorType(DType.F32, (co, *(1,) * n)))
    constants = [1, 2]
    data = x
    if prologue:
        scale = graph.add_input("s", TensorType(DType.F32, (ci, *(1,) * n)))
        constants.append(len(graph.inputs) - 1)
        data = graph.op("relu", graph.op("mul", x, scale))
    attrs = ConvAttrs((stride,) * n, pads, (dilation,) * n, groups)
    y = graph.op("conv", data, w, attrs=attrs)
    layout = layout_of(rank, blocks[1])
    y = graph.op("add", y, b)
    if residual:
        r = graph.add_input("r", TensorType(DType.F32, y.shape, layout))
        y = graph.op("add", y, r)
    if maps:
        m = graph.add_input("m", TensorType(DType.F32, y.shape[1:]))
        constants.append(len(graph.inputs) - 1)
        p = graph.add_input("p", TensorType(DType.F32, (1, *y.shape[2:])))
        y = graph.op("add", graph.op("add", y, m), p)
    y = graph.op(epilogue, y)
    return finish_task(graph, y, layout, target, threads, level, tuple(constants))


def finish_task(
    graph: Graph,
    output: Value,
    layout: Layout | None,
    target: Target | None,
    threads: int,
    level: int,
    constants: tuple[int, ...],
) -> Task:
    """Give the output its layout and make the task."""
    output.type = dataclasses.replace(output.type, layout=layout)
    graph.set_outputs([output], ["y"])
    return Task(graph, target or host_target(), threads, level, constants)


def host_target() -> Target:
    return TARGETS["znver4" if host_has("avx512f") else "avx2"]


def host_targets() -> list[Target]:
    """Targets that this machine can run."""
    return [TARGETS["avx2"], *([TARGETS["znver4"]] if host_has("avx512f") else [])]


def matmul_task(
    a: tuple[int, ...],
    b: tuple[int, ...],
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    constant: bool = True,
    bias: bool = True,
    residual: bool = False,
    epilogue: str = "",
    prologue: bool = False,
    perm: tuple[int, ...] = (),
    merge: bool = False,
    target: Target | None = None,
    level: int = 3,
) -> Task:
    """A matrix product, its right operand constant or not, perhaps transposed at the end."""
    graph = Graph("body")
    x = graph.add_input("a", TensorType(DType.F32, a))
    w = graph.add_input("b", TensorType(DType.F32, b))
    constants = [1] if constant else []
    data = graph.op("relu", x) if prologue else x
    y = graph.op("matmul", data, w, attrs=MatmulAttrs(transpose_a, transpose_b))
    if bias:
        value = graph.add_input("bias", TensorType(DType.F32, y.shape[-1:]))
        constants.append(len(graph.inputs) - 1)
        y = graph.op("add", y, value)
    if residual:
        y = graph.op("add", y, graph.add_input("r", y.type))
    if epilogue:
        y = graph.op(epilogue, y)
    if perm:
        y = graph.op("transpose", y, attrs=TransposeAttrs(perm))
    if merge:
        y = graph.op("reshape", y, attrs=ReshapeAttrs((0,) * (y.rank - 2) + (-1,)))
    return finish_task(graph, y, None, target, 2, level, tuple(constants))


def pool_task(
    op: str,
    channels: int,
    size: tuple[int, ...],
    kernel: int,
    stride: int,
    pads: int | tuple[int, ...] = 0,
    *,
    block: int = 16,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    dilation: int = 1,
    epilogue: str = "",
    target: Target | None = None,
) -> Task:
    """A pooling kernel of a square window."""
    n = len(size)
    graph = Graph("body")
    layout = layout_of(n + 2, block)
    x = graph.add_input("x", TensorType(DType.F32, (2, channels, *size), layout))
    pads = (pads,) * (2 * n) if isinstance(pads, int) else pads
    attrs = PoolAttrs(
        (kernel,) * n, (stride,) * n, pads, (dilation,) * n, ceil_mode, count_include_pad
    )
    y = graph.op(op, x, attrs=attrs)
    if epilogue:
        y = graph.op(epilogue, y)
    return finish_task(graph, y, layout, target, 2, 3, ())


def int8_task(
    ci: int, size: tuple[int, ...], co: int, *, target: Target | None = None, stride: int = 1
) -> Task:
    """u8 image * s8 1x1 filters + i32 bias, requantized to u8; blocks of 16."""
    n = len(size)
    layout = layout_of(n + 2, 16)
    graph = Graph("body")
    x = graph.add_input("x", TensorType(DType.U8, (1, ci, *size), layout))
    w = graph.add_input("w", TensorType(DType.I8, (co, ci, *(1,) * n)))
    b = graph.add_input("b", TensorType(DType.I32, (co, *(1,) * n)))
    s = graph.add_input("s", TensorType(DType.F32, (co, *(1,) * n)))
    y = graph.op("conv", x, w, attrs=ConvAttrs((stride,) * n, (0,) * (2 * n), (1,) * n))
    y = graph.op("add", y, b)
    y = graph.op("requantize", y, s, attrs=RequantizeAttrs(3, DType.U8))
    return finish_task(graph, y, layout, target or TARGETS["znver4"], 2, 3, (1, 2, 3))
