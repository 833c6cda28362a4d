"""A kernel of a loaded library with its operands in memory: called as by an engine, and checked."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..ir.dtypes import DType
from .trial_messages import Batch, Operand, Run
from .verify import largest_error

__all__ = ["PAGE", "Arena", "Failure", "Loaded", "Subject", "Wrong"]

LINE, PAGE = 64, 4096
APART = 11 * LINE  # by which operands are moved against each other within a page


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


class Failure(Exception):
    """A kernel did not do what it should; the message says what.

    Attributes:
        entry: Of the kernel; "" if it is not known.
    """

    entry = ""


class Wrong(Failure):
    """Its result is wrong."""


class Arena:
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


class Loaded:
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
            raise Failure("no memory for its threads")

    def kernel(self, entry: str) -> Any:
        return ctypes.cast(getattr(self._library, entry), ctypes.c_void_p)

    def call(
        self, kernel: Any, args: Any, count: int, copies: int, first: int, n: int, serial: bool
    ) -> np.ndarray:
        """Seconds of each of `n` calls. Raises Failure."""
        ns = np.zeros(n, np.uint64)
        error = self._library.trial_run(
            kernel, args, count, copies, first, n, int(serial), ns.ctypes.data
        )
        if error != 0:
            text = self._library.trial_error() or b""
            raise Failure(text.decode(errors="replace"))
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


class Subject:
    """A kernel with its operands in memory."""

    def __init__(self, loaded: Loaded, run: Run, memory: np.ndarray) -> None:
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
        """Compare the results with what is expected. Raises Wrong."""
        with self._blamed():
            self._check()

    def _check(self) -> None:
        for operand, result in zip(self._run.outputs, self._results, strict=True):
            wanted = np.fromfile(operand.path, operand.dtype.numpy)
            error = largest_error(result.view(operand.dtype.numpy), wanted)
            if error > operand.allowed:
                raise Wrong(f"largest error {error:.3e}, allowed {operand.allowed:.3e}")
            if operand.pads:
                pads = np.fromfile(operand.pads, np.bool_)
                if np.any(result.view(operand.dtype.numpy)[pads] != 0):
                    raise Wrong("pad lanes are not zero")

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """What fails meanwhile is this kernel's fault."""
        try:
            yield
        except Failure as failure:
            failure.entry = self._run.entry
            raise

    def first(self) -> float:
        """Run it once and check it; the time of the next call. Raises Failure."""
        self.poison()
        self.call(1)
        self.check()
        seconds: float = self.call(1)[0]
        return seconds
