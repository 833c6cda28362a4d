"""One scheduled kernel → one object file, with TVM."""

from __future__ import annotations

import re
import struct
import tempfile
from pathlib import Path
from typing import Any

from ..ir import levels
from ..ir.target import Target
from ..schedules.task import Task
from ..schedules.template import Lowered
from .resolver import tvm_target

__all__ = ["PREFIX", "compile_lowered", "entry_point", "kernel_stem", "kernel_symbol"]

# Functions become direct symbols of the object file; the prefix marks what TVM adds itself.
PREFIX = "leip_"

_SHT_PROGBITS, _SHT_INIT_ARRAY = 1, 14
_STARTUP, _UNUSED = b".init_array", b".leip_unusd"


def kernel_stem(task: Task) -> str:
    """What a kernel does, in a word or few: `conv`, `add_relu`."""
    if task.anchor is not None:
        return task.anchor.op
    names = list(dict.fromkeys(node.op for node in task.nodes)) or ["copy"]
    return "_".join(names[:3])


def kernel_symbol(task: Task, template: str, key: str) -> str:
    """A name that is equal for equal kernels and tells people what it is."""
    output = task.body.outputs[0].type
    layout = str(output.layout) if output.layout is not None else "plain"
    name = f"{kernel_stem(task)}_{output.dtype.short}_{layout}__{template}_{key[:8]}"
    return re.sub(r"\W", "_", name)


def entry_point(symbol: str) -> str:
    """The C symbol of a kernel's packed function."""
    return f"__tvm_ffi_{symbol}"


def compile_lowered(lowered: Lowered, symbol: str, target: Target, level: int) -> bytes:
    """The object file of a scheduled kernel.

    Args:
        lowered: Its functions; the first gets the symbol.
        symbol: Global symbol without TVM's prefix.
        target: What to generate code for.
        level: Optimization level; level 1 keeps the checks of arguments.
    """
    import tvm

    functions: dict[str, Any] = {}
    for index, function in enumerate(lowered.functions):
        name = symbol if index == 0 else f"{symbol}_{index}"
        functions[name] = function.with_attr("global_symbol", name)
    module = tvm.IRModule(functions).with_attr("system_lib_prefix", PREFIX)
    config = dict(lowered.pass_config)
    if level >= levels.FUSED:
        config["tirx.disable_assert"] = True
    try:
        library = _build(module, config, target)
    except tvm.error.InternalError as error:
        if not any(text in str(error) for text in _READ_BEFORE):
            raise
        # TVM shares subexpressions also with what stands inside of a Let, but where it puts the
        # shared one it does not look there: it may not be computed before it is read, which TVM's
        # own check or LLVM's verifier refuses. LLVM finds common subexpressions too.
        library = _build(module, {**config, "tirx.disable_cse_tir": True}, target)
    with tempfile.TemporaryDirectory(prefix="leip-") as folder:
        path = Path(folder) / "kernel.o"
        library.write_to_file(str(path), "o")
        return without_startup(path.read_bytes())


_READ_BEFORE = ("does not dominate all uses", "has been used before definition")


def _build(module: Any, config: dict[str, Any], target: Target) -> Any:
    import tvm

    from .lowering import PIPELINE

    with tvm.transform.PassContext(opt_level=3, config=config):
        return tvm.tirx.build(module, target=tvm_target(target), pipeline=PIPELINE)


def without_startup(data: bytes) -> bytes:
    """An object file whose start-up list is an ordinary section, which the linker then drops.

    TVM registers every function when the library is loaded, with code for the target's CPU: that
    would run before the engine has asked whether this CPU can run it.
    """
    raw = bytearray(data)
    (start,) = struct.unpack_from("<Q", raw, 0x28)
    size, count, names = struct.unpack_from("<HHH", raw, 0x3A)
    (strings,) = struct.unpack_from("<Q", raw, start + names * size + 0x18)
    for header in range(start, start + count * size, size):
        name, kind = struct.unpack_from("<II", raw, header)
        if kind == _SHT_INIT_ARRAY:
            struct.pack_into("<I", raw, header + 4, _SHT_PROGBITS)
            raw[strings + name : strings + name + len(_STARTUP)] = _UNUSED
    return bytes(raw)
