"""Search spaces of one's own, and templates whose points or costs are none: `--plugin`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tuning_runs import Tuning

from leip.schedules import select
from leip.search.measurer import Outcome, Trial
from leip.search.record import Status
from leip.search.registry import parts

TEMPLATE = '''
from dataclasses import dataclass
from leip.plugin import register_search, register_template
from leip.schedules.generic.plain import PlainTemplate
from leip.schedules.template import Knobs, knob, require
from leip.search.knob_space import TableSpace, KnobSpace

@dataclass(frozen=True)
class Config(Knobs):
    number: int = knob(0)
    flag: bool = knob(False)

class Mine(PlainTemplate):
    """Makes products like the generic template, whatever the number is."""

    name = "mine__generic"
    Config = Config

    def check(self, task):
        require(any(node.op == "matmul" for node in task.nodes), "no product")

    def default(self, task):
        return Config()

    def points(self, task):
        return [Config(number) for number in range(6)]

    def build(self, task, config):
        return super().build(task, PlainTemplate.Config())

    {body}

register_template(Mine())
'''

WIDER = """
def wider(task, template):
    if template.name != "mine__generic":
        return KnobSpace(task, template)
    configs = [{"number": number, "flag": False} for number in range(9)]
    return TableSpace(task.key, template.name, configs, configs[0])

register_search(space=wider)
"""

SPACE = """
import math
from leip.plugin import register_search
from leip.search.knob_space import KnobSpace

class Mine(KnobSpace):
    {body}

register_search(space=Mine)
"""


@pytest.fixture(autouse=True)
def no_template_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leip.schedules.select._extra", [])


def written(tuning: Tuning, text: str) -> Path:
    plugin = tuning.cli.folder / "mine.py"
    plugin.write_text(text)
    return plugin


class HighNumbers:
    """A measurer to which a config is the faster the higher its number is."""

    def measure(self, trials: Sequence[Trial]) -> list[Outcome]:
        return [
            Outcome(Status.OK, (1e-5 / (1 + int(trial.config.get("number", 0))),))
            for trial in trials
        ]

    compare = measure

    def close(self) -> None: ...


def test_a_space_of_ones_own_is_searched_and_replayed(tuning: Tuning) -> None:
    """Its points are configs that the template does not offer by itself."""
    plugin = written(tuning, TEMPLATE.replace("{body}", "") + WIDER)
    parts().measurer = HighNumbers
    tuning(60, "OUT", "--plugin", plugin)
    numbers = [
        line["config"]["number"]
        for line in tuning.lines()
        if line.get("template") == "mine__generic" and "config" in line
    ]
    assert sorted(numbers) == list(range(9)) and numbers[0] == 0
    chosen = "number=8,flag=no"
    assert chosen in str(tuning.lines()[-1]["configs"])
    for _ in range(2):
        text = " ".join(tuning(0, "OUT", "--plugin", plugin, "--dump_ir", "ir").split())
        assert "is none that" not in text
        assert chosen in (tuning.cli.folder / "ir" / "99_chosen.txt").read_text()
        lines = tuning.log().read_text().splitlines(keepends=True)
        tuning.log().write_text("".join(lines[:-1]))  # the verdict
    parts().space = None
    text = " ".join(tuning(0, "OUT", "--plugin", plugin).split())
    assert "is none that its template offers: the default stays (number=8,flag=no)" in text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def __init__(self, *of): raise KeyError('lost')", "raises KeyError: 'lost'"),
        ("def __init__(self, *of): pass", "raises AttributeError"),
        ("def __init__(self, *of): super().__init__(*of); self.default = -1", "from point -1"),
        ("def __init__(self, *of): super().__init__(*of); self.default = 1", "and the default is"),
        ("def __len__(self): return 0", "starts from point 0, and it has 0"),
        ("def __len__(self): return -1", "raises ValueError"),
        ("def config(self, point): return None", "gives None as point 0, which is no config"),
        ("def config(self, point): return {}", "as point 0: there is no '"),
        ("def config(self, point): return {**super().config(point), 'z': 1}", "no knob 'z'"),
        (
            "def config(self, point): return dict.fromkeys(super().config(point), 0.5)",
            "is 0.5, of float and not of",
        ),
        ("def find(self, config): return None", "and finds it as None"),
        ("def find(self, config): return 10**9", "and finds it as 1000000000"),
        ("def find(self, config): raise SystemExit(0)", "raises SystemExit"),
        ("def prior(self, point): return float('nan')", "gives the cost nan of point 0"),
        ("def prior(self, point): return -math.inf", "gives the cost -inf of point 0"),
        ("def prior(self, point): return 'cheap'", "raises ValueError"),
        ("def features(self, point): return [math.inf]", "gives the features [inf] of point 0"),
        ("def features(self, point): return [0.0] * (1 + point)", "gives 2 features of point 1"),
        ("def features(self, point): return None", "raises TypeError"),
        ("def neighbours(self, point): return [len(self)]", "has beside point"),
        ("def neighbours(self, point): return ['x']", "raises TypeError"),
    ],
)
def test_a_space_that_makes_no_sense_is_named(tuning: Tuning, body: str, message: str) -> None:
    plugin = written(tuning, SPACE.replace("{body}", body))
    text = tuning.fails(2, 500, "OUT", "--plugin", plugin)
    assert "the space Mine " in text and message in text and str(plugin) in text
    assert "bug of leip" not in text
    assert not (tuning.cli.folder / "OUT" / "modelLibrary.so").exists()


def test_a_function_that_makes_no_space_is_named(tuning: Tuning) -> None:
    plugin = written(
        tuning,
        "from leip.plugin import register_search\ndef mine(task, template): pass\n"
        "register_search(space=mine)\n",
    )
    text = tuning.fails(2, 20, "OUT", "--plugin", plugin)
    assert "the space mine raises TypeError" in text and str(plugin) in text


def test_one_of_leips_spaces_that_a_function_fills_wrongly_is_the_functions(
    tuning: Tuning,
) -> None:
    text = TEMPLATE.replace("{body}", "") + WIDER.replace('"flag": False} for', '"flag": 0.5} for')
    plugin = written(tuning, text)
    told = tuning.fails(2, 20, "OUT", "--plugin", plugin)
    assert "the space wider gives" in told and "flag is 0.5, of float and not of bool" in told
    assert str(plugin) in told


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def points(self, task): return [1]", "has the point 1, which is no Config"),
        ("def points(self, task): return [None]", "has the point None, which is no Config"),
        ("def points(self, task): return [Knobs()]", "has the point Knobs(), which is no Config"),
        ("def points(self, task): return [Config('x')]", "number is 'x', of str and not of int"),
        ("def points(self, task): return [Config(1, 1)]", "flag is 1, of int and not of bool"),
        ("def points(self, task): return None", "raises TypeError"),
        ("def points(self, task): raise KeyError('lost')", "raises KeyError: 'lost'"),
        ("def points(self, task): yield from map(Config, range(10**9))", "more than 100000 points"),
        ("def model(self, task): return 3", "raises TypeError"),
        ("def model(self, task): return lambda config: 1 / 0", "raises ZeroDivisionError"),
        ("def model(self, task): return lambda config: None", "raises TypeError"),
        (
            "def model(self, task): return lambda config: float('nan')",
            "models that {number=0,flag=no} costs nan",
        ),
        (
            "def model(self, task): return lambda config: 2.0 - config.number",
            "models that {number=3,flag=no} costs -1.0",
        ),
    ],
)
def test_a_template_whose_points_make_no_sense_is_named(
    tuning: Tuning, body: str, message: str
) -> None:
    plugin = written(tuning, TEMPLATE.replace("{body}", body))
    text = tuning.fails(2, 500, "OUT", "--plugin", plugin)
    assert "the template Mine " in text and message in text and str(plugin) in text
    assert "bug of leip" not in text
    assert not (tuning.cli.folder / "OUT" / "modelLibrary.so").exists()


def test_costs_are_not_asked_for_to_look_up_a_config(tuning: Tuning) -> None:
    """`iterations:0` needs the points of a template, not its model."""
    parts().measurer = HighNumbers
    plugin = written(tuning, TEMPLATE.replace("{body}", ""))
    tuning(60, "OUT", "--plugin", plugin)
    built = tuning.object()
    asked = costs_asked_for()
    for _ in range(2):
        tuning(0, "OUT", "--plugin", plugin)
        assert tuning.object() == built and not asked
        lines = tuning.log().read_text().splitlines(keepends=True)
        tuning.log().write_text("".join(lines[:-1]))  # the verdict


def costs_asked_for() -> list[object]:
    """The configs that the plugin's template is asked the costs of, from now on."""
    asked: list[object] = []
    mine = type(select.template("mine__generic"))
    mine.model = lambda self, task: asked.append  # type: ignore[method-assign, assignment, return-value]
    return asked
