import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


def test_turns_play_the_same_episodes_with_and_without_looks(monkeypatch):
    import looks

    monkeypatch.setattr(looks, "NUM_LANES", 2)
    worn = []
    begin = looks.Lanes.reset

    def reset(lanes, *args, **how):
        begin(lanes, *args, **how)
        worn.append({lane.game._worn == looks.PLAIN for lane in lanes._lanes})

    monkeypatch.setattr(looks.Lanes, "reset", reset)
    turns = looks.measure("train:light,decorations", rounds=2, steps=2, scenario="Basic")
    assert turns.shape == (2, 2, 2) and (turns[..., 0] > 0).all()
    assert worn == [{False}, {True}, {True}, {False}]  # another order each round


def test_speeds_are_of_all_turns(monkeypatch, capsys):
    import looks

    turns = np.array([[[4.0, 8.0]] * 2, [[5.0, 10.0]] * 2])
    monkeypatch.setattr(looks, "measure", lambda text, rounds, steps, scenario: turns)
    looks.main(["--rounds", "2"])
    printed = capsys.readouterr().out
    assert "320 steps/s, 0.800 of no looks (median 0.800);  6250 us of CPU a step, 1.250" in printed
