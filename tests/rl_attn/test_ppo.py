"""Whole training runs at toy size: what they leave, how they end, how they go on."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import yaml
from processes import Command
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import rl_attn.attention
import rl_attn.rl.agent_attention  # before `explain` is replaced
from rl_attn import ppo
from rl_attn.envs.doom.game import Game
from rl_attn.errors import NOT_FINITE, UserError
from rl_attn.rl.collect import Collector
from rl_attn.rl.loading import load
from rl_attn.rl.trainer import AgentState, State, Trainer
from rl_attn.run.checkpoint import checkpoints, latest_checkpoint, load_checkpoint

ROOT = Path(__file__).parents[2]


def metrics(run: Path, table: str = "metrics") -> list[dict[str, float]]:
    with (run / f"{table}.csv").open() as file:
        return [{k: float(v or "nan") for k, v in row.items()} for row in csv.DictReader(file)]


def final_weights(run: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(latest_checkpoint(run), AgentState, more=True)["agent"]


def assert_same_weights(one: Path, other: Path) -> None:
    ours, theirs = final_weights(one), final_weights(other)
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), f"{name} differs"


def games_of(pid: int) -> list[psutil.Process]:
    """Game processes of a trainer; they keep it as their parent."""
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if child.name() == "vizdoom"]


# ---------------------------------------------------------------------- what a run leaves


def test_a_run_leaves_its_configuration_metrics_events_and_checkpoints(tiny_run):
    config = yaml.safe_load((tiny_run / "config.yaml").read_text())
    assert config["num_envs"] == 2 and config["camal"] == 1.0
    rows = metrics(tiny_run)
    assert [row["global_step"] for row in rows] == [32, 64, 96, 128]
    for name in ("losses/policy_loss", "losses/value_loss", "attention/camal", "attention/alpha",
                 "attention/beta", "attention/empty_masks", "times/rollout", "times/update",
                 "charts/SPS"):  # fmt: skip
        assert np.isfinite([row[name] for row in rows]).all(), name
    assert [p.stem for p in checkpoints(tiny_run)] == [
        f"step_{step:09d}" for step in (32, 64, 96, 128)
    ]


def test_the_example_of_the_documentation_plots_columns_that_there_are(tiny_run):
    page = (ROOT / "docs/reference/files.md").read_text()
    plotted = re.findall(r'"(\w+/\w+)"', page.partition("metrics.plot(")[2].partition(")")[0])
    assert len(plotted) == 2 and set(plotted) <= set(metrics(tiny_run)[0])


def test_tensorboard_shows_scalars_and_pictures(tiny_run):
    events = EventAccumulator(str(tiny_run)).Reload()
    assert {"losses/policy_loss", "attention/camal", "charts/SPS"} <= set(events.Tags()["scalars"])
    picture = events.Images("attention/frame_mask_map")[0]
    assert picture.width > 3 * 80 and picture.height > 60


def test_the_stored_configuration_runs_again_and_leaves_the_same_agent_alone(tiny_run, tmp_path):
    again = tmp_path / "again"
    config = str(tiny_run / "config.yaml")
    assert ppo.main(["--config", config, "--keep-checkpoints", "2", "--run-dir", str(again)]) == 0
    assert_same_weights(tiny_run, again)
    (kept,) = (again / "checkpoints").iterdir()
    assert kept.stat().st_size < latest_checkpoint(tiny_run).stat().st_size / 3
    assert load_checkpoint(kept, AgentState)["global_step"] == 128
    best = load(again, "best", torch.device("cpu")).agent.state_dict()  # the last one is
    assert all(torch.equal(best[name], weights) for name, weights in final_weights(again).items())
    assert ppo.main(["--resume", str(again)]) == 0


def test_vanilla_never_computes_attention_in_an_update(tiny, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("Vanilla computed an attention map")

    monkeypatch.setattr(rl_attn.attention, "explain", refuse)
    monkeypatch.setattr(rl_attn.attention, "mask_weights", refuse)
    run = tmp_path / "vanilla"
    args = [*tiny, "--camal", "0", "--total-timesteps", "32", "--run-dir", str(run)]
    assert ppo.main(args) == 0
    assert "attention/camal" not in metrics(run)[0]


def test_camal_moves_attention_into_the_mask(tiny, tmp_path):
    run = tmp_path / "run"
    args = [*tiny, "--num-steps", "64", "--total-timesteps", "1280", "--seed", "2"]
    assert ppo.main([*args, "--no-anneal-lr", "--run-dir", str(run)]) == 0
    gap = [row["attention/alpha"] - row["attention/beta"] for row in metrics(run)]
    assert np.mean(gap[-3:]) > np.mean(gap[:3]) + 0.1


def test_rgb_frames_and_the_attention_of_actions_train_too(tiny, tmp_path):
    run = tmp_path / "run"
    args = [*tiny, "--rgb", "--attention-target", "action", "--empty-mask", "suppress"]
    args += ["--no-second-order", "--total-timesteps", "32", "--run-dir", str(run)]
    assert ppo.main(args) == 0
    assert final_weights(run)["convolutions.0.weight"].shape[1] == 12


def test_the_choices_that_the_paper_leaves_open_train_and_evaluate(tiny, tmp_path):
    run = tmp_path / "run"
    args = [
        *tiny,
        "--env",
        "Basic",
        "--tap",
        "conv1",
        "--normalization",
        "minmax",
        "--compare",
        "mask-down",
    ]
    args += ["--total-timesteps", "32", "--eval-interval", "32", "--eval-episodes", "1"]
    assert ppo.main([*args, "--run-dir", str(run)]) == 0
    assert np.isfinite(metrics(run)[0]["attention/camal"])
    assert metrics(run, "evaluations")[0]["eval/iou_ceiling"] > 0


def test_evaluation_during_training_is_logged_and_does_not_touch_training(tiny, tiny_run, tmp_path):
    run = tmp_path / "evaluated"
    args = [*tiny, "--total-timesteps", "128", "--eval-interval", "64", "--eval-episodes", "1"]
    assert ppo.main([*args, "--run-dir", str(run)]) == 0
    rows = metrics(run, "evaluations")
    assert [row["global_step"] for row in rows] == [64, 128]
    assert all(row["eval/length"] > 0 for row in rows)
    assert_same_weights(tiny_run, run)


# ---------------------------------------------------------------------- interruption


@pytest.mark.parametrize(
    ("where", "precision"), [((Collector, "act"), "fp32"), ((Trainer, "update"), "bf16")]
)
def test_resumed_ends_bit_for_bit_as_uninterrupted(tiny, tmp_path, break_off, where, precision):
    """Broken off in a rollout or before an update, between two checkpoints."""
    args = [*tiny, "--precision", precision, "--num-steps", "8", "--total-timesteps", "80"]
    args += ["--checkpoint-interval", "32"]  # every second update
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert ppo.main([*args, "--run-dir", str(whole)]) == 0

    calls = {"act": 8 * 3 + 5, "update": 3}[where[1]]
    break_off([*args, "--run-dir", str(broken)], *where, calls)
    assert load_checkpoint(latest_checkpoint(broken), State)["global_step"] == 32
    assert ppo.main(["--resume", str(broken)]) == 0
    assert_same_weights(whole, broken)
    same = ("global_step", "losses/value_loss", "attention/alpha", "charts/mean_return_100")
    for one, other in zip(metrics(whole), metrics(broken), strict=True):
        np.testing.assert_array_equal([one[k] for k in same], [other[k] for k in same])


def test_a_killed_trainer_leaves_no_game_and_resumes_to_the_same_weights(tiny, tmp_path):
    args = [*tiny, "--threads", "1", "--total-timesteps", "256"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    with Command("rl_attn.ppo", *args, "--run-dir", killed) as process:
        wait_for(lambda: len(checkpoints(killed)) >= 2)
        games = games_of(process.pid)
        assert len(games) == 2
        process.send_signal(signal.SIGKILL)
    wait_for(lambda: not any(game.is_running() for game in games))
    assert load_checkpoint(latest_checkpoint(killed), State)["global_step"] < 256
    for run in ([*args, "--run-dir", str(whole)], ["--resume", str(killed)]):
        assert ppo.main(run) == 0
    assert_same_weights(whole, killed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_a_run_with_a_checkpoint(tiny, tmp_path, number):
    run = tmp_path / "run"
    args = [*tiny, "--total-timesteps", "1000000", "--checkpoint-interval", "1000000"]
    with Command("rl_attn.ppo", *args, "--run-dir", run) as process:
        wait_for(lambda: (run / "metrics.csv").exists())
        games = games_of(process.pid)
        os.killpg(process.pid, number)  # as a terminal does
        assert process.finish(60) == 128 + number
        output = process.output
    assert f"continue with rl-attn ppo --resume {run}" in output
    assert "Traceback" not in output
    step = load_checkpoint(latest_checkpoint(run), State)["global_step"]
    assert metrics(run)[-1]["global_step"] == step
    assert games and not any(game.is_running() for game in games)


def wait_for(condition, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_game_that_dies_or_hangs_costs_its_episode_only(tiny, tmp_path, monkeypatch, number):
    run, original, updates = tmp_path / "run", Trainer.update, 0

    def attack(self):
        nonlocal updates
        updates += 1
        if updates == 2:
            os.kill(games_of(os.getpid())[0].pid, number)
        self.envs.hang_timeout = 2.0
        return original(self)

    monkeypatch.setattr(Trainer, "update", attack)
    assert ppo.main([*tiny, "--total-timesteps", "128", "--run-dir", str(run)]) == 0
    assert [row["charts/faults"] for row in metrics(run)] == [0, 0, 1, 1]
    assert metrics(run)[-1]["global_step"] == 128


def test_a_value_that_is_not_finite_stops_the_run_and_says_where(
    tiny, tmp_path, monkeypatch, capsys
):
    run, original = tmp_path / "run", Trainer.rollout

    def poison(self):
        episodes = original(self)
        if self.global_step == 96:
            self.storage.rewards[3, 1] = np.nan
        return episodes

    monkeypatch.setattr(Trainer, "rollout", poison)
    assert ppo.main([*tiny, "--total-timesteps", "128", "--run-dir", str(run)]) == NOT_FINITE
    message = capsys.readouterr().err
    assert "became nan at step 96, mini-batch 1 of 4" in message
    last = load_checkpoint(latest_checkpoint(run), State)
    assert last["global_step"] == 64
    assert all(tensor.isfinite().all() for tensor in last["agent"].values())


def test_resuming_a_finished_run_says_so_and_starts_nothing(tiny_run, monkeypatch, capsys):
    monkeypatch.setattr(Game, "start", no_game)
    assert ppo.main(["--resume", str(tiny_run)]) == 0
    assert "is finished: 128 steps" in capsys.readouterr().out


def test_a_run_cut_before_its_first_checkpoint_starts_again(tiny, tmp_path, break_off):
    run = tmp_path / "run"
    argv = [*tiny, "--total-timesteps", "32", "--run-dir", str(run)]
    break_off(argv, Trainer, "update", 0)
    assert ppo.main(["--resume", str(run)]) == 0
    assert [row["global_step"] for row in metrics(run)] == [32]


# ---------------------------------------------------------------------- bad input


def no_game(*_, **__):
    raise AssertionError("a game was started")


BAD_FLAGS = {
    "--env Defendcentre": ("'Defendcentre'", "DefendCenter"),
    "--targets Cyberdemon": ("'Cyberdemon'", "MarineChainsawVzd"),
    "--num-minibatches 32": ("--num-minibatches 32", "--no-norm-adv"),
    "--num-minibatches 3": ("--num-minibatches 3", "2 x --num-steps 16 = 32"),
    "--total-timesteps 31": ("31", "one rollout of 32"),
    "--width 161": ("161x120", "160x120"),
    "--camal -1": ("--camal", "-1"),
    "--num-envs 0": ("--num-envs", "0"),
    "--tap conv2 --compile": ("--compile", "conv2"),
    "--attention-target critic": ("critic", "value"),
    "--num-steps many": ("many", "--num-steps"),
    "--camel 1": ("--camel", "--camal"),
    "--device cuda:99": ("cuda:99", "cpu"),
    "--device tpu": ("tpu", "cpu"),
    "--config nowhere.yaml": ("nowhere.yaml", "does not exist"),
    "--resume nowhere": ("nowhere", "not a run"),
}


@pytest.mark.parametrize("flags", BAD_FLAGS)
def test_bad_input_ends_with_one_clear_line_before_any_game(flags, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(Game, "start", no_game)
    monkeypatch.chdir(tmp_path)
    argv = flags.split() if "--resume" in flags else [*tiny, *flags.split()]
    with pytest.raises(UserError) as error:
        ppo.main(argv)
    message = str(error.value)
    assert "\n" not in message
    for part in BAD_FLAGS[flags]:
        assert part in message
    assert not any(tmp_path.iterdir()), "something was written"


def test_too_little_shared_memory_is_said_before_there_is_a_folder(tiny, tmp_path, monkeypatch):
    little = os.statvfs_result((4096, 4096, 16, 16, 16, 9, 9, 9, 0, 255))
    real = os.statvfs
    monkeypatch.setattr(os, "statvfs", lambda path: little if "shm" in str(path) else real(path))
    monkeypatch.setattr(Game, "start", no_game)
    with pytest.raises(UserError, match=r"2 game\(s\) need .*/dev/shm has 0.1 MiB free: make"):
        ppo.main([*tiny, "--run-dir", str(tmp_path / "run")])
    assert not any(tmp_path.iterdir())


def test_a_user_error_is_one_line_and_status_2():
    command = [sys.executable, "-m", "rl_attn.ppo", "--env", "Nowhere"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.startswith("error: unknown environment 'Nowhere'")
    assert result.stderr.count("\n") == 1 and result.stdout == ""


def test_an_existing_run_folder_is_not_written_over(tiny, tiny_run):
    before = (tiny_run / "metrics.csv").read_bytes()
    with pytest.raises(UserError, match="exists already"):
        ppo.main([*tiny, "--total-timesteps", "32", "--run-dir", str(tiny_run)])
    assert (tiny_run / "metrics.csv").read_bytes() == before


def test_resume_refuses_other_flags(tiny_run):
    with pytest.raises(UserError, match="leave out --seed"):
        ppo.main(["--resume", str(tiny_run), "--seed", "3"])


@pytest.fixture
def unfinished(tiny, tmp_path, monkeypatch, break_off) -> Path:
    run = tmp_path / "unfinished"
    break_off([*tiny, "--total-timesteps", "64", "--run-dir", str(run)], Trainer, "rollout", 1)
    monkeypatch.setattr(Game, "start", no_game)
    return run


def test_a_truncated_checkpoint_is_refused_before_any_game(unfinished):
    file = latest_checkpoint(unfinished)
    file.write_bytes(file.read_bytes()[:100_000])
    with pytest.raises(UserError, match="damaged or truncated"):
        ppo.main(["--resume", str(unfinished)])


def test_a_checkpoint_of_another_network_is_refused_before_any_game(unfinished):
    config = unfinished / "config.yaml"
    config.write_text(config.read_text().replace("frame_stack: 4", "frame_stack: 2"))
    with pytest.raises(UserError, match="another network"):
        ppo.main(["--resume", str(unfinished)])
