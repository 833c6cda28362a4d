"""The loop of the search: what an iteration is, who wins, when it ends, what it learns from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import pytest
from synthetic_space import BEST, CONFIGS, Pretended, Watch, bowl, space

from leip.search.gain_scheduler import GainScheduler
from leip.search.local_search import LocalSearch
from leip.search.measurer import Outcome, Trial
from leip.search.record import Challenge, Measurement, Status
from leip.search.tuner import Tuner, TuneTask


def tuner(
    tasks: Sequence[TuneTask], measurer: Pretended, watch: Watch, seed: int = 0, batch: int = 4
) -> Tuner:
    ticks = itertools.count()
    return Tuner(
        tasks,
        measurer,
        GainScheduler(),
        LocalSearch,
        observer=watch,
        seed=seed,
        batch=batch,
        clock=lambda: f"t{next(ticks)}",
    )


def task(**changes: object) -> TuneTask:
    facts = {"space": space(), "text": "bowl", "source": "s1", "bound": 5e-4}
    return TuneTask(**{**facts, **changes})  # type: ignore[arg-type]


def test_iterations_are_new_measurements_and_the_default_is_the_first() -> None:
    watch = Watch()
    result = tuner([task()], Pretended(), watch).run(30)
    records = [r for r in watch.of(Measurement) if isinstance(r, Measurement)]
    assert result.iterations == len(records) == 30 and not result.ended
    assert records[0].config == CONFIGS[0]
    assert len({tuple(r.config.items()) for r in records}) == 30
    assert all(r.task == "bowl" and r.template == "bowl__any" and r.source == "s1" for r in records)


def test_the_best_is_found_and_confirmed_in_turns() -> None:
    watch = Watch()
    (found,) = tuner([task()], Pretended(), watch).run(30).tasks
    assert bowl(found.config) <= 1.03 * bowl(BEST)
    assert found.seconds < found.default_seconds == bowl(CONFIGS[0])
    last = [r for r in watch.of(Challenge) if isinstance(r, Challenge) and r.won][-1]
    assert last.challenger == found.config and last.ratio < 1 - last.noise


def test_an_exhausted_space_ends_early_and_invalid_points_count() -> None:
    watch = Watch()
    result = tuner([task()], Pretended(), watch).run(10_000)
    assert result.ended == "every config of every kernel is measured"
    assert result.iterations == len(CONFIGS)
    assert result.tasks[0].exhausted
    invalid = [r for r in watch.of(Measurement) if r.status is Status.INVALID]  # type: ignore[union-attr]
    assert len(invalid) == 3 and all(r.times == () and r.message for r in invalid)  # type: ignore[union-attr]


class Flat(Pretended):
    """Every point takes the same, but for noise that the first measurement favours."""

    def __init__(self) -> None:
        super().__init__()
        self._noise = itertools.cycle((1.0, 0.9, 1.02, 0.95, 1.05))

    def seconds(self, trial: Trial) -> float:
        return 1e-3 * next(self._noise)

    def compare(self, trials: Sequence[Trial]) -> Sequence[Outcome]:
        times = [tuple(1e-3 * next(self._noise) for _ in range(9)) for _ in trials]
        return [Outcome(Status.OK, each) for each in times]


def test_a_challenger_that_wins_by_noise_only_does_not_win() -> None:
    watch = Watch()
    (found,) = tuner([task()], Flat(), watch).run(40).tasks
    challenges = [r for r in watch.of(Challenge) if isinstance(r, Challenge)]
    assert challenges and not any(r.won for r in challenges)
    assert found.config == CONFIGS[0]


class Fading(Pretended):
    """What ran once does not run again."""

    def compare(self, trials: Sequence[Trial]) -> Sequence[Outcome]:
        old, *_ = super().compare(trials)
        return [old, Outcome(Status.CRASH, message="signal 11")]


def test_a_challenger_that_crashes_in_turns_is_out() -> None:
    watch = Watch()
    (found,) = tuner([task()], Fading(), watch).run(40).tasks
    assert found.config == CONFIGS[0] and watch.of(Challenge)

    assert all(r.ratio == 0 and not r.won for r in watch.of(Challenge))  # type: ignore[union-attr]
    again = tuner([task(known=tuple(r for _, r in watch.records))], Pretended(), Watch())
    assert again.result().tasks[0].config == CONFIGS[0], "nor does it after the next start"


class Flaky(Pretended):
    """The default runs once only."""

    def compare(self, trials: Sequence[Trial]) -> Sequence[Outcome]:
        return [
            Outcome(Status.CRASH, message="signal 11") if trial.config == CONFIGS[0] else outcome
            for trial, outcome in zip(trials, super().compare(trials), strict=True)
        ]


def test_an_incumbent_that_crashes_in_turns_is_out() -> None:
    watch = Watch()
    (found,) = tuner([task()], Flaky(), watch).run(40).tasks
    assert bowl(found.config) <= 1.03 * bowl(BEST)
    assert found.default_seconds == math.inf


def test_a_default_that_does_not_run_is_replaced_by_what_does() -> None:
    broken = space({"a": 32, "b": 32, "order": "rows"})
    watch = Watch()
    (found,) = tuner([task(space=broken)], Pretended(), watch).run(20).tasks
    assert math.isfinite(found.seconds) and found.default_seconds == math.inf
    assert watch.of(Challenge)[0].ratio == 0.0  # type: ignore[union-attr]


class Picky(Pretended):
    """Of the task `picky` a few configs run only; the others fail in several ways."""

    FAILURES = itertools.cycle((Status.BUILD_ERROR, Status.WRONG_RESULT, Status.TIMEOUT))

    def measure(self, trials: Sequence[Trial]) -> Iterator[Outcome]:
        for trial, outcome in zip(trials, super().measure(trials), strict=True):
            fails = trial.task_text == "picky" and (trial.config["a"], trial.config["b"]) != (8, 2)
            yield Outcome(next(self.FAILURES), message="no") if fails else outcome


def test_a_task_whose_default_does_not_run_is_not_starved() -> None:
    """It stands once and is short, beside long ones that stand often."""
    picky = task(space=space(task="picky"), text="picky", bound=2e-3)
    long = [task(text=f"long{n}", weight=2, bound=5e-4) for n in range(3)]
    found = tuner([*long, picky], Picky(), Watch()).run(120).tasks
    assert math.isfinite(found[3].seconds) and found[3].default_seconds == math.inf
    assert all(other.measured >= 4 for other in found[:3])


def test_a_second_run_goes_on_where_the_first_ended() -> None:
    first = Watch()
    before = tuner([task()], Pretended(), first).run(20).tasks[0]
    known = tuple(record for _, record in first.records)
    second = Watch()
    result = tuner([task(known=known)], Pretended(), second).run(20)
    both = [r.config for r in (*first.of(Measurement), *second.of(Measurement))]  # type: ignore[union-attr]
    assert len({tuple(config.items()) for config in both}) == 40
    assert result.iterations == 20
    assert result.tasks[0].measured == 40
    assert result.tasks[0].seconds <= before.seconds


def test_what_is_known_gives_the_best_without_measuring() -> None:
    first = Watch()
    before = tuner([task()], Pretended(), first).run(20).tasks[0]
    known = tuple(record for _, record in first.records)
    after = tuner([task(known=known)], Pretended(), Watch()).result().tasks[0]
    assert after == before


def test_records_that_do_not_fit_are_passed_over() -> None:
    other = Measurement("bowl", "other__any", "s1", CONFIGS[0], Status.OK, (1e-9,))
    strange = Measurement("bowl", "bowl__any", "s1", {"z": 1}, Status.OK, (1e-9,))
    state = tuner([task(known=(other, strange))], Pretended(), Watch()).result().tasks[0]
    assert state.measured == 0


def test_seeds_are_measured_right_after_the_default() -> None:
    watch = Watch()
    seeds = (BEST, {"a": 99, "b": 1, "order": "rows"})
    tuner([task(seeds=seeds)], Pretended(), watch).run(4)
    assert [r.config for r in watch.of(Measurement)][:2] == [CONFIGS[0], BEST]  # type: ignore[union-attr]


def test_more_goes_to_what_takes_more_of_the_model() -> None:
    tasks = [task(space=space(task=name), text=name, bound=1e-4) for name in ("small", "large")]
    watch = Watch()
    tuner(tasks, Pretended({"small": 0.02, "large": 1.0}), watch).run(60)
    counts = [sum(index == n for index, _ in watch.records) for n in (0, 1)]
    assert counts[1] > 2 * counts[0] > 0


def test_same_seed_and_measurements_same_records() -> None:
    first, second = Watch(), Watch()
    for watch in (first, second):
        tuner([task()], Pretended(), watch, seed=5).run(40)
    assert first.records == second.records


class Stopped(Watch):
    def measured(self, task: int, record: Measurement) -> None:
        super().measured(task, record)
        if len(self.records) == 10:
            raise KeyboardInterrupt


def test_an_interrupt_leaves_what_was_found() -> None:
    watch = Stopped()
    running = tuner([task()], Pretended(), watch)
    with pytest.raises(KeyboardInterrupt):
        running.run(100)
    (found,) = running.result().tasks
    assert found.measured == len(watch.of(Measurement))


class Late(Watch):
    """Stops a search after the measurement of a point, before it runs against the default."""

    def measured(self, task: int, record: Measurement) -> None:
        super().measured(task, record)
        if record.config == BEST:
            raise KeyboardInterrupt


def test_a_win_that_was_measured_but_not_confirmed_is_confirmed_later() -> None:
    watch = Late()
    with pytest.raises(KeyboardInterrupt):
        tuner([task(seeds=(BEST,))], Pretended(), watch).run(100)
    assert watch.of(Challenge) == []
    known = tuple(record for _, record in watch.records)
    (found,) = tuner([task(known=known)], Pretended(), Watch()).run(4).tasks
    assert found.config == BEST


@pytest.mark.parametrize("step", [1, -1])
def test_of_wins_of_two_logs_the_greatest_counts(step: int) -> None:
    """The last one that won in the order of the files is not the best for that."""
    good, fair = {"a": 8, "b": 4, "order": "rows"}, {"a": 2, "b": 8, "order": "rows"}
    records: list[Measurement | Challenge] = []
    for config in (BEST, good, fair):
        seconds = (bowl(config),)
        records.append(Measurement("bowl", "bowl__any", "s1", config, Status.OK, seconds))
    default = bowl(CONFIGS[0])
    records.insert(0, Measurement("bowl", "bowl__any", "s1", CONFIGS[0], Status.OK, (default,)))
    for config in (BEST, fair)[::step]:
        ratio = bowl(config) / default
        won = Challenge("bowl", "bowl__any", "s1", CONFIGS[0], config, ratio, 0.01, True)
        records.append(won)
    running = tuner([task(known=tuple(records))], Pretended(), Watch())
    assert running.result().tasks[0].config == BEST
    assert running.run(1).tasks[0].config == BEST


class Lucky(Pretended):
    """Some point is measured far too fast; in turns it is not."""

    def measure(self, trials: Sequence[Trial]) -> Iterator[Outcome]:
        for trial, outcome in zip(trials, super().measure(trials), strict=True):
            lucky = trial.config == {"a": 1, "b": 1, "order": "tiles"}
            yield Outcome(Status.OK, (1e-6,)) if lucky else outcome


def test_the_second_best_of_a_batch_runs_if_the_best_loses() -> None:
    seeds = ({"a": 1, "b": 1, "order": "tiles"}, BEST)
    (found,) = tuner([task(seeds=seeds)], Lucky(), Watch()).run(3).tasks
    assert found.config == BEST
