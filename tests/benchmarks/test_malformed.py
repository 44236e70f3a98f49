"""Malformed inputs over all commands, counted: a seeded sample of the whole table."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "malformed.py"


@pytest.fixture(scope="module")
def malformed():
    spec = importlib.util.spec_from_file_location("malformed", SCRIPT)
    module = sys.modules["malformed"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_sample_of_all_malformed_inputs_ends_well(malformed, tmp_path):
    found, wrong, _ = malformed.count(malformed.Malformed(seed=1, share=0.03))
    assert sum(found.values()) > 50
    assert len(wrong) <= sum(found.values()) // 100, wrong


def test_there_are_500_of_many_kinds(malformed, tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    kinds = [case.kind for case in malformed.cases(0, tmp_path)]
    assert len(kinds) >= 500 and len(set(kinds)) == 12


@pytest.mark.parametrize(
    ("attempt", "began", "outcome"),
    [
        (lambda _: True, False, "harmless"),
        (lambda _: False, False, "accepted"),
        (lambda _: 1 / 0, False, "traceback"),
        ("refused", False, "one line"),
        ("refused", True, "late"),
        ("two\nlines", False, "traceback"),
        ("hanging", False, "hanging"),
    ],
)
def test_what_comes_is_judged(malformed, attempt, began, outcome):
    happened = []

    def attempted(folder):
        if began:
            happened.append(None)
        if attempt == "hanging":
            malformed.hang()
        if isinstance(attempt, str):
            raise malformed.UserError(attempt)
        return attempt(folder)

    case = malformed.Case("flags", "x", attempted)
    assert malformed.judged(case, happened)[0] == outcome
