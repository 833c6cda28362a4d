"""Build kernels of tasks, run them in TVM's runtime, compare with the references."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from leip.ir import Graph, Layout, TensorType, Value
from leip.ir.dtypes import DType
from leip.ir.interpreter import run_region
from leip.ir.target import Target
from leip.schedules.in_place import prepare
from leip.schedules.task import Task
from leip.schedules.template import Knobs, Template

os.environ.setdefault("TVM_NUM_THREADS", "2")

FAULTS = r"""
#include <stdint.h>
static int64_t count, code, value;
int64_t lre_fault(int64_t c, int64_t v) { count++; code = c; value = v; return 0; }
int64_t test_faults(int64_t *c, int64_t *v) {
  int64_t n = count; *c = code; *v = value; count = 0; return n;
}
"""


@functools.cache
def fault_library() -> ctypes.CDLL:
    """`lre_fault` for kernels that run without the engine: counts, and remembers the last one."""
    folder = Path(tempfile.mkdtemp(prefix="leip-test-"))
    source, library = folder / "faults.c", folder / "libfaults.so"
    source.write_text(FAULTS)
    compiler = shutil.which("cc") or "gcc"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    loaded = ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    loaded.test_faults.restype = ctypes.c_int64
    shutil.rmtree(folder)
    return loaded


def faults() -> tuple[int, int, int]:
    """(number of faults since the last call, last code, last value)."""
    code, value = ctypes.c_int64(), ctypes.c_int64()
    count = fault_library().test_faults(ctypes.byref(code), ctypes.byref(value))
    return int(count), code.value, value.value


@functools.cache
def host() -> Target:
    """This machine."""
    from leip.codegen.resolver import resolve

    return resolve("llvm")


@functools.cache
def avx2_host() -> Target:
    """This machine used as one with AVX2 only."""
    from leip.codegen.resolver import resolve

    return resolve("llvm -mcpu=haswell")


def task_of(
    body: Graph,
    *,
    level: int = 3,
    threads: int = 2,
    constants: Iterable[int] = (),
    target: Target | None = None,
) -> Task:
    return Task(body, target or host(), threads, level, tuple(constants))


def type_of(array: np.ndarray, layout: Layout | None = None) -> TensorType:
    return TensorType(DType.from_numpy(array.dtype), array.shape, layout)


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of the items, evenly spread."""
    if len(items) <= count:
        return list(items)
    return [items[i * (len(items) - 1) // (count - 1)] for i in range(count)]


def one_op(
    op: str,
    attrs: Any,
    types: Sequence[TensorType],
    layouts: Sequence[Layout | None] | None = None,
) -> Graph:
    """A body of one node."""
    body = Graph("task")
    operands = [body.add_input(f"x{i}", type) for i, type in enumerate(types)]
    node = body.add(op, *operands, attrs=attrs, layouts=layouts)
    body.set_outputs(node.outputs)
    return body


@dataclass
class Kernel:
    """A compiled task."""

    task: Task
    template: Template
    config: Knobs
    function: Any

    def arguments(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        """TVM tensors of the (packed, stored) inputs and of outputs full of rubbish."""
        packs = self.template.packs(self.task, self.config)
        stored = []
        for position, (value, array) in enumerate(zip(self.task.body.inputs, arrays, strict=True)):
            if position in packs:
                stored.append(packs[position].apply(array))
                assert stored[-1].shape == packs[position].type.shape
            else:
                stored.append(value.layout.to_physical(array) if value.layout else array)
        for value in self.task.body.outputs:
            stored.append(rubbish(value))
        return [to_tvm(array) for array in stored]

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Logical outputs for logical inputs. Fails if a pad lane is not zero.

        Fails too if another result is left where an operand stands whose memory it may take.
        """
        arguments = self.arguments(arrays)
        self.function(*arguments)
        for position in self.template.in_place(self.task, self.config):
            shared = self.arguments(arrays)
            shared[-1] = shared[position]
            self.function(*shared)
            dtype = self.task.body.outputs[0].dtype
            results = [from_tvm(tensor, dtype).tobytes() for tensor in (shared[-1], arguments[-1])]
            assert results[0] == results[1], f"not in place of {position}"
        outputs = []
        for value, tensor in zip(
            self.task.body.outputs, arguments[len(self.task.body.inputs) :], strict=True
        ):
            array = from_tvm(tensor, value.dtype).reshape(value.type.physical_shape)
            if value.layout is not None:
                logical = value.layout.to_logical(array, value.shape)
                again = value.layout.to_physical(logical)
                bits = (array.view(np.uint8), again.view(np.uint8))
                same = np.array_equal(array, again) or np.array_equal(*bits)
                same = same or np.array_equal(np.nan_to_num(array), np.nan_to_num(again))
                assert same, f"pad lanes of {value} are not zero"
                array = logical
            outputs.append(array)
        return outputs


def rubbish(value: Value) -> np.ndarray:
    """What an output buffer holds before: NaN, or a number that is no likely result."""
    fill: Any = np.nan if value.dtype.is_float else (True if value.dtype.is_bool else 77)
    return np.full(value.type.physical_shape, fill, value.dtype.numpy)


def to_tvm(array: np.ndarray) -> Any:
    import tvm

    array = np.ascontiguousarray(array).reshape(array.shape)
    if array.dtype == ml_dtypes.bfloat16:
        return to_tvm(array.view(np.uint16))._create_view(array.shape, "bfloat16")
    tensor = tvm.runtime.empty(array.shape, str(array.dtype))
    if array.size:
        tensor.copyfrom(array)
    return tensor


def from_tvm(tensor: Any, dtype: DType) -> np.ndarray:
    if dtype is DType.BF16:
        bits = tensor._create_view(tensor.shape, "uint16").numpy()
        return np.asarray(bits).view(ml_dtypes.bfloat16)
    return np.asarray(tensor.numpy())


def build(
    tasks: Sequence[Task], template: Template, configs: Sequence[Knobs | None] = ()
) -> list[Kernel]:
    """Compile tasks of one target and level as one module (much faster than one by one)."""
    import tvm

    from leip.codegen.resolver import tvm_target

    fault_library()
    functions, settings = {}, []
    pass_config: dict[str, Any] = {}
    for index, task in enumerate(tasks):
        template.check(task)
        config = (configs[index] if index < len(configs) else None) or template.default(task)
        positions = template.in_place(task, config)
        lowered, held = prepare(template.build(task, config), positions)
        assert held == positions, "the code is not what the template says"
        functions[f"f{index}"] = lowered.functions[0].with_attr("global_symbol", f"f{index}")
        pass_config.update(lowered.pass_config)
        settings.append(config)
    with tvm.transform.PassContext(config=pass_config):
        library = tvm.compile(tvm.IRModule(functions), target=tvm_target(tasks[0].target))
    return [
        Kernel(task, template, config, library[f"f{index}"])
        for index, (task, config) in enumerate(zip(tasks, settings, strict=True))
    ]


def expected(task: Task, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    return run_region(task.body, arrays)


def seconds(kernel: Kernel, arrays: Sequence[np.ndarray], repeat: int = 20) -> float:
    """Best time of one call, in seconds."""
    import time

    arguments = kernel.arguments(arrays)
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        for _ in range(5):
            kernel.function(*arguments)
        best = min(best, (time.perf_counter() - start) / 5)
    return best
