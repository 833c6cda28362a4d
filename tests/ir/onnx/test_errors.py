"""Everything that can be wrong with a model or its file, and what is said about it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from leip.errors import ModelError, UsageError
from leip.ir import interpreter
from leip.ir.onnx import ImportProblems, find_model, import_model, load_model, parse_input_shapes

RELU = "(float[1,3,N,N] x) => (float y) { y = Relu (x) }"


def _raises(kind: type[Exception], *arguments: object) -> str:
    with pytest.raises(kind) as caught:
        import_model(*arguments)  # type: ignore[arg-type]
    text = str(caught.value)
    assert len(text.splitlines()) <= 45, "more than one screen"
    return text


@pytest.fixture
def saved(model, tmp_path: Path) -> Path:
    """A good model file."""
    proto = model("(float[2,300] x) => (float y) { y = MatMul (x, w) }")
    weight = np.random.default_rng(0).standard_normal((300, 40)).astype(np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    path = tmp_path / "model.onnx"
    onnx.save(proto, path)
    return path


# -- the file ----------------------------------------------------------------------------------


def test_a_good_file(saved: Path) -> None:
    assert import_model(saved).output_names == ("y",)
    assert import_model(saved.parent).output_names == ("y",)  # a folder that holds one model


def test_missing_file(tmp_path: Path) -> None:
    assert "no such file or folder" in _raises(ModelError, tmp_path / "none.onnx")


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.onnx"
    path.touch()
    assert _raises(ModelError, path) == f"{path}: the file is empty"


@pytest.mark.parametrize("keep", [0.02, 0.5, 0.999])
def test_truncated_file(keep: float, saved: Path) -> None:
    data = saved.read_bytes()
    saved.write_bytes(data[: int(len(data) * keep)])
    text = _raises(ModelError, saved)
    assert "the file is truncated" in text and "download it again" in text


def test_truncated_after_the_weights(saved: Path) -> None:
    """The graph is whole, the opset is cut off."""
    data = saved.read_bytes()
    saved.write_bytes(data[:-1])
    assert "truncated" in _raises(ModelError, saved)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"hello, this is no model at all, but some text that goes on", "not an ONNX model"),
        (b"<!DOCTYPE html><html>404</html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12", "git lfs pull"),
        (b"PK\x03\x04" + bytes(100), "torch.onnx.export"),
        (b"\x7fELF" + bytes(100), "ELF object"),
        (bytes(1000), "not an ONNX model"),
        (bytes(range(256)) * 20, "not an ONNX model"),
    ],
)
def test_not_onnx(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    text = _raises(ModelError, path)
    assert "not an ONNX model" in text and said in text


def test_damage_inside_does_not_end_in_a_traceback(saved: Path) -> None:
    data = saved.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(40):
        broken = bytearray(data)
        for at in rng.integers(0, 200, 3):
            broken[at] = rng.integers(0, 256)
        saved.write_bytes(broken)
        with contextlib.suppress(ModelError, UsageError):
            import_model(saved)


def test_folder_without_a_model(tmp_path: Path) -> None:
    assert "the folder holds no .onnx file" in _raises(ModelError, tmp_path)


def test_folder_with_two_models(saved: Path) -> None:
    (saved.parent / "other.onnx").write_bytes(saved.read_bytes())
    text = _raises(ModelError, saved.parent)
    assert "the folder holds 2 .onnx files: model.onnx, other.onnx" in text
    assert find_model(saved) == saved


# -- external data -----------------------------------------------------------------------------


@pytest.fixture
def external(saved: Path) -> Path:
    """The good model with its weight in weights.bin."""
    onnx.save(
        onnx.load(saved), saved, save_as_external_data=True, location="weights.bin",
        size_threshold=0,
    )  # fmt: skip
    return saved


def _relocate(path: Path, **entries: str) -> None:
    proto = onnx.load(path, load_external_data=False)
    for entry in proto.graph.initializer[0].external_data:
        if entry.key in entries:
            entry.value = entries[entry.key]
    path.write_bytes(proto.SerializeToString())


def test_external_data_is_mapped_not_copied(external: Path) -> None:
    graph = import_model(external)
    (constant,) = (node for node in graph.nodes() if node.op == "constant")
    assert not constant.output.array.flags.owndata
    x = np.ones((2, 300), np.float32)
    assert np.isfinite(interpreter.run(graph, {"x": x})["y"]).all()


def test_missing_external_data(external: Path) -> None:
    (external.parent / "weights.bin").unlink()
    text = _raises(ModelError, external)
    assert "external data 'weights.bin' is missing (for tensor 'w')" in text
    assert f"Put the file into {external.parent}" in text


def test_short_external_data(external: Path) -> None:
    with open(external.parent / "weights.bin", "r+b") as file:
        file.truncate(1000)
    assert "which has 1000" in _raises(ModelError, external)


@pytest.mark.parametrize(
    "location", ["../secret.bin", "/etc/passwd", "a/../../b", "C:\\w.bin", "..\\w.bin", ""]
)
def test_paths_out_of_the_folder_are_refused(location: str, external: Path) -> None:
    (external.parent.parent / "secret.bin").write_bytes(bytes(48000))
    _relocate(external, location=location)
    assert "is outside the model's folder" in _raises(ModelError, external)


def test_links_out_of_the_folder_are_refused(external: Path, tmp_path_factory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "secret.bin"
    data = external.parent / "weights.bin"
    data.rename(elsewhere)
    os.symlink(elsewhere, data)
    assert "is a link to outside the model's folder" in _raises(ModelError, external)


@pytest.mark.parametrize("entries", [{"offset": "-8"}, {"offset": "40000"}, {"offset": "x"}])
def test_offsets_are_checked(entries: dict[str, str], external: Path) -> None:
    _relocate(external, **entries)
    text = _raises(ModelError, external)
    assert "takes bytes" in text or "is no number" in text


def test_models_beyond_two_gigabytes(external: Path) -> None:
    """The data file (with a hole in it) is mapped: only what is looked at is read."""
    offset = 5 << 30
    data = external.parent / "weights.bin"
    weights = data.read_bytes()
    with open(data, "r+b") as file:
        file.seek(offset)
        file.write(weights)
    _relocate(external, offset=str(offset))
    graph = import_model(external)
    (constant,) = (node for node in graph.nodes() if node.op == "constant")
    assert constant.output.array.tobytes() == weights


def test_a_model_in_memory_has_no_folder(external: Path) -> None:
    proto = onnx.load(external, load_external_data=False)
    assert "the model has no folder" in _raises(ModelError, proto)
    assert import_model(proto, folder=external.parent).output_names == ("y",)


def test_weight_of_the_wrong_size(saved: Path) -> None:
    proto = onnx.load(saved)
    proto.graph.initializer[0].dims[0] = 299
    assert "tensor 'w' of shape [299, 40] needs 47840 bytes, its data has 48000" in _raises(
        ModelError, proto
    )


# -- ops ---------------------------------------------------------------------------------------


def test_all_unknown_ops_are_listed_at_once(model) -> None:
    proto = model(
        "(float[4] x) => (float y, float z) {"
        " a = Foo (x) b = Foo (a) c = my.domain.Bar (b) y = GridSample (c, c)"
        " r = RandomNormalLike (x) d = Relu (r) i = Cast <to=7> (x) e = Reshape (x, i)"
        " z = Add (d, e) }",
        domains=', "my.domain" : 3',
    )
    proto.graph.node[0].name = "/model/foo"
    with pytest.raises(ImportProblems) as caught:
        import_model(proto)
    assert [problem.op for problem in caught.value.problems] == [
        "Foo", "Foo", "my.domain.Bar", "GridSample", "RandomNormalLike", "Reshape",
    ]  # fmt: skip
    text = str(caught.value)
    assert text.startswith("model: 6 nodes of the model cannot be compiled\n")
    assert "  Foo (opset 17): this op is not supported\n    nodes '/model/foo', 'Foo#1'" in text
    assert "ONNX has no such op" in text
    assert "my.domain.Bar (opset 3): this op is not supported\n    node 'Bar#2'" in text
    assert "random numbers" in text and "feed them as an input" in text
    assert "computed from the model's data; shapes must be static" in text
    assert text.endswith("add an import rule with --plugin.")


def test_many_problems_fit_on_a_screen(model) -> None:
    body = " ".join(f"y{i} = Op{i % 30} (x)" for i in range(200))
    outputs = ", ".join(f"float y{i}" for i in range(200))
    text = _raises(ModelError, model(f"(float[4] x) => ({outputs}) {{ {body} }}"))
    assert "200 nodes of the model cannot be compiled" in text
    assert "'Op0#0', 'Op0#30', 'Op0#60', ... (7 nodes)" in text
    assert "... and 18 more kinds of problems" in text


def test_opsets_out_of_range(model) -> None:
    text = _raises(ModelError, model("(float[4] x) => (float y) { y = Relu (x) }", 6))
    assert "the model has opset 6; leip reads 7 to" in text and "version_converter" in text
    text = _raises(ModelError, model("(float[4] x) => (float y) { y = Relu (x) }", 999))
    assert "the model has opset 999; the installed onnx" in text


def test_used_indices_of_max_pool(model) -> None:
    body = "<kernel_shape=[2,2]> (x)"
    used = model(f"(float[1,1,4,4] x) => (float y, int64 i) {{ y, i = MaxPool {body} }}", 12)
    assert "its output Indices is used" in _raises(ModelError, used)
    unused = model(f"(float[1,1,4,4] x) => (float y) {{ y, i = MaxPool {body} }}", 12)
    assert import_model(unused).outputs[0].shape == (1, 1, 3, 3)


def test_attributes_that_make_no_sense(model) -> None:
    proto = model('(float[2] x) => (float y) { y = LeakyRelu <alpha="steep"> (x) }')
    text = _raises(ModelError, proto)
    assert "not understood (ValueError" in text and "onnx.checker" in text


@pytest.mark.parametrize(
    "node",
    [
        "Conv (x, w)",
        "ConvTranspose (x, w)",
        "MaxPool <kernel_shape=[2,2,2,2]> (x)",
        "AveragePool <kernel_shape=[2,2,2,2]> (x)",
        "LpPool <kernel_shape=[2,2,2,2]> (x)",
    ],
)
def test_windows_of_four_dimensions(model, node: str) -> None:
    proto = model(f"(float[1,3,4,4,4,4] x, float[3,3,1,1,1,1] w) => (float y) {{ y = {node} }}")
    proto.graph.node[0].name = "deep"
    with pytest.raises(ImportProblems) as caught:
        import_model(proto)
    (problem,) = caught.value.problems
    assert problem.node == "deep"
    assert "has 4 spatial dimensions; only 1-d, 2-d and 3-d" in problem.what
    assert "contradict" not in str(caught.value)


def test_loops_are_problems_and_name_what_to_do() -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("d", TensorProto.BOOL, [])],
    )
    loop = helper.make_node("Loop", ["n", ""], ["y"], name="repeat", body=body)
    graph = helper.make_graph(
        [loop],
        "g",
        [helper.make_tensor_value_info("n", TensorProto.INT64, [])],
        [helper.make_tensor_value_info("y", TensorProto.BOOL, None)],
    )
    text = _raises(ModelError, helper.make_model(graph))
    assert "Loop repeats a subgraph at run time" in text and "node 'repeat'" in text


def test_inputs_that_are_no_numbers(model) -> None:
    text = _raises(
        ModelError, model("(string[2] s, seq(float[2]) q) => (string y) { y = Identity (s) }")
    )
    assert "s: tensor of string" in text and "q: sequence" in text


def test_values_that_nothing_makes(model) -> None:
    text = _raises(ModelError, model("(float[2] x) => (float y) { y = Add (x, ghost) }"))
    assert "'Add#0' (Add) reads 'ghost', which nothing makes" in text


def test_nodes_in_a_circle(model) -> None:
    proto = model("(float[2] x) => (float y) { y = Add (x, z) z = Relu (y) }")
    assert "depend on each other in a circle" in _raises(ModelError, proto)


def test_a_model_that_contradicts_itself(model) -> None:
    proto = model("(float[2,3] x, float[4,5] w) => (float y) { y = MatMul (x, w) }")
    text = _raises(ModelError, proto)
    assert "MatMul (opset 17)" in text and "inner sizes 3 and 4 differ" in text


# -- shapes ------------------------------------------------------------------------------------


def test_dynamic_dimensions_without_a_shape(model) -> None:
    proto = model(
        "(float[batch,3,height,width] image, float[7] fixed, int64[batch,seq] ids) => (float y)"
        " { y = Relu (image) }"
    )
    text = _raises(UsageError, proto)
    assert "the model has inputs with dynamic dimensions" in text
    assert "  image  [batch, 3, height, width]  <- open\n" in text
    assert "  fixed  [7]\n" in text
    assert "  ids    [batch, seq]  <- open\n" in text
    assert "--input_shapes image:1,3,224,224 --input_shapes ids:1,128" in text


def test_given_shapes(model) -> None:
    assert import_model(model(RELU), {"x": (1, 3, 8, 8)}).outputs[0].shape == (1, 3, 8, 8)


def test_static_dimensions_may_be_overridden(model) -> None:
    assert import_model(model(RELU), {"x": (2, 5, 8, 8)}).outputs[0].shape == (2, 5, 8, 8)


def test_names_of_dimensions_bind(model) -> None:
    proto = model("(float[N,3] x, float[N,5] z) => (float y) { y = Concat <axis=1> (x, z) }")
    assert import_model(proto, {"x": (4, 3)}).outputs[0].shape == (4, 8)


def test_a_shape_of_another_rank(model) -> None:
    text = _raises(UsageError, model(RELU), {"x": (3, 8, 8)})
    assert "input 'x' has 4 dimensions, [1, 3, N, N]; given were 3: [3, 8, 8]" in text


def test_a_shape_that_the_graph_contradicts(model) -> None:
    proto = model(
        "(float[1,3,8,8] x, float[4,3,3,3] w) => (float y) { t = Relu (x) y = Conv (t, w) }"
    )
    proto.graph.node[1].name = "/stem/conv"
    text = _raises(ModelError, proto, {"x": (1, 5, 8, 8)})
    assert "node '/stem/conv'" in text
    assert "Conv (opset 17)" in text and "5 channels" in text
    assert "The given --input_shapes may contradict the model." in text


def test_unknown_input_names(model) -> None:
    proto = model("(float[N] input_ids) => (float y) { y = Relu (input_ids) }")
    text = _raises(UsageError, proto, {"inputids": (3,)})
    assert "--input_shapes: the model has no input 'inputids'" in text
    assert "Did you mean 'input_ids'?" in text
    assert "Its inputs are 'input_ids'." in _raises(UsageError, proto, {"zzz": (3,)})


@pytest.mark.parametrize("shape", [(1, 3, 8.5, 8), "1388", None, 8])
def test_given_shapes_are_whole_numbers(model, shape: object) -> None:
    text = _raises(UsageError, model(RELU), {"x": shape})
    assert "input 'x' is no row of whole numbers" in text
    given = {"x": np.array([1, 3, 8, 8])}
    assert import_model(model(RELU), given).outputs[0].shape == (1, 3, 8, 8)


def test_parse_input_shapes() -> None:
    assert parse_input_shapes([]) == {}
    assert parse_input_shapes(["x:1,3,224,224", "data:0:1, 2"]) == {
        "x": (1, 3, 224, 224),
        "data:0": (1, 2),
    }
    for text in ("x", "x:", ":1,2", "x:1,,2", "x:a", "x:-1,3", "x:1x3"):
        with pytest.raises(UsageError, match="is not of the form NAME:1,3,224,224"):
            parse_input_shapes([text])
    with pytest.raises(UsageError, match="has a dimension of 0"):
        parse_input_shapes(["x:0,3"])
    with pytest.raises(UsageError, match="'x' is given twice"):
        parse_input_shapes(["x:1", "x:2"])


def test_load_model_keeps_external_data_outside(external: Path) -> None:
    loaded = load_model(external)
    assert not loaded.proto.graph.initializer[0].raw_data
    assert loaded.path == external
