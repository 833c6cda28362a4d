"""The least time that a model can take on a machine.

    floor = sum over convolutions and matrix products of
            max(flops / peak, weight bytes / bandwidth)

Weight bytes count only where the model's weights do not stay in the last-level cache.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HEAVY = ("conv", "conv_transpose", "matmul")


@dataclass(frozen=True)
class Work:
    """One convolution or matrix product."""

    flops: int
    weight_bytes: int


def work_of(model: Path) -> list[Work]:
    """The heavy work of a model, after leip's passes have folded what can be folded."""
    from leip import resolve_target
    from leip.driver.compiling import make_pipeline
    from leip.driver.files import read_graph
    from leip.passes.manager import PassManager

    steps = make_pipeline(2, resolve_target("llvm"), "", threads=1)
    graph = PassManager(steps).run(read_graph(model, {}))
    work = []
    for kernel in graph.nodes():
        if kernel.op != "kernel":
            continue
        body = kernel.attrs.body  # type: ignore[attr-defined]
        outer = dict(zip(body.inputs, kernel.inputs, strict=True))
        for node in body.nodes():
            if node.op in HEAVY:
                weight = outer.get(node.inputs[1])
                constant = weight is not None and weight.is_constant
                work.append(Work(node.flops, weight.type.nbytes if constant else 0))
    return work


def floor_seconds(work: Iterable[Work], gflops: float, gigabytes: float, cache_bytes: int) -> float:
    """The least time in seconds at a peak in Gflop/s and a bandwidth in GB/s."""
    work = list(work)
    stays = sum(one.weight_bytes for one in work) <= cache_bytes
    return sum(
        max(one.flops / gflops, 0.0 if stays else one.weight_bytes / gigabytes) / 1e9
        for one in work
    )
