"""Paths with any bytes, names longer than files' names, narrow terminals."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import Cli
from onnx import TensorProto, helper

from leip.cli import console
from leip.codegen import link
from leip.codegen.toolchain import find_toolchain
from leip.runtime import sources

ODD = b"\xff a,b \"c' $(d) %s"


def long_names(path: Path) -> Path:
    """A model whose values and nodes have names that no file could have."""
    x = helper.make_tensor_value_info("x" * 300, TensorProto.FLOAT, [1, 8])
    outputs = [
        helper.make_tensor_value_info("long/" * 80 + end, TensorProto.FLOAT, [1, 8])
        for end in ("a", "b")
    ]
    nodes = [
        helper.make_node("Relu", [x.name], [outputs[0].name], name="n" * 400),
        helper.make_node("Softmax", [x.name], [outputs[1].name], name="m" * 400),
    ]
    graph = helper.make_graph(nodes, "g", [x], outputs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def leip(folder: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "leip.cli.main", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL)


def test_paths_that_are_not_text(cli: Cli, tiny_onnx: Path) -> None:
    folder = os.path.join(os.fsencode(cli.folder), ODD)
    os.mkdir(folder)
    out = os.path.join(os.fsdecode(folder), "OUT\udcfe")
    model = os.path.join(os.fsdecode(folder), "m\udcfe.onnx")
    shutil.copy(tiny_onnx, model)
    for words in (
        (
            "compile",
            "--input_path",
            model,
            "--output_path",
            out,
            "--verify",
            "--dump_ir",
            "d\udcfe",
        ),
        ("run", "--input_path", out, "--output_dir", "results\udcfe"),
        ("benchmark", "--input_path", out, "--seconds", "0", "--json", "f\udcfe.json"),
        ("inspect", "--input_path", model),
        ("opt", model, "-o", "text\udcfe.txt"),
    ):
        done = leip(folder, *words)
        assert done.returncode == 0, done.stderr
    done = leip(folder, "run", "--input_path", "nothing\udcfe")
    assert done.returncode == 1 and done.stderr.startswith(b"error: no such file or folder")
    assert b"where: nothing\\udcfe" in done.stderr


def test_names_longer_than_those_of_files(cli: Cli) -> None:
    model = long_names(cli.folder / "long.onnx")
    words = ("compile", "--input_path", model, "--output_path", "OUT", "--dump_ir", "dump")
    assert cli(*words, "--verify").returncode == 0
    assert len(list((cli.folder / "dump" / "tasks").iterdir())) == 2
    done = cli("run", "--input_path", "OUT", "--output_dir", "results")
    assert done.returncode == 0, done.stderr
    files = sorted((cli.folder / "results").iterdir())
    assert len(files) == 2 and all(np.load(file).shape == (1, 8) for file in files)


@pytest.mark.parametrize("columns", [1, 5, 10, 20])
def test_narrow_terminals_show_every_cell(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    console.table([["kernel", "one", "12"], ["other", "two", "13"]], header=("a", "b", "c"))
    text = capsys.readouterr().out
    assert all(word in text for word in ("kernel", "one", "12", "other", "two", "13"))


def test_leip_may_be_installed_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine compiles and links, whatever the characters of its sources' path."""
    odd = Path(os.path.join(os.fsdecode(os.fsencode(tmp_path)), os.fsdecode(ODD)))
    shutil.copytree(sources.INCLUDE, odd)
    monkeypatch.setattr(sources, "ENGINE", tuple(odd / file.name for file in sources.ENGINE))
    monkeypatch.setattr(sources, "VERSION_SCRIPT", odd / sources.VERSION_SCRIPT.name)
    monkeypatch.setattr(sources, "INCLUDE", odd)
    work = odd / "work"
    work.mkdir()
    toolchain = find_toolchain(f"{os.uname().machine}-linux-gnu")
    objects = link.compile_engine(toolchain, work, None)
    toy = Path(__file__).parent.parent / "runtime" / "c" / "toy.c"
    elf = link.link_object(
        toolchain, toy.read_text(encoding="utf-8"), {}, objects, odd / "x.so", work
    )
    assert elf.exports
