"""One job, run to its end by whoever executes it: a thread here, a task on a cluster.

A run that was started before is resumed, whoever started it and wherever: all that counts is its
folder. The study asks a running job to stop through a file beside that folder, since this reaches
every machine that shares the folder.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rl_attn.errors import USERS_MISTAKE, UserError
from rl_attn.studies import _launch
from rl_attn.studies.plan import Command, Job

_SECONDS_BETWEEN_LOOKS = 0.1

#: What libraries look at to decide on their number of threads.
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    *("NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
)


@dataclass(frozen=True)
class Share:
    """A job's part of a machine."""

    threads: int = 1
    cores: tuple[int, ...] = ()  # which ones; none: wherever the system puts it
    gpus: tuple[str, ...] | None = None  # None: as they are

    def environment(self) -> dict[str, str]:
        """The environment of a job's processes."""
        own = dict.fromkeys(THREAD_VARIABLES, str(self.threads))
        if self.gpus is not None:
            own["CUDA_VISIBLE_DEVICES"] = ",".join(self.gpus)
        return {**os.environ, **own}


@dataclass(frozen=True)
class Outcome:
    """How a job ended: the exit status of its last command, and a word on a failure."""

    status: int
    message: str = ""


def run_job(job: Job, share: Share, directory: Path) -> Outcome:
    """Start or resume the job's run and do what follows it; stops at the first failure.

    Args:
        directory: where the commands run, so that relative paths in flags mean the same anywhere.
    """
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        refuse_foreign([job])
    except UserError as error:
        return Outcome(USERS_MISTAKE, str(error))
    with job.log.open("a", encoding="utf-8") as log:
        for command in _commands(job):
            status = _run(job, command, share, directory, log.fileno())
            if status != 0:
                last = (tail(job.log, 1) or [""])[0].strip()
                return Outcome(status, f"{command.module} {ending(status)}: {last}")
    return Outcome(0)


def ending(status: int) -> str:
    """An exit status in words."""
    if status < 0:
        return f"was ended by signal {-status}"
    return f"ended with status {status}"


def tail(file: Path, lines: int) -> list[str]:
    """The last lines of a text file; [] if there is none."""
    if not file.is_file():
        return []
    with file.open("rb") as content:
        content.seek(max(0, file.stat().st_size - 500 * lines))
        return content.read().decode(errors="replace").splitlines()[-lines:]


def refuse_foreign(jobs: Iterable[Job]) -> None:
    """UserError for a folder that a job would start afresh in and that no job has made.

    What is there is removed before a start, and nothing that the project did not make ever is: the
    lock file beside a folder marks it as a job's.
    """
    for job in jobs:
        if not _can_resume(job) and os.path.lexists(job.folder) and not job.lock_file.is_file():
            raise UserError(
                f"{job.folder} was not made by this study, which would start a run there: move it "
                "away, or choose another --out"
            )


def _can_resume(job: Job) -> bool:
    return job.resume is not None and (job.folder / "config.yaml").is_file()


def _commands(job: Job) -> Iterator[Command]:
    """What is left to do; a run without its configuration had not begun, and starts afresh."""
    if job.resume is not None and _can_resume(job):
        yield job.resume
    else:
        if job.folder.is_dir():
            shutil.rmtree(job.folder)
        yield job.start
    yield from job.then


def _run(job: Job, command: Command, share: Share, directory: Path, log: int) -> int:
    cores = ",".join(map(str, share.cores))
    launch = [sys.executable, "-I", "-S", _launch.__file__, str(job.lock_file), str(os.getpid())]
    os.write(log, f"$ {command}\n".encode())
    with subprocess.Popen(
        [*launch, cores, "-m", command.module, *command.arguments],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=directory,
        env={**share.environment(), "PYTHONUNBUFFERED": "1"},
        start_new_session=True,  # Ctrl-C reaches the study alone, which passes it on
    ) as process:
        return _wait(process, job.stop_file)


def _wait(process: subprocess.Popen, stop_file: Path) -> int:
    """The exit status; a signal that the stop file asks for is passed on."""
    sent = 0
    while True:
        try:
            return process.wait(_SECONDS_BETWEEN_LOOKS)
        except subprocess.TimeoutExpired:
            asked = _asked(stop_file)
        if asked and asked != sent:
            process.send_signal(asked)
            sent = asked


def _asked(stop_file: Path) -> int:
    try:
        return int(stop_file.read_text() or 0)
    except FileNotFoundError:
        return 0


def ask_to_stop(jobs: Sequence[Job], signal: int) -> None:
    """Have the processes of running jobs signalled, on whichever machine they are."""
    for job in jobs:
        job.stop_file.write_text(str(signal))
