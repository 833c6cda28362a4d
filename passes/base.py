"""What a pass is."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from ..ir.graph import Graph
from ..ir.rewriter import Rewrite, apply_rewrites


@dataclass(frozen=True)
class PassResult:
    """What a pass gives back.

    Attributes:
        graph: The improved graph: the one that came in, changed in place, or a new one.
        modified: Whether anything changed. The pass manager checks it at LEIP_VERIFY=2.
        refusals: `rewrite: reason` for everything that was recognised but left alone; what
            `leip opt --explain` prints.
    """

    graph: Graph
    modified: bool
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pass(ABC):
    """A graph → graph function with options.

    Subclasses are frozen dataclasses: their fields are the options (int, float, bool or str, with
    defaults), written `name{option=value}` in pipeline text. A pass takes a valid graph and gives
    a valid graph; it may change the given one in place. Run twice, it changes nothing more.
    """

    name: ClassVar[str]  # kebab-case, as its file

    @abstractmethod
    def run(self, graph: Graph) -> PassResult:
        """Improve the graph."""

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(cls) or "").partition("\n")[0]


@dataclass(frozen=True)
class RewritePass(Pass):
    """A pass that applies a list of rewrites until none fires."""

    @abstractmethod
    def rewrites(self) -> tuple[Rewrite, ...]:
        """The rewrites, those to be tried first in front."""

    def run(self, graph: Graph) -> PassResult:
        rewriter = apply_rewrites(graph, self.rewrites())
        refusals = tuple(f"{name}: {refusal.reason}" for name, refusal in rewriter.refusals)
        return PassResult(graph, rewriter.modified, refusals)
