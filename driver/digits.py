"""The demo: a network that reads digits comes with leip, and so do test images."""

from __future__ import annotations

import statistics
import time
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ..codegen.progress import Progress
from .compiling import compile_with
from .execution import open_engine
from .options import CompileOptions
from .reports import DemoReport

if TYPE_CHECKING:
    import numpy as np

__all__ = ["compile_and_read"]


def compile_and_read(output_path: Path, jobs: int, progress: Progress) -> DemoReport:
    """Compile the network and run it on all images, one by one."""
    import numpy as np

    examples = resources.files("leip.examples")
    with resources.as_file(examples / "digits_mobile.onnx") as model:
        compiled = compile_with(CompileOptions(model, output_path, jobs=jobs), progress)
    with resources.as_file(examples / "digits_test.npz") as file, np.load(file) as data:
        images, labels = data["image"], data["label"].astype(np.int64)
    answers, seconds = _read(compiled.path, images)
    return DemoReport(compiled, images[:, 0], labels, answers, statistics.median(seconds))


def _read(path: Path, images: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """The digits that an object sees in images, and the time that it took for each."""
    import numpy as np

    answers, seconds = [], []
    with open_engine(path) as engine:
        engine.warm_up(3)
        for image in images:
            feed = (image[np.newaxis] / np.float32(255)).astype(np.float32)
            started = time.perf_counter()
            result = engine.infer({"image": feed})
            seconds.append(time.perf_counter() - started)
            answers.append(int(result["logits"].argmax()))
    return np.array(answers), seconds
