"""What the runs were made with: their versions and their configuration."""

from pathlib import Path
from typing import Any

from rl_attn.errors import UserError
from rl_attn.reports.files import read_json
from rl_attn.reports.study import Study
from rl_attn.run.yaml import load_yaml

#: Settings that differ between any two runs and say nothing about the comparison.
_OWN = ("run_dir", "config", "resume", "seed", "fold", "out")


def versions_of(study: Study) -> dict[str, dict[str, str]]:
    """Cell -> what its versions.json says."""
    found = {}
    for cell in study.cells:
        content = read_json(cell.path / "versions.json", study.problems)
        if content:
            found[cell.name] = {str(key): _word(value) for key, value in content.items()}
    return found


def version_notes(versions: dict[str, dict[str, str]]) -> list[str]:
    """What a reader should know before comparing such runs."""
    notes = []
    for key in dict.fromkeys(key for values in versions.values() for key in values):
        different = dict.fromkeys(values.get(key, "") for values in versions.values())
        if len(different) > 1:
            notes.append(f"the runs differ in {key}: {', '.join(different)}")
    if any(values.get("git_commit", "").endswith("-dirty") for values in versions.values()):
        notes.append("some runs were made with code that differs from its commit (-dirty)")
    return notes


def configurations(study: Study) -> dict[str, dict[str, str]]:
    """Cell -> its settings, without those that are each run's own."""
    found = {}
    for cell in study.cells:
        values = _config(cell.path / "config.yaml")
        if values:
            found[cell.name] = {k: _word(v) for k, v in values.items() if k not in _OWN}
    return found


def _config(file: Path) -> dict[str, Any]:
    try:
        return load_yaml(file)
    except UserError:  # not started, or cut off: the cell's state says so
        return {}


def _word(value: object) -> str:
    return "none" if value in (None, "") else str(value)
