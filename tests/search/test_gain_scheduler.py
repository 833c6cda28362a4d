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


def broken(batches: int) -> TaskState:
    """Nothing of it ran in so many batches."""
    return state(best=math.inf, bound=1e-9, measured=4 * batches, history=(math.inf,) * batches)


def test_a_task_of_which_nothing_runs_goes_first() -> None:
    assert NEXT([state(best=9.0, weight=50), broken(1)]) == 1
    assert NEXT([broken(2), state(), broken(1)]) == 2, "they take turns"


def test_a_task_of_which_nothing_ever_runs_leaves_the_others_half() -> None:
    gaining = (9.0, 8.0, 7.0, 6.0, 5.0)
    assert NEXT([broken(5), state(best=5.0, history=gaining[:4])]) == 1
    assert NEXT([broken(5), state(best=5.0, history=gaining)]) == 0
    assert NEXT([broken(5), broken(5), state(best=5.0, history=gaining)]) == 2
    assert NEXT([broken(9), state(measured=100)]) == 0, "nobody else wants them"


def test_what_runs_at_last_is_judged_by_its_time() -> None:
    mended = state(best=1.01, history=(math.inf, math.inf, 1.01))
    assert NEXT([mended, state(best=9.0, weight=3)]) == 1
