"""A small graph of kernels and the way to build it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leip.codegen.build import BuildOptions, BuildResult, build_object
from leip.codegen.cache import KernelCache, default_folder
from leip.codegen.kernel_build import WorkerPool
from leip.codegen.resolver import resolve
from leip.ir import Graph, parse_graph, verify
from leip.ir.target import Target

# Everything that a plan must cope with: constants (inline and packed or not), a reshape between
# kernels, a kernel with two results, an output that others read, outputs that are no kernel's.
NET = """graph "net" (%x: f32[4,16], %z: f32[4,16]) {
  %w = constant {value=VALUES} : f32[16]
  %a = kernel(%x, %w) body(%p: f32[4,16], %q: f32[16]) {
    %s = add(%p, %q) : f32[4,16]
    %r = relu(%s) : f32[4,16]
    return %r
  } : f32[4,16] from "Relu_0"
  %v = reshape(%a) {shape=[8,8]} : f32[8,8]
  %b = kernel(%v) body(%p: f32[8,8]) {
    %s = reduce_sum(%p) {axes=[1]} : f32[8,1]
    return %s
  } : f32[8,1]
  %c, %h = kernel(%a, %z) body(%p: f32[4,16], %q: f32[4,16]) {
    %s = mul(%p, %q) : f32[4,16]
    %t = sub(%p, %q) : f32[4,16]
    return %s, %t
  } : f32[4,16], f32[4,16]
  %e = kernel(%h) body(%p: f32[4,16]) {
    %t = neg(%p) : f32[4,16]
    return %t
  } : f32[4,16]
  %d = reshape(%c) {shape=[64]} : f32[64]
  return %b "sum/out", %d, %a, %e, %w "weights", %x "same", %v
}
""".replace("VALUES", str([float((-1) ** i * i) for i in range(16)]))

Build = Callable[..., BuildResult]


@pytest.fixture(scope="session")
def host() -> Target:
    return resolve("llvm")


@pytest.fixture
def net() -> Graph:
    graph = parse_graph(NET)
    verify(graph)
    return graph


@pytest.fixture(scope="session")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(2) as workers:
        yield workers


@pytest.fixture
def build(host: Target, pool: WorkerPool, tmp_path: Path) -> Build:
    """`build(graph, folder=…, **options)` for this machine, two threads."""

    def run(graph: Graph, folder: Path | None = None, **options: object) -> BuildResult:
        chosen = BuildOptions(**{"target": host, "threads": 2, **options})  # type: ignore[arg-type]
        where = folder or tmp_path / "built"
        where.mkdir(exist_ok=True)
        cache = KernelCache(default_folder())
        return build_object(graph, chosen, where, pool=pool, cache=cache)

    return run
