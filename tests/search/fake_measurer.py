"""A plugin for tests: times are a hash of what is measured, and the judge says what he is told.

`FAKE_DELAY`: seconds that a measurement takes. `FAKE_RATIO`: of the tuned object's time, 0.9 if
not given. `FAKE_FAILS`: one in so many points is no legal one.
"""

import hashlib
import os
import time

from leip.codegen.contest import Contest
from leip.plugin import register_search
from leip.search.measurer import Outcome
from leip.search.record import Status


class Fake:
    def __init__(self):
        self.delay = float(os.environ.get("FAKE_DELAY", "0"))
        self.fails = int(os.environ.get("FAKE_FAILS", "0"))

    def outcome(self, trial):
        text = f"{trial.task_text}{trial.template}{sorted(trial.config.items())}"
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
        if self.fails and number % self.fails == 0:
            return Outcome(Status.INVALID, message="such points do not exist")
        return Outcome(Status.OK, (1e-5 * (1 + number / 2**32),) * 2)

    def measure(self, trials):
        for trial in trials:
            time.sleep(self.delay)
            yield self.outcome(trial)

    def compare(self, trials):
        return [self.outcome(trial) for trial in trials]

    def close(self):
        pass


def judge(untuned, tuned, threads, level):
    assert untuned.is_file() and tuned.is_file()
    ratio = float(os.environ.get("FAKE_RATIO", "0.9"))
    return Contest(1e-3, ratio * 1e-3, ratio, 0.01, 0.0)


register_search(measurer=Fake, judge=judge)
