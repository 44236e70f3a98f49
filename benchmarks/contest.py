"""Measure contenders against each other on a noisy machine.

    results = compete([Entry("ours", "stepping:OurLanes"), ...], settings, count=500, rounds=5)

Each contender lives in a fresh process of its own, is built and warmed up there, and then waits.
In every round all of them do a chunk of the same work, one at a time, in an order that rotates, so
that whatever else the machine does meets them alike; the first entry is the baseline and times are
compared within a round. What a chunk returns (a sum of rewards, a number of parameters) must be
the same for all of them: proof that they did the same work.

A contender is a class made from `settings`, with `note` (where and how it computes),
`run(count) -> float` and `close()`.

Memory is read from /proc, so on Linux only: what the processes of a contender hold together after
a chunk, plus by how much its main process held more during it. Pages that several of them share
count once, and files mapped by the main process, such as torch's libraries, count as its own.

No process outlives the contest, also when it is interrupted or killed: every contender leads a
session of its own, which is killed as a whole when its work or its parent ends.
"""

import importlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import isclose, nan
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

from rl_attn.errors import choose

#: Seconds that a contender may take to close in peace.
PATIENCE = 20.0
#: How processes begin: each with imports and memory of its own.
CONTEXT = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Entry:
    """A contender: its name in the table, "module:Class" of what to build, and with what besides
    the settings."""

    name: str
    factory: str
    options: dict[str, Any] = field(default_factory=dict)
    own_work: bool = False  # it cannot be made to do the others' work, only as much; say so


@dataclass
class Result:
    """What was measured of one contender, a value a round."""

    name: str
    note: Any
    seconds: list[float] = field(default_factory=list)  # of a chunk
    times: list[float] = field(default_factory=list)  # seconds / the baseline's of that round
    cpu_seconds: list[float] = field(default_factory=list)  # of all threads of its main process
    cpu_times: list[float] = field(default_factory=list)  # as `times`, of CPU seconds
    start_cpu_seconds: float = nan  # of its main process, until it was ready: imports and all
    works: list[float] = field(default_factory=list)
    peak_mib: float = nan

    @property
    def time(self) -> float:
        """The median of the rounds: 2.0 means twice the baseline's time."""
        return median(self.times)

    @property
    def cpu_time(self) -> float:
        """The same of CPU seconds, which the machine's other work disturbs less.

        It says nothing where a contender works in processes of its own.
        """
        return median(self.cpu_times)


def chosen(entries: Sequence[Entry], only: Sequence[str]) -> list[Entry]:
    """The baseline and those of these names; all of them where no name is given."""
    for name in only:
        choose("contender", name, [entry.name for entry in entries])
    wanted = (entries[0].name, *only) if only else [entry.name for entry in entries]
    return [entry for entry in entries if entry.name in wanted]


def compete(
    entries: Sequence[Entry], settings: Any, count: int, rounds: int, inline: bool = False
) -> list[Result]:
    """Warm every contender up with one chunk of `count`, then measure `rounds` chunks of each."""
    with working(entries, settings, inline) as workers:
        results = [
            Result(worker.entry.name, worker.note, start_cpu_seconds=worker.start_cpu_seconds)
            for worker in workers
        ]
        for worker in workers:
            worker.ask(count)
        for worker in workers:
            worker.answer()
        for turn in range(rounds):
            _round(workers, results, count, turn)
    return results


@contextmanager
def working(
    entries: Sequence[Entry], settings: Any, inline: bool = False
) -> Iterator[list["Worker"]]:
    """Contenders that are built and wait, each in a process of its own that ends with the block.

    Args:
        inline: all are in this process instead: to see whether they work, not how fast.
    """
    workers = [(Inline if inline else Worker)(entry) for entry in entries]
    patience = 0.0
    try:
        with _deaf():
            for worker in workers:
                worker.start(settings)
        for worker in workers:
            worker.note, worker.start_cpu_seconds = worker.answer()
        yield workers
        patience = PATIENCE
    finally:
        with _deaf():
            _close(workers, patience)


def _round(workers: list["Worker"], results: list[Result], count: int, turn: int) -> None:
    for i in range(len(workers)):
        worker, result = (some[(i + turn) % len(workers)] for some in (workers, results))
        worker.ask(count)
        seconds, cpu_seconds, work = worker.answer()
        result.seconds.append(seconds)
        result.cpu_seconds.append(cpu_seconds)
        result.works.append(work)
        memory = held_mib(worker.pid)
        result.peak_mib = memory if memory != memory else max(memory, result.peak_mib)
    baseline = results[0]
    for result, worker in zip(results, workers, strict=True):
        result.times.append(result.seconds[-1] / baseline.seconds[-1])
        result.cpu_times.append(result.cpu_seconds[-1] / baseline.cpu_seconds[-1])
        same = isclose(result.works[-1], baseline.works[-1], rel_tol=1e-3, abs_tol=1e-3)
        if not same and not worker.entry.own_work:
            raise RuntimeError(
                f"{result.name} did other work ({result.works[-1]:g}) than {baseline.name} "
                f"({baseline.works[-1]:g}): their times cannot be compared"
            )


# ---------------------------------------------------------------------- processes


class Worker:
    """The process of one contender, which works when asked."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.note: Any = None  # the contender's
        self.start_cpu_seconds = nan
        self.process: multiprocessing.process.BaseProcess | None = None

    def start(self, settings: Any) -> None:
        self._connection, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_serve, args=(theirs, self.entry, settings))
        self.process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    def ask(self, count: Any) -> None:
        """Have a chunk done, of what the contender's `run` takes; None ends the process."""
        with suppress(OSError):  # it has died, which `answer` reports
            self._connection.send(count)

    def answer(self) -> Any:
        """What the process says next; RuntimeError if it has failed."""
        try:
            answer = self._connection.recv()
        except (EOFError, OSError):
            raise RuntimeError(f"the process of {self.entry.name} has died") from None
        if isinstance(answer, Failure):
            raise RuntimeError(f"{self.entry.name} has failed:\n{answer.text}")
        return answer


class Inline(Worker):
    """The same in this process: `ask` does the work."""

    _contender: Any = None

    def start(self, settings: Any) -> None:
        self._contender = _build(self.entry, settings)
        self._answer = self._contender.note, nan

    pid = property(lambda self: os.getpid())

    def ask(self, count: Any) -> None:
        if count is not None:
            self._answer = _timed(self._contender, count)
        elif self._contender is not None:
            self._contender.close()

    def answer(self) -> Any:
        return self._answer


@dataclass(frozen=True)
class Failure:
    text: str


def _serve(connection: Connection, entry: Entry, settings: Any) -> None:
    """The life of a contender's process."""
    os.setsid()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        contender = _build(entry, settings)
        connection.send((contender.note, time.process_time()))
        while (count := connection.recv()) is not None:
            connection.send(_timed(contender, count))
        contender.close()
    except Exception:
        connection.send(Failure(traceback.format_exc()))


def _build(entry: Entry, settings: Any) -> Any:
    module, _, name = entry.factory.partition(":")
    return getattr(importlib.import_module(module), name)(settings, **entry.options)


def _timed(contender: Any, count: Any) -> tuple[float, float, Any]:
    """Seconds, CPU seconds, and what came of it."""
    before = time.perf_counter(), time.process_time()
    work = contender.run(count)
    after = time.perf_counter(), time.process_time()
    return after[0] - before[0], after[1] - before[1], work


def _die_with_parent() -> None:
    multiprocessing.parent_process().join()
    os.killpg(0, signal.SIGKILL)


def _close(workers: list[Worker], patience: float) -> None:
    """End all processes, and whatever they have started."""
    for worker in workers:
        if isinstance(worker, Inline):
            worker.ask(None)
    alive = [worker for worker in workers if worker.process is not None]
    leftovers = [pid for worker in alive for pid in tree(worker.process.pid)]
    for worker in alive:
        worker.ask(None)
    deadline = time.monotonic() + patience
    for worker in alive:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        with suppress(ProcessLookupError):  # no process of its session is left, or none began
            os.killpg(worker.process.pid, signal.SIGKILL)
        worker.process.kill()
        worker.process.join()
    # Games have sessions of their own and end by themselves when their program has.
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and any(_parent(pid) is not None for pid in leftovers):
        time.sleep(0.01)


@contextmanager
def _deaf() -> Iterator[None]:
    """Ignore Ctrl-C and SIGTERM in the block, and in processes that are started there for good."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# ---------------------------------------------------------------------- memory


def held_mib(pid: int) -> float:
    """MiB held by a process and all that it has started; NaN where /proc does not tell."""
    try:
        status = _fields(Path(f"/proc/{pid}/status"))
        above = status["VmHWM"] - status["VmRSS"]  # at its peak, over now
        total = status["RssFile"] + above
        for each in tree(pid):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                share = _fields(Path(f"/proc/{each}/smaps_rollup"))
                total += share["Pss_Anon"] + share["Pss_Shmem"]
    except (OSError, KeyError):
        return nan
    return total / 1024


def tree(pid: int) -> list[int]:
    """The process and its descendants."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    children: dict[int | None, list[int]] = {}
    for each in pids:
        children.setdefault(_parent(each), []).append(each)
    found = [pid]
    for each in found:  # grows
        found += children.get(each, [])
    return found


def _parent(pid: int) -> int | None:
    """The process id of the parent; None for a process that has ended."""
    try:
        # The name before it, in parentheses, may hold anything.
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state in "ZX" else int(parent)


def _fields(path: Path) -> dict[str, int]:
    """The lines `Name: 123 kB` of a file."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {words[0][:-1]: int(words[1]) for words in lines if words[-1:] == ["kB"]}
