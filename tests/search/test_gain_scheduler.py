"""Which task gets the next iterations."""

from __future__ import annotations

import math

from leip.search.gain_scheduler import GainScheduler
from leip.search.scheduler import TaskState

NEXT = GainScheduler().next


def state(
    best: float = 2.0,
    bound: float = 1.0,
    weight: int = 1,
    measured: int = 4,
    size: int = 100,
    history: tuple[float, ...] = (2.0,),
) -> TaskState:
    return TaskState(weight, best, bound, measured, size, history)


def test_what_stands_more_often_goes_first() -> None:
    assert NEXT([state(), state(weight=3), state()]) == 1


def test_what_is_far_from_its_bound_goes_first() -> None:
    assert NEXT([state(best=1.1), state(best=1.8), state(best=1.2)]) == 1


def test_a_task_that_was_never_measured_is_judged_by_its_bound() -> None:
    new = {"best": math.inf, "measured": 0, "history": ()}
    assert NEXT([state(best=1.1), state(bound=5.0, **new)]) == 1  # type: ignore[arg-type]


def test_batches_without_a_gain_make_room_for_others() -> None:
    idle = state(best=2.0, history=(2.0, 2.0, 2.0, 2.0))
    assert NEXT([idle, state(best=1.5, history=(1.5,))]) == 1


def test_a_task_that_gains_keeps_its_turn() -> None:
    gaining = state(best=1.5, history=(2.0, 1.7, 1.5))
    idle = state(best=1.5, history=(1.5, 1.5, 1.5))
    assert NEXT([idle, gaining]) == 1


def test_exhausted_tasks_get_nothing() -> None:
    assert NEXT([state(best=9.0, measured=100), state(best=1.01)]) == 1
    assert NEXT([state(measured=100), state(measured=100)]) is None
