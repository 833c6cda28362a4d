"""The space of a task that a template makes: its points, and what lies beside them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from ..schedules.select import default_config
from ..schedules.task import Task
from ..schedules.template import Template
from .blame import blamed, part_error, part_name
from .configs import config_fault, config_of, items_of
from .record import Config

__all__ = ["KnobSpace", "TableSpace"]

LEAST_NEIGHBOURS = 6
MOST_POINTS = 100_000  # of a template: more would take a search nowhere


class TableSpace:
    """A space whose points stand in a table: a space of knobs, or one that was measured before.

    Two points are as far apart as there are steps between them, a step being one from a value of a
    knob to the next in the order of the values that the knob takes anywhere in the space.

    Args:
        task: Key of the task.
        template: Name of the template.
        configs: All points.
        default: The config that the search starts from; one of `configs`.
        priors: Modelled cost of each point, in any unit; None: there is no model.
    """

    def __init__(
        self,
        task: str,
        template: str,
        configs: Sequence[Config],
        default: Config,
        priors: Sequence[float] | None = None,
    ) -> None:
        self.task, self.template = task, template
        self._configs = [dict(config) for config in configs]
        self._numbers = {items_of(config): number for number, config in enumerate(configs)}
        self.default = self._numbers[items_of(default)]
        self._beside: dict[int, list[int]] = {}
        self._given = priors

    def __len__(self) -> int:
        return len(self._configs)

    def config(self, point: int) -> Config:
        return self._configs[point]

    def find(self, config: Config) -> int | None:
        return self._numbers.get(items_of(config))

    def prior(self, point: int) -> float:
        return self._priors[point]

    def neighbours(self, point: int) -> Sequence[int]:
        """All points one step away; if they are few, the nearest beyond them too."""
        if point not in self._beside:
            self._beside[point] = self._nearest(point)
        return self._beside[point]

    def _nearest(self, point: int) -> list[int]:
        away = np.abs(self._steps - self._steps[point]).sum(axis=1)
        order = [int(n) for n in np.argsort(away, kind="stable") if n != point]
        beside = int(np.count_nonzero(away <= 1)) - 1
        return order[: max(beside, LEAST_NEIGHBOURS)]

    def features(self, point: int) -> Sequence[float]:
        """Every knob between 0 and 1, numbers by their logarithm; last the model's logarithm."""
        row: Sequence[float] = self._features[point].tolist()
        return row

    @cached_property
    def _priors(self) -> list[float]:
        return self._costs()

    def _costs(self) -> list[float]:
        """The modelled cost of each point; asked for once, if at all."""
        return [1.0] * len(self) if self._given is None else [float(cost) for cost in self._given]

    @cached_property
    def _columns(self) -> list[list[int | bool | str]]:
        """The values of each knob, point by point."""
        names = list(self._configs[0]) if self._configs else []
        return [[config[name] for config in self._configs] for name in names]

    @cached_property
    def _steps(self) -> np.ndarray:
        """[points, knobs]: the place of each value in the order of its knob's values."""
        steps = []
        for column in self._columns:
            places = {value: place for place, value in enumerate(sorted(set(column)))}  # type: ignore[type-var]
            steps.append([places[value] for value in column])
        return np.array(steps, dtype=np.int64).T.reshape(len(self), -1)

    @cached_property
    def _features(self) -> np.ndarray:
        columns = []
        for column, places in zip(self._columns, self._steps.T):
            numbers = all(isinstance(value, int) for value in column)
            values = [math.log2(1 + abs(int(v))) for v in column] if numbers else places
            columns.append(_unit(np.asarray(values, dtype=np.float64)))
        columns.append(_unit(np.log(np.maximum(self._priors, 1e-12))))
        return np.stack(columns, axis=1)


class KnobSpace(TableSpace):
    """All points of a template for a task; `Template.points` says which there are.

    The template's model is asked when the first cost is.

    Raises:
        UsageError: The template is a plugin's, and gives points or costs that are none.
    """

    def __init__(self, task: Task, template: Template) -> None:
        default = default_config(template, task)
        with blamed("template", template):
            points = [*itertools.islice(template.points(task), MOST_POINTS + 1)]
        if len(points) > MOST_POINTS:
            raise part_error("template", template, f"has more than {MOST_POINTS} points")
        usual = config_of(default)
        for point in points:
            if not isinstance(point, template.Config):
                name = part_name(template.Config)
                message = f"has the point {point!r:.60}, which is no {name}"
                raise part_error("template", template, message)
            if fault := config_fault(config_of(point), usual):
                raise part_error("template", template, f"has the point {point!r:.60}: {fault}")
        self._made_by, self._of, self._knobs = template, task, [*dict.fromkeys([default, *points])]
        super().__init__(task.key, template.name, [*map(config_of, self._knobs)], usual)

    def _costs(self) -> list[float]:
        with blamed("template", self._made_by):
            model = self._made_by.model(self._of)
            costs = [1.0 if model is None else float(model(config)) for config in self._knobs]
        for config, cost in zip(self._knobs, costs):
            if not 0 <= cost < math.inf:
                message = f"models that {{{config}}} costs {cost}"
                raise part_error("template", self._made_by, message)
        return costs


def _unit(values: np.ndarray) -> np.ndarray:
    """Values moved and scaled to 0 … 1; all 0 if they are equal."""
    span = float(np.ptp(values)) if values.size else 0.0
    result: np.ndarray = (values - values.min()) / span if span else np.zeros(values.shape)
    return result
