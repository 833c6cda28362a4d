"""Every numbered constraint of every op: an example that breaks it, and what the error says."""

from __future__ import annotations

import re

import pytest
from samples_elementwise import FLOAT_UNARY, UNARY_WITH_ATTRS

from leip.errors import ConstraintError
from leip.ir import Attrs, DType, NoAttrs, parse_type
from leip.ir import op as ops
from leip.ir import ops as catalogue
from leip.ir.ops import (
    OPS,
    ArgAttrs,
    BatchNormAttrs,
    ClipAttrs,
    ConcatAttrs,
    ConvAttrs,
    ConvTransposeAttrs,
    CumsumAttrs,
    ExpandAttrs,
    GatherAttrs,
    GatherElementsAttrs,
    GatherNdAttrs,
    GeluAttrs,
    GroupNormAttrs,
    InstanceNormAttrs,
    LayerNormAttrs,
    LrnAttrs,
    MatmulAttrs,
    ModAttrs,
    PadAttrs,
    PoolAttrs,
    RangeAttrs,
    ReduceAttrs,
    RequantizeAttrs,
    ReshapeAttrs,
    ResizeAttrs,
    RmsNormAttrs,
    ScatterElementsAttrs,
    ScatterNdAttrs,
    SliceAttrs,
    SoftmaxAttrs,
    SplitAttrs,
    TileAttrs,
    TopkAttrs,
    TransposeAttrs,
)

NO = NoAttrs()
Case = tuple[str, str, Attrs, str, str]


def _elementwise() -> list[Case]:
    floats = [op for op in FLOAT_UNARY if op not in UNARY_WITH_ATTRS]
    cases: list[Case] = [
        (op, "C1", NO, "i32[3]", "a float dtype, got i32[3]") for op in [*floats, "isnan", "isinf"]
    ]
    cases += [
        (op, "C1", attrs[0], "i32[3]", "a float dtype, got i32[3]")
        for op, attrs in UNARY_WITH_ATTRS.items()
    ]
    for op in ("abs", "sign", "relu"):
        cases.append((op, "C1", NO, "bool[3]", "a float or integer dtype, got bool[3]"))
    arithmetic = ["add", "sub", "mul", "div", "maximum", "minimum"]
    comparisons = ["equal", "less", "less_equal", "greater", "greater_equal"]
    logical = {"and": "bool", "or": "bool", "xor": "bool"}
    bits = dict.fromkeys(
        ("bitwise_and", "bitwise_or", "bitwise_xor", "shift_left", "shift_right"), "i32"
    )
    for op in (*arithmetic, *comparisons, *logical, *bits):
        right = logical.get(op) or bits.get(op) or "f32"
        wrong = "f32" if op in logical or op in bits else "bool"
        other = "bool" if op in bits else "i64"
        if op != "equal":
            cases.append((op, "C1", NO, f"{wrong}[3], {wrong}[3]", f"got {wrong}[3]"))
        cases.append((op, "C2", NO, f"{right}[3], {other}[3]", f"got {right}[3], {other}[3]"))
        cases.append((op, "C3", NO, f"{right}[2,3], {right}[2]", f"got {right}[2,3], {right}[2]"))
    return cases


CASES: list[Case] = [
    *_elementwise(),
    ("neg", "C1", NO, "u8[3]", "a float or signed integer dtype, got u8[3]"),
    ("not", "C1", NO, "f32[3]", "bool, got f32[3]"),
    ("bitwise_not", "C1", NO, "f32[3]", "an integer dtype, got f32[3]"),
    ("gelu", "C2", GeluAttrs("fast"), "f32[3]", 'none, tanh, got "fast"'),
    ("clip", "C1", ClipAttrs(), "bool[3]", "got bool[3]"),
    ("pow", "C1", NO, "bool[3], f32[3]", "the base must have a float or integer dtype"),
    ("pow", "C2", NO, "f32[3], bool[3]", "the exponent must have a float or integer dtype"),
    ("pow", "C3", NO, "f32[3], f32[4]", "got f32[3], f32[4]"),
    ("mod", "C1", ModAttrs(), "bool[3], bool[3]", "got bool[3]"),
    ("mod", "C2", ModAttrs(), "i32[3], i64[3]", "got i32[3], i64[3]"),
    ("mod", "C3", ModAttrs(), "i32[3], i32[4]", "got i32[3], i32[4]"),
    ("mod", "C4", ModAttrs(), "f32[3], f32[3]", "floats need fmod, got f32[3]"),
    ("prelu", "C1", NO, "u8[3], u8[3]", "got u8[3]"),
    ("prelu", "C2", NO, "f32[3], f64[3]", "got f32[3], f64[3]"),
    ("prelu", "C3", NO, "f32[3], f32[2,3]", "slope f32[2,3] does not broadcast to f32[3]"),
    ("where", "C1", NO, "f32[3], f32[3], f32[3]", "c must have bool, got f32[3]"),
    ("where", "C2", NO, "bool[3], f32[3], i32[3]", "got f32[3], i32[3]"),
    ("where", "C3", NO, "bool[3], f32[4], f32[3]", "got bool[3], f32[4], f32[3]"),
    *[
        case
        for op in ("reduce_sum", "reduce_mean", "reduce_prod", "reduce_max", "reduce_min")
        for case in [
            (op, "C1", ReduceAttrs((0,)), "bool[3]", "got bool[3]"),
            (op, "C2", ReduceAttrs((0, 0)), "f32[3,2]", "in [0, 1], got (0, 0)"),
            (op, "C2", ReduceAttrs((-1,)), "f32[3,2]", "in [0, 1], got (-1,)"),
        ]
        if case[1] != "C1" or op not in ("reduce_max", "reduce_min")
    ],
    *[
        case
        for op in ("argmax", "argmin")
        for case in [
            (op, "C1", ArgAttrs(0), "bool[3]", "got bool[3]"),
            (op, "C2", ArgAttrs(1), "f32[3]", "axis 1 is not in [-1, 0]"),
            (op, "C3", ArgAttrs(1), "f32[3,0]", "axis 1 of f32[3,0] is empty"),
        ]
    ],
    *[
        case
        for op in ("softmax", "log_softmax")
        for case in [
            (op, "C1", SoftmaxAttrs(), "i32[3]", "a float dtype, got i32[3]"),
            (op, "C2", SoftmaxAttrs(2), "f32[3,4]", "axis 2 is not in [-2, 1]"),
        ]
    ],
    ("cumsum", "C1", CumsumAttrs(0), "bool[3]", "got bool[3]"),
    ("cumsum", "C2", CumsumAttrs(0), "f32[]", "axis 0 is not in [0, -1]"),
    ("topk", "C1", TopkAttrs(1), "bool[3]", "got bool[3]"),
    ("topk", "C2", TopkAttrs(1, axis=1), "f32[3]", "axis 1 is not in [-1, 0]"),
    ("topk", "C3", TopkAttrs(4), "f32[3]", "k = 4 of axis 0 of f32[3]"),
]

CONV = ConvAttrs((1, 1), (0, 0, 0, 0), (1, 1))
TRANSPOSED = ConvTransposeAttrs((1, 1), (0, 0, 0, 0), (1, 1))
POOL = PoolAttrs((2, 2), (1, 1), (0, 0, 0, 0), (1, 1))
IMAGE = "f32[1,4,5,5]"

CASES += [
    ("conv", "C1", CONV, f"{IMAGE}, f64[2,4,3,3]", f"got {IMAGE} and f64[2,4,3,3]"),
    ("conv", "C2", CONV, f"{IMAGE}, f32[2,4,3]", f"got {IMAGE} and f32[2,4,3]"),
    ("conv", "C2", CONV, "f32[1,4], f32[2,4]", "rank 3, 4 or 5"),
    ("conv", "C3", ConvAttrs((1,), (0,) * 4, (1, 1)), f"{IMAGE}, f32[2,4,3,3]", "strides"),
    ("conv", "C3", ConvAttrs((1, 1), (0,) * 4, (1, 0)), f"{IMAGE}, f32[2,4,3,3]", "got (1, 0)"),
    ("conv", "C4", ConvAttrs((1, 1), (0,), (1, 1)), f"{IMAGE}, f32[2,4,3,3]", "pads must have 4"),
    ("conv", "C5", CONV, f"{IMAGE}, f32[2,3,3,3]", "1 groups do not fit 4 channels"),
    ("conv", "C6", CONV, f"{IMAGE}, f32[2,4,7,3]", "window [7, 3] with pads [0, 0, 0, 0]"),
    ("conv_transpose", "C1", TRANSPOSED, f"{IMAGE}, i8[4,2,3,3]", f"got {IMAGE} and i8[4,2,3,3]"),
    ("conv_transpose", "C2", TRANSPOSED, f"{IMAGE}, f32[4,2,3]", "rank 3, 4 or 5"),
    ("conv_transpose", "C3", ConvTransposeAttrs((0, 1), (0,) * 4, (1, 1)),
     f"{IMAGE}, f32[4,2,3,3]", "strides must be at least 1, got (0, 1)"),
    ("conv_transpose", "C4", ConvTransposeAttrs((1, 1), (-1, 0, 0, 0), (1, 1)),
     f"{IMAGE}, f32[4,2,3,3]", "pads must be at least 0"),
    ("conv_transpose", "C5", TRANSPOSED, f"{IMAGE}, f32[3,2,3,3]", "do not fit 4 channels"),
    ("conv_transpose", "C6", ConvTransposeAttrs((1, 1), (0,) * 4, (1, 1), output_padding=(1,)),
     f"{IMAGE}, f32[4,2,3,3]", "output_padding must have 2 entries, got 1"),
    ("conv_transpose", "C7", ConvTransposeAttrs((1, 1), (3, 3, 4, 4), (1, 1)),
     f"{IMAGE}, f32[4,2,3,3]", "output size [0, 0] is not positive"),
    ("matmul", "C1", MatmulAttrs(), "f32[2,3], i32[3,2]", "f32[2,3] and i32[3,2]"),
    ("matmul", "C2", MatmulAttrs(), "f32[3], f32[3,2]", "got f32[3] and f32[3,2]"),
    ("matmul", "C3", MatmulAttrs(transpose_b=True), "f32[2,3], f32[3,2]", "inner sizes 3 and 2"),
    ("matmul", "C4", MatmulAttrs(), "f32[2,2,3], f32[3,3,2]", "got f32[2,2,3] and f32[3,3,2]"),
    ("requantize", "C1", RequantizeAttrs(), "f32[3], f32[]", "acc is f32[3], scale is f32[]"),
    ("requantize", "C2", RequantizeAttrs(to=DType.I16), "i32[3], f32[]", "u8 or i8, got i16"),
    ("requantize", "C3", RequantizeAttrs(-1), "i32[3], f32[]", "-1 is not in [0, 255]"),
    ("requantize", "C4", RequantizeAttrs(), "i32[3], f32[2]", "f32[2] does not broadcast"),
    *[
        (op, code, attrs, types, text)
        for op in ("max_pool", "avg_pool")
        for code, attrs, types, text in [
            ("C1", POOL, "bool[1,4,5,5]", "got bool[1,4,5,5]"),
            ("C2", POOL, "f32[4,5]", "rank 3, 4 or 5, got f32[4,5]"),
            ("C3", PoolAttrs((2,), (1, 1), (0,) * 4, (1, 1)), IMAGE, "kernel must have 2 entries"),
            ("C4", PoolAttrs((2, 2), (1, 1), (0, 0), (1, 1)), IMAGE, "pads must have 4 entries"),
            ("C5", PoolAttrs((2, 2), (1, 1), (0, 2, 0, 0), (1, 1)), IMAGE, "pads [0, 2, 0, 0]"),
            ("C6", PoolAttrs((6, 2), (1, 1), (0,) * 4, (1, 1)), IMAGE, "window [6, 2]"),
        ]
    ],
    ("lrn", "C1", LrnAttrs(3), "i32[1,3]", "got i32[1,3]"),
    ("lrn", "C2", LrnAttrs(3), "f32[3]", "got f32[3]"),
    ("lrn", "C3", LrnAttrs(0), "f32[1,3]", "got 0"),
    ("batch_norm", "C1", BatchNormAttrs(), "f32[2,3], f32[3], f32[3], f32[3], f64[3]", "f64[3]"),
    ("batch_norm", "C2", BatchNormAttrs(), "f32[3], f32[3], f32[3], f32[3], f32[3]", "got f32[3]"),
    ("batch_norm", "C3", BatchNormAttrs(), "f32[2,3], f32[3], f32[3], f32[3], f32[4]",
     "must be [3] for f32[2,3], got f32[4]"),
    ("layer_norm", "C1", LayerNormAttrs(), "i32[2,3], i32[3], i32[3]", "got i32[2,3]"),
    ("layer_norm", "C2", LayerNormAttrs(2), "f32[2,3], f32[3], f32[3]", "axis 2"),
    ("layer_norm", "C3", LayerNormAttrs(), "f32[2,3], f32[3], f32[2]", "must be [3]"),
    ("instance_norm", "C1", InstanceNormAttrs(), "i32[1,3,4], i32[3], i32[3]", "i32[1,3,4]"),
    ("instance_norm", "C2", InstanceNormAttrs(), "f32[1,3], f32[3], f32[3]", "rank 3 or more"),
    ("instance_norm", "C3", InstanceNormAttrs(), "f32[1,3,4], f32[3], f32[4]", "must be [3]"),
    ("group_norm", "C1", GroupNormAttrs(1), "i32[1,3,4], i32[3], i32[3]", "i32[1,3,4]"),
    ("group_norm", "C2", GroupNormAttrs(1), "f32[3], f32[3], f32[3]", "rank 2 or more"),
    ("group_norm", "C3", GroupNormAttrs(1), "f32[1,3,4], f32[3], f32[1]", "must be [3]"),
    ("group_norm", "C4", GroupNormAttrs(2), "f32[1,3,4], f32[3], f32[3]", "2 groups do not"),
    ("rms_norm", "C1", RmsNormAttrs(), "f32[2,3], f64[3]", "got f32[2,3], f64[3]"),
    ("rms_norm", "C2", RmsNormAttrs(-3), "f32[2,3], f32[3]", "axis -3 is not in [-2, 1]"),
    ("rms_norm", "C3", RmsNormAttrs(), "f32[2,3], f32[2]", "must be [3] for f32[2,3], got f32[2]"),
]  # fmt: skip

CASES += [
    ("concat", "C1", ConcatAttrs(0), "", "there is no input"),
    ("concat", "C1", ConcatAttrs(0), "f32[3], i32[3]", "got f32[3], i32[3]"),
    ("concat", "C2", ConcatAttrs(1), "f32[3], f32[3]", "axis 1 is not in [-1, 0]"),
    ("concat", "C3", ConcatAttrs(0), "f32[2,3], f32[2,4]", "off axis 0: f32[2,3], f32[2,4]"),
    ("split", "C1", SplitAttrs(1, (3,)), "f32[3]", "axis 1 is not in [-1, 0]"),
    ("split", "C2", SplitAttrs(0, (1, 1)), "f32[3]", "sizes [1, 1] do not add up to axis 0"),
    ("slice", "C1", SliceAttrs((1,), (0,), (1,), (1,)), "f32[3]", "in [0, 0], got (1,)"),
    ("slice", "C2", SliceAttrs((0,), (0,), (1,), ()), "f32[3]", "steps must have 1 entries, got 0"),
    ("slice", "C3", SliceAttrs((0,), (0,), (1,), (0,)), "f32[3]", "a step is 0"),
    ("pad", "C1", PadAttrs((1, 1)), "f32[2,3]", "pads must have 4 entries"),
    ("pad", "C2", PadAttrs((1, 1), "mirror"), "f32[3]", 'got "mirror"'),
    ("pad", "C3", PadAttrs((-2, -2)), "f32[3]", "pads [-2, -2] cut more than there is of f32[3]"),
    ("pad", "C4", PadAttrs((3, 0), "reflect"), "f32[3]", "mode reflect cannot pad axis 0"),
    ("pad", "C4", PadAttrs((1, 0), "edge"), "f32[0]", "mode edge cannot pad axis 0 of f32[0]"),
    ("transpose", "C1", TransposeAttrs((0, 0)), "f32[2,3]", "perm [0, 0] does not permute"),
    ("reshape", "C1", ReshapeAttrs((-1, -1)), "f32[2,3]", "-1 at most once: shape [-1, -1]"),
    ("reshape", "C2", ReshapeAttrs((6, 1, 0)), "f32[2,3]", "no input axis to copy"),
    ("reshape", "C3", ReshapeAttrs((4, -1)), "f32[2,3]", "nothing fits in for -1: shape [4, -1]"),
    ("reshape", "C4", ReshapeAttrs((5,)), "f32[2,3]", "shape [5] for input [2, 3]"),
    ("expand", "C1", ExpandAttrs((-2,)), "f32[3]", "shape [-2] for f32[3]"),
    ("expand", "C2", ExpandAttrs((4,)), "f32[3]", "got f32[3], f32[4]"),
    ("tile", "C1", TileAttrs((2,)), "f32[2,3]", "repeats must have 2 entries, got 1: (2,)"),
    ("gather", "C1", GatherAttrs(), "f32[3], f32[1]", "i32 or i64, got f32[1]"),
    ("gather", "C2", GatherAttrs(1), "f32[3], i64[1]", "axis 1 is not in [-1, 0]"),
    ("gather_elements", "C1", GatherElementsAttrs(), "f32[3], u8[1]", "i32 or i64, got u8[1]"),
    ("gather_elements", "C2", GatherElementsAttrs(1), "f32[3], i64[1]", "axis 1"),
    ("gather_elements", "C3", GatherElementsAttrs(), "f32[3,2], i64[1,3]", "reach beyond f32[3,2]"),
    ("gather_nd", "C1", GatherNdAttrs(), "f32[3], bool[1]", "i32 or i64, got bool[1]"),
    ("gather_nd", "C2", GatherNdAttrs(1), "f32[3,4], i64[2,1]", "do not share 1 batch axes"),
    ("gather_nd", "C3", GatherNdAttrs(), "f32[3], i64[4,2]", "more coordinates than f32[3] has"),
    ("scatter_nd", "C1", ScatterNdAttrs(), "f32[3], f32[1,1], f32[1]", "got f32[1,1]"),
    ("scatter_nd", "C2", ScatterNdAttrs(), "f32[3], i64[], f32[1]", "do not share 0 batch axes"),
    ("scatter_nd", "C3", ScatterNdAttrs(), "f32[3], i64[1,2], f32[1]", "more coordinates"),
    ("scatter_nd", "C4", ScatterNdAttrs(), "f32[3], i64[1,1], f64[1]", "got f32[3], f64[1]"),
    ("scatter_nd", "C5", ScatterNdAttrs(), "f32[3], i64[1,1], f32[2]", "must be [1]"),
    ("scatter_nd", "C6", ScatterNdAttrs("sub"), "f32[3], i64[1,1], f32[1]", 'got "sub"'),
    ("scatter_nd", "C6", ScatterNdAttrs("add"), "bool[3], i64[1,1], bool[1]", "got bool[3]"),
    ("scatter_elements", "C1", ScatterElementsAttrs(), "f32[3], f32[1], f32[1]", "got f32[1]"),
    ("scatter_elements", "C2", ScatterElementsAttrs(1), "f32[3], i64[1], f32[1]", "axis 1"),
    ("scatter_elements", "C3", ScatterElementsAttrs(), "f32[3], i64[1,1], f32[1,1]", "f32[3]"),
    ("scatter_elements", "C4", ScatterElementsAttrs(), "f32[3], i64[1], i64[1]", "f32[3], i64[1]"),
    ("scatter_elements", "C5", ScatterElementsAttrs(), "f32[3], i64[1], f32[2]", "updates f32[2]"),
    ("scatter_elements", "C6", ScatterElementsAttrs(0, "x"), "f32[3], i64[1], f32[1]", 'got "x"'),
    ("resize", "C1", ResizeAttrs("area"), "f32[3]", 'nearest, linear, cubic, got "area"'),
    ("resize", "C1", ResizeAttrs(coordinate="x", sizes=(2,)), "f32[3]", 'got "x"'),
    ("resize", "C2", ResizeAttrs("linear", sizes=(2,)), "i32[3]", "a float dtype, got i32[3]"),
    ("resize", "C3", ResizeAttrs(), "f32[3]", "scales [] and sizes [] do not fit f32[3]"),
    ("resize", "C3", ResizeAttrs(scales=(-1.0,)), "f32[3]", "scales [-1.0]"),
    ("resize", "C4", ResizeAttrs(sizes=(2,)), "f32[0]", "f32[0] has nothing to give [2]"),
    ("resize", "C5", ResizeAttrs(sizes=(2,), coordinate="tf_crop_and_resize"), "f32[3]", "roi"),
    ("resize", "C6", ResizeAttrs("linear", sizes=(2,), antialias=True), "f32[3]", "antialias"),
    ("range", "C1", RangeAttrs(0.0, 3.0, 1.0, DType.BOOL), "", "dtype is bool"),
    ("range", "C2", RangeAttrs(0.0, 3.0, 0.0, DType.F32), "", "(0.0, 3.0, 0.0)"),
    ("range", "C3", RangeAttrs(0.0, 3.0, 0.5, DType.I64), "", "(0.0, 3.0, 0.5)"),
]  # fmt: skip

# Any dtype will do: a constraint in name, so that the families' lists are alike.
UNBREAKABLE = {("identity", "C1"), ("equal", "C1"), ("reduce_max", "C1"), ("reduce_min", "C1")}


def _id(case: Case) -> str:
    return f"{case[0]}-{case[1].lower()}-{case[4]}"


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_constraint(case):
    op, code, attrs, types, text = case
    inputs = tuple(parse_type(t) for t in types.split(", ") if t)
    with pytest.raises(ConstraintError, match=re.escape(text)) as raised:
        ops.get(op).infer_types(attrs, inputs)
    assert raised.value.op == op
    assert raised.value.number == code
    assert str(raised.value).startswith(f"{op} {code}: ")


@pytest.mark.parametrize("definition", OPS, ids=lambda definition: definition.name)
def test_all_constraints_are_tested(definition):
    documented = set(re.findall(r"^ *(C\d+):", definition.infer.__doc__ or "", re.MULTILINE))
    tested = {code for op, code, *_ in CASES if op == definition.name}
    tested |= {code for op, code in UNBREAKABLE if op == definition.name}

    assert definition.infer.__doc__
    assert tested == documented


def test_attrs_are_exported():
    used = {definition.attrs.__name__ for definition in OPS}

    assert used <= set(catalogue.__all__)
