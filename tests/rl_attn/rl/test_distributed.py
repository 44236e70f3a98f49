"""Two ranks do what one does with all lanes, on a CPU; torchrun itself ends what is left."""

import csv
import shutil
import signal
import time
from pathlib import Path
from socket import socket

import psutil
import pytest
import torch
from processes import Command

from rl_attn import ppo
from rl_attn.errors import UserError
from rl_attn.rl.distributed import ALONE, Ranks, check_lanes, joined, own_device, split_lanes
from rl_attn.rl.trainer import State
from rl_attn.run.checkpoint import latest_checkpoint, load_checkpoint

ROOT = Path(__file__).parents[3]
TWO = [Ranks(rank, 2, rank, 2) for rank in range(2)]


class Torchrun:
    """Two ranks as torchrun starts them, without torchrun: two processes and their environment."""

    def __init__(self, *flags: object):
        with socket() as free:
            free.bind(("localhost", 0))
            port = str(free.getsockname()[1])
        self.ranks = [
            Command(
                "rl_attn.ppo",
                *flags,
                env={
                    **{"RANK": f"{rank}", "LOCAL_RANK": f"{rank}", "WORLD_SIZE": "2"},
                    **{"LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port},
                },
            )
            for rank in range(2)
        ]

    def finish(self) -> tuple[list[int], str]:
        """Their exit statuses, and all that they said."""
        statuses = [rank.finish() for rank in self.ranks]
        return statuses, "".join(rank.output for rank in self.ranks)

    def __enter__(self) -> "Torchrun":
        return self

    def __exit__(self, *_: object) -> None:
        for rank in self.ranks:
            rank.__exit__()


def wait_for(condition, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def state(run: Path, step: int) -> dict:
    return load_checkpoint(run / "checkpoints" / f"step_{step:09d}.pt", State)


def difference(one: dict, other: dict) -> float:
    """The largest one between any two weights."""
    pairs = ((one["agent"][name], other["agent"][name]) for name in one["agent"])
    return max((a - b).abs().max().item() for a, b in pairs)


@pytest.fixture(scope="module")
def two_ranks(tiny, tmp_path_factory):
    """(run folder, standard output): what `tiny_run` does with one rank, done with two."""
    run = tmp_path_factory.mktemp("runs") / "two"
    with Torchrun(*tiny, "--total-timesteps", "128", "--run-dir", run) as ranks:
        statuses, output = ranks.finish()
    assert statuses == [0, 0], output
    return run, output


# ---------------------------------------------------------------------- the same as one rank


@pytest.mark.slow
def test_two_ranks_make_the_updates_of_one(two_ranks, tiny_run):
    """After one update and after several: weights to 1e-5; games, noise and log as well."""
    run, _ = two_ranks
    for step in (32, 64, 96, 128):
        one, two = state(tiny_run, step), state(run, step)
        assert difference(one, two) < 1e-5
        assert difference(one, two) < difference(one, state(tiny_run, 128 if step < 128 else 32))
        for name in ("random", "frames", "age"):
            assert torch.equal(one[name], two[name]), name
        assert one["lanes"] == two["lanes"] and one["returns"] == two["returns"]


@pytest.mark.slow
def test_one_log_with_the_means_of_all_ranks(two_ranks, tiny_run):
    run, output = two_ranks
    assert output.count("done  ") == 1
    assert len([*run.glob("events.out.tfevents.*")]) == 1
    tables = []
    for folder in (tiny_run, run):
        with (folder / "metrics.csv").open() as file:
            tables.append([*csv.DictReader(file)])
    for one, two in zip(*tables, strict=True):
        assert one.keys() == two.keys()
        for name in one:
            if name.startswith(("losses/", "attention/", "global_step")):
                assert float(two[name]) == pytest.approx(float(one[name]), rel=1e-2, abs=1e-4), name


@pytest.mark.slow
def test_one_rank_continues_what_two_began(two_ranks, tiny_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(two_ranks[0], run)
    for step in (96, 128):
        (run / "checkpoints" / f"step_{step:09d}.pt").unlink()
    assert ppo.main(["--resume", str(run)]) == 0
    assert difference(state(run, 128), state(tiny_run, 128)) < 1e-5


@pytest.mark.slow
def test_sigterm_stops_all_ranks_and_they_resume_bit_for_bit(two_ranks, tiny, tmp_path):
    run = tmp_path / "run"
    with Torchrun(*tiny, "--total-timesteps", "128", "--run-dir", run) as ranks:
        wait_for(lambda: (run / "metrics.csv").exists())
        ranks.ranks[1].send_signal(signal.SIGTERM)
        statuses, output = ranks.finish()
    assert statuses == [143, 143] and "stopped at step" in output, output
    stopped = load_checkpoint(latest_checkpoint(run), State)["global_step"]
    assert f"stopped at step {stopped}; continue with rl-attn ppo --resume" in output
    with Torchrun("--resume", run) as ranks:
        statuses, output = ranks.finish()
    assert statuses == [0, 0], output
    assert difference(state(run, 128), state(two_ranks[0], 128)) == 0


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_others_and_all_games(tiny, tmp_path):
    run = tmp_path / "run"
    with Torchrun(*tiny, "--total-timesteps", "1000000", "--run-dir", run) as torchrun:
        wait_for(lambda: (run / "metrics.csv").exists())
        ranks = [psutil.Process(rank.pid) for rank in torchrun.ranks]
        every = [child for rank in ranks for child in rank.children(recursive=True)]
        games = [child for child in every if child.name() == "vizdoom"]
        assert len(games) == 2
        ranks[1].kill()
        torchrun.ranks[0].send_signal(signal.SIGTERM)  # as torchrun does
        statuses, _ = torchrun.finish()
    assert statuses[1] == -signal.SIGKILL and statuses[0] != 0
    wait_for(lambda: not any(game.is_running() for game in games), 30)


# ---------------------------------------------------------------------- by hand


def test_a_mini_batch_is_shared_out_by_lane():
    """Four lanes, three steps: rank 1 has lanes 2 and 3, so 6, 10, 11 are its 2, 4, 5."""
    chosen = torch.tensor([6, 1, 11, 10, 4])
    mine, local, share = TWO[1].own(chosen, 4)
    assert (mine.tolist(), local.tolist(), share) == ([6, 11, 10], [2, 5, 4], 0.6)
    mine, local, share = TWO[0].own(chosen, 4)
    assert (mine.tolist(), local.tolist(), share) == ([1, 4], [1, 2], 0.4)


def test_a_rank_without_a_sample_takes_one_of_its_own_for_nothing():
    mine, local, share = TWO[1].own(torch.tensor([0, 4]), 4)
    assert (mine.tolist(), local.tolist(), share) == ([2], [0], 0.0)


def test_noise_is_that_of_all_lanes():
    every = torch.empty(4, 3).exponential_(generator=torch.Generator().manual_seed(1))
    for ranks, rows in ((ALONE, slice(0, 4)), (TWO[0], slice(0, 2)), (TWO[1], slice(2, 4))):
        like = torch.empty(4 // ranks.size, 3)
        own = ranks.exponential(like, torch.Generator().manual_seed(1))
        assert torch.equal(own, every[rows])


def test_a_checkpoint_is_split_by_lane():
    whole = {
        "lanes": {"settings": {"scenario": "Basic"}, "lanes": ["a", "b", "c", "d"]},
        "frames": torch.arange(8).view(2, 4),
        "age": torch.arange(4),
        "global_step": 5,
    }
    part = split_lanes(whole, TWO[1])
    assert part["lanes"] == {"settings": {"scenario": "Basic"}, "lanes": ["c", "d"]}
    assert part["frames"].tolist() == [[2, 3], [6, 7]] and part["age"].tolist() == [2, 3]
    assert split_lanes(whole, ALONE)["lanes"] == whole["lanes"]


def test_alone_nothing_is_changed():
    tensor = torch.rand(3, 2)
    assert ALONE.all_lanes(tensor) is tensor and ALONE.own(tensor, 2) == (tensor, tensor, 1.0)
    assert ALONE.gather("x") == ["x"] and ALONE.any(True) and not ALONE.any(False)
    with joined() as ranks:
        assert ranks is ALONE


# ---------------------------------------------------------------------- bad input


def test_lanes_that_do_not_divide_are_refused():
    with pytest.raises(UserError, match="--num-envs 3 does not divide into 2 ranks"):
        check_lanes(3, TWO[0])
    check_lanes(4, TWO[0])


def test_devices_that_ranks_cannot_share_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="--device cuda:0 is one device for 2 ranks"):
        own_device("cuda:0", TWO[1])
    with pytest.raises(UserError, match=r"2 ranks on this machine and 1 CUDA device\(s\)"):
        own_device("auto", TWO[1])
    assert own_device("cpu", TWO[1]) == "cpu"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert own_device("auto", TWO[1]) == "cuda:1"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert own_device("auto", TWO[1]) == "cpu"


def test_a_lonely_world_size_is_explained(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UserError, match="start with torchrun"), joined():
        pass
