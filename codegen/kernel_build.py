"""Building kernels: equal tasks once, in parallel processes, through the cache.

The workers are started early, so that their imports overlap with the parent's work.
"""

from __future__ import annotations

import hashlib
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BuildError
from ..schedules.task import Task
from .cache import KernelCache
from .kernel_object import kernel_symbol
from .kernel_worker import DIED, Built, Errand, Failed, Job, answer, build_job
from .work_folder import WorkFolder, check_space
from .worker_process import WorkerProcess, receive, send

__all__ = ["KernelBuildError", "KernelObject", "Request", "WorkerPool", "build_kernels"]

Progress = Callable[[int, int], None]


class KernelBuildError(BuildError):
    """A kernel could not be built.

    Attributes:
        task: Text of the task.
        template: Name of the template.
        trace: Traceback of the worker; "" if it died.
    """

    def __init__(self, job: Job, message: str, trace: str = "") -> None:
        self.task, self.template, self.trace = job.text, job.template, trace
        path = Path(tempfile.gettempdir()) / f"leip-{job.symbol[-8:]}.task.txt"
        hint = ""
        try:
            path.write_text(job.text, encoding="utf-8")
            hint = f"the task is in {path}; try: leip kernel bench {path}"
        except OSError:
            pass
        super().__init__(message, f"kernel {job.symbol}, template {job.template}", hint)


@dataclass(frozen=True)
class Request:
    """A kernel that is wanted: a task with the chosen template's name and config."""

    task: Task
    template: str
    config: str

    @property
    def key(self) -> str:
        """Equal for equal kernels (the versions of our sources are not part of it)."""
        text = f"{self.task.key}\n{self.template}\n{self.config}"
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class KernelObject:
    """A built kernel.

    Attributes:
        symbol: Its name.
        data: Its object file.
        workspace: Temporary bytes per thread.
        in_place: Positions of operands whose memory its result may take.
        cached: Whether it came out of the cache.
    """

    symbol: str
    data: bytes
    workspace: int
    in_place: tuple[int, ...]
    cached: bool


class WorkerPool:
    """Processes that build kernels. With `jobs` 0 kernels are built in this process.

    Args:
        jobs: Number of processes.
        plugins: Files that every worker loads first.
    """

    def __init__(self, jobs: int, plugins: Sequence[str | Path] = ()) -> None:
        self.jobs = jobs
        self.plugins = tuple(str(Path(path).resolve()) for path in plugins)
        self._workers: list[_Worker] = []
        self._folder: WorkFolder | None = None  # for their temporary files: they may be killed
        self._replacing = threading.Lock()  # so that none is started while the pool is closed

    def start(self) -> None:
        """Start the processes without waiting for them."""
        if self._folder is None and self.jobs > 0:
            self._folder = WorkFolder()
        while len(self._workers) < self.jobs:
            self._workers.append(self._worker())

    def _worker(self) -> _Worker:
        assert self._folder is not None
        return _Worker(self.plugins, self._folder.path)

    def close(self) -> None:
        with self._replacing:
            for worker in self._workers:
                worker.close()
            self._workers.clear()
            if self._folder is not None:
                self._folder.close()
                self._folder = None

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def run(self, jobs: Sequence[Job], done: Callable[[int, Built], None]) -> None:
        """Build all jobs; `done(index, built)` is called as they finish, one call at a time.

        Raises:
            KernelBuildError: For the first job (in order) that failed; the rest is given up.
        """
        # one alone is not worth a process, but for what a plugin may do to the process
        alone = len(jobs) == 1 and not self._workers and not self.plugins
        if self.jobs == 0 or alone:
            for index, job in enumerate(jobs):
                done(index, _checked(job, build_job(job)))
            return
        lock = threading.Lock()

        def build(slot: int, index: int) -> None:
            built = _checked(jobs[index], self._workers[slot].build(jobs[index]))
            with lock:
                done(index, built)

        self._share(len(jobs), build)

    def attempt(self, jobs: Sequence[Job | Errand], timeout: float) -> list[Any]:
        """Do all jobs; one that fails, dies or takes longer than `timeout` seconds costs itself.

        Returns:
            What each came to, in order; `Failed` says why there is nothing. A worker that died is
            replaced.

        Raises:
            BuildError: A worker cannot even begin, since a plugin fails there.
        """
        if self.jobs == 0:
            return [answer(job) for job in jobs]
        results: list[Any] = [None] * len(jobs)

        def attempt(slot: int, index: int) -> None:
            results[index] = self._attempt_one(slot, jobs[index], timeout)

        self._share(len(jobs), attempt)
        return results

    def _share(self, count: int, work: Callable[[int, int], None]) -> None:
        """Call `work(worker, index)` once for every index, in a thread for each worker.

        Raises what it raised for the first index (in order); the rest is given up.
        """
        self.start()
        waiting = queue.SimpleQueue[int]()
        for index in range(count):
            waiting.put(index)
        failures: dict[int, BaseException] = {}

        def serve(slot: int) -> None:
            while not failures:
                try:
                    index = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    work(slot, index)
                except BaseException as error:  # noqa: BLE001 - raised again by the caller's thread
                    failures[index] = error

        threads = [threading.Thread(target=serve, args=(n,)) for n in range(len(self._workers))]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except BaseException:  # Ctrl-C: do not wait for what nobody wants
            failures[count] = KeyboardInterrupt()
            self.close()
            raise
        if failures:
            raise failures[min(failures)]

    def _attempt_one(self, slot: int, job: Job | Errand, timeout: float) -> Any:
        worker = self._workers[slot]
        timer = threading.Timer(timeout, worker.process.kill)
        start = time.monotonic()
        timer.start()
        try:
            result = worker.ask(job)
            if not worker.ready:  # the next one would not either
                message = f"the processes that build do not begin: {result.kind}: {result.message}"
                raise BuildError(message, ", ".join(self.plugins), "plugins are loaded there too")
            return result
        except (EOFError, BrokenPipeError, ValueError, OSError):
            ended = worker.ended()
            late = time.monotonic() - start >= timeout
            message = f"no end after {timeout:g} s" if late else f"it died ({ended})"
            with self._replacing:
                if slot < len(self._workers):  # else the pool was closed meanwhile
                    worker.close()
                    self._workers[slot] = self._worker()
            return Failed("Timeout" if late else DIED, message, "")
        finally:
            timer.cancel()


class _Worker(WorkerProcess):
    def __init__(self, plugins: tuple[str, ...], temporary: Path) -> None:
        super().__init__("kernel_worker", plugins, temporary=temporary)
        self.ready = False

    def ask(self, job: Job | Errand) -> Any:
        """What a job comes to. Raises EOFError or BrokenPipeError if the process dies of it."""
        if not self.ready:
            failed = receive(self.stdout)
            if failed is not None:
                return failed
            self.ready = True
        send(self.stdin, job)
        return receive(self.stdout)

    def build(self, job: Job) -> Built | Failed:
        try:
            return self.ask(job)  # type: ignore[no-any-return]
        except (EOFError, BrokenPipeError):
            ended = self.ended()
            check_space("")
            lines = [f"the building process died ({ended})", *self.said()[-8:]]
            raise KernelBuildError(job, "\n".join(lines)) from None


def _checked(job: Job, result: Built | Failed) -> Built:
    if isinstance(result, Built):
        return result
    if result.expected:
        message = f"the template refuses: {result.message}"
    else:
        lines = result.message.strip().splitlines() or [""]
        message = f"{result.kind}: " + "\n".join(lines[:6])
    raise KernelBuildError(job, message, result.trace)


def build_kernels(
    requests: Sequence[Request],
    pool: WorkerPool,
    cache: KernelCache | None = None,
    progress: Progress | None = None,
) -> dict[str, KernelObject]:
    """Build the kernels that differ.

    Args:
        requests: Wanted kernels; equal ones are built once.
        pool: Where to build.
        cache: Looked up first, and filled.
        progress: Called with (finished, all) of the different kernels.

    Returns:
        `Request.key` -> object, in the order of the requests.

    Raises:
        KernelBuildError: If one cannot be built.
    """
    wanted = {request.key: request for request in requests}
    objects: dict[str, KernelObject] = {}
    for key in wanted:
        entry = cache.get(_cache_key(cache, key)) if cache is not None else None
        if entry is not None:
            facts: dict[str, Any] = entry.facts
            in_place = tuple(facts["in_place"])
            objects[key] = KernelObject(
                facts["symbol"], entry.data, facts["workspace"], in_place, cached=True
            )
    missing = [key for key in wanted if key not in objects]
    # the longest first, so that no worker is left alone with one at the end
    missing.sort(key=lambda key: (-wanted[key].task.flops, -len(wanted[key].task.text), key))
    jobs = [
        Job(r.task.text, r.template, r.config, kernel_symbol(r.task, r.template, key))
        for key in missing
        for r in [wanted[key]]
    ]
    total = len(wanted)
    if progress is not None:
        progress(len(objects), total)

    def done(index: int, built: Built) -> None:
        key, symbol = missing[index], jobs[index].symbol
        workspace, in_place = built.workspace, built.in_place
        objects[key] = KernelObject(symbol, built.data, workspace, in_place, cached=False)
        if cache is not None:
            facts = {"symbol": symbol, "workspace": workspace, "in_place": in_place}
            cache.put(_cache_key(cache, key), built.data, facts)
        if progress is not None:
            progress(len(objects), total)

    if jobs:
        pool.run(jobs, done)
    return {key: objects[key] for key in wanted}


def _cache_key(cache: KernelCache, key: str) -> str:
    return hashlib.sha256(f"{cache.environment}\n{key}".encode()).hexdigest()
