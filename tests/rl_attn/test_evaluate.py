"""The evaluate command, on the tiny run."""

import json
from types import SimpleNamespace

import av
import corridor  # noqa: F401 (registers its environments)
import pytest
from PIL import Image

from rl_attn import evaluate, ppo
from rl_attn.envs.doom.game import Game
from rl_attn.errors import UserError
from rl_attn.evaluate import EvaluationSettings
from rl_attn.evaluation import closed_loop
from rl_attn.rl.faithfulness import MODES
from rl_attn.rl.play import Played


@pytest.fixture(scope="module")
def evaluated(tiny_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluation")
    argv = [str(tiny_run), "--episodes", "2", "--out", str(out), "--device", "cpu"]
    argv += ["--faithfulness", "--faithfulness-frames", "6", "--closed-loop"]
    argv += ["--second-attention", "sarfa"]
    assert evaluate.main(argv) == 0
    return out


def test_json_holds_the_summary_and_every_episode(evaluated):
    result = json.loads((evaluated / "evaluation.json").read_text())
    names = {"episode_return", "length", "iou", "pointing_game", "alpha", "beta", "empty_masks"}
    assert names <= set(result["summary"])
    assert len(result["episodes"]) == 2
    returns = [episode["episode_return"] for episode in result["episodes"]]
    summary = result["summary"]["episode_return"]
    assert summary["mean"] == pytest.approx(sum(returns) / 2)
    assert summary["low"] <= summary["mean"] <= summary["high"]


def test_the_video_shows_every_frame_of_the_first_episode(evaluated):
    result = json.loads((evaluated / "evaluation.json").read_text())
    with av.open(str(evaluated / "evaluation.mp4")) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(frames) == result["episodes"][0]["length"]
    assert frames[0].shape[1] > 3 * 80 * 2
    assert frames[0].std() > 10  # not a blank picture


def test_faithfulness_writes_curves_and_a_figure(evaluated):
    curves = json.loads((evaluated / "evaluation.json").read_text())["faithfulness"]
    assert len(curves["shares"]) == len(curves["removal_attended_kl"])
    assert {"removal_attended_kl", "insertion_random_value"} <= set(curves["areas"])
    assert Image.open(evaluated / "faithfulness.png").width > 1000


def test_a_second_map_is_measured_on_frames_with_a_target(evaluated):
    result = json.loads((evaluated / "evaluation.json").read_text())
    second = result["second_attention"]
    assert 0 <= second["iou"] <= second["iou_ceiling"] <= 1
    assert result["summary"]["second_attention/iou"]["mean"] == second["iou"]
    assert second["iou"] != result["summary"]["iou"]["mean"]  # it is another map


def test_a_second_map_that_there_is_not_is_refused_before_a_game(tiny_run, monkeypatch):
    monkeypatch.setattr(Game, "start", lambda *args: pytest.fail("a game started"))
    with pytest.raises(UserError, match=r"unknown attention map 'safra' \(did you mean sarfa"):
        evaluate.check(EvaluationSettings(str(tiny_run), second_attention="safra"))


def test_closed_loop_compares_returns_over_the_same_seeds(evaluated):
    result = json.loads((evaluated / "evaluation.json").read_text())
    assert set(result["closed_loop"]) == set(MODES)
    before = result["summary"]["episode_return"]["mean"]
    for loop in result["closed_loop"].values():
        after = loop["episode_return"]["mean"]
        assert loop["difference"]["mean"] == pytest.approx(after - before)
    measured = result["summary"]["closed_loop/attended/difference"]  # where a study finds it
    assert measured == result["closed_loop"]["attended"]["difference"]
    area = result["faithfulness"]["areas"]["removal_attended_kl"]
    assert result["summary"]["faithfulness/removal_attended_kl"]["mean"] == area


@pytest.fixture(scope="module")
def corridor_run(tiny, tmp_path_factory):
    """A run of a game with other looks, and of one without."""
    runs = {}
    for name in ("Corridor", "Plain"):
        runs[name] = tmp_path_factory.mktemp("corridor") / "run"
        argv = [*tiny, "--env", f"tests/{name}-v0", "--no-env-processes", "--frame-stack", "1"]
        assert ppo.main([*argv, "--total-timesteps", "32", "--run-dir", str(runs[name])]) == 0
    return runs


def test_closed_loop_leaves_out_what_a_fault_has_cut_short(monkeypatch):
    before = [Played(1, 6.0, fault=True), Played(2, 6.0), Played(3, 6.0)]
    after = [Played(1, 2.0), Played(2, 5.0), Played(3, 0.0, fault=True)]
    player = SimpleNamespace(play=lambda *_, **__: after)
    loops = closed_loop(player, EvaluationSettings("RUN"), [1, 2, 3], before, {})
    assert loops["attended"]["difference"].mean == -1
    assert loops["attended"]["episode_return"].mean == 3.5


def test_looks_and_twins_are_tables_files_and_a_video(corridor_run, tmp_path, capsys):
    argv = [str(corridor_run["Corridor"]), "--episodes", "2", "--out", str(tmp_path)]
    argv += ["--looks", "test:wall", "--looks-per-axis", "2", "--twins", "--device", "cpu"]
    assert evaluate.main(argv) == 0
    result = json.loads((tmp_path / "evaluation.json").read_text())  # without NaN
    every, wall, *each = result["looks"]["rows"]
    assert (every["axis"], wall["axis"], wall["looks"]) == ("", "wall", 2)
    assert [row["look"] for row in each] == ["wall 2", "wall 3"]
    played = result["looks"]["episodes"]
    mean = sum(sum(returns) for returns in played["wall"].values()) / 4
    assert wall["episode_return"]["mean"] == pytest.approx(mean)
    assert wall["drop"]["mean"] == pytest.approx(sum(played["plain"]) / 2 - mean)
    assert result["summary"]["looks/wall/drop"] == wall["drop"]
    assert result["summary"]["looks/drop"] == every["drop"]
    twins = result["twins"]
    assert result["summary"]["twins/wall/flip"] == twins["axes"]["wall"]["flip"]
    assert {name: axis["changes_targets"] for name, axis in twins["axes"].items()} == {
        "wall": False,
        "square": True,
        "cheat": True,
    }
    assert twins["axes"]["wall"]["pixels"]["mean"] > 0.9
    assert twins["axes"]["cheat"]["flip"]["mean"] is None
    assert {row["look"] for row in twins["no_twins"]} == {"cheat 1", "cheat 2"}
    assert all("after 4 steps" in row["reason"] for row in twins["no_twins"])
    for name, lines in (("looks", 6), ("twins", 1 + 2 * 5)):
        assert len((tmp_path / f"{name}.csv").read_text().splitlines()) == lines
    with av.open(str(tmp_path / "twins.mp4")) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(frames) == 12 and frames[0].std() > 10
    printed = capsys.readouterr().out
    for words in ("drop from plain", "square*", "no twin: seed 1000000 under cheat 1"):
        assert words in printed


@pytest.mark.parametrize(
    ("name", "flags", "words"),
    [
        ("Corridor", ["--looks", "test:wal"], "did you mean wall"),
        ("Corridor", ["--looks", "tset", "--twins"], "did you mean test"),
        ("Plain", ["--twins"], "tests/Plain-v0 has no other looks: give it a variation_space"),
    ],
)
def test_looks_that_there_are_not_are_refused(corridor_run, tmp_path, name, flags, words):
    out = tmp_path / "out"
    with pytest.raises(UserError, match=words):
        evaluate.main([str(corridor_run[name]), "--out", str(out), "--device", "cpu", *flags])
    assert not out.exists()


BAD = {
    "nowhere": ("nowhere", "does not exist"),
    "RUN --episodes 0": ("--episodes", "0"),
    "RUN --removed-share 1.5": ("--removed-share", "1.5"),
    "RUN --checkpoint nowhere.pt": ("nowhere.pt", "does not exist"),
    "RUN --policy random": ("random", "greedy"),
    "RUN --rgb": ("--rgb", "says itself what it plays"),
    ".": ("config.yaml", "not a run"),
}


@pytest.mark.parametrize("flags", BAD)
def test_bad_input_ends_with_one_clear_line_before_any_game(flags, tiny_run, monkeypatch):
    def no_game(*_):
        raise AssertionError("a game was started")

    monkeypatch.setattr(Game, "start", no_game)
    with pytest.raises(UserError) as error:
        evaluate.main([str(tiny_run) if word == "RUN" else word for word in flags.split()])
    assert "\n" not in str(error.value)
    for part in BAD[flags]:
        assert part in str(error.value)
