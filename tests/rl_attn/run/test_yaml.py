from pathlib import Path

import pytest

from rl_attn.errors import UserError
from rl_attn.run.yaml import dump_yaml, load_yaml


def read(tmp_path, text):
    file = tmp_path / "a.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_yaml(file)


def complaint(tmp_path, text):
    with pytest.raises(UserError) as error:
        read(tmp_path, text)
    message = str(error.value)
    assert "\n" not in message and str(tmp_path / "a.yaml") in message
    return message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("-7", -7),
        ("1e-5", 1e-5),
        (".5", 0.5),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2001-01-01", "2001-01-01"),
        ("yes", "yes"),
        ("off", "off"),
        ("true", True),
        ("~", None),
        ("", None),
        ("'010'", "010"),
        ("[1, [a]]", [1, ["a"]]),
        ("{<<: {b: 1}}", {"<<": {"b": 1}}),
    ],
)
def test_values_are_read_as_yaml_1_2_means_them(tmp_path, text, value):
    found = read(tmp_path, f"a: {text}")["a"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2", "the key a stands there twice"),
        ("a: {b: 1, b: 2}", "the key b stands there twice"),
        ("a: &x 1\nb: *x", "aliases"),
        ("a: !!int 3", "tags"),
        ("a: !!python/name:os.system", "tags"),
        ("a: ! 3", "tags"),
        ("a: .nan", "finite"),
        ("a: -.INF", "finite"),
        ("a: 1e999", "finite"),
        ("a: " + "9" * 5000, "5000 digits"),
        ("a: " + "[" * 17 + "]" * 17, "deeper"),
        ("a: " + "[" * 5000, "deeper"),
        ("? [a, b]\n: 1", "single word"),
        ("a: 1\n---\nb: 2", "document"),
        (b"a: \xff", "utf-8"),
        (b"a: \x00", "YAML"),
        ("a: " + "x" * 300_000, "256 kB"),
        ("a: [1", "YAML"),
    ],
)
def test_what_no_setting_needs_is_refused_in_one_line(tmp_path, text, words):
    assert words in complaint(tmp_path, text)


def test_sixteen_levels_are_taken(tmp_path):
    assert read(tmp_path, "a: " + "[" * 15 + "]" * 15)


def test_what_is_no_file_is_refused_without_reading():
    for path in ("/dev/zero", "/proc", "x" * 300, "a\0b"):
        with pytest.raises(UserError, match=r"^study file \S+ is not readable|zero"):
            load_yaml(Path(path), "study file")


@pytest.mark.parametrize(
    "value", ["010", "1e5", "1e-5", "0o7", "true", "yes", "null", "~", "", "1:30", "é", "- a", "=",
              1e-5, 1e22, 3, True, None, [1, "2"], {"a": {"b": [1.5]}}]
)  # fmt: skip
def test_what_is_written_is_read_back_as_it_was(tmp_path, value):
    found = read(tmp_path, dump_yaml({"a": value}))["a"]
    assert found == value and type(found) is type(value)


def test_one_list_in_two_places_is_written_twice(tmp_path):
    shared = [1, 2]
    assert read(tmp_path, dump_yaml({"a": shared, "b": shared})) == {"a": [1, 2], "b": [1, 2]}
