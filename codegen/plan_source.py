"""The plan as C: constant tables that the engine walks (see runtime/c/plan.h)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ir.dtypes import DType
from .memory import ALIGNMENT
from .plan import Argument, Buffer, Io, Place, Plan, Step

__all__ = ["ObjectFacts", "render"]

# Inputs and outputs from this size on are used where the user has them, if that is at a multiple of
# 16 bytes as malloc gives it (`lowering.OPERAND_ALIGNMENT`). Smaller ones are copied to a line of
# their own: that costs less than vectors that cross cache lines.
IN_PLACE = 16 << 10
USER_ALIGNMENT = 16


@dataclass(frozen=True)
class ObjectFacts:
    """What stands in the object beside its plan (`LreObject` of plan.h)."""

    threads: int
    build_id: str
    model_id: str
    schema: str
    arch: str
    features: tuple[str, ...]
    weights_bytes: int
    crc: int | None = None


def render(plan: Plan, facts: ObjectFacts) -> str:
    """The text of plan.c."""
    return _Writer().write(plan, facts)


class _Writer:
    def __init__(self) -> None:
        self.shapes: dict[tuple[int, ...], str] = {}

    def write(self, plan: Plan, facts: ObjectFacts) -> str:
        steps = [self._step(step, number) for number, step in enumerate(plan.steps)]
        ios = [self._ios("inputs", plan, plan.inputs), self._ios("outputs", plan, plan.outputs)]
        entries = dict.fromkeys(step.entry for step in plan.steps if step.entry)
        lines = ['#include "plan.h"', ""]
        lines += [
            f"int {entry}(void*, const TVMFFIAny*, int32_t, TVMFFIAny*);" for entry in entries
        ]
        lines += [
            f"static const int64_t {name}[] = {{{', '.join(map(str, shape)) or '1'}}};"
            for shape, name in self.shapes.items()
        ]
        lines += [table for table in ios if table]
        lines.append(_array("LreBuffer", "buffers", [_buffer(buffer) for buffer in plan.buffers]))
        lines += [arguments for arguments, _ in steps]
        lines.append(_array("LreStep", "steps", [entry for _, entry in steps]))
        counts = (len(plan.inputs), len(plan.outputs), len(plan.buffers), len(plan.steps))
        tables = (
            "inputs" if plan.inputs else "0",
            "outputs" if plan.outputs else "0",
            "buffers" if plan.buffers else "0",
            "steps" if plan.steps else "0",
        )
        lines.append(
            f"static const LrePlan plan0 = {{{plan.arena_bytes}u, {plan.workspace_bytes}u, "
            f"{', '.join(f'{count}u' for count in counts)}, {', '.join(tables)}}};"
        )
        lines.append("static const LrePlan* const plans[] = {&plan0};")
        lines += _object(facts, plan.dense_bytes)
        return "\n".join(line for line in lines if line is not None) + "\n"

    def _shape(self, shape: tuple[int, ...]) -> str:
        return self.shapes.setdefault(shape, f"shape{len(self.shapes)}")

    def _argument(self, argument: Argument) -> str:
        shape = argument.shape
        return (
            f"{{{argument.buffer}u, {_dtype(argument.dtype)}, 1, {len(shape)}, {argument.offset}u, "
            f"{self._shape(shape)}, 0}}"
        )

    def _step(self, step: Step, number: int) -> tuple[str, str]:
        arguments = [self._argument(argument) for argument in (*step.inputs, *step.outputs)]
        table = _array("LreArg", f"args{number}", arguments)
        kind = "LRE_STEP_CALL" if step.entry else "LRE_STEP_COPY"
        entry = (
            f"{{{kind}, {'LRE_STEP_SERIAL' if step.serial else '0'}, {len(step.inputs)}, "
            f"{len(step.outputs)}, {step.entry or '0'}, args{number}, {_string(step.name)}, "
            f"{_string(step.origin)}, {_string(step.template)}, {step.flops}u, {step.bytes}u}}"
        )
        return table, entry

    def _ios(self, name: str, plan: Plan, ios: Sequence[Io]) -> str:
        entries = []
        for io in ios:
            shape = io.type.physical_shape
            entries.append(
                f"{{{_string(io.name)}, {_dtype(io.type.dtype)}, 0, {len(shape)}, "
                f"{self._shape(shape)}, {_alignment(plan.buffers[io.buffer])}, {io.buffer}u}}"
            )
        return _array("LreIo", name, entries)


def _object(facts: ObjectFacts, dense_bytes: int) -> list[str]:
    features = ", ".join(_string(name) for name in facts.features)
    weights = (
        f"{{{facts.weights_bytes}u, {ALIGNMENT}, {int(facts.crc is not None)}, "
        f"{facts.crc or 0}u, 0, 0, {dense_bytes}u}}"
    )
    return [
        f"static const char* const features[] = {{{features or '0'}}};",
        "static const char schema[] =",
        _long_string(facts.schema) + ";",
        f"const LreObject lre_object = {{LRE_PLAN_VERSION, {facts.threads}u, "
        f"{_string(facts.build_id)}, {_string(facts.model_id)}, schema, {_string(facts.arch)}, "
        f"{len(facts.features)}u, 1u, features, plans, {weights}}};",
    ]


def _array(kind: str, name: str, entries: Sequence[str]) -> str:
    if not entries:  # C has no empty arrays
        return f"static const {kind} {name}[1];" if kind == "LreArg" else ""
    body = ",\n  ".join(entries)
    return f"static const {kind} {name}[] = {{\n  {body}}};"


def _buffer(buffer: Buffer) -> str:
    return (
        f"{{LRE_SPACE_HOST, {buffer.place.value}, 0, {buffer.index}u, {buffer.offset}u, "
        f"{buffer.bytes}u, {_alignment(buffer)}, 0}}"
    )


def _alignment(buffer: Buffer) -> int:
    """What the engine sees to."""
    own = buffer.place in (Place.INPUT, Place.OUTPUT)
    return USER_ALIGNMENT if own and buffer.bytes >= IN_PLACE else ALIGNMENT


def _dtype(dtype: DType) -> str:
    if dtype is DType.BF16:
        return "LRE_BFLOAT, 16"
    if dtype is DType.BOOL:
        return "LRE_BOOL, 8"
    kind = "LRE_FLOAT" if dtype.is_float else "LRE_INT" if dtype.is_signed else "LRE_UINT"
    return f"{kind}, {dtype.bits}"


def _string(text: str) -> str:
    """A C string literal; bytes beyond ASCII as octal escapes, which end after three digits."""
    parts = []
    for byte in text.encode():
        char = chr(byte)
        if char in '"\\':
            parts.append("\\" + char)
        elif 32 <= byte < 127 and char != "?":  # "??" would begin a trigraph
            parts.append(char)
        else:
            parts.append(f"\\{byte:03o}")
    return '"' + "".join(parts) + '"'


def _long_string(text: str) -> str:
    return "\n".join("  " + _string(line) for line in text.splitlines(keepends=True)) or '  ""'
