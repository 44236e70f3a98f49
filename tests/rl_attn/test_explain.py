"""An agent that answers for a frame: the action it prefers, and where it looks."""

import csv
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import rl_attn
from rl_attn import explain, ppo
from rl_attn.errors import UserError
from rl_attn.rl.agent_attention import attention_maps


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    """A frame at twice the agent's size, and a mask beside it."""
    folder = tmp_path_factory.mktemp("frames")
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80), np.uint8)
    Image.fromarray(pixels).resize((160, 120), Image.Resampling.NEAREST).save(folder / "f.png")
    mask = np.zeros((120, 160), np.uint8)
    mask[40:80, 40:80] = 255
    Image.fromarray(mask).save(folder / "f_mask.png")
    return folder / "f.png"


def test_an_agent_s_run_is_asked_about_a_frame(tiny_run, frame):
    agent = rl_attn.load(tiny_run, "cpu")
    stacks = agent.preprocess(frame)
    assert stacks.shape == (1, 4, 60, 80) and (stacks[0, 0] == stacks[0, 3]).all()
    found = agent.explain(frame, ["grad-cam", "input-gradient"], mask=frame.with_stem("f_mask"))
    maps, output = attention_maps(agent.network, stacks, "value")
    shares = output.logits.softmax(1)[0]
    assert found.probability == pytest.approx(shares.max().item())
    assert found.scores["value"] == pytest.approx(output.value.item())
    np.testing.assert_allclose(found.maps["grad-cam"], maps.upsample((60, 80))[0], atol=1e-6)
    assert found.mask.sum() == 20 * 20 and "the value" in found.title
    assert agent.explain(frame, target="action").explained == ""


def test_what_an_agent_is_not_asked(tiny_run, frame, tmp_path):
    agent = rl_attn.load(tiny_run, "cpu")
    (tmp_path / "x.png").write_text("no image")
    Image.fromarray(np.zeros((60, 80), np.uint16)).save(tmp_path / "y.png")
    for how, message in (
        ({"image": tmp_path / "x.png"}, "cannot be read"),
        ({"image": tmp_path / "y.png"}, "16-bit levels: save it as 8-bit RGB"),
        ({"image": np.zeros((60, 80))}, "uint8, got float64"),
        ({"image": frame, "mask": tmp_path / "x.png"}, "cannot be read"),
        ({"image": Image.new("L", (9, 9)), "mask": frame}, "is 160x120, its image 9x9"),
        ({"image": frame, "label": "ATTACK"}, "likeliest action"),
    ):
        with pytest.raises(UserError, match=message):
            agent.explain(**how)


@pytest.mark.parametrize("method", ["masked-input", "rad+mask-channel"])
def test_an_agent_that_sees_masks_is_not_asked_without_one(method, tiny, frame, tmp_path):
    run, alone = tmp_path / "run", tmp_path / "alone.png"
    shutil.copy(frame, alone)
    flags = [*tiny, "--total-timesteps", "32", "--method", method]
    assert ppo.main([*flags, "--run-dir", str(run)]) == 0
    agent, mask = rl_attn.load(run, "cpu"), frame.with_stem("f_mask")
    words = rf"alone.png has no mask.* --method {re.escape(method)} .*mask=FILE.*--masks FOLDER"
    with pytest.raises(UserError, match=words):
        agent.explain(alone)
    with pytest.raises(UserError, match=words):  # before the first one is written
        explain.main([str(run), str(frame), str(alone), "--device", "cpu"])
    assert not (run / "explanations").exists()
    found = agent.explain(frame, mask=mask)
    maps, _ = attention_maps(agent.network, agent.preprocess(frame, mask), "value")
    np.testing.assert_allclose(found.maps["grad-cam"], maps.upsample((60, 80))[0], atol=1e-6)
    black = frame.with_stem("black_mask")
    Image.fromarray(np.zeros((120, 160), np.uint8)).save(black)
    assert agent.explain(frame, mask=black).scores != found.scores


def test_the_command_takes_a_model_of_sb3(frame, tmp_path):
    import gymnasium
    from gymnasium import spaces
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    class Still(gymnasium.Env):
        observation_space = spaces.Box(0, 255, (60, 80, 1), np.uint8)
        action_space = spaces.Discrete(3)

        def reset(self, *, seed=None, options=None):
            return np.zeros((60, 80, 1), np.uint8), {}

    torch.manual_seed(0)
    PPO("CnnPolicy", DummyVecEnv([Still]), n_steps=2, device="cpu").save(tmp_path / "model.zip")
    argv = [str(tmp_path / "model.zip"), str(frame), "--attention-target", "action"]
    assert explain.main([*argv, "--maps", "grad-cam", "sarfa", "--device", "cpu"]) == 0
    out = tmp_path / "model" / "explanations"
    with (out / "explanations.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["label"] in ("action 0", "action 1", "action 2")
    assert {"iou/grad-cam", "iou/sarfa", "score/value"} <= set(row)
    assert Image.open(out / "f.png").width > 500
