"""The shapes of a model's inputs: as stored, as the user says, and what is still open."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

import onnx

from ...errors import UsageError
from ..sizes import whole_sizes

Dim = int | str  # a size, or the name of an open dimension ("?" if it has none)


def parse_input_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Values of `--input_shapes`: `NAME:1,3,224,224`, split at the last colon.

    Raises:
        UsageError: If a value has another form or names an input twice.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, colon, dims = text.rpartition(":")
        if not colon or not name or not re.fullmatch(r"\s*\d{1,18}\s*(,\s*\d{1,18}\s*)*", dims):
            raise UsageError(
                f"{text!r} is not of the form NAME:1,3,224,224",
                "--input_shapes",
                "Write the input's name, a colon, and its dimensions separated by commas.",
            )
        shape = tuple(int(dim) for dim in dims.split(","))
        if 0 in shape:
            raise UsageError(f"{text!r} has a dimension of 0", "--input_shapes")
        if shapes.setdefault(name, shape) != shape:
            raise UsageError(f"input {name!r} is given twice", "--input_shapes")
    return shapes


def declared_dims(info: onnx.ValueInfoProto) -> tuple[Dim, ...] | None:
    """The dimensions of an input as stored; None if not even the rank is known."""
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(
        dim.dim_value
        if dim.HasField("dim_value") and dim.dim_value >= 0
        else (dim.dim_param or "?")
        for dim in tensor.shape.dim
    )


def resolve_shapes(
    declared: Mapping[str, tuple[Dim, ...] | None],
    given: Mapping[str, Sequence[int]] | None,
) -> dict[str, tuple[int, ...]]:
    """The static shape of every input.

    A dimension's name binds: with `x: [N, 3]` given as `4,3`, an input `y: [N, 5]` is `4,5`.

    Args:
        declared: Input name -> dimensions as stored.
        given: Shapes from the user; they may override static dimensions.

    Raises:
        UsageError: For an unknown name, a shape of another rank, or open dimensions (one error
            that lists all inputs and the flags to type).
    """
    wanted = _checked(declared, given or {})
    bound: dict[str, int] = {}
    for name, shape in wanted.items():
        for dim, size in zip(declared[name] or (), shape):
            if isinstance(dim, str) and dim != "?":
                bound.setdefault(dim, size)
    resolved: dict[str, tuple[int, ...]] = {}
    for name, dims in declared.items():
        if name in wanted:
            resolved[name] = wanted[name]
        elif dims is not None:
            sizes = tuple(bound.get(dim, -1) if isinstance(dim, str) else dim for dim in dims)
            if -1 not in sizes:
                resolved[name] = sizes
    if len(resolved) < len(declared):
        raise _open_dimensions(declared, resolved)
    return resolved


def _checked(
    declared: Mapping[str, tuple[Dim, ...] | None], given: Mapping[str, Sequence[int]]
) -> dict[str, tuple[int, ...]]:
    """The given shapes; their names exist and their ranks fit. Raises UsageError."""
    wanted = {name: whole_sizes(name, shape) for name, shape in given.items()}
    for name, shape in wanted.items():
        if name not in declared:
            raise UsageError(
                f"the model has no input {name!r}", "--input_shapes", _nearest(name, declared)
            )
        dims = declared[name]
        if any(size < 0 for size in shape):
            raise UsageError(f"shape {list(shape)} of {name!r} is negative", "--input_shapes")
        if dims is not None and len(dims) != len(shape):
            raise UsageError(
                f"input {name!r} has {len(dims)} dimensions, {_dims(dims)}; given were"
                f" {len(shape)}: {_dims(shape)}",
                "--input_shapes",
            )
    return wanted


def _open_dimensions(
    declared: Mapping[str, tuple[Dim, ...] | None], resolved: Mapping[str, tuple[int, ...]]
) -> UsageError:
    """The one error that says which inputs are open and what to type."""
    width = max(len(name) for name in declared)
    lines = ["the model has inputs with dynamic dimensions; leip compiles for fixed shapes"]
    flags = []
    for name, dims in declared.items():
        text = "unknown rank" if dims is None else _dims(dims)
        lines.append(f"  {name:<{width}}  {text}" + ("" if name in resolved else "  <- open"))
        if name not in resolved:
            example = ",".join(str(size) for size in _example(dims))
            flags.append(f"--input_shapes {shlex.quote(f'{name}:{example}')}")
    hint = "Say what they are, for example: " + " ".join(flags)
    return UsageError("\n".join(lines), "", hint)


def _example(dims: tuple[Dim, ...] | None) -> list[int]:
    """Sizes that such an input often has."""
    if dims is None:
        return [1, 3, 224, 224]
    usual = [1, 3, 224, 224] if len(dims) == 4 else [1, *([128] * (len(dims) - 1))]
    return [usual[i] if isinstance(dim, str) else dim for i, dim in enumerate(dims)]


def _dims(dims: Sequence[Dim]) -> str:
    return "[" + ", ".join(str(dim) for dim in dims) + "]"


def _nearest(name: str, declared: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, list(declared), 1, 0.5)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Its inputs are {', '.join(repr(n) for n in declared)}." if declared else ""
