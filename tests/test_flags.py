"""Each command's flags, their types and their defaults, are what `tests/flags/` says.

A flag that changes breaks somebody's script or configuration: a change is meant, or it is a
mistake. What was meant is written down by

    uv run python tests/test_flags.py
"""

from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest

from rl_attn.run.commands import COMMANDS, settings_of

FROZEN = Path(__file__).parent / "flags"


def flags_of(kind: type, prefix: str = "") -> dict[str, str]:
    """Flag -> type, constraints and default; a dataclass within is a section, --section.flag."""
    hints, found = get_type_hints(kind, include_extras=True), {}
    for field in fields(kind):
        bare, notes = _parts(hints[field.name])
        renamed = [note.name for note in notes if getattr(note, "name", None)]
        name = prefix + (renamed or [field.name.replace("_", "-")])[0]
        if is_dataclass(bare):
            found |= flags_of(bare, f"{name}.")
        else:
            said = [str(note) for note in notes if not hasattr(note, "metavar")]
            found[f"--{name}"] = " ".join([_text(bare), *said]) + _default(field)
    return found


def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type and what it is annotated with: constraints, and how tyro reads it."""
    return (hint.__origin__, hint.__metadata__) if get_origin(hint) is Annotated else (hint, ())


def _text(hint: Any) -> str:
    text = hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
    return text.replace("typing.", "").replace("pathlib.", "")


def _default(field: Any) -> str:
    if field.default is not MISSING:
        return f" = {field.default!r}"
    return "" if field.default_factory is MISSING else f" = {field.default_factory()!r}"


def listing(command: str) -> str:
    """The text that is frozen: the flags, and what each --method adds or changes."""
    module = COMMANDS[command].load()
    flags = flags_of(settings_of(module, []))
    lines = [f"{name}: {text}" for name, text in flags.items()]
    for method in methods(command):
        kind = settings_of(module, ["--method", method])
        own = {name: text for name, text in flags_of(kind).items() if flags.get(name) != text}
        lines += ["", f"with --method {method}:"]
        lines += [f"    {name}: {text}" for name, text in own.items()]
    return "\n".join([*lines, ""])


def methods(command: str) -> list[str]:
    """The methods of a command whose flags depend on --method."""
    if command == "ppo":
        from rl_attn.rl.methods import METHODS

        # Another test may have registered one of its own.
        kinds = {name: METHODS[name] for name in METHODS.names()}
        return [name for name, kind in kinds.items() if kind.__module__.startswith("rl_attn.")]
    if command == "train":
        from rl_attn.supervised.methods import METHODS

        return list(METHODS)
    return []


@pytest.mark.parametrize("command", COMMANDS)
def test_flags_are_as_they_were(command):
    frozen = (FROZEN / f"{command}.txt").read_text(encoding="utf-8")
    assert listing(command) == frozen, "if meant: uv run python tests/test_flags.py"


def test_nothing_is_frozen_of_a_command_that_is_gone():
    assert {file.stem for file in FROZEN.iterdir()} == set(COMMANDS)


if __name__ == "__main__":
    FROZEN.mkdir(exist_ok=True)
    for name in COMMANDS:
        (FROZEN / f"{name}.txt").write_text(listing(name), encoding="utf-8")
