"""`--verify`: right objects pass; with a kernel broken on purpose the object is refused, the kernel
named, and OUT stays as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from command_line import Cli

BROKEN = '''
from leip.ir.graph import Graph
from leip.plugin import register_template
from leip.schedules.generic.plain import PlainTemplate
from leip.schedules.task import Task
from leip.schedules.template import require


class Broken(PlainTemplate):
    """Adds the first result to itself: twice the right numbers."""

    name = "conv_broken__generic"

    def check(self, task):
        require(task.anchor is not None and task.anchor.op == "conv", "not a conv")

    def build(self, task, config):
        body, values = task.body.copy_with()
        outputs = list(body.outputs)
        twice = body.op("add", outputs[0], outputs[0])
        body.set_outputs([twice, *outputs[1:]], body.output_names)
        wrong = Task(body, task.target, task.threads, task.level, task.constants)
        return super().build(wrong, config)


register_template(Broken())
'''


def test_right_object(cli: Cli, tiny_onnx: Path) -> None:
    done = cli("compile", "--input_path", tiny_onnx, "--output_path", "OUT", "--verify")
    assert done.returncode == 0, done.stderr
    assert "verified logits" in done.stdout


def test_given_inputs(cli: Cli, tiny_onnx: Path) -> None:
    np.save(cli.folder / "x.npy", np.ones((1, 3, 8, 8), np.float32))
    words = ("compile", "--input_path", tiny_onnx, "--output_path", "OUT", "--verify")
    for value in ("image=x.npy", "x.npy"):
        assert cli(*words, "--input", value).returncode == 0
    np.save(cli.folder / "bad.npy", np.ones((1, 3, 9, 9), np.float32))
    text = cli.fails(2, *words, "--input", "image=bad.npy")
    assert "[1, 3, 9, 9]" in text


def test_broken_kernel_is_named(cli: Cli, tiny_onnx: Path) -> None:
    (cli.folder / "broken.py").write_text(BROKEN)
    out = cli.folder / "OUT"
    words = ("compile", "--input_path", tiny_onnx, "--output_path", out)
    assert cli(*words).returncode == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    text = cli.fails(1, *words, "--plugin", "broken.py", "--optimization",
                     "category:kernel,level:2", "--verify")  # fmt: skip
    assert "conv_broken__generic" in text and "conv" in text and "logits" in text
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
