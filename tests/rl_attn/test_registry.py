"""A registry is a mapping of all its names, whatever has been imported yet."""

import sys

import pytest

from rl_attn.errors import UserError
from rl_attn.registry import Registry


def test_names_are_known_before_their_modules_are_imported(tmp_path, monkeypatch):
    (tmp_path / "late_thing.py").write_text("import things\n\nthings.HERE.register('late')(7)\n")
    (tmp_path / "things.py").write_text(
        "from rl_attn.registry import Registry\n\n"
        "HERE = Registry('thing', modules={'late': 'late_thing'})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import things  # pyright: ignore[reportMissingImports]

    here = things.HERE
    here.register("own")(1)
    assert "late" in here and "other" not in here
    assert list(here) == ["late", "own"] and len(here) == 2
    assert "late_thing" not in sys.modules
    assert here["late"] == 7 and dict(here) == {"late": 7, "own": 1}


def test_unknown_and_double_names_are_refused():
    registry: Registry[int] = Registry("thing")
    registry.register("one")(1)
    assert registry.get("two") is None
    with pytest.raises(UserError, match=r"unknown thing 'onw'.*one"):
        registry["onw"]
    with pytest.raises(UserError, match="two things are registered as thing 'one'"):
        registry.register("one")(2)
