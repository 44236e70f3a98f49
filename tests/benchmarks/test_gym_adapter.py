import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


def test_both_contenders_are_measured_and_compared(monkeypatch, capsys):
    import gym_adapter

    speeds = gym_adapter.measure("benchmarks/Drawing0ms-v0", rounds=2, steps=2)
    assert {label: len(found) for label, found in speeds.items()} == {
        "AsyncVectorEnv": 2,
        "our lanes": 2,
    }
    known = {"AsyncVectorEnv": [10.0, 20.0, 90.0], "our lanes": [18.0]}
    monkeypatch.setattr(gym_adapter, "measure", lambda name, rounds, imports, context: known)
    gym_adapter.main([])
    assert capsys.readouterr().out.count("ratio 0.90") == 2
