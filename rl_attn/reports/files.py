"""Reads the JSON of a study defensively: any part may be missing or malformed.

What is broken becomes a line in `problems`, and its numbers are missing.
"""

import json
import math
from pathlib import Path
from typing import Any

from rl_attn.statistics import Interval


def read_summary(file: Path, problems: list[str]) -> dict[str, Interval]:
    """The summary of an evaluation.json; {} with a problem noted where there is none."""
    content = read_json(file, problems)
    summary = content.get("summary", {}) if content else {}
    found = {}
    for name, value in summary.items() if isinstance(summary, dict) else ():
        try:
            found[str(name)] = Interval(*(_number(value[part]) for part in Interval._fields))
        except (TypeError, KeyError, ValueError):
            problems.append(f"{_place(file)} holds no mean, low and high of {name}")
            continue
        if not math.isfinite(found[str(name)].mean):
            problems.append(f"{_place(file)}: {name} is {found[str(name)].mean}: left out")
    if content and not found:
        problems.append(f"{_place(file)} holds no summary")
    return found


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def read_json(file: Path, problems: list[str]) -> dict[str, Any]:
    """A JSON mapping; {} where the file is missing, or with a problem noted where it is broken."""
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        problems.append(f"{_place(file)} cannot be read: {' '.join(str(error).split())}")
        return {}
    if not isinstance(content, dict):
        problems.append(f"{_place(file)} holds a {type(content).__name__}, not a mapping")
        return {}
    return content


def _place(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"
