"""Ctrl-C while `leip` starts: from the first line of the command on it gives one line."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Before that line it is Python itself that is interrupted, and says so; between two of its imports
# it drops the interrupt (an exception in a callback of a weak reference) and goes on.
PYTHON = ("init_import_site", "argv[0] is an import path", "_get_module_lock")


@pytest.fixture
def script(tmp_path: Path) -> str:
    """The command as it is installed: away from the modules beside it."""
    return str(shutil.copy(Path(__file__).parents[2] / "cli" / "leip", tmp_path / "leip"))


def started(script: str) -> subprocess.Popen[str]:
    command = [sys.executable, script, "--version"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, **pipes)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("delay", [0, 10, 20, 30, 40, 60, 80, 120])
def test_an_interrupt_soon_after_the_start(delay: int, script: str) -> None:
    with started(script) as process:
        time.sleep(delay / 1000)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    if not any(text in errors for text in PYTHON):
        assert "Traceback" not in errors
        assert (process.returncode, errors) in [(130, "interrupted\n"), (0, ""), (-2, "")]


@pytest.mark.parametrize("module", ["leip", "leip.cli", "leip.cli.start", "typing", "typer"])
def test_an_interrupt_while_a_module_loads(module: str, script: str) -> None:
    code = f"""
import signal, sys
class Finder:
    def find_spec(self, name, *rest):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)
for name in [name for name in sys.modules if name.startswith(("leip", "typing"))]:
    del sys.modules[name]
sys.meta_path.insert(0, Finder())
exec(open({script!r}).read())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_an_ignored_interrupt_stays_ignored(script: str) -> None:
    code = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
source, sys.argv[1:] = open({script!r}).read(), ["--version"]
exec(source.replace("from leip", "signal.raise_signal(signal.SIGINT)\\nfrom leip"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("leip ")


def test_an_ignored_interrupt_stays_ignored_in_the_command() -> None:
    """As of what a script runs behind `&`, which a Ctrl-C of the terminal is not meant for."""
    code = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
from leip import driver
from leip.cli.main import main
driver.pass_list = lambda plugins: signal.raise_signal(signal.SIGINT) or [("p", "", "a pass")]
sys.exit(main(["opt", "--list"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and "a pass" in done.stdout
