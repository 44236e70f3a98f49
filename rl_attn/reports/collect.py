"""Reads a study folder: what was to be run, what was, and what is wrong with it.

Nothing here fails on a broken run: it becomes a line in `Study.problems`, and its numbers are
missing.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from rl_attn.errors import UserError
from rl_attn.reports.files import read_json, read_summary
from rl_attn.reports.study import Cell, Metric, Study
from rl_attn.statistics import Interval
from rl_attn.studies import schema
from rl_attn.studies.plan import slug
from rl_attn.studies.tune import tried


def collect(path: Path) -> Study:
    """Read a study folder; UserError where it is none."""
    if not (path / "study.yaml").is_file():
        raise UserError(f"{path} is not a study: it has no study.yaml")
    declared = schema.read_study(path / "study.yaml")
    if declared.search is not None:
        raise UserError(f"{path} is a search: its result is best.yaml, and no grid to report on")
    grid = {key: list(labels) for key, labels in declared.grid.items()}
    section, problems = declared.report, []
    cells = _cells(path, declared.runs, grid, section.compare, problems)
    metrics = list(section.metrics) or _found_metrics(cells)
    _stand_in(metrics, cells)
    return Study(
        path=path,
        name=path.resolve().name,
        command=declared.command,
        declared=declared.values,
        run_name=declared.runs[0],
        methods=grid.get(section.compare or "", ["all"]),
        tasks=list(dict.fromkeys(cell.task for cell in cells)),
        metrics=metrics,
        cells=cells,
        references=_references(path, declared.references, cells, problems),
        problems=problems,
        paired=section.paired,
        baselines=section.baselines,
        heat_maps=section.heat_maps,
        tuned=[] if declared.tune is None else tried(declared, path / "tuning"),
    )


def _found_metrics(cells: list[Cell]) -> list[Metric]:
    """All that the evaluations hold, but for dozens of an agent's that a study names itself."""
    names = dict.fromkeys(name for cell in cells for name in cell.summary)
    parts = ("looks/", "twins/", "closed_loop/", "faithfulness/", "second_attention/")
    return [Metric(name, name.replace("_", " ")) for name in names if not name.startswith(parts)]


def _stand_in(metrics: list[Metric], cells: list[Cell]) -> None:
    """Give the runs without a metric the one that is declared to stand in for it."""
    for metric in metrics:
        for cell in cells:
            if metric.otherwise in cell.summary:
                cell.summary.setdefault(metric.name, cell.summary[metric.otherwise])


# ---------------------------------------------------------------------- what was run


def _cells(
    path: Path,
    runs: tuple[str, list[int]],
    grid: dict[str, list[str]],
    compare: str | None,
    problems: list[str],
) -> list[Cell]:
    states = _states(path, problems)
    found = _found(path, states)
    kind, expected = runs[0], _numbers(runs, found)
    cells = []
    for combination in product(*grid.values()):
        values = dict(zip(grid, combination, strict=True))
        stem = slug(*combination) or "run"
        for run in expected:
            name = found.pop((stem.lower(), run), f"{stem}-{kind[0]}{run}")
            cells.append(_cell(path, name, values, compare, run, states.get(name, {}), problems))
    for name in found.values():
        problems.append(f"{name} is not a cell of this study: left out")
    return cells


def _states(path: Path, problems: list[str]) -> dict[str, dict[str, Any]]:
    """state.json, read defensively."""
    states = read_json(path / "state.json", problems)
    return {str(name): s for name, s in states.items() if isinstance(s, dict)}


def _found(path: Path, states: dict[str, Any]) -> dict[tuple[str, int], str]:
    """(stem, run) -> name, of all cells that state.json or a folder names."""
    folders = [p.name for p in sorted((path / "cells").glob("*")) if p.is_dir()]
    found = {}
    for name in dict.fromkeys([*states, *folders]):
        parts = re.fullmatch(r"(?:(.*)-)?(?:s|seed|f|fold)-?(\d+)", name)
        stem, run = (parts[1] or "run", int(parts[2])) if parts else (name, -1)
        found[slug(stem).lower(), run] = name
    return found


def _numbers(runs: tuple[str, list[int]], found: Mapping[tuple[str, int], str]) -> list[int]:
    """Seeds, or folds counted from 0 or from 1, as the cells are named."""
    kind, numbers = runs
    counted_from_one = kind == "fold" and any(run == len(numbers) for _, run in found)
    return [number + 1 for number in numbers] if counted_from_one else numbers


def _cell(
    path: Path,
    name: str,
    values: dict[str, str],
    compare: str | None,
    run: int,
    state: dict[str, Any],
    problems: list[str],
) -> Cell:
    folder = path / "cells" / name
    evaluation = folder / "evaluation.json"
    known = state.get("state") or ("finished" if evaluation.is_file() else "pending")
    summary = {}
    if known == "finished":
        if not evaluation.is_file():
            problems.append(f"{name} is finished but has no evaluation.json")
        summary = read_summary(evaluation, problems)
    return Cell(
        name=name,
        path=folder,
        values=values,
        task=_task(values, compare),
        method=values.get(compare, "all"),
        run=run,
        state=str(known),
        attempts=state.get("attempts"),
        seconds=state.get("seconds"),
        message=str(state.get("message") or ""),
        summary=summary,
    )


def _task(values: dict[str, str], compare: str | None) -> str:
    return ", ".join(v for key, v in values.items() if key != compare) or "all"


def _references(
    path: Path, declared: Iterable[schema.Reference], cells: list[Cell], problems: list[str]
) -> dict[tuple[str, str], dict[str, Interval]]:
    """(reference, task) -> its summary; {} where it is missing."""
    folders = {slug(p.name).lower(): p for p in (path / "references").glob("*") if p.is_dir()}
    references: dict[tuple[str, str], dict[str, Interval]] = {}
    for reference in declared:
        for cell in cells:
            known = (reference.name, cell.task)
            if known in references:
                continue
            wanted = slug(known[0], *(cell.values[key] for key in reference.per))
            file = folders.get(wanted.lower(), path) / "evaluation.json"
            if not file.is_file():
                problems.append(f"reference {known[0]} of {cell.task} is missing ({wanted})")
            references[known] = read_summary(file, problems)
    return references
