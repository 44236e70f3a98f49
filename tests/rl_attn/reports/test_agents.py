"""Frame | mask | attention of trained agents, on the tiny run."""

import json
import shutil
from dataclasses import fields

import numpy as np
import pytest
import torch
import yaml

from rl_attn.reports import agents
from rl_attn.reports.agents import TargetFrames, attention_plates
from rl_attn.reports.collect import collect
from rl_attn.rl.play import Moment
from rl_attn.rl.settings import AgentSettings


@pytest.fixture
def study(tmp_path, tiny_run):
    """One task, two methods that are the same agent, a third that shows it the targets alone, and
    a fourth whose checkpoint is damaged."""
    declared = {"command": "rl_attn.ppo", "grid": {"env": ["D"], "method": ["x", "y", "m", "z"]}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**declared, "seeds": [1]}))
    for method in ("x", "y", "m", "z"):
        cell = tmp_path / "cells" / f"D-{method}-s1"
        shutil.copytree(tiny_run, cell, ignore=shutil.ignore_patterns("events*"))
        (cell / "evaluation.json").write_text(json.dumps({"summary": {}}))
        if method == "m":
            config = yaml.safe_load((cell / "config.yaml").read_text())
            common = {field.name for field in fields(AgentSettings)}
            config = {name: value for name, value in config.items() if name in common}
            (cell / "config.yaml").write_text(yaml.safe_dump(config | {"method": "masked-input"}))
    (sorted((cell / "checkpoints").glob("step*"))[-1]).write_bytes(b"damaged")
    return collect(tmp_path)


def test_every_method_is_shown_on_the_same_frames(study, monkeypatch):
    seen = {}
    monkeypatch.setattr(agents, "attention_grid", lambda *drawn, bar: seen.update(drawn=drawn))
    (plate,) = attention_plates(study, frames=2)
    plate.draw()
    rows, heads = seen["drawn"]
    assert heads == ["frame", "mask", "x", "y", "m", "z"]
    assert [name for name, _ in rows] == ["D", "D"]
    for _, pictures in rows:
        frame, mask, x, y, m, z = (picture for picture, _ in pictures)
        assert (frame != mask).any(axis=2).mean() >= 0.003  # a target is in sight, and tinted
        np.testing.assert_array_equal(x, y)  # one agent under two names
        assert (m != x).any() and (m != 128).any()  # its map is of what it is shown
        assert (x != frame).any() and (z == 128).all()
        captions = [caption for _, caption in pictures]
        assert captions[2] == captions[3] and captions[2].startswith("IoU 0.")
        assert captions[5] == "no agent"
    assert any("no attention of D-z-s1" in problem for problem in study.problems)
    assert "x, y, m, z" in plate.alt


def moment(mask):
    return Moment(
        stacks=torch.zeros(1, 4, 20, 20, dtype=torch.uint8),
        mask_stacks=mask.expand(1, 4, 20, 20),
        frames=None,
        masks=mask[None],
        attention=None,
        output=None,
        episode=[0],
        random=[None],
    )


def test_frames_without_a_target_are_passed_over_and_play_ends():
    looks = TargetFrames()
    target = torch.zeros(20, 20, dtype=torch.uint8)
    target[3:6, 3:6] = 1
    with pytest.raises(agents._Enough):
        for step in range(1000):
            looks(moment(target if step % 2 else torch.zeros_like(target)))
    assert len(looks.kept) == 64 and looks.steps == 128
    stacks, masks = looks.spread(3)
    assert stacks.shape == (3, 4, 20, 20) and masks.shape == (3, 4, 20, 20)
    assert looks.spread(100)[0].shape[0] == 64


def test_no_runs_give_no_picture(study):
    for cell in study.cells:
        shutil.rmtree(cell.path)
    assert attention_plates(study, frames=1) == []
