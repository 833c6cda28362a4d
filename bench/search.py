"""How good the search is: leip's own against random search and simulated annealing, on tables.

    python bench/search.py [--seeds 20] [--json FILE] [--plot FILE]

Replays searches offline on the tables of bench/search_tables.py, through the loop that measures
live, from the template's default and from a random point. Regret is how much slower the best found
is than the best of the space. The exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from search_tables import Table, kernels

from leip.search.gain_scheduler import GainScheduler
from leip.search.local_search import LocalSearch
from leip.search.measurer import Outcome, Trial
from leip.search.proposer import ProposerFactory
from leip.search.random_search import RandomSearch
from leip.search.record import Challenge, Measurement, Status
from leip.search.tuner import Tuner, TuneTask

ANNEALING = Path(__file__).parent.parent / "examples" / "plugins" / "my_search.py"
SHARES = (0.05, 0.10, 0.12, 0.20)  # of the space, at which regret is noted
JUDGED = 0.12
MEDIAN_BAR, WORST_BAR = 0.03, 0.08
COMPARED = (0.05, 0.10, 0.20)
BATCH = 4
STARTS = ("default", "random")


class TableMeasurer:
    """A `search.measurer.Measurer` that looks up what was measured before."""

    def __init__(self, table: Table) -> None:
        self._times = {
            tuple(table.points[point]): seconds for point, seconds in enumerate(table.seconds)
        }

    def measure(self, trials: Sequence[Trial]) -> Iterator[Outcome]:
        for trial in trials:
            seconds = self._times[tuple(trial.config.values())]
            good = math.isfinite(seconds)
            yield Outcome(Status.OK, (seconds,)) if good else Outcome(Status.INVALID)

    def compare(self, trials: Sequence[Trial]) -> Sequence[Outcome]:
        return list(self.measure(trials))

    def close(self) -> None: ...


class Watch:
    """Notes the best time after every measurement."""

    def __init__(self) -> None:
        self.best: list[float] = []

    def measured(self, task: int, record: Measurement) -> None:
        self.best.append(min([record.seconds, *self.best[-1:]]))

    def challenged(self, task: int, record: Challenge) -> None: ...


def annealing() -> ProposerFactory:
    """The example of docs/tuning.md."""
    spec = importlib.util.spec_from_file_location("annealing", ANNEALING)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)  # registers it too, which a bench does not ask for
    return module.Annealing  # type: ignore[no-any-return]


def searches() -> dict[str, ProposerFactory]:
    return {"leip": LocalSearch, "random": RandomSearch, "annealing": annealing()}


def replay(name: str, table: Table, search: str, start: str, seed: int) -> list[float]:
    """Best time after each measurement, until a fifth of the space is measured."""
    default = None
    if start == "random":
        legal = [point for point, each in enumerate(table.seconds) if math.isfinite(each)]
        default = legal[int(np.random.default_rng(1000 + seed).integers(len(legal)))]
    task = TuneTask(table.space(name, default), table.task)
    watch = Watch()
    tuner = Tuner(
        [task],
        TableMeasurer(table),
        GainScheduler(),
        searches()[search],
        observer=watch,
        seed=seed,
        batch=BATCH,
        clock=lambda: "",
    )
    tuner.run(budget(table, max(SHARES)))
    return watch.best


def budget(table: Table, share: float) -> int:
    """Measurements that are a share of a space; one batch at least."""
    return min(max(math.ceil(share * len(table.points)), BATCH), len(table.points))


@dataclass(frozen=True)
class Row:
    """Regrets of a search on a kernel, by share of the space that was measured, seed by seed."""

    kernel: str
    search: str
    start: str
    regrets: dict[str, list[float]]


def one(job: tuple[str, str, str, int]) -> Row:
    """All seeds of a search on a kernel."""
    name, search, start, seeds = job
    table = Table.load(name)
    optimum = min(table.seconds)
    curves = [replay(name, table, search, start, seed) for seed in range(seeds)]
    return Row(
        name,
        search,
        start,
        {
            f"{share:.2f}": [curve[budget(table, share) - 1] / optimum - 1 for curve in curves]
            for share in SHARES
        },
    )


def run(names: Sequence[str], seeds: int) -> list[Row]:
    """All searches on all kernels from both starts."""
    jobs = [(n, search, start, seeds) for n in names for search in searches() for start in STARTS]
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(one, jobs))


def facts(table: Table) -> tuple[int, float, float]:
    """(legal points, median over optimum, share of points within 3 % of the optimum)."""
    times = [seconds for seconds in table.seconds if math.isfinite(seconds)]
    best = min(times)
    near = sum(seconds <= best * 1.03 for seconds in times) / len(times)
    return len(times), statistics.median(times) / best, near


def pooled(
    rows: Sequence[Row], search: str, start: str, share: float, of: Callable[[list[float]], float]
) -> float:
    """A statistic of the regrets of all kernels and seeds."""
    found = [
        regret
        for row in rows
        if (row.search, row.start) == (search, start)
        for regret in row.regrets[f"{share:.2f}"]
    ]
    return of(found)


def verdicts(rows: Sequence[Row]) -> dict[str, bool]:
    """Bar -> met."""
    bars: dict[str, bool] = {}
    for start in STARTS:
        mine = [row for row in rows if (row.search, row.start) == ("leip", start)]
        at = f"{JUDGED:.2f}"
        medians = {row.kernel: statistics.median(row.regrets[at]) for row in mine}
        worst = {row.kernel: max(row.regrets[at]) for row in mine}
        slow, far = max(medians, key=medians.__getitem__), max(worst, key=worst.__getitem__)
        bars[
            f"from the {start}: median {medians[slow]:.1%} ({slow}) <= {MEDIAN_BAR:.0%} "
            f"after {JUDGED:.0%} of the space"
        ] = medians[slow] <= MEDIAN_BAR
        bars[f"from the {start}: worst {worst[far]:.1%} ({far}) <= {WORST_BAR:.0%}"] = (
            worst[far] <= WORST_BAR
        )
        for share in COMPARED:
            own = pooled(rows, "leip", start, share, statistics.median)
            for other in ("random", "annealing"):
                theirs = pooled(rows, other, start, share, statistics.median)
                bars[
                    f"from the {start}, {share:.0%} measured: {own:.2%} < {other}'s {theirs:.2%}"
                ] = own < theirs or own == 0  # nothing is below the best of the space
    return bars


def table_text(rows: Sequence[Row]) -> str:
    """The table of docs/tuning.md."""
    lines = [
        "| kernel | points | median / best | within 3 % | leip | annealing | random "
        "| leip, worst |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row.kernel for row in rows):
        points, middle, near = facts(Table.load(name))
        cells = []
        for search in ("leip", "annealing", "random"):
            found = {
                row.start: row.regrets[f"{JUDGED:.2f}"]
                for row in rows
                if (row.kernel, row.search) == (name, search)
            }
            cells.append(" / ".join(f"{statistics.median(found[s]):.1%}" for s in STARTS))
            if search == "leip":
                worst = " / ".join(f"{max(found[s]):.1%}" for s in STARTS)
        lines.append(
            f"| {name} | {points} | {middle:.2f} | {near:.1%} | {' | '.join(cells)} | {worst} |"
        )
    return "\n".join(lines)


def plot(names: Sequence[str], seeds: int, path: Path) -> None:
    """Median regret over the share of the space that was measured, all kernels together."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shares = np.arange(0.01, 0.201, 0.005)
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for axis, start in zip(axes, STARTS, strict=True):
        for search, color in (("leip", "C0"), ("annealing", "C1"), ("random", "C7")):
            regrets = []
            for name in names:
                table = Table.load(name)
                best = min(table.seconds)
                for seed in range(seeds):
                    curve = np.array(replay(name, table, search, start, seed)) / best - 1
                    at = np.ceil(shares * len(table.points)).astype(int).clip(1, len(curve))
                    regrets.append(curve[at - 1])
            middle = np.median(regrets, axis=0)
            high = np.percentile(regrets, 90, axis=0)
            axis.plot(100 * shares, 100 * middle, color=color, label=search)
            axis.fill_between(100 * shares, 100 * middle, 100 * high, color=color, alpha=0.15)
        axis.set_title(f"from the {'default' if start == 'default' else 'random point'}")
        axis.set_xlabel("measured, % of the space")
        axis.set_ylim(0, 40)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("slower than the best, %")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    args = parser.parse_args()
    names = [kernel.name for kernel in kernels() if not args.only or kernel.name in args.only]
    rows = run(names, args.seeds)
    print(table_text(rows))
    bars = verdicts(rows)
    for bar, met in bars.items():
        print("met   " if met else "MISSED", bar)
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if args.plot:
        plot(names, args.seeds, args.plot)
    sys.exit(0 if all(bars.values()) else 1)


if __name__ == "__main__":
    main()
