"""What is public: names, and the signatures that plugins and scripts lean on."""

from __future__ import annotations

import inspect

import pytest

import leip

NAMES = ["LeipError", "Target", "__version__", "compile", "load", "optimize", "resolve_target"]


def test_names() -> None:
    assert sorted(leip.__all__) == sorted(NAMES)
    for name in NAMES:
        assert getattr(leip, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = leip.nothing


def parameters(function: object) -> str:
    return ", ".join(
        str(p).partition(":")[0] for p in inspect.signature(function).parameters.values()
    )  # type: ignore[arg-type]


def test_compile_and_load_keep_their_parameters() -> None:
    assert parameters(leip.compile) == (
        "input_path, output_path, target, input_shapes, layout, optimization, crc_check, model_id, "
        "dump_ir, verify, verify_inputs, threads, jobs, plugins, cache_dir, cc, tuning_logs, seed, "
        "progress"
    )
    assert parameters(leip.optimize) == "model, passes, level, target, input_shapes, plugins"
    assert parameters(leip.resolve_target) == "target"
    assert parameters(leip.load) == (
        "path, inference_context, threads, crc_check, flush_denormals, map_weights"
    )


def test_plugins_api() -> None:
    from leip import plugin

    assert parameters(plugin.register_pass) == "step, after, before"
    assert parameters(plugin.register_op) == "definition, compute, import_rule"
    assert parameters(plugin.register_template) == "template"
    assert parameters(plugin.register_search) == "space, proposer, scheduler, measurer, judge"


def test_extension_classes_keep_their_methods() -> None:
    from leip.passes import Pass
    from leip.schedules.template import Template

    assert parameters(Pass.run) == "self, graph"
    for name, wanted in {
        "check": "self, task",
        "default": "self, task",
        "space": "self, task",
        "packs": "self, task, config",
        "build": "self, task, config",
    }.items():
        assert parameters(getattr(Template, name)) == wanted


def test_engine_attributes() -> None:
    from leip.runtime import Engine

    for name in ("infer", "warm_up", "profile", "get_metadata", "close", "observe"):
        assert callable(getattr(Engine, name))
    for name in ("input_shapes", "input_dtypes", "output_names", "model_precision"):
        assert isinstance(getattr(Engine, name), property)


def test_errors_have_exit_codes() -> None:
    from leip import errors

    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, errors.LeipError):
            assert kind.exit_code == (2 if name == "UsageError" else 1)
