"""expand: numpy's broadcasting."""

from __future__ import annotations

from typing import Any

from ...ir.types import TensorType
from ..context import Context
from ..view import View
from . import Compute
from .elements import joint_reach, read_broadcast


def _expand(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    x, shape = inputs[0], out_types[0].shape
    return View(
        shape,
        x.dtype,
        lambda *indices: read_broadcast(x, shape, indices),
        reach=joint_reach([x], shape),
        pad=x.pad,
        cheap=x.cheap,
        scalar=x.scalar,
    )


COMPUTE: dict[str, Compute] = {"expand": _expand}
