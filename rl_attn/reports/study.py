"""What a report knows of a study: its tasks, methods, metrics, cells and references."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rl_attn.statistics import Interval
from rl_attn.studies.cell import tail
from rl_attn.studies.report_section import Metric
from rl_attn.studies.tune import Tried

T = TypeVar("T")

#: Lines of a failed cell's log that the report shows.
LOG_LINES = 12


@dataclass(frozen=True)
class Cell:
    """One run of the study, in whatever state."""

    name: str
    path: Path  # its run folder, which may not exist
    values: dict[str, str]  # grid key -> value or label
    task: str
    method: str
    run: int  # seed or fold
    state: str  # pending, running, finished, failed or pruned
    attempts: int | None = None
    seconds: float | None = None
    message: str = ""
    summary: dict[str, Interval] = field(default_factory=dict)

    def log_tail(self) -> str:
        """The last lines that its processes printed."""
        return "\n".join(tail(self.path.with_name(f"{self.path.name}.log"), LOG_LINES))


@dataclass
class Study:
    """A study folder, read."""

    path: Path
    name: str
    command: str
    declared: dict[str, Any]  # study.yaml
    run_name: str  # "seed" or "fold"
    methods: list[str]  # the first is the baseline
    tasks: list[str]
    metrics: list[Metric]
    cells: list[Cell]
    references: dict[tuple[str, str], dict[str, Interval]]  # (reference, task) -> summary
    problems: list[str]
    paired: bool = False  # methods are compared run by run, by Wilcoxon's signed-rank test
    baselines: dict[str, str] = field(default_factory=dict)  # method -> its own, where it has one
    heat_maps: tuple[str, ...] = ()  # metrics over a grid of two keys
    tuned: list[Tried] = field(default_factory=list)  # what it was tuned by

    def of(self, task: str, method: str) -> list[Cell]:
        """Cells of a task and method, in the order of their runs."""
        found = [cell for cell in self.cells if (cell.task, cell.method) == (task, method)]
        return sorted(found, key=lambda cell: cell.run)

    def first(self, task: str, method: str, read: Callable[[Cell], T | None]) -> T | None:
        """What `read` gives of the first of these cells of which it gives anything."""
        return next(filter(None, map(read, self.of(task, method))), None)

    @property
    def test_share(self) -> float | None:
        """Samples that a fold is tested on to each that it is trained on; None without folds."""
        if self.run_name != "fold":
            return None
        validated = self.declared.get("arguments", {}).get("fold_validation", True)
        trained = self.declared["folds"] - (2 if validated else 1)
        return 1 / trained if trained > 0 else None

    @property
    def baseline(self) -> str:
        return self.methods[0]
