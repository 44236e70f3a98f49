"""Where the games' processes live, and how none of them is left behind.

Every game of ViZDoom is a process of its own, with three files in shared memory and a habit of
writing into the working directory. Each game started here has a private folder to write to, under
one temporary folder per Python process, and two guards: the kernel kills it when the program that
plays dies (Linux), and a janitor process cleans up after that program however it ends, SIGKILL
included. Signals of the terminal, such as Ctrl-C, do not reach the games.

    process = GameProcess()
    process.configure(doom_game)     # before doom_game.init()
    process.confirm()                # after it
    process.rest()                   # wait until it has nothing to do
    process.kill()                   # from any thread, any time after `confirm`
    process.clean()                  # after the game has ended

A launch that fails can neither be ended nor waited for, because ViZDoom blocks in `init` or crashes
(see `_launcher.py`): `process.abandon()` leaves what there is of it to the janitor, which
removes it when this program has ended.

Forked workers (multiprocessing) set up their own folder and janitor when they start a game, and
have no power over the games of their parent.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path

import psutil
import vizdoom

from rl_attn.envs.doom._janitor import (
    SHARED_MEMORY,
    clean,
    command_line,
    kill_game,
    read_record,
    remove_shared_memory,
)
from rl_attn.errors import UserError

_HERE = Path(__file__).resolve().parent
_PACKAGE = Path(vizdoom.__file__).resolve().parent
REST_TIMEOUT = 1.0  # seconds in which an engine that has answered goes to sleep, on a busy machine
END_TIMEOUT = 1.0  # seconds in which a killed engine is gone
_PREFIX = "rl_attn-games-"  # of the temporary folders
_OWNER = "owner"  # file in each of them
_MEMORY_OF_QUEUES = 2**16  # bytes in shared memory that each game takes besides its frames
_ISOLATED = ("-I", "-S")  # no site packages, no environment variables: quick and predictable


class Home:
    """The temporary folder of this process' games, and the janitor that watches over it."""

    def __init__(self) -> None:
        sweep()
        self.owner = os.getpid()
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self.launcher = self._furnish()
        self._numbers = itertools.count()
        self._janitor, self._alive = self._start_janitor()
        self.abandoned: list[Path] = []  # folders of launches that failed
        # Finalizers run in reverse order of their creation: after those of the games' owners.
        self._finalizer = weakref.finalize(
            self, _close_home, str(self.folder), self._janitor, self._alive, self.abandoned
        )

    def _furnish(self) -> Path:
        """Write whose folder it is, and the launcher.

        ViZDoom starts one file and passes it the engine's arguments: this file.
        """
        (self.folder / _OWNER).write_text(_identity(self.owner))
        command = [sys.executable, *_ISOLATED, _HERE / "_launcher.py", _PACKAGE / "vizdoom"]
        path = self.folder / "launch"
        path.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, command))} "$@"\n')
        path.chmod(0o700)
        if not os.access(path, os.X_OK):
            shutil.rmtree(self.folder)
            raise RuntimeError(
                f"programs may not run from {self.folder.parent} (mounted noexec?): "
                "set TMPDIR to a folder from which they may"
            )
        return path

    def _start_janitor(self) -> tuple[subprocess.Popen, int]:
        # Python's pipes close at exec: no game keeps the write end open.
        read_end, write_end = os.pipe()
        janitor = subprocess.Popen(
            [sys.executable, *_ISOLATED, str(_HERE / "_janitor.py"), str(self.folder)],
            stdin=read_end,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        os.close(read_end)
        return janitor, write_end

    def new_folder(self) -> Path:
        """An empty folder for one game."""
        folder = self.present() / str(next(self._numbers))
        folder.mkdir()
        return folder

    def present(self) -> Path:
        """The folder, made again if somebody has tidied up the temporary files."""
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o700)
            self._furnish()
        return self.folder

    def forget(self) -> None:
        """In a forked child: drop the parent's janitor, without which it would never end."""
        self._finalizer.detach()
        os.close(self._alive)
        self._janitor.returncode = 0  # not this process' child


def _identity(pid: int) -> str:
    """What tells a process from a later one of the same number, or one of another container."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return f"{pid} {psutil.Process(pid).create_time():.2f} {space}"


def sweep() -> None:
    """Remove what programs have left whose janitor was killed too: their games, files, memory."""
    here = _identity(os.getpid()).split()[2:]
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError, ValueError, IndexError):  # another's, or it goes at this moment
            pid, began, *space = (folder / _OWNER).read_text().split()
            if space == here and folder.stat().st_uid == os.getuid() and not _lives(pid, began):
                clean(str(folder))


def _lives(pid: str, began: str) -> bool:
    try:
        return _identity(int(pid)).split()[1] == began
    except psutil.NoSuchProcess:
        return False


def check_shared_memory(num_games: int, frame_shape: tuple[int, int, int]) -> None:
    """UserError if there is too little for that many games with frames of (H, W, C).

    The engine would die of it in the middle of a game. It takes the frame, the labels, and queues.
    """
    height, width, channels = frame_shape
    needed = num_games * (height * width * (channels + 1) + _MEMORY_OF_QUEUES)
    with suppress(FileNotFoundError):  # not Linux
        found = os.statvfs(SHARED_MEMORY)
        free = found.f_bavail * found.f_frsize
        if free < needed:
            raise UserError(
                f"{num_games} game(s) need {needed / 2**20:.1f} MiB of shared memory, and "
                f"{SHARED_MEMORY} has {free / 2**20:.1f} MiB free: make it larger "
                "(docker run --shm-size=1g), or play fewer games or smaller frames"
            )


def _close_home(folder: str, janitor: subprocess.Popen, alive: int, abandoned: list[Path]) -> None:
    """At a normal end: clean up at once and see the janitor off."""
    if abandoned:  # their threads live as long as this process: the janitor comes after it
        janitor.returncode = 0
        return
    clean(folder)
    os.close(alive)
    janitor.wait(timeout=10)


_home: Home | None = None
_home_lock = threading.Lock()


def home() -> Home:
    """The home of this process' games, made at the first call."""
    global _home
    with _home_lock:
        if _home is None:
            _home = Home()
        return _home


def _after_fork_in_child() -> None:
    global _home, _home_lock
    _home_lock = threading.Lock()  # the parent's may have been held by another thread
    if _home is not None:
        _home.forget()
        _home = None


os.register_at_fork(after_in_child=_after_fork_in_child)


class GameProcess:
    """The process of one DoomGame, known before it exists and killable at any moment."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.folder = home().new_folder()
        self._record: tuple[int, str] | None = None  # kept: the folder may vanish

    def configure(self, game: vizdoom.DoomGame) -> None:
        """Point the game to our launcher and our folder."""
        game.set_vizdoom_path(str(home().launcher))
        game.set_doom_config_path(str(self.folder / "vizdoom.ini"))

    @property
    def pid(self) -> int | None:
        """The process id; None before the process has begun."""
        record = self._read_record()
        return None if record is None else record[0]

    def _read_record(self) -> tuple[int, str] | None:
        self._record = self._record or read_record(self.folder)
        return self._record

    @property
    def failure(self) -> str | None:
        """Why the engine never started; None as long as it may yet."""
        try:
            return (self.folder / "failed").read_text().strip()
        except FileNotFoundError:
            return None

    def confirm(self) -> None:
        """`init` has returned: from now on the engine's end ends its launcher as well."""
        self._read_record()
        (self.folder / "started").touch()

    def abandon(self) -> None:
        """Stop an engine that does not start; the rest of it goes when this program has ended.

        Its launcher must live until then. What ViZDoom has made for it is found among the shared
        memory of this process (Linux) where no launcher has noted it.
        """
        home().abandoned.append(self.folder)
        record = read_record(self.folder)
        if record is not None:
            return kill_game(*record)
        known = {found[1] for folder in home().folder.iterdir() if (found := read_record(folder))}
        for instance in _mapped_instances() - known:
            record = f"{_process_of(instance)} {instance}\n"
            (self.folder / "process").write_text(record)

    def rest(self) -> bool:
        """Wait until the game waits for its next order; False if it is dead, stopped or at work.

        An engine that has answered is still busy with the message queues for a moment.
        """
        pid, deadline = self.pid, time.monotonic() + REST_TIMEOUT
        if pid is None or self.owner != os.getpid():
            return False
        while time.monotonic() < deadline:
            try:
                status = psutil.Process(pid).status()
            except psutil.NoSuchProcess:
                return False
            if status in (psutil.STATUS_SLEEPING, psutil.STATUS_IDLE):
                return True
            if status in (psutil.STATUS_ZOMBIE, psutil.STATUS_STOPPED):
                return False
            time.sleep(0.001)
        return False

    def stopped(self) -> bool:
        """Whether it has been stopped (SIGSTOP) and answers nothing until it is continued."""
        pid = self.pid
        with suppress(psutil.NoSuchProcess):
            return pid is not None and psutil.Process(pid).status() == psutil.STATUS_STOPPED
        return False

    def kill(self) -> None:
        """SIGKILL the game if it runs; calls blocked on it then raise. Safe from any thread."""
        record = self._read_record()
        if record is not None and self.owner == os.getpid():
            kill_game(*record)

    def clean(self) -> None:
        """See an ended or killed game off and remove what it has left."""
        if self.owner != os.getpid():
            return
        record = self._read_record()
        if record is not None:
            with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
                psutil.Process(record[0]).wait(END_TIMEOUT)  # its launcher's: gone in no time
            remove_shared_memory(record[1])
        # Gone at once, or its launcher might miss the file `started` in what is left, and complain.
        doomed = self.folder.with_name(f"{self.folder.name}.ended")
        with suppress(FileNotFoundError):
            self.folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def _mapped_instances() -> set[str]:
    """Instance ids of all games that ViZDoom holds a queue of in this process (Linux)."""
    try:
        maps = Path("/proc/self/maps").read_text()
    except FileNotFoundError:
        return set()
    # at the end of a line: one that has been removed is followed by "(deleted)"
    return set(re.findall(r"/ViZDoomMQCtr(\w+)$", maps, re.MULTILINE))


def _process_of(instance: str) -> int:
    """The process that was started with this instance id; 0 if there is none."""
    for folder in Path("/proc").glob("[0-9]*"):
        if instance in command_line(int(folder.name)):
            return int(folder.name)
    return 0
