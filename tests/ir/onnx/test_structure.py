"""Constants, branches, functions, names, outputs: how a model is put together."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import leip.ir.op
from leip.errors import UsageError
from leip.ir import DType, interpreter, verify
from leip.ir.onnx import ImportProblems, import_model, register_rule
from leip.ir.onnx.rules import RULES


def test_initializers_that_are_also_inputs_are_weights(model) -> None:
    proto = model("(float[2] x, float[2] w) => (float y) { y = Add (x, w) }", 7, ir_version=3)
    proto.graph.initializer.append(numpy_helper.from_array(np.float32([1, 2]), "w"))
    graph = import_model(proto)
    assert graph.input_names == ("x",)
    out = interpreter.run(graph, {"x": np.float32([1, 1])})
    np.testing.assert_array_equal(out["y"], [2, 3])


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("value = float[2] {1.0, 2.0}", np.float32([1, 2])),
        ("value_float = 1.5", np.float32(1.5)),
        ("value_floats = [1.5, 2.5]", np.float32([1.5, 2.5])),
        ("value_int = 3", np.int64(3)),
        ("value_ints = [3, 4]", np.int64([3, 4])),
    ],
)
def test_constant_in_all_forms(attribute: str, expected: np.ndarray, model) -> None:
    kind = "int64" if np.asarray(expected).dtype == np.int64 else "float"
    graph = import_model(model(f"() => ({kind} y) {{ y = Constant <{attribute}> () }}", 13))
    assert graph.outputs[0].is_constant
    result = interpreter.run(graph, {})["y"]
    assert result.dtype == np.asarray(expected).dtype
    np.testing.assert_array_equal(result, expected)


def test_sparse_constant_is_a_problem() -> None:
    values = helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [2])
    sparse = helper.make_sparse_tensor(values, indices, [4])
    node = helper.make_node("Constant", [], ["y"], sparse_value=sparse)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    proto = helper.make_model(helper.make_graph([node], "g", [], [output]))
    with pytest.raises(ImportProblems, match="its value is a sparse tensor"):
        import_model(proto)


@pytest.mark.parametrize(("size", "expected"), [(4, "relu"), (5, "neg")])
def test_if_with_a_constant_condition_is_inlined(size: int, expected: str, model, op_names) -> None:
    """The branches read a value of the outer graph, and have constants of their own."""
    proto = model(
        f"(float[{size}] x) => (float y) <int64[1] four = {{4}}> {{"
        " s = Shape (x) c = Equal (s, four) d = Squeeze (c)"
        " y = If (d) <then_branch = a () => (float t) { t = Relu (x) },"
        " else_branch = b () => (float e) { e = Neg (x) }> }"
    )
    graph = import_model(proto)
    verify(graph)
    assert op_names(graph) == [expected]


def test_if_on_data_is_a_problem(model) -> None:
    proto = model(
        "(float[1] x, bool c) => (float y) {"
        " y = If (c) <then_branch = a () => (float t) { t = Relu (x) },"
        " else_branch = b () => (float e) { e = Neg (x) }> }"
    )
    with pytest.raises(ImportProblems) as caught:
        import_model(proto)
    assert "If (opset 17): its condition depends on the model's data" in str(caught.value)


def test_local_functions_are_inlined(op_names) -> None:
    proto = onnx.parser.parse_model(
        """
        <ir_version: 8, opset_import: ["" : 17, "mine" : 1]>
        g (float[2,3] x) => (float[2,3] y, float[2,3] z) {
            y = mine.scaled <factor = 2.0> (x)
            z = mine.scaled (y)
        }
        <domain: "mine", opset_import: ["" : 17]>
        scaled <factor: float = 3.0> (a) => (b) {
            f = Constant <value_float: float = @factor> ()
            t = Mul (a, f)
            b = Relu (t)
        }
        """
    )
    graph = import_model(proto)
    assert op_names(graph) == ["mul", "relu", "mul", "relu"]
    out = interpreter.run(graph, {"x": np.ones((2, 3), np.float32)})
    np.testing.assert_array_equal(out["y"], np.full((2, 3), 2))
    np.testing.assert_array_equal(out["z"], np.full((2, 3), 6))
    assert graph.outputs[0].node.origin == "scaled#0/Relu#2"


def test_ops_that_onnx_defines_as_functions_are_expanded(check) -> None:
    """There is no rule for CenterCropPad: its function's nodes are imported."""
    assert ("", "CenterCropPad") not in RULES
    check(
        "(float[5,4] x) => (float y) <int64[2] s = {3,6}> { y = CenterCropPad (x, s) }",
        18,
    )


def test_origins(model) -> None:
    proto = model("(float[2] x) => (float y) { t = Relu (x) y = Gelu (t) }", 20)
    proto.graph.node[0].name = "first"
    nodes = {node.op: node for node in import_model(proto).nodes()}
    assert nodes["relu"].origin == "first"
    assert nodes["gelu"].origin == "Gelu#1"


def test_outputs_that_are_inputs_constants_or_the_same_value(model) -> None:
    proto = model(
        "(float[2] x) => (float x, float c, float a, float b) <float[1] c = {5.0}>"
        " { a = Relu (x) b = Identity (a) }"
    )
    graph = import_model(proto)
    verify(graph)
    assert graph.output_names == ("x", "c", "a", "b")
    assert graph.outputs[2] is graph.outputs[3]
    out = interpreter.run(graph, {"x": np.float32([-1, 1])})
    np.testing.assert_array_equal(out["x"], [-1, 1])
    np.testing.assert_array_equal(out["c"], [5])
    np.testing.assert_array_equal(out["b"], [0, 1])


def test_unused_inputs_stay_and_unneeded_nodes_go(model, op_names) -> None:
    proto = model("(float[2] x, float[3] z) => (float y) { y = Relu (x) t = Nonsense (x) }")
    graph = import_model(proto)
    assert graph.input_names == ("x", "z")
    assert op_names(graph) == ["relu"]


def test_nodes_in_any_order(model, op_names) -> None:
    proto = model("(float[2] x) => (float y) { a = Relu (x) b = Neg (a) y = Exp (b) }")
    nodes = list(reversed(proto.graph.node))
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    assert op_names(import_model(proto)) == ["relu", "neg", "exp"]


def test_shape_arithmetic_leaves_nothing_behind(model, op_names) -> None:
    """Through integers and floats, as exporters write the shapes of attention heads."""
    proto = model(
        "(float[2,8,4] x) => (float y) <int64 i = {1}, int64[1] zero = {0}, int64[1] two = {2}> {"
        " s = Shape (x) c = Gather (s, i) c1 = Unsqueeze (c, zero) d = Div (c1, two)"
        " f = Cast <to=1> (d) q = Sqrt (f) k = Cast <to=7> (q) t = Concat <axis=0> (zero, k, d, d)"
        " y = Reshape (x, t) }"
    )
    graph = import_model(proto)
    assert op_names(graph) == ["reshape"]
    assert graph.outputs[0].shape == (2, 2, 4, 4)


def test_reshape_keeps_zero_and_rest(model) -> None:
    proto = model("(float[2,8,4] x) => (float y) <int64[3] s = {0,-1,2}> { y = Reshape (x, s) }")
    attrs = import_model(proto).outputs[0].node.attrs
    assert attrs.shape == (0, -1, 2)


def test_large_constant_subgraphs_are_evaluated_where_a_shape_needs_them(model, op_names) -> None:
    """The target shape is a sum over more elements than are folded at once."""
    proto = model(
        "(float[4] x) => (float y) <int64[1] n = {9000}> {"
        " o = ConstantOfShape <value = int64[1] {1}> (n) t = ReduceSum (o)"
        " k = Constant <value_ints = [4500]> () d = Div (t, k) e = Concat <axis=0> (d, d)"
        " y = Reshape (x, e) }"
    )
    graph = import_model(proto)
    assert op_names(graph) == ["reshape"]
    assert graph.outputs[0].shape == (2, 2)


@pytest.mark.parametrize(
    ("code", "dtype"),
    [
        (TensorProto.FLOAT16, DType.F16),
        (TensorProto.BFLOAT16, DType.BF16),
        (TensorProto.DOUBLE, DType.F64),
        (TensorProto.INT8, DType.I8),
        (TensorProto.UINT16, DType.U16),
        (TensorProto.BOOL, DType.BOOL),
    ],
)
def test_weights_of_every_type(code: int, dtype: DType) -> None:
    values = np.array([[0, 1, 2], [3, 0, 1]]).astype(dtype.numpy)
    for raw in (True, False):
        if raw:
            weight = helper.make_tensor("w", code, values.shape, values.tobytes(), raw=True)
        else:
            weight = helper.make_tensor("w", code, values.shape, values.reshape(-1).tolist())
        node = helper.make_node("Transpose", ["w"], ["y"])
        output = helper.make_tensor_value_info("y", code, [3, 2])
        graph = helper.make_graph([node], "g", [], [output], [weight])
        result = interpreter.run(import_model(helper.make_model(graph)), {})["y"]
        assert result.dtype == dtype.numpy
        np.testing.assert_array_equal(result, values.T)


def test_four_bit_weights() -> None:
    weight = helper.make_tensor("w", TensorProto.INT4, [4], [1, -2, 7, -8])
    scale = helper.make_tensor("s", TensorProto.FLOAT, [], [0.5])
    node = helper.make_node("DequantizeLinear", ["w", "s"], ["y"])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    graph = helper.make_graph([node], "g", [], [output], [weight, scale])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    result = interpreter.run(import_model(proto), {})["y"]
    np.testing.assert_array_equal(result, [0.5, -1, 3.5, -4])


def test_rules_from_outside(model) -> None:
    def doubled(call):
        return call.op("mul", call[0], call.scalar(call.get_float("by", 2.0), call[0]))

    text = "(float[2] x) => (float y) { y = far.away.Doubled <by=3.0> (x) }"
    proto = model(text, domains=', "far.away" : 1')
    register_rule("Doubled", doubled, "far.away")
    try:
        out = interpreter.run(import_model(proto), {"x": np.float32([1, 2])})
        np.testing.assert_array_equal(out["y"], [3, 6])
        register_rule("Doubled", doubled, "far.away")
        with pytest.raises(UsageError, match="has an import rule already"):
            register_rule("Doubled", lambda call: call[0], "far.away")
    finally:
        del RULES["far.away", "Doubled"]


def test_every_rule_is_for_an_op_that_exists() -> None:
    extra = {"SimplifiedLayerNormalization"}
    for domain, op_type in RULES:
        if not domain and op_type not in extra:
            assert onnx.defs.has(op_type), op_type


def test_onnx_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, leip, leip.ir, leip.ir.op as o; o.names(); assert 'onnx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert leip.ir.op.names()
