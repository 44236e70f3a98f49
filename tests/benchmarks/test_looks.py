import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


def test_every_kind_of_looks_is_measured(monkeypatch, capsys):
    import looks

    speeds = looks.measure(rounds=1, steps=3)
    assert set(speeds) == set(looks.KINDS)
    monkeypatch.setattr(looks, "measure", lambda rounds: {"": [10.0, 20.0, 90.0], "a": [19.0]})
    looks.main(["1"])
    assert "0.950 of no looks" in capsys.readouterr().out
