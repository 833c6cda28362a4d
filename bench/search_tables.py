"""Twelve kernels whose whole spaces are measured once, and kept as tables to replay searches on.

    python bench/search_tables.py [--seconds N] [--only NAME …]

measures what is not measured yet, for N seconds or until all is done, then the best points of each
kernel a second time. A table (bench/results/search/NAME.json) holds the space as it was: knobs,
modelled costs and measured times, so replaying depends on no template and no machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from leip.search.knob_space import TableSpace
from leip.search.measurer import Trial
from leip.search.record import Config, Status

FOLDER = Path(__file__).parent / "results" / "search"
AVX2 = "llvm -mcpu=haswell"
THREADS = 2
BATCH = 8
AGAIN = 1.15  # of the best time: points that are measured twice


def conv(
    image: str, weight: str, output: str, strides: int = 1, pad: int = 0, groups: int = 1
) -> str:
    """The body of a convolution with bias and relu."""
    layout = output.partition("@")[2]
    features = weight.partition("[")[2].partition(",")[0]
    plain = output.partition("@")[0]
    grouped = f", groups={groups}" if groups > 1 else ""
    at = f"@{layout}" if layout else ""
    attrs = f"strides=[{strides},{strides}], pads=[{pad},{pad},{pad},{pad}], dilations=[1,1]"
    return f"""graph "task" (%x0: {image}, %x1: {weight}, %x2: f32[{features},1,1]) {{
  %v0 = conv(%x0, %x1) {{{attrs}{grouped}}} : {plain}
  %v1 = add(%v0, %x2) : {plain}
  %v2 = relu(%v1) : {plain}{at}
  return %v2 "y0"
}}
"""


def matmul(rows: int, depth: int, cols: int) -> str:
    operands = f"%x0: f32[1,{rows},{depth}], %x1: f32[{depth},{cols}], %x2: f32[{cols}]"
    return f"""graph "task" ({operands}) {{
  %v0 = matmul(%x0, %x1) : f32[1,{rows},{cols}]
  %v1 = add(%v0, %x2) : f32[1,{rows},{cols}]
  return %v1 "y0"
}}
"""


def softmax(shape: str) -> str:
    return f"""graph "task" (%x0: f32[{shape}]) {{
  %v0 = softmax(%x0) {{axis=-1}} : f32[{shape}]
  return %v0 "y0"
}}
"""


@dataclass(frozen=True)
class Kernel:
    """One of the kernels: the body of its task, and what it is compiled for."""

    name: str
    body: str
    target: str = "llvm"
    constants: tuple[int, ...] = (1, 2)


def kernels() -> list[Kernel]:
    c16, c8 = "@NCHW16c", "@NCHW8c"
    image = "f32[1,{},{},{}]".format
    weight = "f32[{},{},{},{}]".format
    return [
        Kernel(
            "conv3x3_64_56",
            conv(image(64, 56, 56) + c16, weight(64, 64, 3, 3), image(64, 56, 56) + c16, pad=1),
        ),
        Kernel(
            "conv1x1_512_2048_7",
            conv(image(512, 7, 7) + c16, weight(2048, 512, 1, 1), image(2048, 7, 7) + c16),
        ),
        Kernel(
            "conv1x1_1024_256_14",
            conv(image(1024, 14, 14) + c16, weight(256, 1024, 1, 1), image(256, 14, 14) + c16),
        ),
        Kernel(
            "conv1x1_512_128_28",
            conv(image(512, 28, 28) + c16, weight(128, 512, 1, 1), image(128, 28, 28) + c16),
        ),
        Kernel(
            "conv3x3_512_7",
            conv(image(512, 7, 7) + c16, weight(512, 512, 3, 3), image(512, 7, 7) + c16, pad=1),
        ),
        Kernel(
            "depthwise5x5_672",
            conv(
                image(672, 14, 14) + c16,
                weight(672, 1, 5, 5),
                image(672, 14, 14) + c16,
                pad=2,
                groups=672,
            ),
        ),
        Kernel("matmul_128_768_768", matmul(128, 768, 768)),
        Kernel("softmax_1536_128", softmax("1,12,128,128"), constants=()),
        Kernel(
            "avx2_conv3x3_128_28",
            conv(image(128, 28, 28) + c8, weight(128, 128, 3, 3), image(128, 28, 28) + c8, pad=1),
            AVX2,
        ),
        Kernel(
            "avx2_conv1x1_512_128_28",
            conv(image(512, 28, 28) + c8, weight(128, 512, 1, 1), image(128, 28, 28) + c8),
            AVX2,
        ),
        Kernel(
            "avx2_conv1x1_1024_256_14",
            conv(image(1024, 14, 14) + c8, weight(256, 1024, 1, 1), image(256, 14, 14) + c8),
            AVX2,
        ),
        Kernel("avx2_matmul_128_768_768", matmul(128, 768, 768), AVX2),
    ]


@dataclass
class Table:
    """A measured space.

    Attributes:
        task, template: Text of the task, name of the template.
        machine: What measured it.
        knobs: Names of the knobs.
        default: Number of the default point.
        points: Of each point its values, in the order of `knobs`.
        priors: Modelled costs.
        times: Microseconds by point; None: not measured yet; -1: it is no legal one, or failed.
        twice: Whether the best points were measured again.
    """

    task: str
    template: str
    machine: str
    knobs: list[str]
    default: int
    points: list[list[int | bool | str]]
    priors: list[float] | None
    times: list[float | None] = field(default_factory=list)
    twice: bool = False

    @classmethod
    def load(cls, name: str) -> Table:
        return cls(**json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))

    def save(self, name: str) -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        lines = [f"  {json.dumps(key)}: {_compact(value)}" for key, value in vars(self).items()]
        text = "{\n" + ",\n".join(lines) + "\n}\n"
        (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")

    def config(self, point: int) -> Config:
        return dict(zip(self.knobs, self.points[point], strict=True))

    @property
    def seconds(self) -> list[float]:
        """Times by point; infinite where there is none."""
        return [t / 1e6 if t is not None and t > 0 else float("inf") for t in self.times]

    def space(self, name: str, default: int | None = None) -> TableSpace:
        """The space, perhaps with another default."""
        start = self.default if default is None else default
        configs = [self.config(point) for point in range(len(self.points))]
        return TableSpace(name, self.template, configs, configs[start], self.priors)


def _compact(value: object) -> str:
    if isinstance(value, list) and value and isinstance(value[0], list):
        rows = [json.dumps(row, separators=(",", ":")) for row in value]
        lines = [", ".join(rows[at : at + 6]) for at in range(0, len(rows), 6)]
        return "[\n    " + ",\n    ".join(lines) + "\n  ]"
    if isinstance(value, list) and value and isinstance(value[0], float):
        return "[" + ", ".join("null" if n is None else f"{n:.6g}" for n in value) + "]"
    return json.dumps(value)


def new_table(kernel: Kernel) -> Table:
    """The space of a kernel, nothing measured."""
    from leip.codegen.resolver import resolve
    from leip.ir.parse import parse_graph
    from leip.schedules.select import select
    from leip.schedules.task import Task
    from leip.search.knob_space import KnobSpace

    task = Task(parse_graph(kernel.body), resolve(kernel.target), THREADS, 3, kernel.constants)
    template = select(task).template
    space = KnobSpace(task, template)
    configs = [space.config(point) for point in range(len(space))]
    return Table(
        task.text,
        template.name,
        f"{THREADS} cores of {task.target.cpu}, {platform.system()}",
        list(configs[0]),
        space.default,
        [list(config.values()) for config in configs],
        [float(f"{space.prior(point):.5g}") for point in range(len(space))],
        [None] * len(configs),
    )


def measure(names: Sequence[str], seconds: float) -> bool:
    """Go on measuring; whether all is done."""
    from leip.codegen.kernel_build import WorkerPool
    from leip.codegen.trial import TrialMeasurer

    end = time.monotonic() + seconds
    with WorkerPool(2) as pool, TrialMeasurer(pool) as measurer:
        for kernel in kernels():
            if names and kernel.name not in names:
                continue
            path = FOLDER / f"{kernel.name}.json"
            table = Table.load(kernel.name) if path.exists() else new_table(kernel)
            while (points := _next(table)) and time.monotonic() < end:
                trials = [Trial(table.task, table.template, table.config(p)) for p in points]
                for point, outcome in zip(points, measurer.measure(trials), strict=True):
                    good = outcome.status is Status.OK
                    now = round(min(outcome.times) * 1e6, 3) if good else -1.0
                    before = table.times[point]
                    table.times[point] = now if before is None else min(before, now, key=abs)
                    if not good:
                        print(kernel.name, table.config(point), outcome.status, outcome.message)
                if None not in table.times and points[-1] == _again(table)[-1]:
                    table.twice = True
            table.save(kernel.name)
            done = sum(t is not None for t in table.times)
            print(
                f"{kernel.name}: {done} of {len(table.times)}{', twice' * table.twice}", flush=True
            )
            if time.monotonic() >= end:
                return False
    return True


_position: dict[int, int] = {}


def _again(table: Table) -> list[int]:
    """Points that are measured a second time."""
    best = min(table.seconds)
    return [point for point, each in enumerate(table.seconds) if each <= best * AGAIN]


def _next(table: Table) -> list[int]:
    """The points of the next batch."""
    missing = [point for point, each in enumerate(table.times) if each is None]
    if missing:
        return missing[:BATCH]
    if table.twice:
        return []
    at = _position.get(id(table), 0)
    points = _again(table)[at : at + BATCH]
    _position[id(table)] = at + BATCH
    if not points:
        table.twice = True
    return points


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    args = parser.parse_args()
    print("done" if measure(args.only, args.seconds) else "more to do")


if __name__ == "__main__":
    main()
