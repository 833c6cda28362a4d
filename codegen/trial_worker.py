"""The process that runs trials: one kernel at a time, checked, then timed.

It loads neither TVM nor templates. A kernel may end it with a signal or hang it: its parent
(trial.py) then starts another one. It ends when its stdin does, and when its parent is gone.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import resource
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from ..ir.dtypes import DType
from .verify import largest_error
from .worker_process import answers_to, serve

__all__ = ["Batch", "Operand", "Result", "Run", "main"]

LINE, PAGE = 64, 4096
APART = 11 * LINE  # by which operands are moved against each other within a page
SPARE = 64 << 20  # bytes of address space for what Python does meanwhile
ROUND = 6e-3  # seconds of a round of calls
MOST_CALLS, LEAST_CALLS = 512, 3
SLOW = 20e-3  # seconds of a call from which on one is a round
LEAST_ROUNDS, MOST_ROUNDS = 4, 16
BUDGET = 0.12  # seconds of all rounds, unless the least number takes longer
STABLE = 0.005  # how far apart the two best rounds may be
SLOWED = 1.1  # of the best time of the probe: somebody else is on the cores
PATIENCE = 0.5  # seconds of waiting for them to leave
PAUSE = 0.01
BASELINE = 30  # probes, with pauses, before the first round
TURNS = 15
TURNS_BUDGET = 0.6  # seconds of all turns of a comparison; at least LEAST_ROUNDS are run


@dataclass(frozen=True)
class Operand:
    """An argument of a kernel, in a file as it stands in memory.

    Attributes:
        path: The file; of an output what is expected in it.
        dtype: Its element type.
        shape: As the kernel sees it.
        allowed: Of an output: the largest error.
        pads: Of an output with pad lanes: a file of bytes, 1 where there must be zeros.
    """

    path: str
    dtype: DType
    shape: tuple[int, ...]
    allowed: float = 0.0
    pads: str = ""

    @property
    def bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.bytes


@dataclass(frozen=True)
class Batch:
    """A library of kernels to load; `workspace` is the most that one of them takes a thread."""

    library: str
    threads: int
    workspace: int


@dataclass(frozen=True)
class Run:
    """A kernel of the loaded batch, and what it is called with.

    Attributes:
        entry: Its C symbol.
        inputs, outputs: Its arguments in order; `weights` are the positions of constants.
        copies: How many copies of the weights it goes through in turn.
        serial: Whether it gets one thread, as in a model.
        memory: Bytes that it may take beyond its operands.
    """

    entry: str
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    weights: tuple[int, ...]
    copies: int
    serial: bool
    memory: int


@dataclass(frozen=True)
class Result:
    """Times of the rounds in seconds, or why there are none; `wrong`: it ran, and wrongly.

    Neither times nor a message: another one failed that it was to run in turns with.
    """

    times: tuple[float, ...] = ()
    message: str = ""
    wrong: bool = False


class _Tensor(ctypes.Structure):
    """DLTensor."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    ]


class _Any(ctypes.Structure):
    """TVMFFIAny."""

    _fields_ = [
        ("type_index", ctypes.c_int32),
        ("padding", ctypes.c_uint32),
        ("pointer", ctypes.c_void_p),
    ]


_DLTENSOR = 7
_CODES = {"i": 0, "u": 1, "f": 2, "b": 6}  # DLPack's, by numpy's kind


class _Failure(Exception):
    """A kernel did not do what it should; the message says what.

    Attributes:
        entry: Of the kernel; "" if it is not known.
    """

    entry = ""


class _Wrong(_Failure):
    """Its result is wrong."""


class _Arena:
    """Memory for operands, on huge pages where there are such."""

    def __init__(self) -> None:
        self._map: mmap.mmap | None = None
        self.array = np.empty(0, np.uint8)

    def reserve(self, size: int) -> None:
        """Room for so many bytes; what stood in it is lost if it grows."""
        if size <= self.array.size:
            return
        self.array = np.empty(0, np.uint8)
        if self._map is not None:
            self._map.close()
        self._map = mmap.mmap(-1, -(-size // (2 << 20)) * (2 << 20), flags=mmap.MAP_PRIVATE)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            self._map.madvise(mmap.MADV_HUGEPAGE)
        self.array = np.frombuffer(self._map, np.uint8)


class _Loaded:
    """A library of kernels, with its threads."""

    def __init__(self, batch: Batch) -> None:
        self.threads = batch.threads
        self._library = ctypes.CDLL(batch.library, mode=os.RTLD_NOW | os.RTLD_LOCAL)
        self._library.trial_error.restype = ctypes.c_char_p
        self._library.trial_begin.argtypes = [ctypes.c_uint32, ctypes.c_uint64]
        self._library.trial_run.argtypes = [
            *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32, ctypes.c_uint32, ctypes.c_uint32),
            *(ctypes.c_uint32, ctypes.c_int, ctypes.c_void_p),
        ]
        self._library.trial_probe.restype = ctypes.c_uint64
        if self._library.trial_begin(batch.threads, batch.workspace) != 0:
            raise _Failure("no memory for its threads")

    def kernel(self, entry: str) -> Any:
        return ctypes.cast(getattr(self._library, entry), ctypes.c_void_p)

    def call(
        self, kernel: Any, args: Any, count: int, copies: int, first: int, n: int, serial: bool
    ) -> np.ndarray:
        """Seconds of each of `n` calls. Raises _Failure."""
        ns = np.zeros(n, np.uint64)
        error = self._library.trial_run(
            kernel, args, count, copies, first, n, int(serial), ns.ctypes.data
        )
        if error != 0:
            text = self._library.trial_error() or b""
            raise _Failure(text.decode(errors="replace"))
        return ns.astype(np.float64) / 1e9

    def probe(self) -> int:
        """Nanoseconds of some arithmetic on all threads."""
        ns: int = self._library.trial_probe()
        return ns

    def close(self) -> None:
        self._library.trial_end()
        dlclose = ctypes.CDLL(None).dlclose
        dlclose.argtypes = [ctypes.c_void_p]
        dlclose(self._library._handle)


class _Subject:
    """A kernel with its operands in memory."""

    def __init__(self, loaded: _Loaded, run: Run, memory: np.ndarray) -> None:
        self._loaded, self._run = loaded, run
        self._kernel = loaded.kernel(run.entry)
        self._at = 0  # the copy that is next
        self._shapes: list[Any] = []
        self._fill(memory)

    @staticmethod
    def bytes(run: Run) -> int:
        """Memory that the operands of a run take."""
        weights = [run.inputs[index].bytes for index in run.weights]
        others = sum(operand.bytes for operand in (*run.inputs, *run.outputs)) - sum(weights)
        slack = 2 * PAGE * (len(run.inputs) + len(run.outputs))
        return others + slack + run.copies * (sum(weights) + LINE * len(weights)) + PAGE

    def _fill(self, memory: np.ndarray) -> None:
        """Place and read the operands: weights one copy after the other, behind all else."""
        run, at = self._run, 0
        places: dict[int, np.ndarray] = {}
        operands = (*run.inputs, *run.outputs)
        for index, operand in enumerate(operands):
            if index not in run.weights:
                at = -(-at // PAGE) * PAGE + index * APART % PAGE
                places[index] = memory[at : at + operand.bytes]
                at += operand.bytes
        for index, operand in enumerate(run.inputs):
            if index not in run.weights:
                places[index][:] = np.fromfile(operand.path, np.uint8)
        self._results = [places[len(run.inputs) + n] for n in range(len(run.outputs))]
        at = -(-at // PAGE) * PAGE
        offsets, size = {}, 0
        for index in run.weights:
            offsets[index] = size
            size += -(-run.inputs[index].bytes // LINE) * LINE
        copies = [memory[at + n * size : at + (n + 1) * size] for n in range(run.copies)]
        for index in run.weights:
            data = np.fromfile(run.inputs[index].path, np.uint8)
            for copy in copies:
                copy[offsets[index] : offsets[index] + data.size] = data
        self._args = (_Any * (len(operands) * max(1, run.copies)))()
        self._tensors = (_Tensor * len(self._args))()
        for n in range(max(1, run.copies)):
            for index, operand in enumerate(operands):
                if index in run.weights:
                    data = copies[n][offsets[index] :]
                else:
                    data = places[index]
                self._argument(n * len(operands) + index, operand, data.ctypes.data)

    def _argument(self, at: int, operand: Operand, address: int) -> None:
        rank = len(operand.shape)
        sizes = (ctypes.c_int64 * (2 * rank + 1))(*operand.shape)
        compact = 1
        for axis in reversed(range(rank)):
            sizes[rank + axis] = compact
            compact *= operand.shape[axis]
        self._shapes.append(sizes)
        start = ctypes.addressof(sizes)
        kind = operand.dtype.numpy.kind if operand.dtype is not DType.BF16 else "V"
        tensor = self._tensors[at]
        tensor.data, tensor.device_type, tensor.ndim = address, 1, rank
        tensor.code, tensor.bits, tensor.lanes = _CODES.get(kind, 4), operand.dtype.bits, 1
        tensor.shape, tensor.strides = start, start + 8 * rank
        self._args[at].type_index = _DLTENSOR
        self._args[at].pointer = ctypes.addressof(tensor)

    def call(self, count: int) -> np.ndarray:
        """Seconds of each of `count` calls, on the next copies of the weights."""
        copies = max(1, self._run.copies)
        n_args = len(self._run.inputs) + len(self._run.outputs)
        first, self._at = self._at, (self._at + count) % copies
        with self._blamed():
            return self._loaded.call(
                self._kernel, self._args, n_args, copies, first, count, self._run.serial
            )

    def poison(self) -> None:
        """Fill the results with what no kernel writes: NaN, and odd numbers."""
        for result in self._results:
            result[:] = 0xFF

    def check(self) -> None:
        """Compare the results with what is expected. Raises _Wrong."""
        with self._blamed():
            self._check()

    def _check(self) -> None:
        for operand, result in zip(self._run.outputs, self._results, strict=True):
            wanted = np.fromfile(operand.path, operand.dtype.numpy)
            error = largest_error(result.view(operand.dtype.numpy), wanted)
            if error > operand.allowed:
                raise _Wrong(f"largest error {error:.3e}, allowed {operand.allowed:.3e}")
            if operand.pads:
                pads = np.fromfile(operand.pads, np.bool_)
                if np.any(result.view(operand.dtype.numpy)[pads] != 0):
                    raise _Wrong("pad lanes are not zero")

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """What fails meanwhile is this kernel's fault."""
        try:
            yield
        except _Failure as failure:
            failure.entry = self._run.entry
            raise

    def first(self) -> float:
        """Run it once and check it; the time of the next call. Raises _Failure."""
        self.poison()
        self.call(1)
        self.check()
        seconds: float = self.call(1)[0]
        return seconds


def _calls(seconds: float) -> int:
    """Calls of a round, by the time of one."""
    if seconds >= SLOW:
        return 1
    return max(LEAST_CALLS, min(MOST_CALLS, round(ROUND / max(seconds, 1e-7))))


class _Quiet:
    """Says whether the cores are ours alone, by the time that the same arithmetic takes."""

    def __init__(self) -> None:
        self._best: dict[int, int] = {}  # by threads

    def __call__(self, loaded: _Loaded) -> bool:
        if loaded.threads not in self._best:
            # somebody may be on the cores right now, and seldom stays for so long
            self._best[loaded.threads] = min(self._patient(loaded) for _ in range(BASELINE))
        now = loaded.probe()
        # may rise slowly: a machine that has become slower for good is no reason to wait
        best = min(now, round(self._best[loaded.threads] * 1.0005) + 1)
        self._best[loaded.threads] = best
        return now <= best * SLOWED

    @staticmethod
    def _patient(loaded: _Loaded) -> int:
        time.sleep(PAUSE)
        return loaded.probe()


class _Timer:
    """Times rounds of calls while the cores are ours; where they never are, as they come."""

    def __init__(self, quiet: _Quiet, loaded: _Loaded) -> None:
        self._quiet, self._loaded = quiet, loaded
        self._patience = PATIENCE

    def round(self, subjects: Sequence[_Subject], calls: Sequence[int]) -> list[float]:
        """The usual time of a call in a round of calls, of each subject in turn."""
        while True:
            before = self._quiet(self._loaded)
            times = [
                statistics.median(subject.call(count).tolist())
                for subject, count in zip(subjects, calls, strict=True)
            ]
            if (before and self._quiet(self._loaded)) or self._patience <= 0:
                return times
            time.sleep(PAUSE)
            self._patience -= PAUSE + sum(map(math.prod, zip(times, calls)))


def _measure(subject: _Subject, timer: _Timer) -> Result:
    """Rounds of calls until the two best agree."""
    calls = _calls(subject.first())
    times: list[float] = []
    end = time.perf_counter() + BUDGET
    while len(times) < MOST_ROUNDS:
        times += timer.round([subject], [calls])
        best, second, *_ = [*sorted(times), math.inf]
        late = time.perf_counter() > end
        enough = LEAST_ROUNDS // 2 if calls == 1 and late else LEAST_ROUNDS
        if len(times) >= enough and (late or second <= best * (1 + STABLE)):
            break
    subject.check()  # what it wrote last, too
    return Result(tuple(times))


def _compare(subjects: Sequence[_Subject], timer: _Timer) -> list[Result]:
    """One round of each in turn, forwards and backwards."""
    calls = [_calls(subject.first()) for subject in subjects]
    turns: list[list[float]] = []
    end = time.perf_counter() + TURNS_BUDGET
    while len(turns) < TURNS and (len(turns) < LEAST_ROUNDS or time.perf_counter() < end):
        step = 1 if len(turns) % 2 == 0 else -1
        turns.append(timer.round(subjects[::step], calls[::step])[::step])
    for subject in subjects:
        subject.check()
    return [Result(times) for times in zip(*turns)]


class _Server:
    def __init__(self) -> None:
        self._arena = _Arena()
        self._loaded: _Loaded | None = None
        self._quiet = _Quiet()

    def load(self, batch: Batch) -> None:
        if self._loaded is not None:
            self._loaded.close()
            self._loaded = None
        self._loaded = _Loaded(batch)

    def run(self, runs: tuple[Run, ...]) -> list[Result]:
        """Measure one, or compare several."""
        assert self._loaded is not None
        sizes = [-(-_Subject.bytes(run) // PAGE) * PAGE for run in runs]
        try:
            _limit_memory(sum(sizes) + max(run.memory for run in runs))
            self._arena.reserve(sum(sizes))
            subjects, at = [], 0
            for run, size in zip(runs, sizes, strict=True):
                subjects.append(_Subject(self._loaded, run, self._arena.array[at : at + size]))
                at += size
            timer = _Timer(self._quiet, self._loaded)
            if len(subjects) == 1:
                return [_measure(subjects[0], timer)]
            return _compare(subjects, timer)
        except (MemoryError, OSError) as error:
            return [Result(message=f"out of memory: {error}")] * len(runs)
        except _Failure as failure:
            failed = Result(message=str(failure), wrong=isinstance(failure, _Wrong))
            return [failed if failure.entry in ("", run.entry) else Result() for run in runs]


def _limit_memory(more: int) -> None:
    """Let the process take so many bytes beyond what it has, and no more."""
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    wanted = now + more + SPARE
    resource.setrlimit(resource.RLIMIT_AS, (wanted if most < 0 else min(wanted, most), most))


def _leave(folder: str) -> NoReturn:
    """The parent was killed, or this process would have been: nobody else tidies up."""
    shutil.rmtree(folder, ignore_errors=True)
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
            except (OSError, _Failure) as error:
                return Result(message=str(error))
        return server.run(message)

    serve(answers, handle)
    _leave(folder)
