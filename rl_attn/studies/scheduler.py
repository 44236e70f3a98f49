"""Starts jobs as there is room for them, retries what failed, and saves the state of each."""

import signal
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Protocol

from rl_attn.errors import FOR_GOOD
from rl_attn.run.signals import StopRequest
from rl_attn.studies.cell import Outcome, ask_to_stop
from rl_attn.studies.plan import Job
from rl_attn.studies.record import Record

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_BETWEEN_NOTES = 5.0


class Executor(Protocol):
    """Where jobs run."""

    @property
    def slots(self) -> int:
        """How many jobs can run at once, now."""
        ...

    def submit(self, job: Job) -> "Future[Outcome]":
        """Run a job; the future never holds an exception of the job's."""
        ...


class Source:
    """Where jobs come from; this one has a list of them."""

    def __init__(self, jobs: Iterable[Job]):
        self.waiting = deque(jobs)
        self.open = {job.name for job in self.waiting}  # have not ended

    def take(self) -> Job | None:
        """The next job to run, none whose folder it reads being open; None for now."""
        ready = next((job for job in self.waiting if self.open.isdisjoint(job.after)), None)
        if ready is not None:
            self.waiting.remove(ready)
        return ready

    def unpromising(self, job: Job) -> bool:
        """Whether a running job is not worth its time; asked again and again."""
        return False

    def ended(self, job: Job) -> None:
        """Told once when a job has finished, failed for good, or was pruned."""
        self.open.discard(job.name)


class Scheduler:
    """Runs the jobs of a source.

    Args:
        retries: how often a failed job is started again; it resumes from its checkpoint.
        look: called all the time with the running jobs.
        finished: called when a job has finished.
    """

    def __init__(
        self,
        source: Source,
        executor: Executor,
        record: Record,
        retries: int,
        look: Callable[[list[Job]], None],
        finished: Callable[[Job], None],
    ):
        self.source, self.executor, self.record = source, executor, record
        self.retries, self.look, self.finished = retries, look, finished
        self.running: dict[Future[Outcome], Job] = {}
        self.again: deque[Job] = deque()  # failed, and to be tried again
        self.tries: dict[str, int] = {}  # of each job since this start of the study
        self.pruned: set[str] = set()
        self._counted = self._noted = time.monotonic()

    def run(self, stop: StopRequest) -> None:
        """Until all is done, or until `stop` is set and the running jobs have stopped."""
        asked = False
        try:
            while self._fill(stop) or self.running:
                done, _ = wait(self.running, _SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED)
                self._count()
                for future in done:
                    self._settle(self.running.pop(future), future.result(), bool(stop))
                if stop and not asked:
                    ask_to_stop(list(self.running.values()), signal.SIGTERM)
                    asked = True
                self._prune()
                self.look(list(self.running.values()))
        except BaseException:  # nobody waits for the jobs any more: none may go on
            ask_to_stop(list(self.running.values()), signal.SIGKILL)
            wait(self.running)
            raise
        finally:
            self.record.write()

    def _fill(self, stop: StopRequest) -> bool:
        """Start jobs while there is room; False when there was nothing to start."""
        started = False
        while not stop and len(self.running) < self.executor.slots:
            job = self.again.popleft() if self.again else self.source.take()
            if job is None:
                break
            self._start(job)
            started = True
        if started:
            self.record.write()
        return started

    def _start(self, job: Job) -> None:
        entry = self.record.entries[job.name]
        entry.state, entry.message = "running", ""
        entry.attempts += 1
        self.tries[job.name] = self.tries.get(job.name, 0) + 1
        job.stop_file.unlink(missing_ok=True)
        self.running[self.executor.submit(job)] = job

    def _settle(self, job: Job, outcome: Outcome, stopping: bool) -> None:
        """Note how a job ended, and decide what becomes of it."""
        entry = self.record.entries[job.name]
        job.stop_file.unlink(missing_ok=True)
        entry.message = outcome.message
        if outcome.status == 0:
            entry.state = "finished"
        elif job.name in self.pruned:
            entry.state, entry.message = "pruned", "worse than the others at this point"
        elif stopping:
            entry.state, entry.message = "pending", "stopped with the study"
        elif outcome.status not in FOR_GOOD and self.tries[job.name] <= self.retries:
            entry.state = "pending"
            self.again.append(job)
        else:
            entry.state = "failed"
        self.record.write()
        if entry.state == "finished":
            self.finished(job)
        if entry.state in ("finished", "failed", "pruned"):
            self.source.ended(job)

    def _prune(self) -> None:
        for job in self.running.values():
            if job.name not in self.pruned and self.source.unpromising(job):
                self.pruned.add(job.name)
                ask_to_stop([job], signal.SIGTERM)

    def _count(self) -> None:
        """Add the time since the last look to all running jobs; note it now and then."""
        now = time.monotonic()
        for job in self.running.values():
            self.record.entries[job.name].seconds += now - self._counted
        self._counted = now
        if now - self._noted > _SECONDS_BETWEEN_NOTES:
            self.record.write()
            self._noted = now
