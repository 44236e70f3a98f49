"""The examples of environments: masks by pixels, resumed lanes, training and evaluation."""

import ctypes.util
import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from rl_attn import evaluate, ppo, study
from rl_attn.envs.protocol import VectorEnv
from rl_attn.envs.registry import Environment, EnvSettings, find
from rl_attn.errors import UserError
from rl_attn.rl.faithfulness import MODES
from rl_attn.rl.trainer import AgentState
from rl_attn.run.checkpoint import latest_checkpoint, load_checkpoint
from rl_attn.run.plugins import import_all
from rl_attn.studies.check import check
from rl_attn.studies.plan import Job

EXAMPLES = Path(__file__).parents[2] / "examples"

#: File -> the environment that it registers, and the package that it needs.
FAMILIES = {
    "own_environment": ("Fetch", "numpy"),
    "minigrid_doorkey": ("DoorKey", "minigrid"),
    "procgen_starpilot": ("StarPilot", "procgen"),
    "dm_control_reacher": ("Reacher", "dm_control"),
}
PACKAGES = {package for _, package in FAMILIES.values() if find_spec(package)}
os.environ.setdefault("MUJOCO_GL", "egl")
if not ctypes.util.find_library("EGL"):
    PACKAGES.discard("dm_control")  # it could not draw


def found(name: str) -> Environment:
    if FAMILIES[name][1] not in PACKAGES:
        pytest.skip(f"needs {FAMILIES[name][1]}")
    import_all([str(EXAMPLES / f"{name}.py")])
    settings = EnvSettings(env=f"examples/{FAMILIES[name][0]}-v0", env_processes=False)
    return find(settings)


def arrays(lanes: VectorEnv) -> tuple[np.ndarray, np.ndarray]:
    shapes = (lanes.frame_shape, lanes.mask_shape)
    return tuple(np.zeros((lanes.num_lanes, *shape), np.uint8) for shape in shapes)


@pytest.mark.parametrize("name", FAMILIES)
def test_masks_lie_on_the_targets_and_episodes_are_resumed(name):
    environment = found(name)
    assert environment.replays
    with environment.start(1, seed=1) as lanes:
        frames, masks = arrays(lanes)
        lanes.reset(frames, masks)
        lanes.action_space.seed(0)
        seen = []
        for _ in range(40):
            lanes.step(np.array([lanes.action_space.sample()]), frames, masks)
            seen.append((frames[0].copy(), masks[0].copy()))
        state = lanes.state_dict()
    shown = [(frame, mask.view(bool)) for frame, mask in seen if mask.any()]
    assert shown
    for frame, mask in shown:
        assert LOOKS_RIGHT[name](frame, mask)
    with environment.start(1, seed=1) as lanes:
        lanes.load_state_dict(state, frames, masks)
        np.testing.assert_array_equal(frames[0], seen[-1][0])
        np.testing.assert_array_equal(masks[0], seen[-1][1])


def red_alone(frame: np.ndarray, mask: np.ndarray) -> bool:
    return np.array_equal((frame == (255, 0, 0)).all(-1), mask)


def coloured_tiles(frame: np.ndarray, mask: np.ndarray) -> bool:
    """Of 8 x 8 pixels: walls, floors and what is out of sight are grey, keys and goals are not."""
    tiles = mask.reshape(7, 8, 7, 8).swapaxes(1, 2).reshape(49, 64)
    pictures = frame.reshape(7, 8, 7, 8, 3).swapaxes(1, 2).reshape(49, 64, 3)
    on, coloured = tiles.all(1), (np.ptp(pictures, axis=2) > 0).any(1)
    others = np.arange(49) != 6 * 7 + 3  # the agent's own tile is red, whatever it carries
    return bool((on | ~tiles.any(1)).all() and np.array_equal(on[others], coloured[others]))


def some_of_the_sky(frame: np.ndarray, mask: np.ndarray) -> bool:
    """Enemies are few pixels, and brighter than what is behind them."""
    return mask.mean() < 0.2 and frame[mask].max() > np.median(frame[~mask])


def reddish(frame: np.ndarray, mask: np.ndarray) -> bool:
    """The target is red and what is around it blue."""
    return frame[mask][:, 0].mean() > frame[mask][:, 2].mean() + 40


LOOKS_RIGHT = {
    "own_environment": red_alone,
    "minigrid_doorkey": coloured_tiles,
    "procgen_starpilot": some_of_the_sky,
    "dm_control_reacher": reddish,
}


def test_procgen_looks_otherwise_and_is_the_same_game():
    environment = found("procgen_starpilot")
    variations = environment.variations()
    played = []
    for variation in ({}, *variations.select("test", 1)["background"]):
        with environment.start(1, seed=1) as lanes:
            frames, masks = arrays(lanes)
            lanes.reset(frames, masks, variations=[variation])
            rewards = [lanes.step(np.array([9]), frames, masks).rewards for _ in range(40)]
            played.append((frames.copy(), masks.copy(), np.array(rewards)))
    (frames, *same), (others, *again) = played
    np.testing.assert_equal(same, again)
    assert (frames != others).any(-1).mean() > 0.5


@pytest.fixture(scope="module", params=FAMILIES)
def trained(request, tmp_path_factory) -> Path:
    """A run of two updates, each with its checkpoint, in episodes of 40 steps."""
    found_env = found(request.param)
    short = f"tests/Short-{request.param}-v0"  # StarPilot's enemies come late
    entry = gymnasium.spec(found_env.name).entry_point
    gymnasium.register(short, entry_point=entry, max_episode_steps=40)
    flags = ["--env", short, "--no-env-processes", "--frame-size", "40x40"]
    flags += ["--num-envs", "1", "--num-steps", "16", "--num-minibatches", "1", "--device", "cpu"]
    flags += ["--update-epochs", "1", "--total-timesteps", "32"]
    flags += ["--checkpoint-interval", "16", "--keep-checkpoints", "0"]
    run = tmp_path_factory.mktemp("runs") / request.param
    assert ppo.main([*flags, "--run-dir", str(run)]) == 0
    return run


def test_they_are_evaluated_with_every_option(trained):
    evaluation = [str(trained), "--episodes", "1", "--num-envs", "1", "--device", "cpu"]
    options = ["--faithfulness", "--faithfulness-frames", "2", "--closed-loop"]
    assert evaluate.main([*evaluation, *options]) == 0
    results = json.loads((trained / "evaluation.json").read_text())
    summary = results["summary"]
    assert summary["length"]["mean"] > 0 and summary["empty_masks"]["mean"] < 1
    assert set(results["closed_loop"]) == set(MODES)
    assert np.isfinite(list(results["faithfulness"]["areas"].values())).all()
    assert (trained / "evaluation.mp4").stat().st_size

    looks = ["--looks", "test", "--looks-per-axis", "1", "--twins", "--no-video"]
    if "starpilot" in trained.name:
        assert evaluate.main([*evaluation, *looks]) == 0
        assert (trained / "looks.csv").exists() and (trained / "twins.csv").exists()
    else:
        with pytest.raises(UserError, match="has no other looks: give it a variation_space"):
            evaluate.main([*evaluation, *looks])


def test_they_go_on_from_a_checkpoint_to_the_same_weights(trained, tmp_path):
    broken = shutil.copytree(trained, tmp_path / "broken")
    latest_checkpoint(broken).unlink()
    assert ppo.main(["--resume", str(broken)]) == 0
    ours, theirs = (
        load_checkpoint(latest_checkpoint(run), AgentState, more=True) for run in (broken, trained)
    )
    assert ours["global_step"] == theirs["global_step"] == 32
    for name, weights in ours["agent"].items():
        assert torch.equal(weights, theirs["agent"][name]), name


@pytest.mark.skipif(len(PACKAGES) < len(FAMILIES), reason="needs the packages of all families")
def test_the_study_of_all_families_is_whole(monkeypatch, capsys):
    monkeypatch.chdir(EXAMPLES.parent)
    monkeypatch.setattr(study, "check_commands", check_here)
    assert study.main(["examples/study.yaml", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert all(label in printed for label in ("Doom", "Own", "MiniGrid", "Procgen", "dm_control"))


def check_here(jobs: list[Job]) -> None:
    """As the study does, but in a process that has imported everything already."""
    for job in jobs:
        for command in (job.start, *job.then):
            check(command, whole=not job.after)
