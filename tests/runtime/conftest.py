"""Small LRE objects, built once a session."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from leip.runtime import sources

sys.path.insert(0, str(Path(__file__).parent))

from lre_toy import Toy, compile_c


@pytest.fixture(scope="session")
def engine_objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("engine")
    objects = []
    for source in sources.ENGINE:
        objects.append(
            compile_c(folder / f"{source.stem}.o", [source], ["-c", "-ffunction-sections"])
        )
    return objects


@pytest.fixture(scope="session")
def toy(engine_objects: list[Path]) -> Toy:
    return Toy(engine_objects)


@pytest.fixture(scope="session")
def toy_path(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the plain toy object; not to be changed."""
    return toy.build(tmp_path_factory.mktemp("toy")).parent
