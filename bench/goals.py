"""What a model's time is measured against: the machine's limit and the best peer.

    floor  = sum over convolutions and matrix products of
             max(flops / peak, weight bytes / bandwidth)
    target = min(best peer, max(0.72 * best peer, floor / 0.93))

Weight bytes count only where the model's weights do not stay in the last-level cache.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

PEER_SHARE = 0.72
PEAK_SHARE = 0.93
NOISE = 0.03  # below, the median ratio of blocks decides
HEAVY = ("conv", "conv_transpose", "matmul")


@dataclass(frozen=True)
class Work:
    """One convolution or matrix product."""

    flops: int
    weight_bytes: int


def work_of(model: Path) -> list[Work]:
    """The heavy work of a model, after leip's passes have folded what can be folded."""
    from leip.driver.compiling import make_pipeline, resolve
    from leip.driver.files import read_graph
    from leip.passes.manager import PassManager

    graph = PassManager(make_pipeline(2, resolve("llvm"), None)).run(read_graph(model, {}))
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


def floor(work: Iterable[Work], gflops: float, gigabytes: float, cache_bytes: int) -> float:
    """The least time in seconds at the machine's peak."""
    work = list(work)
    stays = sum(one.weight_bytes for one in work) <= cache_bytes
    return sum(
        max(one.flops / gflops, 0.0 if stays else one.weight_bytes / gigabytes) / 1e9
        for one in work
    )


def target(best_peer: float, least: float) -> float:
    """The time to reach, in the unit of its arguments."""
    return min(best_peer, max(PEER_SHARE * best_peer, least / PEAK_SHARE))


def geometric_mean(values: Sequence[float]) -> float:
    """Of positive values; 1 of none."""
    return math.exp(statistics.fmean(math.log(value) for value in values)) if values else 1.0


def median_ratio(mine: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> float:
    """The median over blocks of (fastest of mine / fastest of others)."""
    return statistics.median(min(a) / min(b) for a, b in zip(mine, others, strict=True))


def verdict(mine: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> float:
    """The ratio of two runners' times: of minima, or of blocks where that is within the noise."""
    ratio = min(map(min, mine)) / min(map(min, others))
    return median_ratio(mine, others) if abs(ratio - 1) < NOISE else ratio
