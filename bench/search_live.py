"""The search on this machine, live: does it find what the tables of measured spaces promise?

    python bench/search_live.py [NAME …]

Searches 12 % of a kernel's space, from the default, and then runs what was found in turns with the
best point of the table (which stands for the machine that it was measured on).
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence

from search_tables import Table

from leip.codegen.kernel_build import WorkerPool
from leip.codegen.trial import TrialMeasurer
from leip.search.gain_scheduler import GainScheduler
from leip.search.local_search import LocalSearch
from leip.search.measurer import Trial
from leip.search.tuner import Tuner, TuneTask
from search import BATCH, JUDGED, budget

USUAL = ("conv3x3_512_7", "avx2_matmul_128_768_768")


def main(names: Sequence[str]) -> None:
    with WorkerPool(2) as pool, TrialMeasurer(pool) as measurer:
        for name in names:
            table = Table.load(name)
            task = TuneTask(table.space(name), table.task)
            tuner = Tuner([task], measurer, GainScheduler(), LocalSearch, seed=1, batch=BATCH)
            start = time.monotonic()
            result = tuner.run(budget(table, JUDGED))
            rate = result.iterations / (time.monotonic() - start)
            best = table.config(min(range(len(table.points)), key=table.seconds.__getitem__))
            found = result.tasks[0].config
            trials = [Trial(table.task, table.template, config) for config in (best, found)]
            turns = [outcome.times for outcome in measurer.compare(trials)] if found != best else []
            ratio = statistics.median(b / a for a, b in zip(*turns)) if turns else 1.0
            print(
                f"{name}: {result.iterations} measured at {rate:.1f} a second; found {found}, "
                f"{ratio - 1:+.1%} against the table's best {best}"
            )


if __name__ == "__main__":
    main(sys.argv[1:] or USUAL)
