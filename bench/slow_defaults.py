"""A plugin that gives tasks bad defaults, for trying the search out: `leip compile --plugin`.

Where a template has a cost model, the default of a task becomes a point of the slowest quarter of
its space by that model, drawn by the task's key: the same in every run.
"""

from __future__ import annotations

import functools
import random
from typing import Any

from leip.plugin import replace_defaults
from leip.schedules.task import Task
from leip.schedules.template import InvalidConfig, Knobs, Template

LEAST_POINTS = 8
SEED = 1


def slow(template: Template, task: Task) -> Knobs | None:
    """The replaced default; None keeps the template's own."""
    return _drawn(template, task.text)


@functools.cache
def _drawn(template: Template, text: str) -> Knobs | None:
    task = Task.parse(text)
    cost: Any = template.model(task)
    points = list(template.points(task))
    if cost is None or len(points) < LEAST_POINTS:
        return None
    slowest = sorted(points, key=cost)[len(points) * 3 // 4 :]
    random.Random(f"{SEED} {task.key}").shuffle(slowest)
    for config in slowest:
        try:
            template.build(task, config)
        except InvalidConfig:
            continue
        return config
    return None


replace_defaults(slow)
