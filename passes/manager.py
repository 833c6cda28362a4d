"""Running passes in order, with checks, dumps and times."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import LeipError, OutputError, PassError, UsageError
from ..ir.graph import Graph
from ..ir.parse import parse_graph
from ..ir.text import constants, print_graph, structurally_equal
from ..ir.verifier import verify
from ..ir.whole_file import write_text_whole
from .base import Pass, PassResult

Observer = Callable[["PassRecord", Graph], None]

VERIFY_VARIABLE = "LEIP_VERIFY"


@dataclass(frozen=True)
class PassRecord:
    """What one pass did.

    Attributes:
        index: Position in the pipeline, from 1.
        name: Name of the pass.
        seconds: Wall time of `run`.
        modified: Whether it changed the graph.
        nodes: Nodes of the graph after it.
        refusals: What it recognised and left alone, with reasons.
    """

    index: int
    name: str
    seconds: float
    modified: bool
    nodes: int
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True)
class PassManager:
    """Runs a pipeline.

    Attributes:
        passes: The passes in order.
        dump_dir: Folder for the IR text after every pass (`03_fuse-conv.txt`; `00_input.txt` is
            what came in). None: no dumps.
        verify_level: 0 checks nothing; 1 runs the verifier before the first pass and after every
            one that changed the graph; 2 runs it after all of them, parses the printed graph back
            and compares, and checks that each pass told the truth about `modified`. None takes the
            environment's LEIP_VERIFY, 1 if unset.
        observer: Called after each pass with its record and the graph.
    """

    passes: Sequence[Pass]
    dump_dir: Path | None = None
    verify_level: int | None = None
    observer: Observer | None = None
    records: list[PassRecord] = field(default_factory=list)

    def run(self, graph: Graph) -> Graph:
        """Run all passes; the given graph may be changed in place.

        Raises:
            PassError: A pass failed, made an invalid graph or lied about what it did.
            OutputError: A dump cannot be written.
        """
        level = verify_level() if self.verify_level is None else self.verify_level
        self.records.clear()
        if level >= 1:
            verify(graph)
        self._dump(0, "input", f"// {len(graph)} nodes", graph)
        for index, step in enumerate(self.passes, 1):
            graph = self._step(index, step, graph, level)
        return graph

    def _step(self, index: int, step: Pass, graph: Graph, level: int) -> Graph:
        before = print_graph(graph) if level >= 2 else ""
        started = time.perf_counter()
        try:
            result = step.run(graph)
        except PassError:  # says already whose fault it is
            raise
        except Exception as error:
            raise self._error(index, step, f"{type(error).__name__}: {error}") from error
        seconds = time.perf_counter() - started
        if level >= 1:
            self._check(index, step, result, before, level)
        record = PassRecord(
            index, step.name, seconds, result.modified, len(result.graph), result.refusals
        )
        self.records.append(record)
        verb = "modified" if result.modified else "left alone"
        head = f"// {step.name}: {seconds * 1e3:.1f} ms, {verb}, {len(result.graph)} nodes"
        self._dump(index, step.name, head, result.graph)
        if self.observer is not None:
            self.observer(record, result.graph)
        return result.graph

    def _check(self, index: int, step: Pass, result: PassResult, before: str, level: int) -> None:
        if not isinstance(result, PassResult) or not isinstance(result.modified, bool):
            raise self._error(index, step, "`run` must give PassResult(graph, modified: bool)")
        if not result.modified and level < 2:
            return
        try:
            verify(result.graph)
        except LeipError as error:
            raise self._error(index, step, f"made an invalid graph: {error}") from error
        if level < 2:
            return
        text = print_graph(result.graph)
        if result.modified != (text != before):
            claim = "modified the graph" if result.modified else "left the graph alone"
            raise self._error(index, step, f"says that it {claim}, which is not so")
        parsed = parse_graph(text, constants(result.graph))
        if not structurally_equal(parsed, result.graph):
            raise self._error(index, step, "made a graph that its own text does not describe")

    def _error(self, index: int, step: Pass, message: str) -> PassError:
        earlier = ", ".join(other.name for other in self.passes[: index - 1])
        return PassError(
            message, f"pass {index}, {step.name}", f"passes before it: {earlier or 'none'}"
        )

    def _dump(self, index: int, name: str, head: str, graph: Graph) -> None:
        if self.dump_dir is None:
            return
        path = Path(self.dump_dir) / f"{index:02d}_{name}.txt"
        try:
            write_text_whole(path, f"{head}\n{print_graph(graph)}")
        except OutputError as error:
            raise OutputError(f"the IR dump {error.message}", error.where) from error


def verify_level() -> int:
    """The level that LEIP_VERIFY asks for. Raises UsageError if it is not 0, 1 or 2."""
    text = os.environ.get(VERIFY_VARIABLE, "1")
    if text not in ("0", "1", "2"):
        raise UsageError(f"{text!r} is not a verify level", VERIFY_VARIABLE, "it takes 0, 1 or 2")
    return int(text)
