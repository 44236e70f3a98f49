"""Whole programs that play, ended in all ways; what they leave is looked for from outside."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from rl_attn.envs.doom import processes
from rl_attn.envs.doom.env import DoomEnv
from rl_attn.envs.doom.lanes import Lanes
from rl_attn.envs.doom.processes import GameProcess

ROOT = Path(__file__).resolve().parents[3]
SHARED_MEMORY = Path("/dev/shm")

PLAY = """
    import numpy as np, os, psutil, sys, time
    from rl_attn.envs.doom import processes
    from rl_attn.envs.doom.lanes import Lanes

    lanes = Lanes("Basic", num_lanes=2, seed=1)
    frames = np.empty((2, *lanes.frame_shape), np.uint8)
    masks = np.empty((2, *lanes.mask_shape), np.uint8)
    lanes.reset(frames, masks)
    games = [lane.game for lane in lanes._lanes]
    ids = [game._doom.get_instance_id() for game in games]
    print(*[game.pid for game in games], *ids, processes.home().folder, flush=True)
    sys.stdin.readline()
"""
GO_ON = """
    while True:
        lanes.step(np.zeros(2, int), frames, masks)
"""


def alive(pid):
    """Whether a process does anything: one that has ended may still wait to be noticed."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


class Program:
    """A Python program that plays two games in an empty working directory."""

    def __init__(self, folder, rest):
        (folder / "temp").mkdir()
        self.cwd = folder / "cwd"
        self.cwd.mkdir()
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "temp")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PLAY + rest)],
            cwd=self.cwd,
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a process group of its own, as in a terminal
        )
        words = self.process.stdout.readline().split()
        assert words, self.process.stderr.read()
        self.games = [int(word) for word in words[:2]]
        self.instances = words[2:4]
        self.home = Path(words[4])
        assert self.home.parent == folder / "temp"
        assert len(self.shared_memory()) == 6
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def shared_memory(self):
        return [
            file.name
            for file in SHARED_MEMORY.iterdir()
            if any(instance in file.name for instance in self.instances)
        ]

    def traces(self):
        """What is still there of the games."""
        living = [pid for pid in self.games if alive(pid)]
        folders = [path for path in self.home.parent.iterdir()]
        return [*living, *self.shared_memory(), *folders, *self.cwd.iterdir()]

    def wait_for_no_traces(self):
        wait_until(lambda: not self.traces())


@pytest.fixture
def program(tmp_path):
    """A function that starts a program, which is killed at the end."""
    programs = []

    def start(rest):
        programs.append(Program(tmp_path, rest))
        return programs[-1]

    yield start
    for started in programs:
        started.process.kill()
        started.process.communicate()


def test_a_killed_program_leaves_nothing(program):
    playing = program(GO_ON)
    playing.process.kill()
    playing.wait_for_no_traces()


def test_a_killed_program_with_stopped_games_leaves_nothing(program):
    playing = program(GO_ON)
    for game in playing.games:
        psutil.Process(game).suspend()
    playing.process.kill()
    playing.wait_for_no_traces()


def test_a_killed_process_group_leaves_nothing(program):
    playing = program(GO_ON)
    os.killpg(playing.process.pid, signal.SIGKILL)
    playing.wait_for_no_traces()


def test_games_die_with_their_program_even_without_a_janitor(program):
    if sys.platform != "linux":
        pytest.skip("only Linux kills a process at its parent's death")
    playing = program(GO_ON)
    (janitor,) = [
        child
        for child in psutil.Process(playing.process.pid).children()
        if any("_janitor.py" in argument for argument in child.cmdline())
    ]
    janitor.kill()
    playing.process.kill()
    playing.process.wait()
    wait_until(lambda: not any(alive(game) for game in playing.games))
    assert len(playing.shared_memory()) == 6
    # The next program that plays does the janitor's work.
    begin = "from rl_attn.envs.doom.processes import home; home()"
    subprocess.run([sys.executable, "-c", begin], env=playing.env, check=True)
    assert not playing.traces()


@pytest.mark.parametrize("owner", ["the living", "another machine", "nobody", "nonsense"])
def test_folders_that_are_not_a_dead_programs_of_ours_are_spared(tmp_path, monkeypatch, owner):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead = subprocess.Popen([sys.executable, "-c", "0"])
    space = processes._identity(os.getpid()).split()[2]
    text = {
        "the living": processes._identity(os.getpid()),
        "another machine": f"{dead.pid} 1.00 pid:[1]",
        "nonsense": "xyz",
    }
    dead.wait()
    theirs, ours = tmp_path / "rl_attn-games-theirs", tmp_path / "rl_attn-games-ours"
    for folder in (theirs, ours):
        (folder / "0").mkdir(parents=True)
    if owner in text:
        (theirs / "owner").write_text(text[owner])
    (ours / "owner").write_text(f"{dead.pid} 1.00 {space}")
    processes.sweep()
    assert theirs.is_dir() and not ours.exists()


def test_the_temporary_folder_may_vanish_while_games_go_on(tmp_path):
    with Lanes("Basic", 1, seed=1, looks="train:light") as lanes:
        frames = np.zeros((1, *lanes.frame_shape), np.uint8)
        masks = np.zeros((1, *lanes.mask_shape), np.uint8)
        lanes.reset(frames, masks)
        game = lanes._lanes[0].game
        instances = [game._doom.get_instance_id()]
        shutil.rmtree(processes.home().folder)
        assert not lanes.step([0], frames, masks).truncated.any()
        psutil.Process(game.pid).kill()
        assert lanes.step([0], frames, masks).truncated.all()  # another game has begun
        assert not lanes.step([0], frames, masks).truncated.any()
        instances.append(game._doom.get_instance_id())
        first, second = instances
        assert first != second and alive(game.pid)
    left = [file.name for file in SHARED_MEMORY.iterdir()]
    assert not any(instance in name for name in left for instance in instances)


def test_too_little_shared_memory_is_said_before_a_game_starts(monkeypatch):
    little = os.statvfs_result((4096, 4096, 16, 16, 16, 9, 9, 9, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: little)
    with pytest.raises(
        ValueError, match=r"8 game\(s\) need 0.8 MiB .*/dev/shm has 0.1 MiB free: make"
    ):
        Lanes("Basic", 8)
    with pytest.raises(ValueError, match=r"1 game\(s\) need"):
        DoomEnv("Basic")


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("", id="its last line"),
        pytest.param("    lanes.close()", id="close"),
        pytest.param("    raise SystemExit(3)", id="SystemExit"),
        pytest.param("    games[0].kill()", id="with a dead game"),
        pytest.param("    psutil.Process(games[0].pid).suspend()", id="with a stopped game"),
        pytest.param(
            "    lanes.send(np.zeros(2, int), frames, masks)", id="in the middle of a step"
        ),
    ],
)
def test_a_program_that_ends_has_cleaned_up(program, end):
    playing = program(end)
    playing.process.wait(timeout=20)
    assert playing.traces() == []
    assert playing.process.stderr.read() == ""


def test_an_interrupt_reaches_the_program_and_not_the_games(program):
    playing = program(
        """
    try:
        print("playing", flush=True)
        while True:
            lanes.step(np.zeros(2, int), frames, masks)
    except KeyboardInterrupt:
        if lanes._groups[0].busy:
            lanes.wait()
        for _ in range(50):
            lanes.step(np.zeros(2, int), frames, masks)
        print("faults", lanes.faults, [psutil.pid_exists(game.pid) for game in games])
        """
    )
    assert playing.process.stdout.readline() == "playing\n"
    time.sleep(0.2)
    os.killpg(playing.process.pid, signal.SIGINT)
    output, errors = playing.process.communicate(timeout=20)
    assert output.split("\n")[0] == "faults 0 [True, True]", errors
    assert playing.traces() == []


def test_a_suspended_program_does_not_take_its_games_for_hung(program):
    playing = program(
        """
    lanes.hang_timeout = 0.5
    for count in range(800):
        lanes.step(np.zeros(2, int), frames, masks)
        if count == 20:
            print("playing", flush=True)
    print("faults", lanes.faults)
        """
    )
    assert playing.process.stdout.readline() == "playing\n"
    playing.process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    playing.process.send_signal(signal.SIGCONT)
    output, errors = playing.process.communicate(timeout=60)
    assert output == "faults 0\n", errors


def test_a_forked_worker_has_no_power_over_its_parents_games(program):
    playing = program(
        """
    import warnings
    warnings.simplefilter("ignore")  # a fork beside threads: what other libraries do
    worker = os.fork()
    if worker == 0:
        lanes.close()
        own = Lanes("Basic", num_lanes=1)
        own.reset(frames[:1].copy(), masks[:1].copy())
        assert processes.home().folder != games[0]._process.folder.parent
        print(own._lanes[0].game.pid, flush=True)
        os._exit(0)  # as multiprocessing ends its workers: nothing is finalized
    os.waitpid(worker, 0)
    for _ in range(30):
        lanes.step(np.zeros(2, int), frames, masks)
    print("faults", lanes.faults, flush=True)
    lanes.close()
        """
    )
    output, errors = playing.process.communicate(timeout=30)
    worker_game, faults = output.splitlines()
    assert faults == "faults 0", errors
    playing.games.append(int(worker_game))
    playing.wait_for_no_traces()


def test_workers_of_gymnasium_that_are_terminated_leave_nothing(program):
    playing = program(
        """
    import gymnasium, envs
    if __name__ == "__main__":
        workers = gymnasium.make_vec("rl_attn/Basic-v0", num_envs=2, vectorization_mode="async")
        workers.reset(seed=1)
        children = psutil.Process().children(recursive=True)
        print(*{child.pid for child in children if "vizdoom" in child.name()}, flush=True)
        workers.close(terminate=True)
        lanes.close()
        """
    )
    output, errors = playing.process.communicate(timeout=30)
    workers_games = [int(word) for word in output.split()]
    assert len(workers_games) == 4, errors  # with those of the lanes
    playing.games += workers_games
    playing.wait_for_no_traces()


def test_a_process_id_that_has_been_given_to_another_is_spared():
    game = GameProcess()
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (game.folder / "process").write_text(f"{other.pid} abcdefghij\n")
        assert game.pid == other.pid
        game.kill()
        time.sleep(0.2)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
        game.clean()
    assert not game.folder.exists()
