from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from leip.codegen.build import BuildOptions, BuildResult, build_object
from leip.codegen.cache import KernelCache
from leip.codegen.elf import read_elf
from leip.codegen.kernel_build import WorkerPool
from leip.codegen.measure import bench_kernel
from leip.codegen.plan import Place
from leip.codegen.resolver import resolve
from leip.codegen.schema import ModelFacts, to_json
from leip.codegen.toolchain import find_toolchain
from leip.codegen.verify import verify_object
from leip.errors import BuildError, MismatchError
from leip.ir import DType, Graph, TensorType, parse_graph
from leip.ir.interpreter import run
from leip.ir.structure import KernelAttrs
from leip.ir.target import Target
from leip.runtime import load
from leip.runtime.lre import read_tail
from leip.schedules.task import Task

Build = Callable[..., BuildResult]


@pytest.mark.parametrize("level", [1, 3])
def test_a_graph_becomes_an_object(build: Build, net: Graph, level: int) -> None:
    result = build(net, level=level)
    rng = np.random.default_rng(0)
    feeds = {name: rng.standard_normal((4, 16), dtype=np.float32) for name in ("x", "z")}
    wanted = run(net, feeds)
    with load(str(result.library)) as engine:
        assert engine.output_names == ["sum/out", "d", "a", "e", "weights", "same", "v"]
        got = engine.infer(feeds)
    for name, array in wanted.items():
        np.testing.assert_allclose(got[name], array, rtol=1e-5, atol=1e-4, err_msg=name)
    assert verify_object(result.library, net, result.plan, level=level, every_kernel=True).ok
    kernel = next(node for node in net.nodes() if node.op == "kernel")
    assert isinstance(kernel.attrs, KernelAttrs)
    assert kernel.attrs.template and kernel.attrs.why


@pytest.mark.parametrize("level", [1, 3])
@pytest.mark.parametrize("offset", [8, 16])
def test_big_inputs_are_read_where_they_stand(build: Build, level: int, offset: int) -> None:
    """Those at multiples of 16 bytes are not copied, so kernels must take them so."""
    graph = parse_graph(
        """graph "net" (%a: f32[40,150], %b: f32[150,101]) {
      %y = kernel(%a, %b) body(%p: f32[40,150], %q: f32[150,101]) {
        %m = matmul(%p, %q) : f32[40,101]
        return %m
      } : f32[40,101]
      return %y
    }"""
    )
    result = build(graph, level=level)
    rng = np.random.default_rng(0)
    feeds = {}
    for name, shape in (("a", (40, 150)), ("b", (150, 101))):
        raw = np.zeros(shape[0] * shape[1] + 16, np.float32)
        start = (offset - raw.ctypes.data) % 64 // 4  # behind a cache line's first
        feeds[name] = raw[start : start + shape[0] * shape[1]].reshape(shape)
        feeds[name][...] = rng.standard_normal(shape)
        assert feeds[name].ctypes.data % 64 == offset
    with load(str(result.library)) as engine:
        got = engine.infer(feeds)
    np.testing.assert_allclose(got["y"], feeds["a"] @ feeds["b"], rtol=1e-4, atol=1e-4)


def test_the_fence(build: Build, net: Graph) -> None:
    result = build(net)
    facts = read_elf(result.library)
    assert all(name.startswith("lre_") for name in facts.exports) and facts.exports
    assert all(name.startswith(("libc.", "libm.", "libpthread.", "ld-")) for name in facts.needed)
    assert facts.glibc.startswith("2.")
    # no code of a kernel runs when the object is loaded, before its CPU is checked
    assert facts.sections.get(".init_array", 0) <= 8 and ".leip_unusd" not in facts.sections
    shown = subprocess.run(["nm", "-D", "--defined-only", result.library], capture_output=True)
    if shown.returncode == 0:
        names = [line.split()[-1] for line in shown.stdout.decode().splitlines()]
        assert sorted(names) == sorted(facts.exports)


def test_same_input_same_bytes(host: Target, net: Graph, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from leip.codegen.build import BuildOptions, build_object\n"
        "from leip.codegen.kernel_build import WorkerPool\n"
        "from leip.ir import parse_graph\n"
        "from leip.ir.target import Target\n"
        "text, target, folder = sys.argv[1:]\n"
        "options = BuildOptions(Target.parse(target), 2, crc=True)\n"
        "build_object(parse_graph(text), options, Path(folder), pool=WorkerPool(0))"
    )
    from leip.ir import print_graph

    processes = []
    for seed in ("1", "4242"):
        (tmp_path / seed).mkdir()
        arguments = [print_graph(net), str(host), str(tmp_path / seed)]
        env = {**os.environ, "PYTHONHASHSEED": seed}
        processes.append(subprocess.Popen([sys.executable, "-c", code, *arguments], env=env))
    assert [process.wait() for process in processes] == [0, 0]
    first, second = ((tmp_path / seed / "modelLibrary.so").read_bytes() for seed in ("1", "4242"))
    assert first == second


def test_schema(build: Build, net: Graph, host: Target) -> None:
    facts = ModelFacts("hash", "options", max_ids={"x": 9}, layouts={"z": "NHWC"})
    result = build(net, model=facts, crc=True)
    with load(str(result.library), crc_check=True) as engine:
        inside = engine.get_metadata()
        assert engine.model_precision == "float32"
        assert engine.build_id == result.build_id == inside["build_id"]
    assert inside == json.loads(json.dumps(result.schema))
    assert inside["inputs"][0] == {"name": "x", "shape": [4, 16], "dtype": "float32", "max_id": 9}
    assert inside["inputs"][1]["layout"] == "NHWC"
    assert '"shape": [4, 16],' in to_json(result.schema)
    assert inside["glibc"] == result.elf.glibc
    assert inside["target"]["cpu"] == host.cpu
    assert len(inside["kernels"]) == len(result.plan.steps)
    assert len(inside["weights_crc32"]) == 8 and "date" not in inside
    other = build(net, model=dataclasses.replace(facts, options="other"), crc=True)
    assert other.model_id != result.model_id and other.build_id != result.build_id
    given = build(net, model=dataclasses.replace(facts, model_id="mine"))
    assert given.model_id == "mine" and "weights_crc32" not in given.schema


def test_the_plan_uses_views_and_the_callers_memory(build: Build, net: Graph) -> None:
    plan = build(net).plan
    places = [buffer.place for buffer in plan.buffers]
    assert places.count(Place.ARENA) == 1  # only %h: every other result is an output
    assert [step.entry == "" for step in plan.steps] == [False] * 4 + [True] * 3
    first = plan.steps[0]
    assert plan.buffers[first.outputs[0].buffer].place is Place.OUTPUT
    assert plan.steps[1].inputs[0].shape == (8, 8)


def test_constants_are_stored_once(build: Build) -> None:
    graph = Graph("twice")
    x = graph.add_input("x", TensorType(DType.F32, (64,)))
    values = np.arange(64, dtype=np.float32)
    for op in ("add", "mul"):
        region = Graph("")
        left, right = (region.add_input(name, x.type) for name in "pq")
        region.set_outputs([region.op(op, left, right)])
        constant = graph.add_constant(values.copy())
        x = graph.op("kernel", x, constant, attrs=KernelAttrs(region))
    graph.set_outputs([x], ["y"])
    result = build(graph)
    assert result.weights_bytes == 256


def test_tables_stand_behind_what_is_read_whole(build: Build) -> None:
    """A table of which rows are picked is last, whatever the order of use; not when it is added."""
    graph = parse_graph(
        """graph "net" (%i: i64[2]) {
      %t = constant {value=TABLE} : f32[8,16]
      %w = constant {value=ROW} : f32[16]
      %a = kernel(%t, %i) body(%p: f32[8,16], %q: i64[2]) {
        %g = gather(%p, %q) {axis=0} : f32[2,16]
        return %g
      } : f32[2,16]
      %b = kernel(%a, %w) body(%p: f32[2,16], %q: f32[16]) {
        %s = add(%p, %q) : f32[2,16]
        return %s
      } : f32[2,16]
      return %b
    }
    """.replace("TABLE", str(np.arange(128.0).reshape(8, 16).tolist())).replace(
            "ROW", str(np.full(16, 0.5).tolist())
        )
    )
    result = build(graph)
    plan = result.plan
    weights = {
        buffer.bytes: buffer.offset for buffer in plan.buffers if buffer.place is Place.WEIGHTS
    }
    assert weights == {64: 0, 512: 64} and plan.dense_bytes == 64
    with load(result.library) as engine:
        (rows,) = engine.infer(np.array([7, 1])).values()
    np.testing.assert_array_equal(rows, np.arange(128.0).reshape(8, 16)[[7, 1]] + 0.5)


def test_verify_names_the_first_wrong_kernel(build: Build, net: Graph) -> None:
    result = build(net)
    wrong = [node for node in net.nodes() if node.op == "kernel"][2]
    assert isinstance(wrong.attrs, KernelAttrs)
    body = parse_graph(
        'graph "" (%p: f32[4,16], %q: f32[4,16]) {\n  %s = mul(%p, %q) : f32[4,16]\n'
        "  %t = add(%p, %q) : f32[4,16]\n  return %s, %t\n}\n"
    )
    wrong.attrs = dataclasses.replace(wrong.attrs, body=body)
    report = verify_object(result.library, net, result.plan, level=3)
    assert not report.ok and report.node is wrong
    with pytest.raises(MismatchError, match=r"first kernel that differs is mul_sub_2 \(%c,"):
        report.check()


def test_a_graph_that_is_no_graph_of_kernels(build: Build) -> None:
    graph = parse_graph('graph "g" (%x: f32[4]) {\n  %y = relu(%x) : f32[4]\n  return %y\n}\n')
    with pytest.raises(BuildError, match="stands outside"):
        build(graph)


def test_one_kernel_measured(host: Target, pool: WorkerPool) -> None:
    body = parse_graph(
        'graph "task" (%x: f32[64,64], %w: f32[64]) {\n  %y = mul(%x, %w) : f32[64,64]\n'
        "  return %y\n}\n"
    )
    figures = bench_kernel(Task(body, host, 1, 3, (1,)), pool=pool)
    assert figures.error <= figures.allowed
    assert figures.seconds > 0 and figures.flops == 4096 and figures.why
    assert figures.cold_seconds > 0


def test_an_object_for_another_machine(net: Graph, tmp_path: Path, pool: WorkerPool) -> None:
    target = resolve("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72")
    try:
        find_toolchain(target.triple)
    except BuildError as error:
        pytest.skip(error.message)
    cache = KernelCache(tmp_path / "cache")
    result = build_object(net, BuildOptions(target, 2), tmp_path, pool=pool, cache=cache)
    raw = result.library.read_bytes()
    assert raw[18] == 183  # aarch64
    facts = read_elf(result.library)
    assert all(name.startswith("lre_") for name in facts.exports)
    assert facts.sections.get(".init_array", 0) <= 8 and ".leip_unusd" not in facts.sections
    assert tuple(map(int, result.elf.glibc.split("."))) <= (2, 28)
    with result.library.open("rb") as file, pytest.raises(ValueError, match="aarch64"):
        read_tail(file.fileno(), "it")
