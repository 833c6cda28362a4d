"""A log knows when a module that a plugin imports has changed."""

from __future__ import annotations

from tuning_runs import Tuning

MINE = """
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from helpers.names import NAME

from leip.plugin import register_template
from leip.schedules.x86.conv_first import ConvFirst


class Mine(ConvFirst):
    name = NAME


register_template(Mine())
"""


def test_a_changed_helper_makes_measurements_stale(outside: Tuning) -> None:
    folder = outside.cli.folder
    (folder / "helpers").mkdir()
    for name, text in {
        "mine.py": MINE,
        "helpers/__init__.py": "",
        "helpers/names.py": "from .more import NAME\n",
        "helpers/more.py": 'NAME = "mine__x86"\n',
        "unused.py": "",
    }.items():
        (folder / name).write_text(text)
    plugin = ("--plugin", "mine.py", "--cache_dir", "cache")
    outside(12, "OUT", *plugin)
    mine = sum(line.get("template") == "mine__x86" and "times" in line for line in outside.lines())
    assert mine

    (folder / "unused.py").write_text("x = 1\n")
    text = outside(0, "OUT", *plugin)
    assert "have changed since" not in text and "from the cache" in text
    (folder / "helpers" / "more.py").write_text('NAME = "mine" + "__x86"\n')
    text = outside(0, "OUT", *plugin)
    assert f"{mine} measurements stay unused" in text and "have changed since" in text, text
    assert "from the cache" not in text, "kernels are made anew"
