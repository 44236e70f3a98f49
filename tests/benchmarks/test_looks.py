import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


def test_every_kind_of_looks_is_measured(monkeypatch, capsys):
    import looks

    with monkeypatch.context() as small:
        small.setattr(looks, "NUM_LANES", 2)
        turns = looks.measure(rounds=1, steps=2)
    assert set(turns) == set(looks.KINDS)
    assert all(turn.shape == (1, 2) and (turn[:, 0] > 0).all() for turn in turns.values())
    plain = {
        looks.PLAIN[0]: np.array([[1.0, 3.0], [2.0, 4.0]]),
        looks.PLAIN[1]: np.array([[5.0, 9.0]]),
    }
    known = {**plain, "a": np.array([[5.0, 10.0]])}  # against 4 and 8, the means of the plain ones
    monkeypatch.setattr(looks, "measure", lambda rounds, scenario: known)
    looks.main(["--rounds", "2"])
    printed = capsys.readouterr().out
    assert "320 steps/s, 0.800 of no looks;  6250 us of CPU a step, 1.250" in printed
