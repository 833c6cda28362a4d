"""Searches inside a task, on a space whose best point is known."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest
from synthetic_space import BEST, CONFIGS, bowl, space

from leip.search import registry
from leip.search.knob_space import TableSpace
from leip.search.local_search import LocalSearch
from leip.search.proposer import Proposer, ProposerFactory
from leip.search.random_search import RandomSearch

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugins" / "my_search.py"


def annealing() -> ProposerFactory:
    spec = importlib.util.spec_from_file_location("my_search", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = registry.parts().proposer
    spec.loader.exec_module(module)
    assert registry.parts().proposer is module.Annealing
    registry.parts().proposer = before
    return module.Annealing  # type: ignore[no-any-return]


ALL = [LocalSearch, RandomSearch, annealing()]


def go(proposer: Proposer, count: int, batch: int = 4) -> list[int]:
    """Measure `count` points as the proposer wants them."""
    points: list[int] = []
    while len(points) < count:
        proposed = list(proposer.propose(min(batch, count - len(points))))
        if not proposed:
            break
        for point in proposed:
            proposer.tell(point, bowl(CONFIGS[point]))
        points += proposed
    return points


@pytest.mark.parametrize("make", ALL)
def test_no_point_comes_twice_and_all_come_in_the_end(make: ProposerFactory) -> None:
    points = go(make(space(), 1), 10_000)
    assert sorted(points) == list(range(len(CONFIGS)))


@pytest.mark.parametrize("make", ALL)
def test_what_was_told_before_is_not_proposed(make: ProposerFactory) -> None:
    proposer = make(space(), 1)
    known = range(0, len(CONFIGS), 2)
    for point in known:
        proposer.tell(point, bowl(CONFIGS[point]))
    assert set(go(proposer, 10_000)) == set(range(len(CONFIGS))) - set(known)


@pytest.mark.parametrize("make", ALL)
def test_same_seed_same_search(make: ProposerFactory) -> None:
    first, second, other = (go(make(space(), seed), 40) for seed in (7, 7, 8))
    assert first == second
    if make is not LocalSearch:  # may be sure of its way
        assert first != other


@pytest.mark.parametrize("model", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_the_local_search_finds_the_best_point_soon(model: bool, seed: int) -> None:
    start = CONFIGS[(seed * 37) % len(CONFIGS)]
    bowl_space = space(start, model=model)
    proposer = LocalSearch(bowl_space, seed)
    proposer.tell(bowl_space.default, bowl(start))
    points = go(proposer, 24)
    assert min(bowl(CONFIGS[point]) for point in points) <= 1.03 * bowl(BEST)


def test_a_model_that_lies_is_left_behind() -> None:
    """The cost model prefers what is slowest."""
    liar = space(CONFIGS[-1])
    liar._priors = [1 / min(bowl(config), 1.0) for config in CONFIGS]
    proposer = LocalSearch(liar, 3)
    points = go(proposer, 60)
    assert min(bowl(CONFIGS[point]) for point in points) <= 1.05 * bowl(BEST)


def test_points_that_fail_are_no_end() -> None:
    proposer = LocalSearch(space(), 1)
    for _ in range(5):
        for point in proposer.propose(4):
            proposer.tell(point, math.inf)
    assert len(proposer.propose(4)) == 4


def test_every_value_of_every_knob_is_tried_soon_whatever_the_model_says() -> None:
    """One of every batch has a value that was not tried; costs of the model are no values."""
    seconds = {n: 1 + n / 100 for n in range(len(CONFIGS))}
    priors = [seconds[n] for n in range(len(CONFIGS))]  # all different, and right
    proposer = LocalSearch(TableSpace("bowl", "bowl__any", CONFIGS, CONFIGS[0], priors), 0)
    proposer.tell(0, seconds[0])
    seen = [0]
    for _ in range(13):  # 5 + 5 + 2 values beside the default's, then no more
        batch = list(proposer.propose(4))
        for point in batch:
            proposer.tell(point, seconds[point])
        seen += batch
    for name in ("a", "b", "order"):
        assert {CONFIGS[n][name] for n in seen} == {config[name] for config in CONFIGS}
