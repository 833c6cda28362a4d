"""The process that runs trials: one kernel at a time, checked, then timed.

It loads neither TVM nor templates. A kernel may end it with a signal or hang it: its parent
(trial.py) then starts another one. It ends when its stdin does, and when its parent is gone.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
from typing import Any, NoReturn

from .trial_kernel import PAGE, Arena, Failure, Loaded, Subject, Wrong
from .trial_messages import Batch, Result, Run
from .trial_timing import Quiet, Timer, compare, measure
from .worker_process import answers_to, limit_addresses, serve

__all__ = ["main"]

SPARE = 64 << 20  # bytes of address space for what Python does meanwhile


class _Server:
    def __init__(self) -> None:
        self._arena = Arena()
        self._loaded: Loaded | None = None
        self._quiet = Quiet()

    def load(self, batch: Batch) -> None:
        if self._loaded is not None:
            self._loaded.close()
            self._loaded = None
        self._loaded = Loaded(batch)

    def run(self, runs: tuple[Run, ...]) -> list[Result]:
        """Measure one, or compare several."""
        assert self._loaded is not None
        sizes = [-(-Subject.bytes(run) // PAGE) * PAGE for run in runs]
        try:
            _limit_memory(sum(sizes) + max(run.memory for run in runs))
            self._arena.reserve(sum(sizes))
            subjects, at = [], 0
            for run, size in zip(runs, sizes, strict=True):
                subjects.append(Subject(self._loaded, run, self._arena.array[at : at + size]))
                at += size
            timer = Timer(self._quiet, self._loaded)
            if len(subjects) == 1:
                return [measure(subjects[0], timer)]
            return compare(subjects, timer)
        except (MemoryError, OSError) as error:
            return [Result(message=f"out of memory: {error}")] * len(runs)
        except Failure as failure:
            failed = Result(message=str(failure), wrong=isinstance(failure, Wrong))
            return [failed if failure.entry in ("", run.entry) else Result() for run in runs]


def _limit_memory(more: int) -> None:
    """Let the process take so many bytes beyond what it has, and no more."""
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    limit_addresses(now + more + SPARE)


def _leave(folder: str) -> NoReturn:
    """The parent was killed, or this process would have been: nobody else tidies up."""
    shutil.rmtree(folder, ignore_errors=True)
    if os.getpgrp() == os.getpid():  # with what a kernel has started
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def main(parent: int, folder: str) -> None:
    """Serve batches and runs until stdin ends."""
    answers = answers_to(parent, lambda: _leave(folder))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    server = _Server()

    def handle(message: Any) -> Any:
        if isinstance(message, Batch):
            try:
                return server.load(message)
            except (OSError, Failure) as error:
                return Result(message=str(error))
        return server.run(message)

    serve(answers, handle)
    _leave(folder)
