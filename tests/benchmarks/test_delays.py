import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


def test_both_faults_are_made_noticed_and_measured(monkeypatch, capsys):
    import delays

    found = {}
    original = delays.measure
    monkeypatch.setattr(delays, "measure", lambda args: found.update(original(args)) or found)
    assert delays.main(["--quick"]) == 0
    assert {name: len(seconds) for name, seconds in found.items()} == {
        "a game is killed": 1,
        "a game is stopped": 1,
    }
    assert found["a game is stopped"][0] > 0.1  # two looks
    assert "a game is stopped" in capsys.readouterr().out
