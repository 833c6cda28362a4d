"""Arguments of the Python calls that are of another type or make no sense."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import leip
from leip import driver
from leip.errors import UsageError


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("input_path", None, "input_path must be a path"),
        ("input_path", "", "input_path must be the path of a file"),
        ("input_path", "a\0b", "input_path must be the path of a file"),
        ("output_path", 3, r"output_path must be a path .* not 3 \(int\)"),
        ("target", None, "target must be a str, not None"),
        ("target", 5, "target must be a str"),
        ("input_shapes", "x:1,3", "input_shapes must be a dict by name, or None"),
        ("input_shapes", [1, 3, 8, 8], "input_shapes must be a dict"),
        ("input_shapes", {"image": "1,3,8,8"}, r"input_shapes\['image'\] must be a row of whole"),
        ("input_shapes", {"image": 3}, r"input_shapes\['image'\] must be a row of whole"),
        ("input_shapes", {"image": (1, True, 8, 8)}, "no row of whole numbers"),
        ("input_shapes", {0: (1, 3, 8, 8)}, "a name in input_shapes must be a str"),
        ("layout", 3, "layout must be a str or None"),
        ("optimization", 3, "optimization must be a dict"),
        ("optimization", "3", "optimization must be a dict"),
        ("optimization", {"kernel": 3.0}, "level '3.0' does not exist"),
        ("optimization", {"kernel": True}, "level 'True' does not exist"),
        ("crc_check", "no", "crc_check must be True or False"),
        ("model_id", 17, "model_id must be a str or None"),
        ("dump_ir", 1.5, "dump_ir must be a path"),
        ("verify", "yes", "verify must be True or False"),
        ("verify_inputs", "x.npy", "verify_inputs must be a dict"),
        ("verify_inputs", {"image": np.zeros(3)}, r"verify_inputs\['image'\] must be a path"),
        ("verify_inputs", {"image": "x.npy"}, "nothing would use them"),
        ("threads", True, "True is not a sensible number"),
        ("threads", "2", "'2' is not a sensible number"),
        ("jobs", 2**40, "not a sensible number"),
        ("plugins", "my.py", "plugins must be a list of paths"),
        ("plugins", None, "plugins must be a list of paths"),
        ("cache_dir", 3, "cache_dir must be a path"),
        ("cc", ["gcc"], "cc must be a str or None"),
        ("progress", 3, "progress must be callable"),
    ],
)
def test_compile(tmp_path: Path, name: str, value: Any, message: str) -> None:
    arguments = {"input_path": tmp_path / "m.onnx", "output_path": tmp_path / "OUT", name: value}
    with pytest.raises(UsageError, match=message):
        leip.compile(**arguments)
    assert not (tmp_path / "OUT").exists()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("model", 3, "model must be a path"),
        ("passes", ["cse"], "passes must be a str"),
        ("level", 7, "level 7 does not exist"),
        ("level", "high", "level 'high' does not exist"),
        ("target", None, "target must be a str"),
        ("input_shapes", "x:1", "input_shapes must be a dict"),
        ("plugins", "my.py", "plugins must be a list of paths"),
    ],
)
@pytest.mark.parametrize("optimize", [leip.optimize, driver.optimize_text])
def test_optimize(
    tiny_onnx: Path, optimize: Callable[..., Any], name: str, value: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        optimize(**{"model": tiny_onnx, name: value})


def test_numpy_and_bytes_are_taken(tiny_onnx: Path, tmp_path: Path) -> None:
    report = leip.compile(
        str(tiny_onnx).encode(),  # type: ignore[arg-type]
        tmp_path / "OUT",
        input_shapes={"image": np.array([1, 3, 8, 8])},  # type: ignore[dict-item]
        optimization={"kernel": np.int64(3)},  # type: ignore[dict-item]
        crc_check=np.bool_(True),  # type: ignore[arg-type]
        threads=np.int64(2),  # type: ignore[arg-type]
        plugins=iter(()),  # type: ignore[arg-type]
    )
    assert report.threads == 2
