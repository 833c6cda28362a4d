"""One model in each runtime, behind one call, with the same threads."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

Feeds = Mapping[str, np.ndarray]


def runner_name(level: int) -> str:
    """How a level of leip is called among the runners."""
    return f"leip level {level}"


class Runner(ABC):
    """A loaded model that can be run again and again on the same inputs."""

    name: str

    @abstractmethod
    def run(self) -> dict[str, np.ndarray]:
        """One inference; output name -> array."""


class Leip(Runner):
    def __init__(
        self, model: Path, feeds: Feeds, threads: int, level: int, folder: Path, **options: Any
    ) -> None:
        import leip

        self.name, self.level = runner_name(level), level
        out = folder / f"{model.stem}.level{level}"
        self.report = leip.compile(
            model, out, optimization={"kernel": level}, threads=threads, **options
        )
        self.out, self.threads = out, threads
        self.engine = leip.load(out, threads=threads)
        self.feeds = dict(feeds)

    @classmethod
    def load(cls, out: Path, feeds: Feeds, threads: int) -> Leip:
        """A runner of what was compiled before (it has no report)."""
        import leip

        runner = cls.__new__(cls)
        runner.name, runner.level = "leip", 0
        runner.out, runner.threads = out, threads
        runner.engine = leip.load(out, threads=threads)
        runner.feeds = dict(feeds)
        return runner

    def again(self) -> Leip:
        """A second runner on the same object (A/A)."""
        import leip

        twin = copy.copy(self)
        twin.name = f"{self.name} again"
        twin.engine = leip.load(self.out, threads=self.threads)
        return twin

    def run(self) -> dict[str, np.ndarray]:
        return self.engine.infer(self.feeds)


class OnnxRuntime(Runner):
    name = "onnxruntime"

    def __init__(self, model: Path, feeds: Feeds, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.feeds = dict(feeds)

    def run(self) -> dict[str, np.ndarray]:
        return dict(zip(self.outputs, self.session.run(self.outputs, self.feeds)))


class OpenVino(Runner):
    name = "openvino"

    def __init__(self, model: Path, feeds: Feeds, threads: int) -> None:
        import openvino

        core = openvino.Core()
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self.compiled = core.compile_model(core.read_model(str(model)), "CPU", settings)
        self.request = self.compiled.create_infer_request()
        self.feeds = dict(feeds)

    def run(self) -> dict[str, np.ndarray]:
        results = self.request.infer(self.feeds)
        return {port.get_any_name(): np.array(array) for port, array in results.items()}
