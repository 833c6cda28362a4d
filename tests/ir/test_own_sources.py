"""Which modules belong to a Python file."""

from __future__ import annotations

from pathlib import Path

import pytest

from leip.ir.own_sources import own_sources


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_modules_beside_a_file_directly_or_not(tmp_path: Path) -> None:
    files = {
        "my.py": "import numpy, tiles\nfrom parts import wide\ndef f():\n    import late\n",
        "tiles.py": "from parts.deep import depth\nimport my",
        "parts/__init__.py": "",
        "parts/wide.py": "from . import near\nfrom .deep import *\n",
        "parts/near.py": "import os",
        "parts/deep/__init__.py": "",
        "parts/deep/depth.py": "from ..far import FAR",
        "parts/far.py": "FAR = 1",
        "parts/unused.py": "",
        "late.py": "",
        "other.py": "",
    }
    write(tmp_path, files)
    wanted = set(files) - {"my.py", "parts/unused.py", "other.py"}
    found = own_sources(tmp_path / "my.py")
    assert set(found) == wanted and list(found) == sorted(found, key=lambda n: Path(n).parts)
    assert all(path == (tmp_path / name).resolve() for name, path in found.items())


def test_modules_of_the_package_around(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "mine/__init__.py": "",
            "mine/plugins/__init__.py": "",
            "mine/plugins/my.py": "from mine import tiles\nimport beside\n",
            "mine/plugins/beside.py": "",
            "mine/tiles.py": "",
            "tiles.py": "",
        },
    )
    found = set(own_sources(tmp_path / "mine" / "plugins" / "my.py"))
    assert found == {"mine/__init__.py", "mine/tiles.py", "mine/plugins/beside.py"}


@pytest.mark.parametrize(
    "text", ["x = = 1", "\0", "from ........ import up", "import nowhere.at.all"]
)
def test_what_cannot_be_followed_is_left_out(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"my.py": "import bad", "bad.py": text})
    assert list(own_sources(tmp_path / "my.py")) == ["bad.py"]
    assert own_sources(tmp_path / "missing.py") == {}
