"""Hyper-parameters drawn by Optuna (extra `search`) instead of listed.

A trial draws one value for each flag of the search's space and runs the whole grid and all seeds
with them, one run after the other; its result is the mean of the metric over these runs. Workers
take different trials. While a run goes on, the mean of the watched column (of evaluations.csv or
metrics.csv), over the runs that the trial has had so far, is compared with that of earlier trials
at the same point: what is below their median is stopped.

Optuna's journal is `search.log` in the study's folder. Trials that were under way when the study
was killed go on with their values, their runs from their checkpoints.
"""

import csv
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from rl_attn.errors import UserError
from rl_attn.run.files import write_text
from rl_attn.run.yaml import dump_yaml
from rl_attn.studies.plan import Job, cells
from rl_attn.studies.record import Record, summary
from rl_attn.studies.scheduler import Source
from rl_attn.studies.schema import Study
from rl_attn.studies.space import Range

_SECONDS_BETWEEN_LOOKS = 0.5


@dataclass
class Trial:
    """A running trial: its runs; the first `done` of them have ended."""

    handle: Any  # Optuna's
    jobs: list[Job]
    results: list[float] = field(default_factory=list)  # the metric, of the runs that finished
    offset: int = 0  # steps of these runs
    last: list[float] = field(default_factory=list)  # their last watched values
    reported: set[int] = field(default_factory=set)
    next_look: float = 0.0

    @property
    def job(self) -> Job:
        """The run whose turn it is."""
        return self.jobs[len(self.results)]


class SearchSource(Source):
    """The references, then runs of trials, as many trials as the study asks for.

    Args:
        first: jobs to run before any trial.
    """

    def __init__(self, study: Study, out: Path, record: Record, first: Iterable[Job]):
        super().__init__(first)
        assert study.search is not None
        self.study, self.out, self.record, self.search = study, out, record, study.search
        self.optuna = _optuna()
        self.trials: dict[str, Trial] = {}  # by the name of the run whose turn it is
        storage = self.optuna.storages.JournalStorage(
            self.optuna.storages.journal.JournalFileBackend(str(out / "search.log"))
        )
        self.memory = self.optuna.create_study(
            study_name="search",
            storage=storage,
            direction=self.search.direction,
            sampler=self.optuna.samplers.TPESampler(seed=0, constant_liar=True),
            pruner=self.optuna.pruners.MedianPruner(),
            load_if_exists=True,
        )
        for frozen in self.memory.get_trials(deepcopy=False):
            self._restore(frozen)

    def take(self) -> Job | None:
        if self.waiting:
            return self.waiting.popleft()
        if len(self.memory.get_trials(deepcopy=False)) >= self.search.trials:
            return None
        space = {name: self._distribution(r) for name, r in self.search.space.items()}
        handle = self.memory.ask(space)
        self._open(Trial(handle, self._jobs(handle.number, handle.params)))
        return self.take()

    def ended(self, job: Job) -> None:
        """Note a run's result; then the trial's next run, or its end."""
        if not job.is_cell:
            return
        trial, state = self.trials.pop(job.name), self.record.entries[job.name].state
        if state == "finished":
            self._report(trial, job)
            self._finish(trial, job)
            self._open(trial)
        else:
            self._close(trial, "PRUNED" if state == "pruned" else "FAIL")

    def unpromising(self, job: Job) -> bool:
        """Whether the run's trial is hopeless, judged by the run so far."""
        if not (job.is_cell and self.search.prune):
            return False
        trial, now = self.trials[job.name], time.monotonic()
        if now < trial.next_look:
            return False
        trial.next_look = now + _SECONDS_BETWEEN_LOOKS
        return self._report(trial, job) and trial.handle.should_prune()

    def _report(self, trial: Trial, job: Job) -> bool:
        """Tell Optuna of the run's rows that it has not seen; whether there were any."""
        news = False
        for step, value in watched(job.folder, self.search.watch):
            if trial.offset + step not in trial.reported:
                trial.handle.report(fmean([*trial.last, value]), trial.offset + step)
                trial.reported.add(trial.offset + step)
                news = True
        return news

    def best(self) -> str:
        """The best trial in words; its flags are left in best.yaml, to be used with --config."""
        complete = (self.optuna.trial.TrialState.COMPLETE,)
        done = self.memory.get_trials(deepcopy=False, states=complete)
        if not done:
            return "no trial has finished"
        best = self.memory.best_trial
        flags = dump_yaml({**self.study.arguments, **best.params})
        write_text(self.out / "best.yaml", flags)
        values = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}"
                           for k, v in best.params.items())  # fmt: skip
        return f"best of {len(done)} trials: {_name(best.number)}, {best.value:.4g} with {values}"

    def _jobs(self, number: int, params: dict[str, Any]) -> list[Job]:
        jobs = cells(self.study, self.out, _name(number), params)
        self.record.add(jobs)
        return jobs

    def _restore(self, frozen: Any) -> None:
        """Take up the runs of an earlier trial; one that was under way goes on."""
        jobs = self._jobs(frozen.number, frozen.params)
        if not frozen.state.is_finished():
            handle = self.optuna.trial.Trial(self.memory, frozen._trial_id)
            reported = set(frozen.intermediate_values)
            self._open(Trial(handle, jobs, reported=reported))
            return
        for job in jobs:  # what did not run in a trial that has ended never will
            entry = self.record.entries[job.name]
            if entry.state == "pending":
                entry.state, entry.message = "pruned", "its trial had ended"

    def _open(self, trial: Trial) -> None:
        """Put the trial's next run in the queue; tell its result if all runs have finished."""
        while len(trial.results) < len(trial.jobs):
            entry = self.record.entries[trial.job.name]
            if entry.state == "finished":
                self._finish(trial, trial.job)
                continue
            self.trials[trial.job.name] = trial
            if entry.state == "pruned":
                self.ended(trial.job)
            else:
                self.waiting.append(trial.job)
            return
        value = fmean(trial.results)
        if math.isnan(value):
            self._close(trial, "FAIL")
        else:
            self.memory.tell(trial.handle, value)

    def _close(self, trial: Trial, how: str) -> None:
        self.memory.tell(trial.handle, state=self.optuna.trial.TrialState[how])

    def _finish(self, trial: Trial, job: Job) -> None:
        found = summary(job)
        if self.search.metric not in found:
            raise UserError(
                f"metric {self.search.metric!r} of the search is not in {job.evaluation}, which "
                f"has {', '.join(found) or 'nothing'}: name one of those, or a command under `then`"
                " that writes it"
            )
        trial.results.append(found[self.search.metric])
        seen = list(watched(job.folder, self.search.watch))
        if seen:
            trial.offset += seen[-1][0]
            trial.last.append(seen[-1][1])

    def _distribution(self, r: Range) -> Any:
        kinds = self.optuna.distributions
        if r.choices:
            return kinds.CategoricalDistribution(r.choices)
        if r.whole:
            return kinds.IntDistribution(r.low, r.high, log=r.log, step=r.step or 1)
        return kinds.FloatDistribution(r.low, r.high, log=r.log, step=r.step)


def _name(number: int) -> str:
    return f"t{number:03d}"


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise UserError("a search needs Optuna: pip install 'rl-attn[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def examples(space: dict[str, Range]) -> Iterator[dict[str, Any]]:
    """Values from all corners of the space, to try out the flags with."""
    ends = {name: r.choices or (r.low, r.high) for name, r in space.items()}
    for i in range(max(map(len, ends.values()))):
        yield {name: values[min(i, len(values) - 1)] for name, values in ends.items()}


def watched(run: Path, column: str) -> Iterator[tuple[int, float]]:
    """(global_step, value) for every row of the run's tables that has this column filled."""
    for table in ("evaluations", "metrics"):
        try:
            with (run / f"{table}.csv").open(newline="") as file:
                rows = list(csv.DictReader(file))
        except FileNotFoundError:
            continue
        for row in rows:
            try:
                yield int(row["global_step"]), float(row[column])
            except (KeyError, ValueError, TypeError):
                continue  # no such column, an empty cell, a row that is half written
