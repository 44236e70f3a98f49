"""An environment outside the package, of continuous actions, from training to evaluation."""

import csv
import json
import os
from pathlib import Path

import pytest
from processes import Command

from rl_attn import ppo
from rl_attn.errors import UserError


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """What commands leave in a process that cannot import Doom, nor can the study's children."""
    out = tmp_path_factory.mktemp("outside")
    blocked = tmp_path_factory.mktemp("blocked")
    (blocked / "vizdoom.py").write_text("raise RuntimeError('vizdoom is imported')")
    env = {"PYTHONPATH": os.pathsep.join([str(blocked), os.environ.get("PYTHONPATH", "")])}
    with Command("tests.rl_attn.outside.without_doom", out, env=env) as process:
        assert process.finish() == 0, process.output
    return out


def evaluation(folder: Path) -> dict:
    return json.loads((folder / "evaluation.json").read_text())


def test_it_is_put_into_a_study_with_a_network_and_a_method_of_ones_own(out):
    states = json.loads((out / "study" / "state.json").read_text())
    assert [entry["state"] for entry in states.values()] == ["finished"]
    (row,) = csv.DictReader((out / "study" / "results.csv").open())
    assert (row["method"], row["seed"]) == ("Shifts", "1")
    assert (out / "study" / "report" / "figures" / "attention.png").stat().st_size > 0


def test_it_is_evaluated(out):
    (video,) = (out / "study" / "cells").glob("*/evaluation.mp4")
    result = evaluation(video.parent)
    assert result["env"] == "Spotlight-v0" and video.stat().st_size > 0
    assert result["summary"]["empty_masks"]["mean"] == 0
    assert 0 < result["summary"]["iou_ceiling"]["mean"] <= 1
    for both, alone in zip(result["episodes"], evaluation(out / "alone")["episodes"], strict=True):
        assert both["seed"] == alone["seed"] and both["length"] == alone["length"]
        assert both["episode_return"] == pytest.approx(alone["episode_return"], abs=1e-4)


def test_the_random_policy_plays_it(out):
    result = evaluation(out / "random")
    assert result["env"] == "Spotlight-v0" and result["summary"]["length"]["mean"] > 1
    assert -25 < result["summary"]["episode_return"]["mean"] < 0


def test_the_look_before_training_refuses_a_key_that_is_not_there(tmp_path):
    argv = ["--env", "spotlight:Spotlight-v0", "--mask-key", "maks"]
    with pytest.raises(
        UserError, match=r"did you mean mask\?.*--mask-key|--mask-key.*did you mean"
    ):
        ppo.main([*argv, "--run-dir", str(tmp_path / "never")])
    assert not any(tmp_path.iterdir())
