"""Vector functions: at most 8 ulp over all magnitudes, and sensible at the ends."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from kernels import build, one_op, task_of

from leip.ir import DType, TensorType
from leip.ir.ops.arithmetic import erf
from leip.schedules.generic.plain import PlainConfig, PlainTemplate

ULP = 8
INF, NAN = math.inf, math.nan

FUNCTIONS = {
    "exp": (np.exp, {-INF: 0.0, INF: INF, 89.0: INF, -104.0: 0.0, 0.0: 1.0, 88.7: None}),
    "log": (np.log, {0.0: -INF, INF: INF, -1.0: NAN, 1.0: 0.0, 1e-42: None}),
    "tanh": (np.tanh, {-INF: -1.0, INF: 1.0, 0.0: 0.0, 1e-20: None}),
    "erf": (erf, {-INF: -1.0, INF: 1.0, 0.0: 0.0, 1e-20: None}),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), {-INF: 0.0, INF: 1.0, 0.0: 0.5}),
    "softplus": (lambda x: np.logaddexp(0, x), {INF: INF, 0.0: None, 100.0: 100.0}),
}
SMALLEST = 1.7e-38  # results below may be flushed to zero


@functools.cache
def points(op: str) -> np.ndarray:
    """Seeded floats of all magnitudes that matter, both signs."""
    rng = np.random.default_rng(5)
    size = 40_000
    wide = np.exp2(rng.uniform(-40, 6.4, size)) * rng.choice([-1.0, 1.0], size)
    near = rng.uniform(-12, 12, size)
    x = np.concatenate([wide, near]).astype(np.float32)
    return np.abs(x) + np.float32(1e-30) if op == "log" else x


@functools.cache
def kernel(op: str, count: int, level: int):  # type: ignore[no-untyped-def]
    body = one_op(op, None, [TensorType(DType.F32, (2, count // 2))])
    return build([task_of(body, level=level)], PlainTemplate(), [PlainConfig(level > 1, False)])[0]


def ulps(got: np.ndarray, x: np.ndarray, op: str) -> np.ndarray:
    with np.errstate(all="ignore"):
        exact = FUNCTIONS[op][0](x.astype(np.float64))
        spacing = np.spacing(np.maximum(np.abs(exact), SMALLEST).astype(np.float32))
        return np.asarray(np.abs(got - exact) / spacing)


@pytest.mark.parametrize("op", FUNCTIONS)
def test_within_8_ulp(op: str) -> None:
    x = points(op)
    with np.errstate(all="ignore"):
        exact = FUNCTIONS[op][0](x.astype(np.float64))
    x = x[np.isfinite(exact.astype(np.float32)) & (np.abs(exact) > SMALLEST)]
    x = np.resize(x, 80_000)
    got = kernel(op, len(x), 3).run([x.reshape(2, -1)])[0].reshape(-1)
    worst = int(np.argmax(ulps(got, x, op)))
    limit = ULP if op != "softplus" else 2 * ULP  # two functions, one inside the other
    assert ulps(got, x, op)[worst] <= limit, (x[worst], got[worst])


@pytest.mark.parametrize("level", (1, 3))
@pytest.mark.parametrize("op", FUNCTIONS)
def test_at_the_ends(op: str, level: int) -> None:
    ends = {**FUNCTIONS[op][1], NAN: NAN}
    x = np.resize(np.array(list(ends), np.float32), 32)
    got = kernel(op, 32, level).run([x.reshape(2, -1)])[0].reshape(-1)
    for value, result in zip(ends, got[: len(ends)], strict=True):
        wanted = ends[value]
        if wanted is None:
            with np.errstate(all="ignore"):
                exact = FUNCTIONS[op][0](np.array([value], np.float32).astype(np.float64))[0]
            assert abs(result - exact) <= 16 * np.spacing(np.float32(abs(exact))), value
        elif math.isfinite(wanted) and wanted:
            assert abs(result - wanted) <= ULP * np.spacing(np.float32(abs(wanted))), value
        else:
            assert np.array_equal(result, np.float32(wanted), equal_nan=True), (value, result)
