"""What the building processes do for trials beside building: references, operands, packings."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..ir.dtypes import DType
from ..ir.graph import Value
from .kernel_worker import Failed, Job, build_job, parsed
from .trial_messages import Operand

__all__ = ["BuildTrial", "Prepare", "Prepared", "TrialKernel"]

SEED = 20260


@dataclass(frozen=True)
class Prepared:
    """The operands of a task, in files.

    Attributes:
        inputs: Of all body inputs: as they are handed to a kernel that packs nothing.
        outputs: What is expected.
    """

    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]


@dataclass(frozen=True)
class Prepare:
    """Draw operands for a task, compute the reference, and write both into a folder."""

    text: str
    folder: str

    def run(self) -> Prepared:
        from ..ir.interpreter import run_region
        from ..schedules.task import Task
        from .task_graph import operand_values
        from .verify import allowed_error

        task, folder = Task.parse(self.text), Path(self.folder)
        folder.mkdir(exist_ok=True)
        values = operand_values(task, SEED)
        with np.errstate(all="ignore"):
            wanted = run_region(task.body, values)
        inputs = [
            _store(folder / f"x{index}", value, array, constant=index in task.constants)
            for index, (value, array) in enumerate(zip(task.body.inputs, values, strict=True))
        ]
        outputs = []
        for index, (value, array) in enumerate(zip(task.body.outputs, wanted, strict=True)):
            allowed = allowed_error(array, task.level)
            pads = ""
            if value.layout is not None and value.type.has_padding:
                pads = str(folder / f"p{index}")
                ones = value.layout.to_physical(np.ones(value.shape, np.uint8))
                (ones == 0).tofile(pads)
            stored = _store(folder / f"y{index}", value, array)
            outputs.append(Operand(stored.path, stored.dtype, stored.shape, allowed, pads))
        return Prepared(tuple(inputs), tuple(outputs))


@dataclass(frozen=True)
class TrialKernel:
    """A built candidate: its object, its temporary bytes a thread, and its packed constants."""

    symbol: str
    data: bytes
    workspace: int
    packed: dict[int, Operand]


@dataclass(frozen=True)
class BuildTrial:
    """Build a candidate and pack its constants into a folder.

    Attributes:
        job: The kernel.
        inputs: The task's operands; see `Prepared`.
        folder: Where packed constants are written; equal ones once.
        built: The kernel, if it was built before.
    """

    job: Job
    inputs: tuple[Operand, ...]
    folder: str
    built: TrialKernel | None = None

    def run(self) -> TrialKernel | Failed:
        if self.built is not None:
            kernel = self.built
            return TrialKernel(kernel.symbol, kernel.data, kernel.workspace, self._pack())
        built = build_job(self.job)
        if isinstance(built, Failed):
            return built
        return TrialKernel(self.job.symbol, built.data, built.workspace, self._pack())

    def _pack(self) -> dict[int, Operand]:
        task, template, config = parsed(self.job)
        packed = {}
        for index, pack in template.packs(task, config).items():
            source = self.inputs[index]
            name = hashlib.sha256(f"{source.path} {pack.key}".encode()).hexdigest()[:24]
            path = Path(self.folder) / name
            if not path.exists():
                plain = np.fromfile(source.path, source.dtype.numpy).reshape(source.shape)
                array = np.ascontiguousarray(pack.apply(plain))
                if array.shape != pack.type.physical_shape or array.dtype != pack.type.dtype.numpy:
                    raise ValueError(f"packing {pack.key} gave {array.dtype}{list(array.shape)}")
                own = path.with_suffix(f".{os.getpid()}")
                array.reshape(-1).view(np.uint8).tofile(own)
                own.replace(path)
            packed[index] = Operand(str(path), pack.type.dtype, pack.type.physical_shape)
        return packed


def _store(path: Path, value: Value, array: np.ndarray, constant: bool = False) -> Operand:
    """Write a logical array as it stands in memory; constants stand there plainly."""
    physical = array if constant or value.layout is None else value.layout.to_physical(array)
    dtype: DType = value.dtype
    data = np.ascontiguousarray(physical, dtype.numpy)
    data.reshape(-1).view(np.uint8).tofile(path)
    shape = data.shape if constant else value.type.physical_shape
    return Operand(str(path), dtype, tuple(shape))
