"""From a study to its jobs: one for each cell of the grid and seed, one for each reference."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from rl_attn.errors import UserError, choose
from rl_attn.run.cli import as_flags
from rl_attn.run.files import write_text
from rl_attn.run.settings import short
from rl_attn.run.yaml import dump_yaml
from rl_attn.studies.schema import FREE, Flags, Reference, Step, Study, read_study

#: So that names of files beside the folder, .NAME.lock, fit into 255 bytes.
_LONGEST_NAME = 200
#: A flag's value that stands for another cell's folder.
_OTHER_CELL = re.compile(r"\{([^={}]+)=([^{}]+)\}")


@dataclass(frozen=True)
class Command:
    """`python -m module arguments`."""

    module: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        words = " ".join(["python -m", self.module, *self.arguments])
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)


@dataclass(frozen=True)
class Job:
    """One run: the commands that make it, and the folder that it leaves."""

    name: str  # unique among all jobs
    folder: Path
    start: Command
    resume: Command | None = None  # None: an interrupted one starts again
    then: tuple[Command, ...] = ()
    after: tuple[str, ...] = ()  # names of the jobs whose folders it reads
    labels: dict[str, str] = field(default_factory=dict)  # grid key or "seed" -> its label
    settings: Flags = field(default_factory=dict)
    is_cell: bool = True

    @property
    def log(self) -> Path:
        """What its processes print."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def stop_file(self) -> Path:
        """Holds the number of the signal that the job's process shall get."""
        return self.folder.with_name(f".{self.folder.name}.stop")

    @property
    def lock_file(self) -> Path:
        """Locked by the job's process as long as it lives."""
        return self.folder.with_name(f".{self.folder.name}.lock")

    @property
    def evaluation(self) -> Path:
        return self.folder / "evaluation.json"


def slug(*values: object) -> str:
    """Values as the name of a folder."""
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", str(value)).strip("-") for value in values)


def job_name(*labels: str) -> str:
    """The slug of labels as the name of a job's folder; UserError for one that names no folder.

    Labels come from the study file: `..` would be the folder above, and an empty one all of them.
    """
    name = slug(*labels)
    for text in labels:
        if not re.search(r"[A-Za-z0-9]", text):
            raise UserError(f"{text!r} has no letter or digit for the name of a folder: add one")
    if name.startswith("."):
        raise UserError(f"the folder {short(name)} would be hidden: let {labels[0]!r} not begin so")
    if len(name) > _LONGEST_NAME:
        raise UserError(
            f"the folder {short(name)} would be too long: at most {_LONGEST_NAME} characters, so "
            "give its labels shorter names"
        )
    return name


def cells(study: Study, out: Path, prefix: str = "", extra: Flags | None = None) -> list[Job]:
    """The jobs of the grid times the seeds, in the grid's order.

    Args:
        out: the study's folder.
        prefix: put before the names, for a trial of a search.
        extra: the flags of that trial.
    """
    kind, numbers = study.runs
    jobs = []
    for labels in product(*study.grid.values()):
        chosen = dict(zip(study.grid, labels, strict=True))
        for number in numbers:
            flags = dict(study.arguments)
            for key, name in chosen.items():
                flags |= study.grid[key][name]
            flags |= extra or {}
            flags |= _flags_of(kind, number, len(numbers))
            ahead, last = [prefix] if prefix else [], f"{kind[0]}{number}"
            name = job_name(*ahead, *labels, last)
            others = {
                flag: job_name(*ahead, *other, last)
                for flag, value in flags.items()
                if (other := _other_cell(study, chosen, flag, value))
            }
            flags |= {flag: str(out / "cells" / other) for flag, other in others.items()}
            shown = {key: str(value) for key, value in (extra or {}).items()}
            job = _cell(study, out, name, {**shown, **chosen, kind: str(number)}, flags)
            jobs.append(replace(job, after=tuple(others.values())))
    _refuse_twins(jobs)
    if prefix and any(job.after for job in jobs):
        raise UserError("the runs of a search cannot read each other's folders")
    waiting = {job.name for job in jobs if job.after}
    for job in jobs:
        for other in waiting.intersection(job.after):
            raise UserError(f"{job.name} is to read {other}, which itself reads another run")
    return jobs


def _flags_of(kind: str, number: int, runs: int) -> Flags:
    """Each fold has a seed of its own, too: folds that began alike would vary too little."""
    return (
        {"seed": number} if kind == "seed" else {"fold": number, "folds": runs, "seed": number + 1}
    )


def _other_cell(
    study: Study, chosen: Mapping[str, str], flag: str, value: Any
) -> tuple[str, ...] | None:
    """The labels of the cell whose folder a flag's value names; None if it names none.

    `{method=masked input}` is the cell that has this label of that key and else the same.
    """
    named = _OTHER_CELL.fullmatch(value) if isinstance(value, str) else None
    if named is None:
        return None
    key, label = named.groups()
    choose(f"grid key in {flag}:", key, list(study.grid))
    choose(f"label of {key} in {flag}:", label, list(study.grid[key]))
    return tuple({**chosen, key: label}.values())


def _cell(study: Study, out: Path, name: str, labels: dict[str, str], flags: Flags) -> Job:
    folder = out / "cells" / name
    return Job(
        name=name,
        folder=folder,
        start=Command(study.command, ("--run-dir", str(folder), *as_flags(flags))),
        resume=Command(study.command, ("--resume", str(folder))),
        then=tuple(_command(step, {"run": str(folder)}) for step in study.then),
        labels=labels,
        settings=flags,
    )


def references(study: Study, out: Path) -> list[Job]:
    """One job for each reference and each combination of the grid keys that it depends on."""
    jobs = [
        _reference(study, reference, dict(zip(reference.per, labels, strict=True)), out)
        for reference in study.references
        for labels in product(*(study.grid[key] for key in reference.per))
    ]
    _refuse_twins(jobs)
    return jobs


def _reference(study: Study, reference: Reference, labels: dict[str, str], out: Path) -> Job:
    name = job_name(reference.name, *labels.values())
    folder = out / "references" / name
    flags: Flags = {}
    for key, chosen in labels.items():
        flags |= study.grid[key][chosen]
    flags = {flag: value for flag, value in flags.items() if flag not in reference.omit}
    step = Step(reference.command, reference.positional, flags | reference.arguments)
    start = _command(step, {"out": str(folder)})
    return Job(f"references/{name}", folder, start, labels=labels, is_cell=False)


def _command(step: Step, values: Mapping[str, str]) -> Command:
    """A step of the study file with its placeholders filled in."""

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(part) for part in value]
        return value.format(**values) if isinstance(value, str) else value

    flags = {key: filled(value) for key, value in step.arguments.items()}
    return Command(step.command, (*map(filled, step.positional), *as_flags(flags)))


def in_turns(jobs: list[Job], study: Study) -> list[Job]:
    """References, then the first seed (or fold) of every cell of the grid, then the second ...

    So a study that is looked at before its end compares all methods over the same seeds.
    """
    return sorted(jobs, key=lambda job: _turn(job, study))


def beyond(jobs: Iterable[Job], study: Study, first: int | None) -> set[str]:
    """Names of the cells that are not of the first so many seeds or folds; None: of all."""
    return set() if first is None else {job.name for job in jobs if _turn(job, study) >= first}


def _turn(job: Job, study: Study) -> int:
    """Which of the study's seeds or folds it has, from 0; -1 for a reference."""
    kind, numbers = study.runs
    return [*map(str, numbers)].index(job.labels[kind]) if job.is_cell else -1


def _refuse_twins(jobs: Iterable[Job]) -> None:
    seen: dict[str, Job] = {}
    for job in jobs:
        twin = seen.setdefault(job.name.lower(), job)
        twin = seen.setdefault(f"{job.name.lower()}.log", twin)  # beside its folder
        if twin is not job:
            raise UserError(
                f"{job.labels} and {twin.labels} would share the folder {job.name}: "
                "give one of them a label that differs in letters or digits"
            )


def keep_study(study: Study, out: Path) -> None:
    """Write study.yaml; a folder that holds another study is refused with the difference.

    A study may grow: seeds and labels of the grid that are new add runs to those that it has.
    """
    file = out / "study.yaml"
    if file.exists():
        refuse_changes(study, out)
    write_text(file, dump_yaml(study.values))


def refuse_changes(study: Study, out: Path) -> None:
    """UserError with a unified diff if `out` holds another study."""
    file = out / "study.yaml"
    if not file.exists():
        return
    try:
        known = read_study(file)
    except UserError as error:
        raise UserError(f"{file} is damaged, choose another --out: {error}") from None
    before, now = _lines(known.values), _lines(study.values)
    if before != now and not _grown(study, known, out):
        difference = difflib.unified_diff(before, now, str(file), "now", lineterm="", n=1)
        raise UserError(
            f"{out} holds another study: choose another --out, or go back to what it was\n"
            + "\n".join(difference)
        )


def _grown(study: Study, known: Study, out: Path) -> bool:
    """Whether a study has every run of the `known` one, and others besides.

    Not where flags are drawn or chosen: that was done for the known runs.
    """
    if study.search or known.search or study.tune or known.tune:
        return False
    now = {job.name: job for job in (*cells(study, out), *references(study, out))}
    return all(now.get(job.name) == job for job in (*cells(known, out), *references(known, out)))


def _lines(values: Mapping[str, Any]) -> list[str]:
    """What of a study reaches its runs, as lines of YAML."""
    kept = {key: value for key, value in values.items() if key not in FREE}
    if "search" in kept:  # a search may go on for longer
        kept["search"] = {k: v for k, v in kept["search"].items() if k != "trials"}
    return dump_yaml(kept).splitlines()
