"""Arguments of the Python calls, checked at the entry, errors by the parameter's name.

What the command line gives has these types already; from Python anything can come.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..ir.sizes import whole_sizes

__all__ = [
    "as_flag",
    "as_levels",
    "as_path",
    "as_paths",
    "as_paths_by_name",
    "as_shapes",
    "as_text",
]


def as_text(name: str, value: object, none: str | None = None) -> str:
    """`value`, which must be a str; `none` takes the place of None if it is given."""
    if value is None and none is not None:
        return none
    if not isinstance(value, str):
        raise _wrong(name, value, "a str" if none is None else "a str or None")
    return value


def as_flag(name: str, value: object) -> bool:
    """`value` as a bool: True, False or numpy's."""
    if type(value).__name__ not in ("bool", "bool_"):
        raise _wrong(name, value, "True or False")
    return bool(value)


def as_path(name: str, value: object) -> Path:
    """`value` as a path: a str, bytes or an os.PathLike, and not an empty one."""
    if not isinstance(value, str | bytes | os.PathLike):
        raise _wrong(name, value, "a path (a str or an os.PathLike)")
    text = os.fsdecode(value)
    if not text or "\0" in text:
        raise _wrong(name, value, "the path of a file or folder")
    return Path(text)


def as_paths(name: str, value: object) -> tuple[Path, ...]:
    """Several paths. A lone one is an error: as a sequence it would be one of characters."""
    if isinstance(value, str | bytes | os.PathLike) or not isinstance(value, Iterable):
        raise _wrong(name, value, "a list of paths")
    return tuple(as_path(name, path) for path in value)


def as_paths_by_name(name: str, value: object) -> dict[str, Path]:
    """Paths by the names of inputs; None is none."""
    return {key: as_path(f"{name}[{key!r}]", path) for key, path in _items(name, value)}


def as_shapes(name: str, value: object) -> dict[str, tuple[int, ...]]:
    """Shapes by the names of inputs; None is none."""
    shapes = {}
    for key, shape in _items(name, value):
        if isinstance(shape, str | bytes) or not isinstance(shape, Iterable):
            raise _wrong(f"{name}[{key!r}]", shape, "a row of whole numbers, as (1, 3, 224, 224)")
        shapes[key] = whole_sizes(key, shape)
    return shapes


def as_levels(name: str, value: object) -> Sequence[tuple[str, Any]]:
    """`{"kernel": 3}` as pairs; None is none."""
    return _items(name, value)


def _items(name: str, value: object) -> list[tuple[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, Mapping):
        raise _wrong(name, value, "a dict by name, or None")
    for key in value:
        if not isinstance(key, str):
            raise _wrong(f"a name in {name}", key, "a str")
    return list(value.items())


def _wrong(name: str, value: object, wanted: str) -> UsageError:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return UsageError(f"{name} must be {wanted}, not {shown} ({type(value).__name__})", name)
