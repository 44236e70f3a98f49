"""Frame | mask | attention of trained agents, on the tiny run."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from rl_attn import ppo
from rl_attn.reports import agents
from rl_attn.reports.agents import TargetFrames, attention_plates
from rl_attn.reports.collect import collect


@pytest.fixture
def study(tmp_path, tiny_run):
    """One task, two methods that are the same agent, and a third whose checkpoint is damaged."""
    declared = {"command": "rl_attn.ppo", "grid": {"env": ["D"], "method": ["x", "y", "z"]}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**declared, "seeds": [1]}))
    for method in ("x", "y", "z"):
        cell = tmp_path / "cells" / f"D-{method}-s1"
        shutil.copytree(tiny_run, cell, ignore=shutil.ignore_patterns("events*"))
        (cell / "evaluation.json").write_text(json.dumps({"summary": {}}))
    (sorted((cell / "checkpoints").glob("step*"))[-1]).write_bytes(b"damaged")
    return collect(tmp_path)


def test_every_method_is_shown_on_the_same_frames(study, monkeypatch):
    seen = {}
    monkeypatch.setattr(agents, "attention_grid", lambda *drawn, bar: seen.update(drawn=drawn))
    (plate,) = attention_plates(study, frames=2)
    plate.draw()
    rows, heads = seen["drawn"]
    assert heads == ["frame", "mask", "x", "y", "z"]
    assert [name for name, _ in rows] == ["D", "D"]
    for _, pictures in rows:
        frame, mask, x, y, z = (picture for picture, _ in pictures)
        assert (frame != mask).any(axis=2).mean() >= 0.003  # a target is in sight, and tinted
        np.testing.assert_array_equal(x, y)  # one agent under two names
        assert (x != frame).any() and (z == 128).all()
        captions = [caption for _, caption in pictures]
        assert captions[2] == captions[3] and captions[2].startswith("IoU 0.")
        assert captions[4] == "no agent"
    assert any("no attention of D-z-s1" in problem for problem in study.problems)
    assert "x, y, z" in plate.alt


def test_every_agent_is_shown_the_frames_by_its_own_method(tmp_path, tiny, tiny_run, monkeypatch):
    """The first one sees no frame as it is, the last one's stacks have masks between the frames."""
    names = ["masked-input", "camal", "mask-channel"]
    declared = {"command": "rl_attn.ppo", "grid": {"env": ["D"], "method": names}, "seeds": [1]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(declared))
    for name in names:
        cell = tmp_path / "cells" / f"D-{name}-s1"
        if name == "camal":
            shutil.copytree(tiny_run, cell)
        else:
            flags = [*tiny, "--total-timesteps", "32", "--method", name, "--run-dir", str(cell)]
            assert ppo.main(flags) == 0
        (cell / "evaluation.json").write_text(json.dumps({"summary": {}}))
    given, drawn, original = [], [], agents.attention_maps

    def maps(agent, stacks, *how, **more):
        given.append(stacks)
        return original(agent, stacks, *how, **more)

    monkeypatch.setattr(agents, "attention_maps", maps)
    monkeypatch.setattr(agents, "attention_grid", lambda rows, *_, bar: drawn.extend(rows))
    study = collect(tmp_path)
    attention_plates(study, frames=2)[0].draw()
    assert not any("no attention" in problem for problem in study.problems)
    masked, plain, channel = given
    frames, masks = channel.unflatten(1, (4, 2)).unbind(2)  # (n, S, H, W) each
    assert torch.equal(plain, frames) and set(masks.unique().tolist()) == {0, 255}
    assert torch.equal(masked, frames * (masks > 0)) and not torch.equal(masked, frames)
    for (_, pictures), stack in zip(drawn, plain, strict=True):
        assert (pictures[0][0][::4, ::4, 0] == stack[-1].numpy()).all()
        assert all(caption.startswith("IoU") for _, caption in pictures[2:])


def moment(mask):
    """Of one lane: an empty stack, whose newest frame has this mask."""
    return SimpleNamespace(
        stacks=torch.zeros(1, 4, 20, 20, dtype=torch.uint8),
        mask_stacks=torch.stack([torch.zeros_like(mask)] * 3 + [mask])[None],
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
