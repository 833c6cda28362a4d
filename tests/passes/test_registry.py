"""What holds for every registered pass, and for passes from outside."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

import leip.passes
from leip.errors import UsageError
from leip.ir import Graph, Rewrite
from leip.ir.target import Caches, Target
from leip.passes import (
    Pass,
    PassResult,
    format_pipeline,
    parse_pipeline,
    passes,
    pipeline,
    register_pass,
    unregister_pass,
)
from leip.passes.registry import PASSES

HERE = Path(__file__).parent
CACHES = Caches(32 << 10, 512 << 10, 2 << 20)
TARGET = Target("llvm", "x86", "x86_64-linux-gnu", "skylake", ("avx2", "fma"), 256, 16, CACHES)
ROOM = Path(leip.passes.__file__).parent


@pytest.fixture(params=[step.name for step in PASSES])
def step(request):
    return passes()[request.param]


def test_pass_is_a_frozen_dataclass_with_defaults(step):
    assert step.__dataclass_params__.frozen
    assert isinstance(step(), Pass)


def test_pass_is_named_as_its_file(step):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", step.name)
    assert Path(inspect.getfile(step)).stem == step.name.replace("-", "_")
    assert step.__name__ == "".join(word.title() for word in step.name.split("-"))


def test_pass_says_what_it_does(step):
    assert step.summary().strip()
    for field in dataclasses.fields(step):
        assert f"{field.name}:" in inspect.getdoc(step), f"option {field.name} is not explained"


def test_pass_has_positive_and_negative_tests(step):
    """`check_pass` itself sees to it that a positive test fails for a pass that does nothing."""
    text = (HERE / f"test_{step.name.replace('-', '_')}.py").read_text(encoding="utf-8")
    names = [n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
    assert any(name.startswith("test_fires") for name in names)
    assert any(name.startswith("test_keeps") for name in names)
    assert f'"{step.name}' in text


def test_check_pass_fails_for_a_pass_that_does_nothing(check_pass, monkeypatch, step):
    """The mutation check: with identity in its place, a test that expects a change fails."""
    monkeypatch.setattr(step, "run", lambda self, graph: PassResult(graph, False))
    text = 'graph "main" (%x: f32[4]) { %y = relu(%x) return %y }'
    other = 'graph "main" (%x: f32[4]) { %y = neg(%x) return %y }'
    with pytest.raises(AssertionError, match="got this text instead"):
        check_pass(step.name, text, after=other)
    with pytest.raises(AssertionError, match="does nothing would succeed"):
        check_pass(step.name, text, after=text)


def rewrites() -> list[type[Rewrite]]:
    """Every rewrite of the room."""
    found = []
    for path in sorted(ROOM.glob("*.py")):
        module = __import__(f"leip.passes.{path.stem}", fromlist=["*"])
        for item in vars(module).values():
            if isinstance(item, type) and issubclass(item, Rewrite) and item is not Rewrite:
                found.append(item)
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("rewrite", rewrites(), ids=lambda r: r.name)
def test_rewrite_states_its_equation(rewrite):
    assert "→" in inspect.getdoc(rewrite)
    assert rewrite.roots
    words = "".join(word.title() for word in rewrite.name.split("-"))
    assert rewrite.__name__ == words


def test_rewrites_have_names_of_their_own():
    names = [rewrite.name for rewrite in rewrites()]
    assert len(names) == len(set(names)) > 40


# -- passes from outside -----------------------------------------------------------------------


@dataclass(frozen=True)
class Mine(Pass):
    """Does nothing.

    Attributes:
        knob: Of no effect.
    """

    name = "mine"
    knob: int = 3

    def run(self, graph: Graph) -> PassResult:
        return PassResult(graph, False)


@pytest.fixture
def clean_registry():
    yield
    unregister_pass("mine")


@pytest.mark.usefixtures("clean_registry")
def test_plugin_stands_in_its_place():
    register_pass(Mine, before="fuse-conv")
    names = [step.name for step in pipeline(3, TARGET)]
    assert names.count("mine") == 1
    assert names[names.index("mine") + 1] == "fuse-conv"
    register_pass(Mine, after="canonicalize")  # loaded again: replaces
    names = [step.name for step in pipeline(3, TARGET)]
    assert names.count("mine") == 1
    assert names[names.index("mine") - 1] == "canonicalize"
    assert "canonicalize" not in names[names.index("mine") :]
    assert format_pipeline(parse_pipeline("mine{knob=4}")) == "mine{knob=4}"


@pytest.mark.usefixtures("clean_registry")
def test_plugin_beside_a_pass_that_a_level_lacks_does_not_run():
    register_pass(Mine, after="assign-layouts")
    assert "mine" not in [step.name for step in pipeline(2, TARGET)]
    assert "mine" in [step.name for step in pipeline(3, TARGET)]


@pytest.mark.usefixtures("clean_registry")
def test_wrong_registrations_are_refused():
    class Thawed(Pass):
        name = "thawed"

        def run(self, graph: Graph) -> PassResult:
            return PassResult(graph, False)

    @dataclass(frozen=True)
    class Taken(Mine):
        name = "cse"

    @dataclass(frozen=True)
    class Twin(Mine):
        name = "mine"

    with pytest.raises(UsageError, match="frozen"):
        register_pass(Thawed)
    with pytest.raises(UsageError, match="built-in"):
        register_pass(Taken)
    with pytest.raises(UsageError, match="derived from"):
        register_pass(int)
    with pytest.raises(UsageError, match="no pass 'fuse-cnv'"):
        register_pass(Mine, after="fuse-cnv")
    with pytest.raises(UsageError, match="not both"):
        register_pass(Mine, after="cse", before="cse")
    register_pass(Mine)
    with pytest.raises(UsageError, match="two plugins"):
        register_pass(Twin)
