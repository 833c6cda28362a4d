"""The pass manager: checks, dumps, records, errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from pass_checks import graph

from leip.errors import OutputError, PassError, UsageError, VerifyError
from leip.ir import Graph, parse_graph
from leip.passes import Pass, PassManager, PassResult, parse_pipeline

TEXT = graph("%x: f32[4]", "%a = identity(%x)\n%y = relu(%a)\nreturn %y")


@dataclass(frozen=True)
class Liar(Pass):
    """Says that it changed something."""

    name = "liar"
    claim: bool = True

    def run(self, graph: Graph) -> PassResult:
        if not self.claim:
            graph.set_outputs([graph.add_constant(np.float32(1))], ["y"])
        return PassResult(graph, self.claim)


@dataclass(frozen=True)
class Breaker(Pass):
    """Makes an invalid graph."""

    name = "breaker"

    def run(self, graph: Graph) -> PassResult:
        graph.output_names = ()
        return PassResult(graph, True)


@dataclass(frozen=True)
class Crasher(Pass):
    """Has a bug."""

    name = "crasher"

    def run(self, graph: Graph) -> PassResult:
        raise KeyError("oops")


@dataclass(frozen=True)
class Sloppy(Pass):
    """Gives a number for `modified`."""

    name = "sloppy"

    def run(self, graph: Graph) -> PassResult:
        return PassResult(graph, 1)


def run(*steps: Pass, level: int = 2) -> Graph:
    return PassManager(steps, verify_level=level).run(parse_graph(TEXT))


def test_records_and_observer():
    seen = []
    manager = PassManager(
        parse_pipeline("canonicalize,dead-code"),
        observer=lambda record, net: seen.append((record.index, record.name, len(net))),
    )
    manager.run(parse_graph(TEXT))
    assert seen == [(1, "canonicalize", 2), (2, "dead-code", 2)]
    assert [record.modified for record in manager.records] == [True, False]
    assert all(record.seconds >= 0 for record in manager.records)


def test_dumps(tmp_path):
    folder = tmp_path / "deep" / "ir"
    PassManager(parse_pipeline("canonicalize,cse"), dump_dir=folder).run(parse_graph(TEXT))
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["00_input.txt", "01_canonicalize.txt", "02_cse.txt"]
    text = (folder / "01_canonicalize.txt").read_text(encoding="utf-8")
    assert "ms, modified, 2 nodes" in text.splitlines()[0]
    assert [node.op for node in parse_graph(text).nodes()] == ["input", "relu"]


def test_dump_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="the IR dump cannot be written"):
        PassManager([], dump_dir=tmp_path / "file").run(parse_graph(TEXT))


def test_lies_are_found_at_level_2():
    with pytest.raises(PassError, match="says that it modified the graph, which is not so"):
        run(Liar())
    with pytest.raises(PassError, match="says that it left the graph alone"):
        run(Liar(claim=False))
    run(Liar(), level=1)


def test_errors_name_the_pass_and_those_before_it():
    with pytest.raises(PassError) as caught:
        run(*parse_pipeline("cse,dead-code"), Crasher())
    assert str(caught.value) == (
        "pass 3, crasher: KeyError: 'oops'\npasses before it: cse, dead-code"
    )
    assert isinstance(caught.value.__cause__, KeyError)


def test_invalid_results_are_found():
    with pytest.raises(PassError, match="breaker: made an invalid graph"):
        run(Breaker(), level=1)
    with pytest.raises(PassError, match="must give PassResult"):
        run(Sloppy(), level=1)
    run(Breaker(), level=0)


def test_invalid_input_is_found():
    net = parse_graph(TEXT)
    net.output_names = ()
    with pytest.raises(VerifyError):
        PassManager([], verify_level=1).run(net)


def test_level_comes_from_the_environment(monkeypatch):
    net = parse_graph(TEXT)
    monkeypatch.setenv("LEIP_VERIFY", "2")
    with pytest.raises(PassError, match="liar"):
        PassManager([Liar()]).run(net)
    monkeypatch.setenv("LEIP_VERIFY", "0")
    PassManager([Liar()]).run(net)
    monkeypatch.setenv("LEIP_VERIFY", "high")
    with pytest.raises(UsageError, match="not a verify level"):
        PassManager([Liar()]).run(net)
