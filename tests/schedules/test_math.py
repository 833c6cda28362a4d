"""Vector functions: at most 8 ulp over all magnitudes, and sensible at the ends."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import tvm
from kernels import build, host, one_op, task_of
from tvm import s_tir, te

from leip.codegen.resolver import tvm_target
from leip.ir import DType, TensorType
from leip.ir.ops.arithmetic import erf
from leip.schedules.generic.plain import PlainConfig, PlainTemplate
from leip.schedules.math import MathLibrary
from leip.schedules.view import scope

ULP = 8
INF, NAN = math.inf, math.nan

FUNCTIONS = {
    "exp": (np.exp, {-INF: 0.0, INF: INF, 89.0: INF, -104.0: 0.0, 0.0: 1.0, 88.7: None}),
    "log": (np.log, {0.0: -INF, INF: INF, -1.0: NAN, 1.0: 0.0, 1e-42: None}),
    "tanh": (np.tanh, {-INF: -1.0, INF: 1.0, 0.0: 0.0, 1e-20: None}),
    "erf": (erf, {-INF: -1.0, INF: 1.0, 0.0: 0.0, 1e-20: None}),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), {-INF: 0.0, INF: 1.0, 0.0: 0.5}),
    "sin": (np.sin, {INF: NAN, -INF: NAN, 0.0: 0.0, 1e-40: None, 1e22: None, -3e38: None}),
    "cos": (np.cos, {INF: NAN, -INF: NAN, 0.0: 1.0, 1e-40: 1.0, 1e22: None, -3e38: None}),
    "tan": (np.tan, {INF: NAN, -INF: NAN, 0.0: 0.0, 1e-30: None, 1e22: None, -3e38: None}),
    "asin": (np.arcsin, {1.0: math.pi / 2, -1.0: -math.pi / 2, 0.0: 0.0, 1.01: NAN, INF: NAN}),
    "acos": (np.arccos, {1.0: 0.0, -1.0: math.pi, 0.0: math.pi / 2, -1.01: NAN, -INF: NAN}),
    "atan": (np.arctan, {INF: math.pi / 2, -INF: -math.pi / 2, 0.0: 0.0, 1.0: None, 1e38: None}),
    "sinh": (np.sinh, {INF: INF, -INF: -INF, 0.0: 0.0, 89.3: None, -90.0: -INF, 1e-30: None}),
    "cosh": (np.cosh, {INF: INF, -INF: INF, 0.0: 1.0, 89.3: None, -90.0: INF, 1e38: INF}),
    "asinh": (np.arcsinh, {INF: INF, -INF: -INF, 0.0: 0.0, 3e38: None, -8192.0: None, 1e-30: None}),
    "acosh": (np.arccosh, {INF: INF, -INF: NAN, 1.0: 0.0, 0.9: NAN, 3e38: None, -3.0: NAN}),
    "atanh": (np.arctanh, {1.0: INF, -1.0: -INF, 0.0: 0.0, 1.5: NAN, INF: NAN, -INF: NAN}),
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
    if op in ("asin", "acos", "atanh"):
        x = np.concatenate([x[np.abs(x) < 1], rng.uniform(-1, 1, size).astype(np.float32)])
    if op == "acosh":
        x = np.abs(x) + np.float32(1)
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


@functools.cache
def down_kernel(count: int):  # type: ignore[no-untyped-def]
    """exp_down, which no op is alone, over a row: compiled from its expression."""
    x = te.placeholder((count,), "float32", name="x")
    y = te.compute((count,), lambda i: scope(lambda: MathLibrary(True).exp_down(x(i))), name="y")
    schedule = s_tir.Schedule(te.create_prim_func([x, y]))
    (loop,) = schedule.get_loops(schedule.get_sblock("y"))
    schedule.vectorize(schedule.split(loop, [None, 16])[1])
    return tvm.compile(schedule.mod, target=tvm_target(host()))


def exp_down(x: np.ndarray) -> np.ndarray:
    arguments = tvm.runtime.tensor(x), tvm.runtime.tensor(np.empty_like(x))
    down_kernel(len(x))["main"](*arguments)
    return arguments[1].numpy()


def test_exp_down_within_8_ulp() -> None:
    x = np.resize(-np.abs(points("exp")), 80_000)
    exact = np.exp(x.astype(np.float64))
    far = ulps(exp_down(x), x, "exp")
    assert far[exact > SMALLEST].max() <= ULP
    assert (exp_down(x)[exact < 1e-39] == 0).all()


def test_exp_down_at_the_ends() -> None:
    ends = np.resize(np.array([0.0, -0.0, -INF, NAN, -1e38, -87.5, -88.0], np.float32), 16)
    got = exp_down(ends)
    assert list(got[:3]) == [1.0, 1.0, 0.0] and np.isnan(got[3]) and got[4] == 0
    assert (got[5:7] >= 0).all() and (got[5:7] <= 1.2e-38).all()


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


@pytest.mark.parametrize("op", ["sin", "tan", "asin", "atan", "sinh", "asinh", "atanh"])
def test_zeros_keep_their_sign(op: str) -> None:
    x = np.resize(np.array([0.0, -0.0], np.float32), 32)
    got = kernel(op, 32, 3).run([x.reshape(2, -1)])[0].reshape(-1)
    assert np.array_equal(np.signbit(got), np.signbit(x)) and not got.any()


@pytest.mark.parametrize("op", ["erf", "tanh"])
def test_far_out_is_exactly_one(op: str) -> None:
    """gelu multiplies what is left of 1 by x."""
    x = np.array([3.95, 9.1, 20.0, 1e38, -9.1, -20.0, -1e38, -INF] * 2, np.float32)
    x = np.where(op == "tanh", np.sign(x) * np.maximum(np.abs(x), 9.1), x).astype(np.float32)
    got = kernel(op, 16, 3).run([x.reshape(1, -1)])[0].reshape(-1)
    assert np.array_equal(got, np.sign(x))
