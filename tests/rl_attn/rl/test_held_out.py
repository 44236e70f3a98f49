"""Returns under other looks, by hand."""

import csv
import shutil

import numpy as np
import pytest
import torch
from corridor import LENGTH, Texel
from torch import nn

from rl_attn.agents.networks import Network, Output
from rl_attn.envs.doom.scenario_file import FOLDER
from rl_attn.errors import UserError
from rl_attn.rl.held_out import in_wad, play_looks, returns_of, variations_of
from rl_attn.rl.play import Played, Player
from rl_attn.rl.settings import AgentSettings


def played(*returns, faults=()):
    return [Played(i, value, fault=i in faults) for i, value in enumerate(returns)]


def test_a_drop_is_paired_by_seed_and_an_axis_is_the_mean_of_its_looks(tmp_path):
    returns = returns_of(
        played(4, 6, 100),
        {
            "wall": {"a": played(3, 5, 0, faults=[2]), "b": played(1, 5, 0)},
            "light": {"c": played(4, 6, 0)},
        },
    )
    assert returns.faults == 1  # the third episode is left out everywhere
    every, wall, a, b, light, c = returns.rows()
    assert (wall.axis, wall.look, wall.looks) == ("wall", "", 2)
    assert wall.episode_return.mean == 3.5
    assert wall.drop.mean == 1.5  # 4 - 2 and 6 - 5
    assert wall.drop.high == pytest.approx(1.5 + 1.96 * 0.5)
    assert wall.iqm.value == 4  # of 1, 3, 5, 5
    assert 1 <= wall.iqm.low <= 4 <= wall.iqm.high <= 5
    assert (a.look, a.drop.mean, b.look, b.drop.mean) == ("a", 1, "b", 2)
    assert light.drop == c.drop == (0, 0, 0)
    assert (every.axis, every.looks, round(every.drop.mean, 9)) == ("", 3, 1)
    returns.write_csv(tmp_path / "looks.csv")
    rows = list(csv.DictReader((tmp_path / "looks.csv").open()))
    assert [row["axis"] for row in rows] == [
        "plain",
        "all",
        "wall",
        "wall",
        "wall",
        "light",
        "light",
    ]
    assert float(rows[2]["drop"]) == 1.5 and rows[0]["drop"] == ""


@pytest.mark.parametrize(("values", "count"), [((), 0), ((3,), 1)])
def test_too_few_episodes_have_no_interval(values, count):
    returns = returns_of(played(*values), {"wall": {"a": played(*values)}})
    row = returns.rows()[0]
    assert np.isnan([row.drop.low, row.iqm.low]).all()
    assert np.isnan(row.iqm.value) == (count == 0)


def player(**settings):
    corridor = {"env": "tests/Corridor-v0", "frame_stack": 1, "env_processes": False}
    return Player(Texel(), AgentSettings(**(settings or corridor)))


def test_the_looks_are_played_with_the_same_seeds():
    looks = {"wall": [{"wall": 2}, {"wall": 3}]}
    returns = play_looks(player(), 2, [3, 4, 5], looks, greedy=True)
    plain = returns.plain
    assert returns.looks["wall"]["wall 3"].tolist() == plain.tolist()
    # Greedy, it acts at the bright wall alone: after steps 0, 3, 6 and 9, for a reward of 1 each.
    assert (returns.looks["wall"]["wall 2"] - plain).tolist() == [4, 4, 4]
    assert all(value % LENGTH == 0 for value in plain)
    assert returns.as_dict()["episodes"]["wall"]["wall 3"] == plain.tolist()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tset", r"unknown part of the looks 'tset' \(did you mean test\?\)"),
        ("test:wal", r"unknown axis of looks 'wal' \(did you mean wall\?\)"),
    ],
)
def test_looks_that_there_are_not_are_refused(text, words):
    with pytest.raises(UserError, match=words):
        variations_of(player()).select(text, 4)


def test_what_an_environment_says_of_itself():
    known = variations_of(player())
    assert known.select("test", 4) == {"wall": [{"wall": 2}, {"wall": 3}]}  # not the target axes
    assert known.select("train:wall,square", 4) == {
        "wall": [{"wall": 1}],
        "square": [{"square": 1}],
    }
    assert known.controls == ["square", "cheat"]
    deathmatch = variations_of(player(env="Deathmatch"))
    assert deathmatch.target_axes and not deathmatch.controls  # categories: nothing to recolour
    assert known.select("test:cheat", 2) == {"cheat": [{"cheat": 1}, {"cheat": 2}]}
    assert (known.name({"wall": 2}), known.name({})) == ("wall 2", "plain")
    with pytest.raises(UserError, match="rooms of different heights"):
        variations_of(player(env="PredictPosition")).select("test:height", 1)
    assert "height" not in variations_of(player(env="PredictPosition")).select("test", 1)


class Still(Network):
    """Waits."""

    def __init__(self):
        super().__init__(1, (120, 160), 4)
        self.layer = nn.Conv2d(1, 1, 40, stride=40)

    def forward(self, frames, shift=False):
        features = self.layer(frames / 255)
        logits = torch.tensor([[9.0, 0, 0, 0]]).expand(len(frames), 4)
        return Output(self.head(logits), features.mean((1, 2, 3)), features)


def test_an_agent_is_played_in_other_peoples_wads(tmp_path):
    wad = FOLDER / "simpler_basic.wad"  # Basic in another look
    waiting = Player(Still(), AgentSettings(env="Basic", frame_stack=1, frame_skip=50))
    returns = play_looks(waiting, 1, [3], {}, wads=[str(wad)], greedy=True)
    assert returns.plain.tolist() == returns.looks["wads"]["simpler_basic"].tolist() == [-300]
    twice = [str(wad), shutil.copy(wad, tmp_path), str(wad)]
    looks = play_looks(waiting, 1, [3], {}, wads=twice, greedy=True).looks["wads"]
    assert list(looks) == twice[:2]  # of one name, and so by their paths
    with pytest.raises(UserError, match=r"nowhere\.wad, which is not there"):
        in_wad(waiting, "nowhere.wad")
    with pytest.raises(UserError, match="--wads are for Doom"):
        in_wad(player(), str(wad))
