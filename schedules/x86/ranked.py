"""Templates whose configs a cost model puts in order."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar, Generic, TypeVar, cast

from ..points import thinned
from ..task import Task
from ..template import Knobs, Template
from .tiles import SPILL

__all__ = ["Ranked"]

ProblemT = TypeVar("ProblemT")
ConfigT = TypeVar("ConfigT", bound=Knobs)


class Ranked(Template, Generic[ProblemT, ConfigT]):
    """A template that says which configs there are and what each costs. The default is cheapest.

    Attributes:
        most: Configs worth measuring, from the cheapest on.
    """

    most: ClassVar[int] = 12

    @abstractmethod
    def problem(self, task: Task) -> ProblemT:
        """The task as the template sees it. Raises NotApplicable."""

    @abstractmethod
    def configs(self, p: ProblemT) -> Iterable[ConfigT]:
        """The configs to choose from, in a fixed order: of equal costs the first one wins."""

    @abstractmethod
    def cost(self, p: ProblemT, config: ConfigT, threads: int) -> float:
        """Cycles of all threads together by the model, times the imbalance."""

    def check(self, task: Task) -> None:
        self.problem(task)

    def ranked(self, task: Task) -> list[ConfigT]:
        """All configs from the cheapest by the model on."""
        p = self.problem(task)
        costs = {config: self.cost(p, config, task.threads) for config in self.configs(p)}
        return sorted(costs, key=lambda config: costs[config])

    def default(self, task: Task) -> Knobs:
        return self.ranked(task)[0]

    def space(self, task: Task) -> Iterable[Knobs]:
        return self.ranked(task)[: self.most]

    def wide(self, p: ProblemT) -> Iterable[ConfigT]:
        """The configs that a search chooses from, before they are thinned out."""
        return self.configs(p)

    def points(self, task: Task) -> Iterable[Knobs]:
        default = self.ranked(task)[0]
        return thinned(self.wide(self.problem(task)), default)

    def model(self, task: Task) -> Callable[[Knobs], float]:
        p = self.problem(task)

        def modelled(config: Knobs) -> float:
            own = cast(ConfigT, config)
            return self.cost(p, own, task.threads) * (1 + SPILL * self.spilled(p, own))

        return modelled

    def cycles(self, task: Task, config: Knobs) -> float:
        return self.cost(self.problem(task), cast(ConfigT, config), task.threads)

    def spilled(self, p: ProblemT, config: ConfigT) -> float:
        """Registers that a config takes beyond those that there are, as a share of them.

        `configs` has none of that kind, so `cost` need not count it; `wide` may.
        """
        return 0.0
