"""How references compute: wider than they store, rounding once at the end.

Infinities and NaNs in data are data: the interpreter runs references with numpy's warnings off.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

ELEMENTS_PER_CHUNK = 1 << 22
"""Elements that a reference may convert to float64 at a time (32 MB)."""


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Whether ``dtype`` is a float (numpy's own hierarchy does not say so of bfloat16)."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def wide(x: Array) -> Array:
    """Half floats as float32, everything else as it is: one rounding at the end is then exact."""
    narrow = is_floating(x.dtype) and x.dtype.itemsize == 2
    return x.astype(np.float32) if narrow else x


def precise(x: Array) -> Array:
    """Any array as float64."""
    return np.asarray(x).astype(np.float64, copy=False)


def finish(result: Any, dtype: np.dtype[Any]) -> Array:
    """``result`` as an array (numpy makes scalars of rank 0) of exactly ``dtype``."""
    return np.asarray(np.asarray(result).astype(dtype, copy=False))


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    """``coefficients[0] + coefficients[1] * x + ...`` by Horner's rule."""
    total = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total *= x
        total += coefficient
    return total


# Rational approximations of Sun's fdlibm (s_erf.c): below 1 ulp in float64.
_ERF_SMALL = (
    (
        1.28379167095512558561e-01,
        -3.25042107247001499370e-01,
        -2.84817495755985104766e-02,
        -5.77027029648944159157e-03,
        -2.37630166566501626084e-05,
    ),
    (
        1.0,
        3.97917223959155352819e-01,
        6.50222499887672944485e-02,
        5.08130628187576562776e-03,
        1.32494738004321644526e-04,
        -3.96022827877536812320e-06,
    ),
)
_ERF_AT_ONE = 8.45062911510467529297e-01
_ERF_NEAR_ONE = (
    (
        -2.36211856075265944077e-03,
        4.14856118683748331666e-01,
        -3.72207876035701323847e-01,
        3.18346619901161753674e-01,
        -1.10894694282396677476e-01,
        3.54783043256182359371e-02,
        -2.16637559486879084300e-03,
    ),
    (
        1.0,
        1.06420880400844228286e-01,
        5.40397917702171048937e-01,
        7.18286544141962662868e-02,
        1.26171219808761642112e-01,
        1.36370839120290507362e-02,
        1.19844998467991074170e-02,
    ),
)
_ERFC_MIDDLE = (
    (
        -9.86494403484714822705e-03,
        -6.93858572707181764372e-01,
        -1.05586262253232909814e01,
        -6.23753324503260060396e01,
        -1.62396669462573470355e02,
        -1.84605092906711035994e02,
        -8.12874355063065934246e01,
        -9.81432934416914548592e00,
    ),
    (
        1.0,
        1.96512716674392571292e01,
        1.37657754143519042600e02,
        4.34565877475229228821e02,
        6.45387271733267880336e02,
        4.29008140027567833386e02,
        1.08635005541779435134e02,
        6.57024977031928170135e00,
        -6.04244152148580987438e-02,
    ),
)
_ERFC_TAIL = (
    (
        -9.86494292470009928597e-03,
        -7.99283237680523006574e-01,
        -1.77579549177547519889e01,
        -1.60636384855821916062e02,
        -6.37566443368389627722e02,
        -1.02509513161107724954e03,
        -4.83519191608651397019e02,
    ),
    (
        1.0,
        3.03380607434824582924e01,
        3.25792512996573918826e02,
        1.53672958608443695994e03,
        3.19985821950859553908e03,
        2.55305040643316442583e03,
        4.74528541206955367215e02,
        -2.24409524465858183362e01,
    ),
)


def erf(x: Array) -> Array:
    """The error function of a float64 array, to about 1e-15 (numpy has none)."""
    size = np.abs(x)
    out = np.where(np.isnan(x), x, np.sign(x))  # beyond 6 it is +-1

    small = size < 0.84375
    z = x[small] ** 2
    out[small] = x[small] * (1 + _polynomial(z, _ERF_SMALL[0]) / _polynomial(z, _ERF_SMALL[1]))

    near = (size >= 0.84375) & (size < 1.25)
    z = size[near] - 1
    ratio = _polynomial(z, _ERF_NEAR_ONE[0]) / _polynomial(z, _ERF_NEAR_ONE[1])
    out[near] = np.sign(x[near]) * (_ERF_AT_ONE + ratio)

    for low, high, (above, below) in (
        (1.25, 1 / 0.35, _ERFC_MIDDLE),
        (1 / 0.35, 6.0, _ERFC_TAIL),
    ):
        here = (size >= low) & (size < high)
        a = size[here]
        z = 1 / (a * a)
        erfc = np.exp(-a * a - 0.5625 + _polynomial(z, above) / _polynomial(z, below)) / a
        out[here] = np.sign(x[here]) * (1 - erfc)
    return out
