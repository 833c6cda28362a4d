"""Inference through the Python engine: arguments, arrays, faults."""

from __future__ import annotations

import numpy as np
import pytest

import leip.runtime as runtime


@pytest.fixture
def engine(toy_path):
    with runtime.load(toy_path, threads=2) as engine:
        yield engine


def test_numbers(toy, engine):
    for seed in range(5):
        feeds = toy.feeds(seed)
        toy.check(engine.infer(feeds), feeds)
