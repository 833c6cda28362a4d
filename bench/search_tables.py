"""Twelve kernels whose whole spaces are measured, and kept as tables to replay searches on.

    python bench/search_tables.py [NAME …] [--again | --more | --model]

measures those that have no table, or (--again) all; --more measures the better points of the tables
that there are once more, for when the machine was not ours alone; --model measures nothing, but
gives the points the costs of the model of today, and the table its default.
Every point is measured in two passes, minutes apart, and those that come near the best in a third;
the least time counts. The default is measured with every batch: if it is slower than before, so may
be the others, and the batch is done again.
A table (bench/results/search/NAME.json) holds the space as it was: knobs, modelled costs and
measured times, so replaying depends on no template and no machine.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from leip.search.knob_space import TableSpace
from leip.search.measurer import Measurer, Trial
from leip.search.record import Config, Status

FOLDER = Path(__file__).parent / "results" / "search"
AVX2 = "llvm -mcpu=haswell"
THREADS = 2
BATCH = 14
NEAR = 1.1  # of the best time: points that are measured a third time
BETTER = 1.5  # of the best time: points that `--more` measures
STEADY = 1.03  # of the default's best time: more, and the machine was not ours
ATTEMPTS = 2  # at a batch


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


def same(channels: int, features: int, size: int, window: int, block: int, groups: int = 1) -> str:
    """A convolution that keeps the size of its image, in blocks of channels."""
    read, given = (f"f32[1,{n},{size},{size}]@NCHW{block}c" for n in (channels, features))
    weight = f"f32[{features},{channels // groups},{window},{window}]"
    return conv(read, weight, given, pad=window // 2, groups=groups)


def kernels() -> list[Kernel]:
    return [
        Kernel("conv3x3_512_7", same(512, 512, 7, 3, 16)),
        Kernel("depthwise5x5_672", same(672, 672, 14, 5, 16, groups=672)),
        Kernel("matmul_128_768_768", matmul(128, 768, 768)),
        Kernel("softmax_1536_128", softmax("1,12,128,128"), constants=()),
        Kernel("avx2_conv3x3_128_28", same(128, 128, 28, 3, 8), AVX2),
        Kernel("avx2_conv1x1_512_128_28", same(512, 128, 28, 1, 8), AVX2),
        Kernel("avx2_conv1x1_1024_256_14", same(1024, 256, 14, 1, 8), AVX2),
        Kernel("avx2_conv3x3_64_56", same(64, 64, 56, 3, 8), AVX2),
        Kernel("avx2_conv1x1_256_1024_14", same(256, 1024, 14, 1, 8), AVX2),
        Kernel("avx2_conv1x1_64_256_56", same(64, 256, 56, 1, 8), AVX2),
        Kernel("avx2_conv3x3_256_14", same(256, 256, 14, 3, 8), AVX2),
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
        times: Microseconds by point; -1: it is no legal one, or failed.
    """

    task: str
    template: str
    machine: str
    knobs: list[str]
    default: int
    points: list[list[int | bool | str]]
    priors: list[float] | None
    times: list[float] = field(default_factory=list)

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
        return [t / 1e6 if t > 0 else float("inf") for t in self.times]

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
        return "[" + ", ".join(f"{n:.6g}" for n in value) + "]"
    return json.dumps(value)


def new_table(kernel: Kernel) -> Table:
    """The space of a kernel, not measured yet."""
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
    )


class Ruler:
    """Measures batches of a table's points, each together with the default."""

    def __init__(self, table: Table, measurer: Measurer) -> None:
        self._table, self._measurer = table, measurer
        self._default = math.inf  # its best time in this run
        self.again = 0  # batches that were measured again

    def go_through(self, points: Iterable[int]) -> None:
        """Measure points; the least of the times that each ever took counts."""
        left = list(points)
        for at in range(0, len(left), BATCH):
            batch = left[at : at + BATCH]
            for point, now in zip(batch, self.times(batch), strict=True):
                before = self._table.times[point]
                if now > 0:
                    self._table.times[point] = min(before, now) if before > 0 else now
                elif math.isinf(before):
                    self._table.times[point] = now

    def times(self, points: Sequence[int]) -> list[float]:
        """Microseconds of each, -1 for none; of the steadiest of the attempts."""
        best, steadiest = [], math.inf
        for _ in range(ATTEMPTS):
            before, *now, after = self._once([self._table.default, *points, self._table.default])
            self._default = min(self._default, before, after)
            if max(before, after) < steadiest:
                best, steadiest = now, max(before, after)
            if steadiest <= self._default * STEADY:
                break
            self.again += 1
        return best

    def _once(self, points: Sequence[int]) -> list[float]:
        table = self._table
        trials = [Trial(table.task, table.template, table.config(point)) for point in points]
        outcomes = self._measurer.measure(trials)
        return [
            round(min(each.times) * 1e6, 3) if each.status is Status.OK else -1.0
            for each in outcomes
        ]


def measure(table: Table, measurer: Measurer) -> int:
    """Fill in the times; how many batches were measured more than once."""
    ruler = Ruler(table, measurer)
    every = range(len(table.points))
    table.times = [math.inf for _ in every]
    ruler.go_through(every)
    ruler.go_through(every[::-1])
    ruler.go_through(within(table, NEAR))
    return ruler.again


def measure_more(table: Table, measurer: Measurer) -> int:
    """Another pass over the better points, the default among them in any case."""
    ruler = Ruler(table, measurer)
    ruler.go_through(dict.fromkeys([table.default, *within(table, BETTER)]))
    return ruler.again


def model_anew(table: Table) -> None:
    """Modelled costs of today for all points; the default is the best that the table has.

    It was measured with the default of then. Today's may be none of its points: then the first of
    the configs that come after it counts.
    """
    from leip.schedules.select import template
    from leip.schedules.task import Task
    from leip.schedules.x86.ranked import Ranked

    made, task = template(table.template), Task.parse(table.task)
    cost = made.model(task)
    if cost is None or not isinstance(made, Ranked):
        return
    configs = [made.Config(**table.config(point)) for point in range(len(table.points))]
    table.priors = [float(f"{cost(config):.5g}") for config in configs]
    legal = {config: at for at, config in enumerate(configs) if table.times[at] > 0}
    table.default = next(legal[config] for config in made.ranked(task) if config in legal)


def within(table: Table, factor: float) -> list[int]:
    """The points whose times are at most so many times the best one."""
    best = min(table.seconds)
    return [point for point, each in enumerate(table.seconds) if each <= best * factor]


def main() -> None:
    from leip.codegen.kernel_build import WorkerPool
    from leip.codegen.trial import TrialMeasurer

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--again", action="store_true", help="also those that have a table")
    parser.add_argument("--more", action="store_true", help="another pass over the better points")
    parser.add_argument("--model", action="store_true", help="modelled costs anew, no times")
    args = parser.parse_args()
    if args.model:
        for kernel in kernels():
            if kernel.name in args.names or not args.names:
                table = Table.load(kernel.name)
                model_anew(table)
                table.save(kernel.name)
        return
    with WorkerPool(THREADS) as pool, TrialMeasurer(pool) as measurer:
        for kernel in kernels():
            wanted = kernel.name in args.names or not args.names
            known = (FOLDER / f"{kernel.name}.json").exists()
            if wanted and (args.again or args.more or not known):
                start = time.monotonic()
                more = args.more and known
                table = Table.load(kernel.name) if more else new_table(kernel)
                again = (measure_more if more else measure)(table, measurer)
                table.save(kernel.name)
                best, default = min(table.seconds), table.seconds[table.default]
                print(
                    f"{kernel.name}: {len(table.times)} points in {time.monotonic() - start:.0f} s "
                    f"({again} batches again), best {best * 1e6:.1f} us, default "
                    f"{default / best:.3f} x",
                    flush=True,
                )


if __name__ == "__main__":
    main()
