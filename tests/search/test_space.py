"""Spaces: numbering, neighbours, features, and how they are thinned out."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from synthetic_space import BEST, space

from leip.codegen.resolver import resolve
from leip.ir.parse import parse_graph
from leip.schedules import select
from leip.schedules.points import thinned
from leip.schedules.task import Task
from leip.schedules.template import InvalidConfig, Knobs, knob
from leip.search.knob_space import KnobSpace

CONV = """graph "task" (%x: f32[1,64,28,28]@NCHW16c, %w: f32[64,64,3,3]) {
  %y = conv(%x, %w) {strides=[1,1], pads=[1,1,1,1], dilations=[1,1]} : f32[1,64,28,28]@NCHW16c
  return %y "y"
}
"""
SKYLAKE = "llvm -mcpu=skylake-avx512 -mtriple=x86_64-linux-gnu"


def conv_task() -> Task:
    return Task(parse_graph(CONV), resolve(SKYLAKE), threads=2, level=3, constants=(1,))


def test_points_are_found_by_their_config_in_any_order_of_knobs() -> None:
    bowl = space()
    for point in (0, 50, len(bowl) - 1):
        turned = dict(reversed(list(bowl.config(point).items())))
        assert bowl.find(turned) == point
    assert bowl.find({"a": 3, "b": 1, "order": "rows"}) is None


def test_neighbours_are_one_step_away_in_one_knob() -> None:
    bowl = space()
    here = bowl.find(BEST)
    assert here is not None
    beside = [bowl.config(point) for point in bowl.neighbours(here)]
    assert {"a": 4, "b": 2, "order": "rows"} in beside
    assert {"a": 16, "b": 2, "order": "rows"} in beside
    assert {"a": 8, "b": 4, "order": "rows"} in beside
    assert BEST not in beside


def test_features_are_numbers_between_0_and_1_that_tell_points_apart() -> None:
    bowl = space(model=True)
    rows = {tuple(bowl.features(point)) for point in range(len(bowl))}
    assert len(rows) == len(bowl)
    assert all(0 <= number <= 1 for row in rows for number in row)


@dataclass(frozen=True)
class Config(Knobs):
    a: int = knob(7)
    b: int = knob(3)
    fast: bool = knob(True)


def test_thinning_gives_up_values_but_never_those_of_the_default() -> None:
    configs = [Config(a, b, f) for a in range(1, 41) for b in (1, 2, 3) for f in (True, False)]
    left = thinned(configs, Config(), most=60)
    assert left[0] == Config() and len(left) <= 60
    assert {config.b for config in left} == {1, 2, 3}
    assert {config.fast for config in left} == {True, False}
    sizes = {config.a for config in left}
    assert 7 in sizes and 1 in sizes and len(sizes) >= 5
    assert thinned(configs[:10], configs[0], most=60) == configs[:10]


def test_the_space_of_a_convolution_holds_enough_legal_points() -> None:
    task = conv_task()
    template = select.template("conv_f32_direct__x86")
    bowl = KnobSpace(task, template)
    assert 200 <= len(bowl) <= 400
    default = template.Config.from_text("", template.default(task))
    assert bowl.find(vars(default)) == bowl.default == 0
    again = KnobSpace(task, template)
    assert [again.config(p) for p in range(len(again))] == [
        bowl.config(p) for p in range(len(bowl))
    ]
    assert min(bowl.prior(p) for p in range(len(bowl))) == pytest.approx(bowl.prior(0))


def test_every_point_of_a_space_is_built_or_refused_with_a_reason() -> None:
    task = conv_task()
    template = select.template("conv_f32_direct__x86")
    points = list(template.points(task))
    legal, some = [], points[:: len(points) // 16]
    for config in some:
        try:
            legal.append(template.build(task, config).functions)
        except InvalidConfig as refusal:
            assert str(refusal), config
    assert len(legal) >= 0.9 * len(some), "a search would spend its iterations on nothing"


def test_defaults_can_be_replaced() -> None:
    task = conv_task()
    template = select.template("conv_f32_direct__x86")
    other = list(template.points(task))[-1]
    try:
        select.replace_defaults(lambda asked, _: other if asked is template else None)
        assert select.select(task).config == other
        bowl = KnobSpace(task, template)
        assert bowl.config(bowl.default) == vars(other)
    finally:
        select.replace_defaults(None)
    assert select.select(task).config == template.default(task)
