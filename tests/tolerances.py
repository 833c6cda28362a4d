"""How close two computations must be: the one table of tolerances, each with its reason.

    assert_close("conv", actual, expected)          one op
    MODEL_SPREAD[level], SMALL_NETWORK              whole networks

`atol` is relative to the largest expected magnitude where `scaled` is set: a sum of many terms of
both signs has errors in proportion to its terms, not to its result.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from leip.ir import DType

# Whole models: max|Δ| as a share of max|y(x1) - y(x2)| over two seeded inputs. Random deep networks
# amplify rounding; ONNX Runtime and OpenVINO differ by up to 9e-5 of it.
MODEL_SPREAD = {
    1: 5e-4,  # plain loops: another order of sums than the peer's
    2: 5e-4,  # vector functions of at most 8 ulp, sums reordered
    3: 5e-4,  # the same, in other layouts
    4: 5e-3,  # other algorithms (Winograd), whose error grows with their transforms
}

# Winograd F(m x m, 3 x 3): max|Δ| as a share of max|y|, over the root of the channels. F(2) is
# below a direct sum in float32 (fewer terms); the transforms of F(4) amplify rounding tenfold.
WINOGRAD = {2: 1e-7, 4: 1e-6}

# One small network against the numpy reference, whose sums are in float64.
SMALL_NETWORK = 1e-5


class Tolerance(NamedTuple):
    rtol: float
    atol: float
    scaled: bool
    reason: str


EXACT = Tolerance(0.0, 0.0, False, "moves, compares or counts: no rounding anywhere")

KINDS: dict[str, tuple[str, ...]] = {
    "sum": (
        "conv", "conv_transpose", "matmul", "avg_pool", "lrn", "reduce_sum", "reduce_mean",
        "reduce_prod", "cumsum", "batch_norm", "layer_norm", "instance_norm", "group_norm",
        "rms_norm", "softmax", "log_softmax", "resize", "scatter_nd", "scatter_elements",
    ),
    "function": (
        "exp", "log", "erf", "rsqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh",
        "asinh", "acosh", "atanh", "tanh", "sigmoid", "silu", "mish", "hardswish", "softsign",
        "softplus", "gelu", "elu", "celu", "selu", "hard_sigmoid", "pow", "mod",
    ),
    "arithmetic": (
        "add", "sub", "mul", "div", "sqrt", "reciprocal", "leaky_relu", "prelu", "range",
    ),
}  # fmt: skip
"""Kinds of ops; what is in none of them is exact."""

TABLE: dict[tuple[str, DType], Tolerance] = {
    ("arithmetic", DType.F64): Tolerance(1e-15, 0.0, False, "one operation, at most 2 roundings"),
    ("arithmetic", DType.F32): Tolerance(3e-7, 0.0, False, "one operation, at most 2 roundings"),
    ("arithmetic", DType.F16): Tolerance(1e-3, 0.0, False, "one operation, one rounding to f16"),
    ("arithmetic", DType.BF16): Tolerance(8e-3, 0.0, False, "one operation, one rounding to bf16"),
    ("function", DType.F64): Tolerance(1e-13, 1e-14, False, "libm's few ulp; compositions"),
    ("function", DType.F32): Tolerance(
        2e-6, 1e-6, False, "vector functions of at most 8 ulp; near zeros 1e-6 of their order 1"
    ),
    ("function", DType.F16): Tolerance(2e-3, 1e-3, False, "f32 inside, one or two f16 roundings"),
    ("function", DType.BF16): Tolerance(1.6e-2, 8e-3, False, "f32 inside, bf16 roundings"),
    ("sum", DType.F64): Tolerance(1e-12, 1e-13, True, "sums in another order"),
    ("sum", DType.F32): Tolerance(
        1e-5, 4e-6, True, "sums of up to some thousand terms in another order, in f32"
    ),
    ("sum", DType.F16): Tolerance(4e-3, 2e-3, True, "sums in f32, one rounding to f16"),
    ("sum", DType.BF16): Tolerance(2e-2, 1e-2, True, "sums in f32, one rounding to bf16"),
}


def tolerance(op: str, dtype: DType) -> Tolerance:
    """Tolerance for results of `dtype` of the op named `op`."""
    if not dtype.is_float:
        return EXACT
    kind = next((kind for kind, ops in KINDS.items() if op in ops), "exact")
    return TABLE.get((kind, dtype), EXACT)


def assert_close(op: str, actual: np.ndarray, expected: np.ndarray) -> None:
    """Same dtype, same shape, and values within the tolerance of `op`; NaN equals NaN."""
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    rtol, atol, scaled, _ = tolerance(op, DType.from_numpy(expected.dtype))
    if rtol == atol == 0.0:
        np.testing.assert_array_equal(actual, expected)
        return
    wide = expected.astype(np.float64)
    finite = np.abs(wide[np.isfinite(wide)])
    size = float(finite.max()) if scaled and finite.size else 1.0
    np.testing.assert_allclose(actual.astype(np.float64), wide, rtol=rtol, atol=atol * size)
