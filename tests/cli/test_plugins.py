"""A pass, an op and a template from a file outside the tree: they change IR text and are chosen, in
the processes that build kernels and in the keys of the cache too."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import Cli
from onnx import TensorProto, helper, numpy_helper

import leip

PLUGIN = '''
from dataclasses import dataclass

import numpy as np

from leip.ir import NoAttrs, OpDef, Pattern, Rewrite
from leip.passes import RewritePass
from leip.plugin import register_op, register_pass, register_template
from leip.schedules.generic.plain import PlainTemplate
from leip.schedules.template import require
from leip.schedules.view import View


class ReluToMaximum(Rewrite):
    """relu(x) → maximum(x, 0)"""

    name = "relu-to-maximum"
    roots = ("relu",)

    def match(self, graph, node):
        return {"x": node.inputs[0]}

    def rewrite(self, rewriter, node, parts):
        zero = rewriter.constant(np.zeros((), np.float32))
        return rewriter.op("maximum", parts["x"], zero)


@dataclass(frozen=True)
class MyPass(RewritePass):
    """relu(x) → maximum(x, 0)"""

    name = "my-pass"

    def rewrites(self):
        return (ReluToMaximum(),)


def compute_square(attrs, inputs, out_types, context):
    x = inputs[0].memoised()
    return View(x.shape, x.dtype, lambda *index: x(*index) * x(*index))


class MyTemplate(PlainTemplate):
    """FACTOR"""

    name = "my_square__generic"

    def check(self, task):
        require(any(node.op == "square" for node in task.nodes), "there is no square")


SQUARE = OpDef(
    "square", NoAttrs, lambda attrs, x: x, lambda attrs, x: x * x, Pattern.ELEMENTWISE
)
register_pass(MyPass, before="fuse-conv")
register_op(
    SQUARE,
    compute=compute_square,
    import_rule=("com.example", "Square", lambda call: call.op("square", call[0])),
)
register_template(MyTemplate())
'''


@pytest.fixture
def plugin_file(tmp_path: Path) -> Path:
    path = tmp_path / "my.py"
    path.write_text(PLUGIN)
    return path


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """relu(square(conv(x)) - 1), `Square` being an op of no standard."""
    weight = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Square", ["a"], ["b"], name="square", domain="com.example"),
        helper.make_node("Sub", ["b", "one"], ["c"], name="sub"),
        helper.make_node("Relu", ["c"], ["y"], name="relu"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 8, 8])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.float32([1.0]), "one")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets), str(path))
    return path


def reference(model: Path, x: np.ndarray) -> np.ndarray:
    weight = numpy_helper.to_array(onnx.load(str(model)).graph.initializer[0]).astype(np.float64)
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), (1, 1), (1, 1)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    conv = np.einsum("nchwij,ocij->nohw", windows, weight)
    return np.maximum(conv**2 - 1, 0)


def test_without_the_plugin_the_op_is_unknown(cli: Cli, model_file: Path) -> None:
    text = cli.fails(1, "compile", "--input_path", model_file, "--output_path", "OUT")
    assert "com.example.Square" in text


@pytest.mark.parametrize("level", [2, 3])
def test_plugin(cli: Cli, plugin_file: Path, model_file: Path, level: int) -> None:
    words = ["compile", "--input_path", model_file, "--output_path", "OUT", "--jobs", "2"]
    words += ["--plugin", plugin_file, "--dump_ir", "ir", "--verify", "--cache_dir", "cache"]
    words += ["--optimization", f"category:kernel,level:{level}"]
    done = cli(*words)
    assert done.returncode == 0, done.stderr
    dumps = sorted(path.name for path in (cli.folder / "ir").iterdir())
    mine = next(name for name in dumps if "my-pass" in name)
    assert dumps.index(mine) < next(i for i, name in enumerate(dumps) if "fuse-conv" in name)
    text = (cli.folder / "ir" / mine).read_text()
    assert "= square(" in text and "= maximum(" in text and "= relu(" not in text
    chosen = (cli.folder / "ir" / "99_chosen.txt").read_text()
    assert 'template="my_square__generic"' in chosen
    x = np.random.default_rng(1).standard_normal((1, 3, 8, 8)).astype(np.float32)
    with leip.load(cli.folder / "OUT") as engine:
        (y,) = engine.infer({"x": x}).values()
    wanted = reference(model_file, x)
    assert np.abs(y - wanted).max() <= 1e-5 * np.abs(wanted).max()

    again = cli(*words)
    assert "from the cache" in again.stdout
    plugin_file.write_text(PLUGIN.replace("FACTOR", "another docstring"))
    changed = cli(*words)
    assert changed.returncode == 0 and "from the cache" not in changed.stdout


def test_opt_with_a_plugin(cli: Cli, plugin_file: Path, model_file: Path) -> None:
    done = cli("opt", model_file, "-p", "my-pass", "--plugin", plugin_file)
    assert done.returncode == 0, done.stderr
    assert "= maximum(" in done.stdout
    listing = cli("opt", "--list", "--plugin", plugin_file).stdout
    assert re.search(r"my-pass .*relu\(x\) → maximum\(x, 0\)", listing)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("import no_such_module", "no_such_module"),
        ("x = = 1", "SyntaxError"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("from leip.plugin import register_pass\nregister_pass(1)", "pass"),
    ],
)
def test_broken_plugins(cli: Cli, model_file: Path, content: str, message: str) -> None:
    (cli.folder / "bad.py").write_text(content)
    words = ("compile", "--input_path", model_file, "--output_path", "OUT", "--plugin", "bad.py")
    assert message in cli.fails(2, *words)
    assert not (cli.folder / "OUT").exists()


def test_missing_plugin(cli: Cli, model_file: Path) -> None:
    words = ("compile", "--input_path", model_file, "--output_path", "OUT", "--plugin", "no.py")
    assert "no.py" in cli.fails(2, *words)
