"""requantize: integer sums back to eight bits, bit for bit as the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import tirx

from ..context import Context
from ..view import Expr, bind, const
from . import Compute
from .elements import elementwise, maximum, minimum


def _requantize(context: Context, attrs: Any, acc: Expr, scale: Expr) -> Expr:
    """Clamped before the zero point is added: then every step is exact in float32."""
    info = np.iinfo(attrs.to.numpy)
    low, high = info.min - attrs.zero_point, info.max - attrs.zero_point
    scaled = tirx.nearbyint(acc.astype("float32") * scale)
    kept = bind(
        scaled, lambda v: minimum(const(high, "float32"), maximum(const(low, "float32"), v))
    )
    return (kept.astype("int32") + const(attrs.zero_point, "int32")).astype(attrs.to.tvm)


COMPUTE: dict[str, Compute] = {"requantize": elementwise("requantize", _requantize)}
