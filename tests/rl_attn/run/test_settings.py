from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import pytest
import tyro
from annotated_types import Gt, Interval, Len, Lt, MultipleOf

from rl_attn.errors import UserError
from rl_attn.run.cli import parse
from rl_attn.run.settings import (
    LARGEST_INT,
    NotNegative,
    PathText,
    Positive,
    Seed,
    Share,
    Side,
    check,
    fields_of,
)


@dataclass
class Teacher:
    budget: Annotated[float, Interval(gt=0, lt=1)] = 0.2
    words: tuple[str, ...] = ()
    spread: bool = True


@dataclass
class Settings:
    run: Annotated[PathText, tyro.conf.Positional] = "runs/a"
    rate: Positive[float] = 1.0
    decay: NotNegative[float] | None = None
    gamma: Share = 0.9
    free: float = 0.0
    count: int = 1
    seed: Seed = 0
    sizes: Annotated[tuple[Side, ...], Len(0, 3)] = ()
    even: Annotated[int, MultipleOf(2)] = 4
    open: Annotated[float, Gt(1), Lt(2)] | None = None
    mode: Literal["a", "b"] = "a"
    text: str = ""
    teacher: Teacher = field(default_factory=Teacher)


def complaint(**values):
    with pytest.raises(UserError) as error:
        check(replace(Settings(), **values))
    return str(error.value)


def test_values_at_the_ends_of_their_ranges_are_taken():
    check(Settings())
    check(Settings(gamma=0, decay=0.0, seed=LARGEST_INT, sizes=(1, 8192), open=1.5, count=-5))
    check(Settings(gamma=1, decay=None, seed=0, sizes=(1, 2, 3), even=-2))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": 0.0}, "--rate must be positive, got 0.0"),
        ({"rate": float("nan")}, "--rate must be a finite number, got nan"),
        ({"free": float("-inf")}, "--free must be a finite number, got -inf"),
        ({"decay": -1.0}, "--decay must be 0 or more, got -1.0"),
        ({"gamma": 2.0}, "--gamma must be from 0 to 1, got 2.0"),
        ({"open": 2.0}, "--open must be between 1 and 2, without the ends, got 2.0"),
        ({"seed": -1}, f"--seed must be from 0 to {LARGEST_INT}, got -1"),
        ({"seed": 2**63}, f"--seed must be from 0 to {LARGEST_INT}, got {2**63}"),
        ({"count": 2**64}, f"--count must be at most {LARGEST_INT}, got {2**64}"),
        ({"sizes": (8, 0)}, "--sizes must be from 1 to 8192, got (8, 0)"),
        ({"sizes": (1, 2, 3, 4)}, "--sizes must have at most 3 values, got (1, 2, 3, 4)"),
        ({"even": 3}, "--even must be a multiple of 2, got 3"),
        ({"mode": "c"}, "--mode must be one of a, b, got c"),
        ({"text": "x\0y"}, "--text must not hold a zero byte, got x\\x00y"),
        ({"run": ""}, "RUN must not be empty, got ''"),
        ({"teacher": Teacher(budget=1.0)},
         "--teacher.budget must be between 0 and 1, without the ends, got 1.0"),
        ({"teacher": Teacher(words=("a", "x\0"))},
         "--teacher.words must not hold a zero byte, got ('a', 'x\\x00')"),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_named_with_its_flag_and_the_range(values, message):
    assert complaint(**values) == message


def test_a_long_value_is_cut_in_the_message():
    assert complaint(run="x" * 300).endswith("(300 characters)")
    assert "at most 255 bytes" in complaint(run="a/" + "é" * 128)
    assert "4096 characters" in complaint(text="x" * 5000)


def test_fields_of_sections_have_dotted_names():
    assert [name for name, _ in fields_of(Settings)][-4:] == [
        *("text", "teacher.budget", "teacher.words", "teacher.spread")
    ]


# ---------------------------------------------------------------------- through the command line


def read(*argv):
    return parse(Settings, argv, "prog")


def test_a_command_line_is_checked_as_it_is_read():
    assert read("--teacher.budget", "0.5", "--teacher.no-spread").teacher == Teacher(0.5, (), False)
    with pytest.raises(UserError, match=r"--teacher\.budget must be between 0 and 1"):
        read("--teacher.budget", "1")


@pytest.mark.parametrize(
    "text",
    [
        "teacher: {budget: 0.5, spread: false, words: [a, b]}",
        "teacher.budget: 0.5\nteacher.spread: false\nteacher.words: [a, b]",
    ],
)
def test_a_section_may_be_written_nested_or_dotted(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    found = parse(_WithConfig, ["--config", str(tmp_path / "c.yaml")], "prog")
    assert found.teacher == Teacher(0.5, ("a", "b"), False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("teacher: 3", "unknown key in"),
        ("teacher: {bugdet: 1}", "did you mean teacher.budget?"),
        ("teacher: {budget: 1}", "--teacher.budget must be between"),
        ("teacher: {words: [a, -h]}", "-h reads as a flag"),
        ("teacher: {words: [[a]]}", "must list plain values"),
        ("teacher: {words: {a: 1}}", "unknown key"),
        ("teacher: {spread: [true]}", "true or false"),
        ("teacher: {budget: [0.5]}", "must be one value"),
    ],
)
def test_a_wrong_value_in_a_file_is_refused_in_one_line(tmp_path, text, words):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        parse(_WithConfig, ["--config", str(tmp_path / "c.yaml")], "prog")
    assert words in str(error.value) and "\n" not in str(error.value)


@dataclass
class _WithConfig:
    config: PathText | None = None
    teacher: Teacher = field(default_factory=Teacher)
