"""What is malformed ends in one line before work begins; what is random, never in a traceback."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from malformed_inputs import (
    CONFIG,
    STUDY,
    File,
    configs,
    flags_of,
    read_command,
    read_file,
    studies,
)

from rl_attn.errors import UserError
from rl_attn.run.commands import COMMANDS
from rl_attn.run.yaml import dump_yaml, load_yaml
from rl_attn.studies.plan import job_name


def refusal(attempt) -> str | None:
    """None if an input is refused with one line; else what came instead."""
    try:
        attempt()
    except UserError as error:
        return None if "\n" not in str(error) else f"several lines: {error}"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "accepted"


def judged(inputs, attempt) -> None:
    """At least 99 of 100 inputs are refused; the others are listed."""
    found = {str(one)[:200]: refusal(lambda one=one: attempt(one)) for one in inputs}
    wrong = {name: what for name, what in found.items() if what}
    assert len(wrong) <= len(found) // 100, f"{len(wrong)} of {len(found)}: {wrong}"


@pytest.mark.parametrize("name", COMMANDS)
def test_flags_that_are_spoilt_are_refused(name):
    inputs = list(flags_of(name))
    # Some of them, since each takes some 20 ms; which ones is the seed's.
    judged(random.Random(name).sample(inputs, min(30, len(inputs))), read_command)


def test_configurations_that_are_spoilt_are_refused(tmp_path):
    read_file(File("config", "", dump_yaml(CONFIG).encode()), tmp_path)  # the good one
    inputs = list(configs(CONFIG, random.Random(0)))
    judged(inputs, lambda file: read_file(file, tmp_path))
    assert len(inputs) > 50


def test_studies_that_are_spoilt_are_refused_and_nothing_is_made(tmp_path):
    read_file(File("study", "", dump_yaml(STUDY).encode()), tmp_path)  # the good one
    inputs = list(studies(STUDY, random.Random(0)))
    judged(inputs, lambda file: read_file(file, tmp_path))
    assert len(inputs) > 150
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


# ---------------------------------------------------------------------- anything at all

WORDS = st.text(st.characters(codec="utf-8"))
NUMBERS = st.integers(-(10**90), 10**90) | st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
QUICK = settings(max_examples=150, deadline=None, database=None, derandomize=True)


@QUICK
@given(PLAIN)
def test_plain_values_are_read_back_as_they_were_written(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "values.yaml"
    path.write_text(dump_yaml({"a": values}), encoding="utf-8", newline="")
    found = load_yaml(path)["a"]
    assert found == values and repr(found) == repr(values)


@QUICK
@given(st.binary(max_size=80) | st.text("a: b-[]{}&*!|>'\"%@`#,?\n\t 0.x").map(str.encode))
def test_any_bytes_are_a_mapping_or_are_refused_in_one_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.yaml"
    path.write_bytes(content)
    assert refusal(lambda: load_yaml(path)) in (None, "accepted")


@QUICK
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=80), min_size=1, max_size=4))
def test_a_name_of_a_job_is_a_folder_inside_or_is_refused(labels):
    try:
        name = job_name(*labels)
    except UserError:
        return
    assert Path("/out") == (Path("/out") / name).resolve().parent
    assert name == Path(name).name and not name.startswith(".") and len(name) <= 200
