"""The contest of two objects: who takes the other's place, and who must not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from leip.codegen import contest as module
from leip.codegen.build import BuildResult
from leip.codegen.contest import contest
from leip.ir import parse_graph

Made = Callable[..., Path]

PRODUCT = """graph "net" (%x: f32[64,256], %w: f32[256,256]) {
  %y = kernel(%x, %w) body(%p: f32[64,256], %q: f32[256,256]) {
    %m = matmul(%p, %q) : f32[64,256]
    return %m
  } : f32[64,256]
  return %y "y"
}"""


@pytest.fixture
def made(build: Callable[..., BuildResult], tmp_path: Path) -> Made:
    """`made(text, level=3)`: the object of a graph, in a folder of its own."""
    count = itertools.count()

    def make(text: str, **options: Any) -> Path:
        folder = tmp_path / f"object{next(count)}"
        return build(parse_graph(text), folder=folder, **options).library

    return make


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns are short: what is tested needs no fine times."""
    monkeypatch.setattr(module, "TURN", 0.01)
    monkeypatch.setattr(module, "PAUSE", 0.01)
    monkeypatch.setattr(module, "MOST_SECONDS", 3.0)


def test_equal_objects_do_not_win(made: Made, brief: None) -> None:
    before, after = made(PRODUCT), made(PRODUCT)
    # one in a hundred comes out ahead by chance; not all of them
    results = [contest(before, after, threads=2, level=3) for _ in range(3)]
    assert not all(result.won for result in results), results
    assert all(result.error == 0 and 0.5 < result.ratio < 2 for result in results), results


def test_a_faster_object_wins_and_a_slower_one_does_not(made: Made, brief: None) -> None:
    slow, fast = made(PRODUCT, level=1), made(PRODUCT, level=3)
    result = contest(slow, fast, threads=2, level=3)
    assert result.won and result.reason == "" and result.error < 1
    assert result.after < result.before and result.ratio < 0.8
    back = contest(fast, slow, threads=2, level=3)
    assert not back.won
    assert back.reason == f"the tuned object takes {back.ratio:.1%} of the time before"


# --- results --------------------------------------------------------------------------------------


def moved(by: float, dtype: str = "f32", factor: float = 1.0, base: float = 0.0) -> str:
    """factor·x + base, the last element off by something."""
    number = int if dtype == "i32" else float
    factors, values = [number(factor)] * 8, [number(base)] * 7 + [number(base + by)]
    return f"""graph "net" (%x: {dtype}[8]) {{
  %a = constant {{value={factors}}} : {dtype}[8]
  %b = constant {{value={values}}} : {dtype}[8]
  %y = kernel(%x, %a, %b) body(%p: {dtype}[8], %q: {dtype}[8], %r: {dtype}[8]) {{
    %m = mul(%p, %q) : {dtype}[8]
    %s = add(%m, %r) : {dtype}[8]
    return %s
  }} : {dtype}[8]
  return %y "y"
}}"""


@pytest.mark.parametrize(
    ("off", "facts", "level", "right"),
    [
        (1e-4, {}, 3, True),
        (0.1, {}, 3, False),
        (1e-2, {}, 4, True),  # which may use other algorithms
        (0.05, {"factor": 1e-3, "base": 100.0}, 3, False),  # little of 100, much of what moves
        (1, {"dtype": "i32", "base": 100_000}, 4, False),  # integers must be equal
        (float("nan"), {}, 3, False),
    ],
)
def test_an_object_with_another_result_is_refused(
    made: Made,
    monkeypatch: pytest.MonkeyPatch,
    off: float,
    facts: dict[str, Any],
    level: int,
    right: bool,
) -> None:
    """However fast it is."""
    monkeypatch.setattr(module, "_turn", lambda engine, feeds: 1e-3)
    monkeypatch.setattr(module, "_ratio", lambda sessions: (0.5, 0.01))
    result = contest(made(moved(0, **facts)), made(moved(off, **facts)), threads=2, level=level)
    assert result.won == right and result.error > 0, result
    assert ("the tuned object's outputs differ" in result.reason) != right
    if 1 < result.error < float("inf"):
        assert f", {result.error:.1f} times what is allowed" in result.reason


# --- when it is decided ---------------------------------------------------------------------------


def held(
    monkeypatch: pytest.MonkeyPatch, ratios: Sequence[float], odd: float = 1.0
) -> tuple[module.Contest, int]:
    """A contest whose sessions have these ratios, the last for ever; how many there were.

    The first turn of each is `odd` times as slow as the others.
    """
    numbers: list[int] = []

    def session(paths: object, threads: int, level: int, number: int) -> Any:
        numbers.append(number)
        ratio = ratios[min(number, len(ratios) - 1)]
        return [(1.0, ratio * odd), (1.0, ratio), (1.0, ratio)], 0.0

    monkeypatch.setattr(module, "_session", session)
    result = contest(Path("before.so"), Path("after.so"), threads=2, level=3)
    return result, len(numbers)


def test_a_clear_gain_is_seen_in_the_least_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    result, sessions = held(monkeypatch, [0.98])
    assert result.won and sessions == module.SESSIONS and result.ratio == 0.98
    assert not held(monkeypatch, [0.997])[0].won  # less than any noise
    assert not held(monkeypatch, [1.0])[0].won


def test_a_turn_that_was_disturbed_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = held(monkeypatch, [0.98], odd=3.0)
    assert result.won and result.ratio == 0.98


def test_sessions_that_scatter_are_repeated_until_it_is_clear(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scattered = [0.8, 1.15, 0.9, 1.1, 0.95, 1.05, 1.0]
    result, sessions = held(monkeypatch, [*scattered, 0.97])
    assert result.won and sessions > module.SESSIONS and result.ratio == 0.97


def test_what_is_not_clear_in_time_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SECONDS", 0.0)
    result, sessions = held(monkeypatch, [0.8, 1.15, 0.9, 1.1, 0.95, 1.05, 0.97])
    assert sessions == module.SESSIONS and not result.won
    assert "of the time before, which is within the noise of" in result.reason
