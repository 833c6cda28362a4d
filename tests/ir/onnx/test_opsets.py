"""Ops whose meaning changed between opsets, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

# ruff: noqa: E501

X = "float[2,3,4,5] x"

CASES = {
    # softmax and its kin: until 12 over everything from the axis on
    "softmax-9": (9, f"({X}) => (float y) {{ y = Softmax <axis=1> (x) }}"),
    "softmax-9-default": (9, f"({X}) => (float y) {{ y = Softmax (x) }}"),
    "softmax-13": (13, f"({X}) => (float y) {{ y = Softmax <axis=1> (x) }}"),
    "softmax-13-default": (13, f"({X}) => (float y) {{ y = Softmax (x) }}"),
    "log-softmax-11": (11, f"({X}) => (float y) {{ y = LogSoftmax <axis=2> (x) }}"),
    "hardmax-11": (11, f"({X}) => (float y) {{ y = Hardmax <axis=2> (x) }}"),
    "hardmax-13": (13, f"({X}) => (float y) {{ y = Hardmax <axis=2> (x) }}"),
    # bounds
    "clip-7": (7, f"({X}) => (float y) {{ y = Clip <min=-0.5, max=0.25> (x) }}"),
    "clip-7-open": (7, f"({X}) => (float y) {{ y = Clip <min=-0.5> (x) }}"),
    "clip-11": (
        11,
        f"({X}) => (float y) <float low = {{-0.5}}, float high = {{0.25}}> {{ y = Clip (x, low, high) }}",
    ),
    "clip-11-no-minimum": (
        11,
        f"({X}) => (float y) <float high = {{0.25}}> {{ y = Clip (x, , high) }}",
    ),
    "clip-13-computed": (13, f"({X}, float low, float high) => (float y) {{ y = Clip (x, low, high) }}"),
    # axes as attributes, then as operands
    "squeeze-11": (11, "(float[1,3,1,5] x) => (float y) { y = Squeeze <axes=[0]> (x) }"),
    "squeeze-13": (
        13,
        "(float[1,3,1,5] x) => (float y) <int64[1] axes = {-2}> { y = Squeeze (x, axes) }",
    ),
    "squeeze-13-all": (13, "(float[1,3,1,5] x) => (float y) { y = Squeeze (x) }"),
    "unsqueeze-11": (11, f"({X}) => (float y) {{ y = Unsqueeze <axes=[0,-1]> (x) }}"),
    "unsqueeze-13": (
        13,
        f"({X}) => (float y) <int64[2] axes = {{3,0}}> {{ y = Unsqueeze (x, axes) }}",
    ),
    "reduce-sum-11": (11, f"({X}) => (float y) {{ y = ReduceSum <axes=[1,-1], keepdims=0> (x) }}"),
    "reduce-sum-13": (
        13,
        f"({X}) => (float y) <int64[2] axes = {{1,-1}}> {{ y = ReduceSum <keepdims=0> (x, axes) }}",
    ),
    "reduce-sum-13-noop": (13, f"({X}) => (float y) {{ y = ReduceSum <noop_with_empty_axes=1> (x) }}"),
    "reduce-mean-17": (17, f"({X}) => (float y) {{ y = ReduceMean <axes=[2]> (x) }}"),
    "reduce-mean-18": (
        18,
        f"({X}) => (float y) <int64[1] axes = {{2}}> {{ y = ReduceMean (x, axes) }}",
    ),
    "reduce-log-sum-exp": (17, f"({X}) => (float y) {{ y = ReduceLogSumExp <axes=[2,3], keepdims=0> (x) }}"),
    "reduce-l2": (17, f"({X}) => (float y) {{ y = ReduceL2 (x) }}"),
    # slices and pads
    "slice-9": (9, f"({X}) => (float y) {{ y = Slice <axes=[1,3], starts=[1,-3], ends=[9223372036854775807,-1]> (x) }}"),
    "slice-10-backwards": (
        10,
        f"({X}) => (float y) <int64[1] s = {{-1}}, int64[1] e = {{-9223372036854775807}},"
        " int64[1] a = {3}, int64[1] t = {-2}> { y = Slice (x, s, e, a, t) }",
    ),
    "slice-13-no-axes": (
        13,
        f"({X}) => (float y) <int64[2] s = {{1,0}}, int64[2] e = {{2,2}}> {{ y = Slice (x, s, e) }}",
    ),
    "pad-7": (7, f"({X}) => (float y) {{ y = Pad <pads=[0,0,1,0,0,0,2,1], value=1.5> (x) }}"),
    "pad-11": (
        11,
        f"({X}) => (float y) <int64[8] p = {{0,0,1,-1,0,0,2,1}}, float v = {{2.5}}> {{ y = Pad (x, p, v) }}",
    ),
    "pad-11-reflect": (
        11,
        f'({X}) => (float y) <int64[8] p = {{0,0,1,2,0,0,2,1}}> {{ y = Pad <mode="reflect"> (x, p) }}',
    ),
    "pad-18-axes": (
        18,
        f'({X}) => (float y) <int64[4] p = {{1,2,0,1}}, int64[2] a = {{-1,2}}> {{ y = Pad <mode="edge"> (x, p, , a) }}',
    ),
    # splits
    "split-7": (7, f"({X}) => (float a, float b) {{ a, b = Split <axis=2> (x) }}"),
    "split-11": (11, f"({X}) => (float a, float b) {{ a, b = Split <axis=3, split=[2,3]> (x) }}"),
    "split-13": (
        13,
        f"({X}) => (float a, float b) <int64[2] s = {{4,1}}> {{ a, b = Split <axis=-1> (x, s) }}",
    ),
    "split-18": (18, f"({X}) => (float a, float b, float c) {{ a, b, c = Split <axis=3, num_outputs=3> (x) }}"),
    # resizing
    "upsample-7": (7, f"({X}) => (float y) {{ y = Upsample <scales=[1.0,1.0,2.0,3.0]> (x) }}"),
    "upsample-9-linear": (
        9,
        f'({X}) => (float y) <float[4] s = {{1.0,1.0,2.0,2.0}}> {{ y = Upsample <mode="linear"> (x, s) }}',
    ),
    "resize-10": (
        10,
        f"({X}) => (float y) <float[4] s = {{1.0,1.0,0.6,1.7}}> {{ y = Resize (x, s) }}",
    ),
    "resize-11-sizes": (
        11,
        f"({X}) => (float y) <float[0] n = {{}}, int64[4] s = {{2,3,7,9}}>"
        ' { y = Resize <mode="linear", coordinate_transformation_mode="pytorch_half_pixel"> (x, n, n, s) }',
    ),
    "resize-13-cubic": (
        13,
        f"({X}) => (float y) <float[4] s = {{1.0,1.0,2.0,2.0}}>"
        ' { y = Resize <mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1> (x, , s) }',
    ),
    "resize-18-axes": (
        18,
        f"({X}) => (float y) <int64[2] s = {{8,12}}>"
        ' { y = Resize <axes=[2,3], keep_aspect_ratio_policy="not_larger"> (x, , , s) }',
    ),
    "resize-18-antialias-linear": (
        18,
        "(float[1,2,11,14] x) => (float y) <int64[4] s = {1,2,5,4}>"
        ' { y = Resize <mode="linear", antialias=1> (x, , , s) }',
    ),
    "resize-18-antialias-cubic": (
        18,
        "(float[1,2,11,14] x) => (float y) <int64[4] s = {1,2,5,4}>"
        ' { y = Resize <mode="cubic", antialias=1> (x, , , s) }',
    ),
    "resize-19": (
        19,
        f"({X}) => (float y) <float[4] s = {{1.0,1.0,1.3,0.7}}>"
        ' { y = Resize <mode="linear", coordinate_transformation_mode="half_pixel_symmetric"> (x, , s) }',
    ),
    "resize-align-corners": (
        13,
        f"({X}) => (float y) <int64[4] s = {{2,3,7,9}}>"
        ' { y = Resize <mode="linear", coordinate_transformation_mode="align_corners"> (x, , , s) }',
    ),
    # masks and statistics
    "dropout-7": (7, f"({X}) => (float y) {{ y = Dropout (x) }}"),
    "dropout-13-mask": (13, f"({X}) => (float y, bool m) {{ y, m = Dropout (x) }}"),
    "top-k-10": (
        10,
        f"({X}) => (float v, int64 i) <int64[1] k = {{2}}> {{ v, i = TopK <axis=2> (x, k) }}",
    ),
    "top-k-11-smallest": (
        11,
        f"({X}) => (float v, int64 i) <int64[1] k = {{2}}> {{ v, i = TopK <axis=2, largest=0> (x, k) }}",
    ),
    "arg-max-12": (12, f"({X}) => (int64 y) {{ y = ArgMax <axis=1, select_last_index=1, keepdims=0> (x) }}"),
    # products
    "gemm-7": (
        7,
        "(float[4,3] a, float[4,5] b, float[5] c) => (float y) { y = Gemm <alpha=0.5, beta=2.0, transA=1> (a, b, c) }",
    ),
    "gemm-11": (11, "(float[3,4] a, float[5,4] b) => (float y) { y = Gemm <transB=1> (a, b) }"),
    "matmul-vectors": (13, "(float[4] a, float[4] b) => (float y) { y = MatMul (a, b) }"),
    "matmul-vector-left": (13, "(float[4] a, float[2,3,4,5] b) => (float y) { y = MatMul (a, b) }"),
    "matmul-vector-right": (13, "(float[2,3,5] a, float[5] b) => (float y) { y = MatMul (a, b) }"),
    # norms
    "batch-norm-9": (
        9,
        f"({X}) => (float y) <float[3] s = {{1.0,2.0,3.0}}, float[3] b = {{0.1,0.2,0.3}}, float[3] m ="
        " {0.0,0.5,1.0}, float[3] v = {1.0,0.5,2.0}> { y = BatchNormalization <epsilon=0.01> (x, s, b, m, v) }",
    ),
    "batch-norm-training-15": (
        15,
        f"({X}) => (float y, float m2, float v2) <float[3] s = {{1.0,2.0,3.0}}, float[3] b = {{0.1,0.2,0.3}},"
        " float[3] m = {0.0,0.5,1.0}, float[3] v = {1.0,0.5,2.0}>"
        " { y, m2, v2 = BatchNormalization <training_mode=1, momentum=0.8> (x, s, b, m, v) }",
    ),
    "layer-norm-17": (
        17,
        f"({X}) => (float y, float m, float d) <float[5] s = {{1.0,2.0,3.0,1.0,1.0}}>"
        " { y, m, d = LayerNormalization (x, s) }",
    ),
    "group-norm-18": (
        18,
        "(float[2,4,3] x, float[2] s, float[2] b) => (float y) { y = GroupNormalization <num_groups=2> (x, s, b) }",
    ),
    "group-norm-21": (
        21,
        "(float[2,4,3] x, float[4] s, float[4] b) => (float y) { y = GroupNormalization <num_groups=2> (x, s, b) }",
    ),
    # windows
    "conv-same": (
        11,
        '(float[1,2,7,8] x, float[4,1,3,2] w, float[4] b) => (float y) { y = Conv <group=2, strides=[2,3], auto_pad="SAME_LOWER"> (x, w, b) }',
    ),
    "conv-3d": (11, "(float[1,2,5,5,5] x, float[3,2,2,2,2] w) => (float y) { y = Conv (x, w) }"),
    "conv-1d-dilated": (11, "(float[1,2,9] x, float[3,2,3] w) => (float y) { y = Conv <dilations=[2], pads=[1,2]> (x, w) }"),
    "conv-transpose": (
        11,
        "(float[1,4,5,5] x, float[4,3,3,3] w, float[6] b) => (float y) { y = ConvTranspose <group=2, strides=[2,2], pads=[1,1,0,1], output_padding=[1,0]> (x, w, b) }",
    ),
    "conv-transpose-output-shape": (
        11,
        "(float[1,4,5,5] x, float[4,3,3,3] w) => (float y) { y = ConvTranspose <strides=[2,2], output_shape=[10,10]> (x, w) }",
    ),
    "max-pool-ceil": (11, f"({X}) => (float y) {{ y = MaxPool <kernel_shape=[3,2], strides=[2,2], ceil_mode=1> (x) }}"),
    "average-pool-same": (
        11,
        f'({X}) => (float y) {{ y = AveragePool <kernel_shape=[3,3], strides=[2,2], auto_pad="SAME_UPPER"> (x) }}',
    ),
    "average-pool-counted": (
        11,
        f"({X}) => (float y) {{ y = AveragePool <kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1> (x) }}",
    ),
    "global-pools": (9, f"({X}) => (float a, float b) {{ a = GlobalAveragePool (x) b = GlobalMaxPool (x) }}"),
    # data movement
    "reshape-zero-and-rest": (
        13,
        f"({X}) => (float y) <int64[3] s = {{0,-1,5}}> {{ y = Reshape (x, s) }}",
    ),
    "flatten": (13, f"({X}) => (float a, float b) {{ a = Flatten <axis=0> (x) b = Flatten <axis=-1> (x) }}"),
    "depth-to-space": (13, '(float[1,8,2,3] x) => (float y) { y = DepthToSpace <blocksize=2, mode="CRD"> (x) }'),
    "space-to-depth": (13, "(float[1,2,4,6] x) => (float y) { y = SpaceToDepth <blocksize=2> (x) }"),
    "one-hot": (
        11,
        "(int64[2,3] x) => (float y) <int64[1] d = {4}, float[2] v = {-1.0,2.0}> { y = OneHot <axis=1> (x, d, v) }",
    ),
    "trilu": (14, "(float[2,4,4] x) => (float y) <int64 k = {1}> { y = Trilu <upper=0> (x, k) }"),
    "gather-negative": (13, f"({X}) => (float y) <int64[2] i = {{-1,0}}> {{ y = Gather <axis=1> (x, i) }}"),
    "tile-expand": (
        13,
        "(float[3,1] x) => (float a, float b) <int64[2] r = {2,3}, int64[3] s = {2,1,4}>"
        " { a = Tile (x, r) b = Expand (x, s) }",
    ),
    "cum-sum": (14, f"({X}) => (float y) <int64 a = {{2}}> {{ y = CumSum <exclusive=1, reverse=1> (x, a) }}"),
    "mod-float": (13, f"({X}, {X[:-1]}z) => (float y) {{ y = Mod <fmod=1> (x, z) }}"),
    "hardmax-of-nothing": (13, "(float[2,0,3] x) => (float y) { y = Hardmax <axis=1> (x) }"),
    # shape arithmetic, folded
    "shape-arithmetic": (
        17,
        f"({X}) => (float y) <int64 one = {{1}}, int64[1] zero = {{0}}, int64[1] rest = {{-1}}> {{"
        " s = Shape (x) c = Gather (s, one) c1 = Unsqueeze (c, zero) t = Concat <axis=0> (c1, rest)"
        " y = Reshape (x, t) }",
    ),
    "shape-start-end": (15, f"({X}) => (int64 y, int64 n) {{ y = Shape <start=1, end=-1> (x) n = Size (x) }}"),
    "range-constant-of-shape": (
        13,
        "(float[3] x) => (int64 y, float z) <int64 a = {1}, int64 b = {9}, int64 d = {3}> {"
        " y = Range (a, b, d) s = Shape (x) z = ConstantOfShape (s) }",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_onnxruntime(name: str, check) -> None:
    opset, text = CASES[name]
    check(text, opset)


RECURRENT = {
    "lstm": "(float[5,2,3] x, float[1,16,3] w, float[1,16,4] r, float[1,32] b) => (float y, float h, float c)"
    " { y, h, c = LSTM <hidden_size=4> (x, w, r, b) }",
    "lstm-both-ways-lengths": "(float[5,2,3] x, float[2,16,3] w, float[2,16,4] r, float[2,32] b, float[2,2,4] h0,"
    " float[2,2,4] c0) => (float y, float h, float c) <int32[2] n = {3,5}>"
    ' { y, h, c = LSTM <hidden_size=4, direction="bidirectional"> (x, w, r, b, n, h0, c0) }',
    "gru": "(float[5,2,3] x, float[1,12,3] w, float[1,12,4] r, float[1,24] b) => (float y, float h)"
    " { y, h = GRU <hidden_size=4, linear_before_reset=1> (x, w, r, b) }",
    "gru-reverse": "(float[5,2,3] x, float[1,12,3] w, float[1,12,4] r) => (float y)"
    ' { y = GRU <hidden_size=4, direction="reverse"> (x, w, r) }',
    "rnn": "(float[5,2,3] x, float[1,4,3] w, float[1,4,4] r, float[1,8] b) => (float y)"
    ' { y = RNN <hidden_size=4, activations=["Relu"]> (x, w, r, b) }',
}


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_ops(name: str, check) -> None:
    check(RECURRENT[name], 14)


EQUATIONS = {
    "ij,jk->ik": ("2,3", "3,4"),
    "bij,bjk->bik": ("5,2,3", "5,3,4"),
    "bhid,bhjd->bhij": ("2,3,4,5", "2,3,6,5"),
    "bqhd,bkhd->bhqk": ("2,4,3,5", "2,6,3,5"),
    "i,j->ij": ("2", "3"),
    "ij->ji": ("2,3",),
    "ij->i": ("2,3",),
    "ii->i": ("3,3",),
    "...ij,...jk": ("2,5,3,4", "1,5,4,6"),
    "ijk,k->j": ("2,3,4", "4"),
    "bn,anm,bm->ba": ("2,3", "5,3,4", "2,4"),
    "ij,ij->": ("2,3", "2,3"),
    "ik,kj->ij": ("2,0", "0,3"),
}


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum(equation: str, check) -> None:
    shapes = EQUATIONS[equation]
    operands = ", ".join(f"float[{shape}] x{i}" for i, shape in enumerate(shapes))
    names = ", ".join(f"x{i}" for i in range(len(shapes)))
    check(f'({operands}) => (float y) {{ y = Einsum <equation="{equation}"> ({names}) }}')


HIDDEN = "float[2,4,8]"
CONTRIB = {
    "gelu": f"({HIDDEN} x) => (float y) {{ y = com.microsoft.Gelu (x) }}",
    "fast-gelu": f"({HIDDEN} x, float[8] b) => (float y) {{ y = com.microsoft.FastGelu (x, b) }}",
    "bias-gelu": f"({HIDDEN} x, float[8] b) => (float y) {{ y = com.microsoft.BiasGelu (x, b) }}",
    "quick-gelu": f"({HIDDEN} x) => (float y) {{ y = com.microsoft.QuickGelu (x) }}",
    "fused-matmul": f"({HIDDEN} x, {HIDDEN} z) => (float y)"
    " { y = com.microsoft.FusedMatMul <transB=1, alpha=0.5> (x, z) }",
    "skip-layer-norm": f"({HIDDEN} x, {HIDDEN} s, float[8] g, float[8] b, float[8] c) => (float y)"
    " { y = com.microsoft.SkipLayerNormalization <epsilon=0.001> (x, s, g, b, c) }",
    "attention": f"({HIDDEN} x, float[8,24] w, float[24] b) => (float y)"
    " { y = com.microsoft.Attention <num_heads=2> (x, w, b) }",
    "attention-causal": f"({HIDDEN} x, float[8,24] w, float[24] b) => (float y)"
    " { y = com.microsoft.Attention <num_heads=2, unidirectional=1> (x, w, b) }",
}


@pytest.mark.parametrize("name", CONTRIB)
def test_contrib_ops(name: str, check) -> None:
    check(CONTRIB[name], 17, domains=', "com.microsoft" : 1')


def test_attention_mask(check) -> None:
    text = (
        f"({HIDDEN} x, float[8,24] w, float[24] b, int32[2,4] m) => (float y)"
        " { y = com.microsoft.Attention <num_heads=2> (x, w, b, m) }"
    )
    mask = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], np.int32)
    check(text, 17, feeds={"m": mask}, domains=', "com.microsoft" : 1')


SCALES = "float s = {0.02}, float t = {0.05}, float r = {0.07}, uint8 z = {3}, uint8 o = {9}"
QUANTIZED = {
    "add": "(uint8[2,3,4] a, uint8[2,3,4] b) => (uint8 y)"
    f" <{SCALES}> {{ y = com.microsoft.QLinearAdd (a, s, z, b, t, o, r, z) }}",
    "mul": "(uint8[2,3,4] a, uint8[4] b) => (uint8 y)"
    f" <{SCALES}> {{ y = com.microsoft.QLinearMul (a, s, z, b, t, o, r, z) }}",
    "concat": "(uint8[2,3] a, uint8[2,4] b) => (uint8 y)"
    f" <{SCALES}> {{ y = com.microsoft.QLinearConcat <axis=1> (r, z, a, s, z, b, t, o) }}",
    "pool": "(uint8[2,3,4,5] a) => (uint8 y)"
    f" <{SCALES}> {{ y = com.microsoft.QLinearGlobalAveragePool (a, s, z, t, o) }}",
    "gemm": "(uint8[2,3] a, uint8[3,4] b, int32[4] c) => (uint8 y)"
    f" <{SCALES}> {{ y = com.microsoft.QGemm (a, s, z, b, t, o, c, r, z) }}",
}


@pytest.mark.parametrize("name", QUANTIZED)
def test_quantized_contrib_ops(name: str, check) -> None:
    check(QUANTIZED[name], 13, tolerance=0, domains=', "com.microsoft" : 1')


def test_quantized_conv_is_bit_exact(check) -> None:
    text = (
        "(uint8[1,3,6,6] x) => (uint8 y) <float xs = {0.02}, uint8 xz = {7}, int8[4,3,3,3] w = {"
        + ",".join(str(v % 251 - 125) for v in range(0, 108 * 37, 37))
        + "}, float[4] ws = {0.01,0.02,0.03,0.04}, int8[4] wz = {0,0,0,0}, float ys = {0.5},"
        " uint8 yz = {128}, int32[4] b = {10,-20,30,400}>"
        " { y = QLinearConv <pads=[1,1,1,1]> (x, xs, xz, w, ws, wz, ys, yz, b) }"
    )
    check(text, 13, tolerance=0)


def test_quantize_and_dequantize(check) -> None:
    text = (
        f"({X}) => (uint8 q, float y) <float s = {{0.03}}, uint8 z = {{100}}>"
        " { q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, s, z) }"
    )
    check(text, 13, tolerance=1e-6)


def test_dequantize_per_axis(check) -> None:
    text = (
        "(int8[2,3,4] x) => (float y) <float[3] s = {0.1,0.2,0.3}, int8[3] z = {1,2,3}>"
        " { y = DequantizeLinear <axis=1> (x, s, z) }"
    )
    check(text, 13)


def test_dynamic_quantization(check) -> None:
    text = (
        "(float[4,8] x) => (uint8 q, float s, uint8 z, int32 y) <int8[8,3] w = {"
        + ",".join(str(v % 11 - 5) for v in range(24))
        + "}> { q, s, z = DynamicQuantizeLinear (x) y = MatMulInteger (q, w, z) }"
    )
    check(text, 13)
