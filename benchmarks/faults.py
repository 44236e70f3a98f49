"""What faults cost: kills, hangs, stops, a full disk and a closed pipe, made on purpose.

    python benchmarks/faults.py                  # a few of each
    python benchmarks/faults.py --times 40
    python benchmarks/faults.py --only "Ctrl-C" --times 1 --updates 3

Every run trains the same small agent. A game that dies or hangs may cost its own episode only: the
run goes on to its end. Whatever ends the trainer, the run is resumed and must end with the weights,
bit for bit, of one that was never disturbed. After each fault nothing may be left behind: no
half-written file in the run's folder, no games' folder among the temporary ones, no game and none
of its shared memory. One row a fault: how often it was made, and how often all of that held.
"""

import csv
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from machine import report
from rich.console import Console
from rich.table import Table

from rl_attn.errors import choose
from rl_attn.rl.trainer import AgentState
from rl_attn.run.checkpoint import latest_checkpoint, load_checkpoint
from rl_attn.run.cli import command, run_command
from rl_attn.run.yaml import dump_yaml

SHARED_MEMORY = Path("/dev/shm")
SMALL = (
    *("--num-envs=2", "--num-steps=16", "--num-minibatches=2", "--update-epochs=1"),
    *("--checkpoint-interval=1", "--keep-checkpoints=2", "--device=cpu", "--precision=fp32"),
    *("--threads=1", "--picture-interval=0"),
)


@dataclass
class Faults:
    """What faults cost."""

    times: int = 3
    """how often each fault is made"""
    updates: int = 12
    """length of a run, in updates of 32 steps"""
    only: tuple[str, ...] = ()
    """names of faults to make, and no others"""
    seed: int = 0
    """of the moments at which faults are made"""


class Lab:
    """A scratch folder, and in it the run that nothing disturbs."""

    def __init__(self, folder: Path, args: Faults):
        self.folder, self.chance = folder, random.Random(args.seed)
        self.flags = (*SMALL, f"--total-timesteps={32 * args.updates}")
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.started: list[subprocess.Popen] = []
        self.undisturbed = folder / "undisturbed"
        self.instances: set[str] = set()  # ViZDoom's names of all games: other programs play too
        self.closed = threading.Event()
        threading.Thread(target=self.note_games, daemon=True).start()

    def start(self, run: Path, **how: object) -> subprocess.Popen:
        """Train in `run`, or go on there."""
        flags = ["--resume", run] if run.exists() else [*self.flags, "--run-dir", run]
        return self.popen("rl_attn.ppo", *flags, **how)

    def popen(self, module: str, *words: object, **how: object) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, words)],
            env={**os.environ, "TMPDIR": str(self.temporary), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **how,
        )
        self.started.append(process)
        return process

    def note_games(self) -> None:
        """Keep what the games' folders say of them, as long as there are any."""
        while not self.closed.wait(0.1):
            for record in self.temporary.glob("rl_attn-games-*/*/process"):
                with suppress(OSError, ValueError):  # it may go, or be half-written
                    _, instance = record.read_text().split()
                    self.instances.add(instance)

    def in_memory(self) -> list[str]:
        """What the games have left in shared memory."""
        files = (file.name for file in SHARED_MEMORY.glob("*ViZDoom*"))
        return [name for name in files if name.endswith(tuple(self.instances))]

    def close(self) -> None:
        """End what a fault or a signal to this program has left running."""
        self.closed.set()
        for process in self.started:
            process.kill()
            process.wait()

    def expect(self, process: subprocess.Popen, status: int, said: str = "") -> None:
        """Wait for its end."""
        output, _ = process.communicate(timeout=1200)
        if process.returncode != status or said not in output or "Traceback" in output:
            raise AssertionError(f"status {process.returncode}, not {status}: {output[-2000:]}")

    def at_a_random_moment(self, process: subprocess.Popen, run: Path) -> None:
        """Some time after the first checkpoint."""
        wait_for_a_checkpoint(run, process)
        time.sleep(self.chance.uniform(0, 2))

    def ends_like_the_undisturbed(self, run: Path) -> None:
        self.expect(self.start(run), 0)
        self.compare(run)

    def compare(self, run: Path) -> None:
        ours, theirs = weights(run), weights(self.undisturbed)
        different = [name for name in theirs if not torch.equal(ours[name], theirs[name])]
        if different:
            raise AssertionError(f"{different[0]} differs from that of the undisturbed run")

    def nothing_is_left(self, run: Path) -> None:
        hidden = [str(f) for f in run.rglob(".*") if f.suffix != ".lock"]  # a study keeps those
        games = lambda: any(self.temporary.glob("rl_attn-games-*"))  # noqa: E731
        wait_for(lambda: not games(), 30, "the games' folder to go")
        wait_for(lambda: not self.in_memory(), 30, "the games' shared memory to go")
        if hidden:
            raise AssertionError(f"left behind: {hidden}")


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(latest_checkpoint(run), AgentState, more=True)["agent"]


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.002)


def wait_for_a_checkpoint(run: Path, process: subprocess.Popen) -> None:
    """Until the run's first one, or its end."""
    there = lambda: latest_checkpoint(run) or process.poll() is not None  # noqa: E731
    wait_for(there, 600, "the first checkpoint")


def games_of(process: subprocess.Popen) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if child.name() == "vizdoom"]


# ---------------------------------------------------------------------- faults


def game(number: int) -> Callable[[Lab, Path], None]:
    """A signal to one of the games: the run goes on, one episode is lost."""

    def fault(lab: Lab, run: Path) -> None:
        process = lab.start(run)
        lab.at_a_random_moment(process, run)
        lab.chance.choice(games_of(process)).send_signal(number)
        lab.expect(process, 0, "done ")
        with (run / "metrics.csv").open() as file:
            last = list(csv.DictReader(file))[-1]
        if last["charts/faults"] != "1":
            raise AssertionError(f"{last['charts/faults']} faults were counted, not 1")

    return fault


def trainer(number: int) -> Callable[[Lab, Path], None]:
    """A signal to the trainer, at a random moment."""

    def fault(lab: Lab, run: Path) -> None:
        process = lab.start(run)
        lab.at_a_random_moment(process, run)
        process.send_signal(number)
        lab.expect(process, -number if number == signal.SIGKILL else 128 + number)
        lab.ends_like_the_undisturbed(run)

    return fault


def in_a_checkpoint(lab: Lab, run: Path) -> None:
    """SIGKILL while a checkpoint is being written."""
    for _ in range(10):  # a busy machine may miss it
        process = lab.start(run)
        if killed_in_a_write(process, run / "checkpoints"):
            lab.expect(process, -signal.SIGKILL)
            return lab.ends_like_the_undisturbed(run)
        lab.expect(process, 0)
        shutil.rmtree(run)
    raise AssertionError("no checkpoint was met while it was being written")


def killed_in_a_write(process: subprocess.Popen, folder: Path) -> bool:
    """Kill it while it writes a checkpoint after its first; False if it has ended before."""
    wait_for_a_checkpoint(folder.parent, process)
    while process.poll() is None:  # a write takes milliseconds: no time to sleep
        if any(name.startswith(".step_") for name in os.listdir(folder)):
            process.kill()
            return True
    return False


def full_disk(lab: Lab, run: Path) -> None:
    """No file may grow to the size of a checkpoint; the games' shared memory is smaller."""
    size = latest_checkpoint(lab.undisturbed).stat().st_size * 3 // 4
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))  # noqa: E731
    lab.expect(lab.start(run, preexec_fn=limit), 1, "error: no space left")
    lab.ends_like_the_undisturbed(run)


def closed_pipe(lab: Lab, run: Path) -> None:
    """The reader goes away after the first line, as with `| head -1`."""
    process = lab.start(run)
    process.stdout.readline()
    process.stdout.close()
    if process.wait(1200) != 128 + signal.SIGPIPE:
        raise AssertionError(f"status {process.returncode}, not {128 + signal.SIGPIPE}")
    if latest_checkpoint(run) is None:
        raise AssertionError("it left no checkpoint")
    lab.ends_like_the_undisturbed(run)


def study(lab: Lab, run: Path) -> None:
    """SIGKILL to a study while its run trains; the same command goes on."""
    file, out, cell = lab.folder / "study.yaml", run, run / "cells" / "s1"
    flags = dict(flag.removeprefix("--").split("=") for flag in lab.flags)
    file.write_text(dump_yaml({"command": "rl_attn.ppo", "arguments": flags, "seeds": [1]}))
    words = (file, "--out", out, "--workers", "1")
    process = lab.popen("rl_attn.study", *words)
    lab.at_a_random_moment(process, cell)
    process.kill()
    lab.expect(process, -signal.SIGKILL)
    lab.expect(lab.popen("rl_attn.study", *words), 0)
    lab.compare(cell)


FAULTS: dict[str, Callable[[Lab, Path], None]] = {
    "a game is killed": game(signal.SIGKILL),
    "a game hangs": game(signal.SIGSTOP),
    "the trainer is killed": trainer(signal.SIGKILL),
    "... while it writes a checkpoint": in_a_checkpoint,
    "a study is killed": study,
    "Ctrl-C": trainer(signal.SIGINT),
    "SIGTERM": trainer(signal.SIGTERM),
    "SIGHUP": trainer(signal.SIGHUP),
    "the disk is full": full_disk,
    "nobody reads its output": closed_pipe,
}


@command(Faults, "python benchmarks/faults.py")
def main(args: Faults) -> int:
    # Under nohup it is ignored, and would be by the runs: a handler of ours is not inherited.
    signal.signal(signal.SIGHUP, lambda *_: None)
    for name in args.only:
        choose("fault", name, list(FAULTS))
    table, failed = Table("fault", "times", "as it should be", "seconds each"), 0
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-"))
        lab = stack.enter_context(closing(Lab(Path(folder), args)))
        lab.expect(lab.start(lab.undisturbed), 0)
        for name in args.only or FAULTS:
            held, started = 0, time.monotonic()
            for time_ in range(args.times):
                run = lab.folder / "run"
                try:
                    FAULTS[name](lab, run)
                    lab.nothing_is_left(run)
                    held += 1
                except AssertionError as error:
                    print(f"{name}, time {time_ + 1}: {error}", file=sys.stderr)
                shutil.rmtree(run, ignore_errors=True)
            failed += args.times - held
            each = (time.monotonic() - started) / args.times
            table.add_row(name, str(args.times), f"{held} of {args.times}", f"{each:.1f}")
    Console().print(table)
    report(1)
    return 1 if failed else 0


if __name__ == "__main__":
    run_command(main)
