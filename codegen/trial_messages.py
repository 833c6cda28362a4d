"""What the process that runs trials is told, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..ir.dtypes import DType

__all__ = ["Batch", "Operand", "Result", "Run"]


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
