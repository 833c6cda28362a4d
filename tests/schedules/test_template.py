"""Configs as text, and selection with reasons."""

from __future__ import annotations

import dataclasses

import pytest
from kernels import host, one_op, task_of

from leip.errors import UsageError
from leip.ir import DType, Layout, TensorType
from leip.ir.ops import ReduceAttrs, SoftmaxAttrs, TransposeAttrs
from leip.schedules import select as selection
from leip.schedules.select import GENERIC, Override, select, templates
from leip.schedules.task import Task
from leip.schedules.template import InvalidConfig, Knobs, Template, config_text, knob

ROWS = TensorType(DType.F32, (4, 64, 64))
IMAGE = TensorType(DType.F32, (1, 32, 8, 8), Layout.parse("NCHW16c"))


@dataclasses.dataclass(frozen=True)
class Example(Knobs):
    tile: int = knob(4, choices=(2, 4), help="rows of a tile")
    packed: bool = knob(True)
    order: str = knob("kji")


def test_config_text_reads_back() -> None:
    config = Example(2, False, "ijk")
    assert config.to_text() == "tile=2,packed=no,order=ijk"
    assert Example.from_text(config.to_text()) == config
    assert Example.from_text("tile=8") == Example(tile=8)
    assert Example.from_text("tile=8", config) == dataclasses.replace(config, tile=8)


def test_configs_as_text() -> None:
    assert config_text({"a": 1, "b": True, "c": "rows", "d": False}) == "a=1,b=yes,c=rows,d=no"


@pytest.mark.parametrize("text", ["tiles=2", "tile=two", "packed=maybe"])
def test_bad_config_text(text: str) -> None:
    with pytest.raises(InvalidConfig):
        Example.from_text(text)


CASES = {
    "softmax": (lambda: one_op("softmax", SoftmaxAttrs(-1), [ROWS]), "reduce_any_rows__x86"),
    "relu": (lambda: one_op("relu", None, [ROWS]), "any_pointwise__x86"),
    "transpose": (
        lambda: one_op("transpose", TransposeAttrs((0, 2, 1)), [ROWS]),
        "transpose_f32_squares__x86",
    ),
    "mean of an image": (
        lambda: one_op("reduce_mean", ReduceAttrs((2, 3)), [IMAGE]),
        "any_stages__x86",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_choice_and_reasons(name: str) -> None:
    make, wanted = CASES[name]
    choice = select(task_of(make()))
    assert choice.template.name == wanted
    assert choice.why.splitlines()[-1].startswith(f"{wanted}: yes")
    for line in choice.why.splitlines()[:-1]:
        assert ": no, " in line


@pytest.mark.parametrize("name", CASES)
def test_level_1_is_generic(name: str) -> None:
    assert select(task_of(CASES[name][0](), level=1)).template.name == GENERIC


def test_other_architectures_have_the_generic_template() -> None:
    arm = dataclasses.replace(host(), arch="arm", cpu="cortex-a72", triple="aarch64-linux-gnu")
    task = Task(CASES["relu"][0](), arm, 2, 3)
    choice = select(task)
    assert choice.template.name == GENERIC
    assert "target is arm" in choice.why


def test_override() -> None:
    task = task_of(CASES["relu"][0]())
    choice = select(task, Override(GENERIC, "vectorize=no"))
    assert choice.text == f"{GENERIC}{{vectorize=no,parallel=yes}}"
    again = Override.parse(choice.text)
    assert again.text == choice.text and select(task, again) == choice
    assert select(task, Override("", "vectors=1")).config.to_text().startswith("vectors=1,")
    with pytest.raises(UsageError, match="no template named"):
        select(task, Override("nothing"))
    with pytest.raises(UsageError, match="nothing is reduced"):
        select(task, Override("reduce_any_rows__x86"))


def test_registered_templates_are_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(Template):
        name = "mine"

        def check(self, task: Task) -> None:
            raise RuntimeError("a bug")

        def build(self, task: Task, config: Knobs):  # type: ignore[no-untyped-def]
            raise NotImplementedError

    monkeypatch.setattr(selection, "_extra", [])
    selection.register_template(Mine())
    with pytest.raises(RuntimeError, match="a bug"):  # a bug propagates
        select(task_of(CASES["relu"][0]()))
    with pytest.raises(UsageError, match="exists already"):
        selection.register_template(Mine())


@pytest.mark.parametrize("template", templates(), ids=lambda t: t.name)
def test_configs_of_every_template_read_back(template: Template) -> None:
    config = template.Config()
    assert type(config).from_text(config.to_text()) == config
    assert template.__doc__ or __import__(type(template).__module__, fromlist=["x"]).__doc__


FLAT = TensorType(DType.F32, (256, 256))
LIVE = {
    "any_plain__generic": lambda: [one_op("relu", None, [FLAT])],
    "any_pointwise__x86": lambda: [
        one_op("relu", None, [FLAT]),
        one_op("relu", None, [IMAGE], [None]),
    ],
    "any_movement__x86": lambda: [
        one_op("relu", None, [FLAT]),
        one_op("transpose", TransposeAttrs((1, 0)), [FLAT]),
    ],
    "reduce_any_rows__x86": lambda: [one_op("softmax", SoftmaxAttrs(-1), [FLAT])],
    "any_stages__x86": lambda: [one_op("reduce_sum", ReduceAttrs((0,)), [FLAT])],
}


@pytest.mark.parametrize("name", LIVE)
def test_no_knob_is_dead(name: str) -> None:
    """For every knob some other value changes the code of some task."""
    chosen = selection.template(name)
    tasks = [task_of(body) for body in LIVE[name]()]
    for field in dataclasses.fields(chosen.Config):
        codes = set()
        for index, task in enumerate(tasks):
            for value in field.metadata["choices"]:
                config = dataclasses.replace(chosen.default(task), **{field.name: value})
                codes.add((index, chosen.build(task, config).functions[0].script()))
        assert len(codes) > len(tasks), field.name
