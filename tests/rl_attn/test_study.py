"""The command on real agents, at toy size."""

import csv
import json

import yaml

from rl_attn import study

TINY = {
    "total_timesteps": 64,
    "num_envs": 2,
    "num_steps": 16,
    "num_minibatches": 2,
    "update_epochs": 1,
    "device": "cpu",
    "precision": "fp32",
    "picture_interval": 0,
}


def test_agents_are_trained_evaluated_and_compared_with_a_random_policy(tmp_path):
    file, out = tmp_path / "tiny.yaml", tmp_path / "out"
    file.write_text(
        yaml.safe_dump(
            {
                "command": "rl_attn.ppo",
                "arguments": TINY,
                "grid": {"env": ["Basic"], "method": {"Vanilla": {"camal": 0}, "CAMAL": {}}},
                "then": [
                    {
                        "command": "rl_attn.evaluate",
                        "positional": ["{run}"],
                        "arguments": {"episodes": 1, "video": False, "device": "cpu"},
                    }
                ],
                "references": [
                    {
                        "name": "random",
                        "per": ["env"],
                        "command": "rl_attn.random_policy",
                        "arguments": {"episodes": 1, "out": "{out}"},
                    }
                ],
            }
        )
    )
    assert study.main([str(file), "--out", str(out)]) == 0
    states = json.loads((out / "state.json").read_text())
    names = ["Basic-Vanilla-s1", "Basic-CAMAL-s1"]
    assert {name: entry["state"] for name, entry in states.items()} == dict.fromkeys(
        names, "finished"
    )
    with (out / "results.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [row["cell"] for row in rows] == names
    for row in rows:
        evaluation = json.loads((out / "cells" / row["cell"] / "evaluation.json").read_text())
        assert float(row["episode_return"]) == evaluation["summary"]["episode_return"]["mean"]
        assert (row["env"], row["method"], row["seed"]) == (*row["cell"].split("-")[:2], "1")
    floor = json.loads((out / "references" / "random-Basic" / "evaluation.json").read_text())
    assert floor["env"] == "Basic"
