"""Run a study: many runs of one command, on this machine or on a cluster.

    python -m rl_attn.study configs/studies/camal_drl_cpu.yaml --workers 2
    python -m rl_attn.study configs/studies/camal_drl.yaml --ray auto --gpus-per-run 0.5
    python -m rl_attn.study configs/studies/choices.yaml --dry-run

The file is explained in `studies/schema.py`. Started again, a study goes on where it was: finished
runs stay, the others resume from their checkpoints. It leaves in its folder

    study.yaml      what is run; seeds and labels may be added, any other change is refused
    cells/          the run folders, and what their processes printed
    references/     what they are compared with
    state.json      each cell's state, attempts, seconds, and why it failed
    results.csv     one row a finished cell
    tuning/         the same of the runs that it was tuned by, where the file says `tune`

and ends with status 1 if a run failed for good. Ctrl-C or SIGTERM stops the runs, each with a
checkpoint. On a cluster the study's folder must be on storage that all nodes share, and the
package must be installed on all of them.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from annotated_types import Interval

from rl_attn.errors import UserError
from rl_attn.run.cli import command, run_command
from rl_attn.run.configs import find_config
from rl_attn.run.ending import say
from rl_attn.run.settings import NotNegative, PathText, Positive
from rl_attn.run.signals import StopRequest, stop_requests
from rl_attn.studies.cell import refuse_foreign
from rl_attn.studies.check import check_commands
from rl_attn.studies.cluster import RayExecutor
from rl_attn.studies.estimate import clock, seconds_left
from rl_attn.studies.live import View, print_end
from rl_attn.studies.local import LocalExecutor
from rl_attn.studies.plan import (
    Job,
    beyond,
    cells,
    in_turns,
    keep_study,
    references,
    refuse_changes,
)
from rl_attn.studies.record import Record, sole_owner, write_results
from rl_attn.studies.scheduler import Scheduler, Source
from rl_attn.studies.schema import Study, read_study
from rl_attn.studies.search import SearchSource, examples
from rl_attn.studies.tune import trials, tuned


@dataclass
class StudySettings:
    """Run a study: many runs of one command, on this machine or on a cluster."""

    study: Annotated[PathText, tyro.conf.Positional]
    """the study's file, or the name of one of the package's, for example camal_drl_cpu"""
    out: PathText | None = None
    """folder of the study (default: runs/studies/NAME)"""
    workers: Annotated[int, Interval(ge=1, le=4096)] | None = None
    """runs at once (default: 1 here, as many as fit on a Ray cluster)"""
    ray: str | None = None
    """run on a Ray cluster: auto, or its address (pip install 'rl-attn[cluster]')"""
    gpus_per_run: NotNegative[float] | None = None
    """GPUs of a run, or a share of one (default: here all shared out; on Ray one if it has any)"""
    cpus_per_run: Positive[float] = 1
    """CPU cores that a run reserves on a Ray cluster; here the workers share all cores out"""
    retries: Annotated[int, Interval(ge=0, le=1000)] = 2
    """how often a failed run is started again, from its checkpoint"""
    results: PathText | None = None
    """write the finished runs' numbers there as well, those of the report's metrics alone: small
    enough to be kept with the code"""
    first: Positive[int] | None = None
    """run the first so many seeds (or folds) of every method, and the others another time (default:
    all)"""
    dry_run: bool = False
    """list the runs with their commands and how long they may take; start nothing"""


def executor(args: StudySettings) -> LocalExecutor | RayExecutor:
    """Where the runs are executed, as the flags say."""
    if args.ray is not None:
        return RayExecutor(args.ray, args.cpus_per_run, args.gpus_per_run, args.workers)
    return LocalExecutor(args.workers or 1, args.gpus_per_run)


def dry_run(jobs: list[Job], record: Record, study: Study, at_once: int) -> None:
    """List every job with its commands, and say how long the rest may take."""
    for job in jobs:
        print(f"{job.name}  ({record.entries[job.name].state})")
        for each in (job.start, *job.then):
            print(f"    {each}")
    if study.search:
        print(f"a search draws {study.search.trials} trials; above are runs at its space's ends")
        return
    runs = len(record.in_state("pending"))
    left = seconds_left(record, study.steps, at_once, study.pace)
    if left is None:
        print(f"{runs} runs to do; no speed is known: no run of this study has got anywhere yet")
    else:
        print(f"{runs} runs to do, about {clock(left)} with {at_once} at once")


def run(study: Study, out: Path, args: StudySettings, stop: StopRequest) -> int:
    """Run all that is left to do; returns the exit status."""
    record = Record(out)
    record.add(references(study, out))
    if study.search is None:
        jobs = cells(study, out)
        record.add(jobs, beyond(jobs, study, args.first))
        source = Source(in_turns(record.in_state("pending"), study))
    else:
        source = SearchSource(study, out, record, record.in_state("pending"))
    columns = [*(study.search.space if study.search else ()), *study.grid, study.runs[0]]

    def results(_: Job | None = None) -> None:
        done = [job for job in record.in_state("finished") if job.is_cell]
        write_results(out / "results.csv", done, columns)
        if args.results is not None:
            shown = [metric.name for metric in study.report.metrics]
            write_results(Path(args.results), done, columns, shown)

    with executor(args) as where, View(record, study, where.slots) as view:
        Scheduler(source, where, record, args.retries, view.look, results).run(stop)
        view.look([])
    results()
    print_end(record)
    if isinstance(source, SearchSource):
        print(source.best())
    if stop:
        print(f"stopped; the same command continues it ({out})")
        return 128 + stop.signal
    if record.in_state("finished"):
        say(results=out / "results.csv", next=f"rl-attn report {out}")
    # Something is left to do as well where a cluster has lost all its nodes.
    return 1 if record.in_state("failed", "pending") else 0


def all_jobs(study: Study, out: Path) -> list[Job]:
    """What the study runs; of a search, runs at the ends of its space."""
    if study.search is None:
        return [*references(study, out), *cells(study, out)]
    trials = enumerate(examples(study.search.space))
    runs = [job for i, flags in trials for job in cells(study, out, f"example{i}", flags)]
    return [*references(study, out), *runs]


@command(StudySettings, "rl-attn study")
def main(args: StudySettings) -> int:
    file = find_config(args.study, "study")
    study = read_study(file)
    out = Path(args.out or Path("runs/studies") / file.stem).absolute()
    return start(study, out, args)


def start(study: Study, out: Path, args: StudySettings) -> int:
    """Begin or continue a study in the folder `out`, or list its runs; returns the exit status.

    What it tunes runs before, in out/tuning.
    """
    if study.tune is not None:
        status = start(trials(study), out / "tuning", replace(args, results=None, first=None))
        if status != 0:
            return status
        study = tuned(study, out / "tuning")
    if study.search is not None and args.first is not None:
        raise UserError("--first is for studies without a search: its trials take all seeds")
    jobs = all_jobs(study, out)
    refuse_changes(study, out)
    refuse_foreign(jobs)
    if not (out / "study.yaml").exists():  # a study that was begun has been looked at
        check_commands(jobs)
    if args.dry_run:
        record = Record(out)
        record.add(jobs, beyond(jobs, study, args.first))
        dry_run(jobs, record, study, args.workers or 1)
        return 0
    try:
        (out / "cells").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"study folder {out} cannot be made: {error.strerror}") from None
    with sole_owner(out), stop_requests("the runs, each with a checkpoint") as stop:
        keep_study(study, out)
        return run(study, out, args, stop)


if __name__ == "__main__":
    run_command(main)
