"""An environment outside the package, of continuous actions, from training to evaluation."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rl_attn.rl.trainer import State
from rl_attn.run.checkpoint import latest_checkpoint, load_checkpoint

HERE = Path(__file__).parent

COMMANDS = """
import shutil, sys, yaml
from pathlib import Path
from rl_attn import evaluate, ppo, random_policy, report, study
from rl_attn.run.checkpoint import checkpoints

out = Path(sys.argv[1])
whole, broken = out / "whole", out / "broken"
env = ["--env", "spotlight:Spotlight-v0"]
small = ["--num-envs", "2", "--num-steps", "16", "--num-minibatches", "2", "--update-epochs", "2"]
small += ["--device", "cpu", "--threads", "1", "--precision", "fp32", "--checkpoint-interval", "1"]
small += ["--keep-checkpoints", "0", "--total-timesteps", "96", "--eval-interval", "64"]
assert ppo.main([*env, *small, "--eval-episodes", "2", "--run-dir", str(whole)]) == 0
shutil.copytree(whole, broken)
for later in checkpoints(broken)[1:]:
    later.unlink()
assert ppo.main(["--resume", str(broken)]) == 0
played = [str(whole), "--episodes", "3", "--device", "cpu", "--threads", "1"]
measured = ["--faithfulness", "--faithfulness-frames", "8", "--closed-loop"]
assert evaluate.main([*played, "--num-envs", "2", *measured]) == 0
assert evaluate.main([*played, "--num-envs", "1", "--no-video", "--out", str(out / "alone")]) == 0
assert random_policy.main([*env, "--episodes", "3", "--out", str(out / "random")]) == 0

flags = {"num_envs": 1, "num_steps": 8, "num_minibatches": 1, "update_epochs": 1}
flags |= {"total_timesteps": 16, "device": "cpu", "threads": 1, "precision": "fp32"}
files = ["spotlight.py", "tiny_network.py", "shifts.py"]
flags |= {"import": [str(Path(file).absolute()) for file in files], "env": "Spotlight-v0"}
evaluation = {"command": "rl_attn.evaluate", "positional": ["{run}"]}
evaluation["arguments"] = {"episodes": 1, "device": "cpu", "video": False}
content = {
    "command": "rl_attn.ppo",
    "arguments": {"network": "tiny", **flags},
    "grid": {"method": {"Plain": {"method": "vanilla"}, "Shifts": {"method": "shifts"}}},
    "seeds": [1],
    "then": [evaluation],
    "report": {"compare": "method", "metrics": [{"name": "iou", "label": "IoU"}]},
}
(out / "study.yaml").write_text(yaml.safe_dump(content))
assert study.main([str(out / "study.yaml"), "--out", str(out / "study"), "--workers", "1"]) == 0
assert report.main([str(out / "study")]) == 0
assert "vizdoom" not in sys.modules
"""


pytestmark = pytest.mark.timeout(900)  # a few commands, one after the other


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """What the commands leave, of processes that import no Doom: in none of them, the study's
    children included, could it be imported."""
    out = tmp_path_factory.mktemp("outside")
    blocked = tmp_path_factory.mktemp("blocked")
    (blocked / "vizdoom.py").write_text("raise RuntimeError('vizdoom is imported')")
    environment = {**os.environ, "PYTHONPATH": str(blocked)}
    command = [sys.executable, "-c", COMMANDS, str(out)]
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return out


def evaluation(folder: Path) -> dict:
    return json.loads((folder / "evaluation.json").read_text())


def test_a_resumed_run_ends_bit_for_bit_as_one_that_was_not_interrupted(out):
    files = (latest_checkpoint(out / run) for run in ("whole", "broken"))
    whole, broken = (load_checkpoint(file, State) for file in files)
    assert whole["global_step"] == broken["global_step"] == 96
    assert whole["agent"].keys() == broken["agent"].keys()
    assert any("log_std" in name for name in whole["agent"])
    for name, weights in whole["agent"].items():
        assert torch.equal(weights, broken["agent"][name]), name
    assert whole["lanes"] == broken["lanes"]
    for table in ("metrics.csv", "evaluations.csv"):
        lines = [(out / run / table).read_text().splitlines() for run in ("whole", "broken")]
        names = lines[0][0].split(",")
        times = [i for i, name in enumerate(names) if "time" in name or "SPS" in name]
        for one, other in zip(*lines, strict=True):
            cells = [np.delete(line.split(","), times).tolist() for line in (one, other)]
            assert cells[0] == cells[1]


def test_it_is_evaluated_with_every_option(out):
    result = evaluation(out / "whole")
    assert result["env"] == "spotlight:Spotlight-v0"
    assert result["summary"]["empty_masks"]["mean"] == 0
    assert 0 < result["summary"]["iou_ceiling"]["mean"] <= 1
    assert result["faithfulness"]["removal_attended_kl"][0] == pytest.approx(0, abs=1e-6)
    assert result["faithfulness"]["removal_attended_kl"][-1] > 0
    assert set(result["closed_loop"]) == {"attended", "random", "outside_mask"}
    assert (out / "whole" / "evaluation.mp4").stat().st_size > 0


def test_episodes_do_not_depend_on_how_many_are_played_at_once(out):
    for both, alone in zip(
        evaluation(out / "whole")["episodes"], evaluation(out / "alone")["episodes"], strict=True
    ):
        assert both["seed"] == alone["seed"] and both["length"] == alone["length"]
        assert both["episode_return"] == pytest.approx(alone["episode_return"], abs=1e-4)


def test_it_is_put_into_a_study_with_a_network_and_a_method_of_ones_own(out):
    rows = list(csv.DictReader((out / "study" / "results.csv").open()))
    assert {row["method"] for row in rows} == {"Plain", "Shifts"}


def test_the_random_policy_plays_it(out):
    summary = evaluation(out / "random")["summary"]
    assert -25 < summary["episode_return"]["mean"] < 0 and summary["length"]["mean"] > 1


def test_the_look_before_training_refuses_a_key_that_is_not_there():
    argv = ["ppo", "--env", "spotlight:Spotlight-v0", "--mask-key", "maks"]
    command = [sys.executable, "-m", "rl_attn", *argv, "--run-dir", "never"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 2 and not (HERE / "never").exists()
    (line,) = done.stderr.strip().splitlines()
    assert "did you mean mask?" in line and "--mask-key" in line
