"""An environment, a network and a method in files outside the package, which knows none of them."""

import csv
import json
from pathlib import Path

import pytest
import torch
import yaml

from rl_attn import evaluate, ppo, study
from rl_attn.errors import UserError
from rl_attn.rl.collect import Collector
from rl_attn.rl.trainer import State
from rl_attn.run.checkpoint import latest_checkpoint, load_checkpoint

HERE = Path(__file__).parent / "outside"
FILES = [str(HERE / name) for name in ("shifts.py", "tiny_network.py", "spotlight.py")]
FLAGS = ["--import", *FILES, "--env", "Spotlight-v0", "--network", "tiny"]
FLAGS += ["--method", "shifts", "--pixels", "3"]


def final_weights(run: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(latest_checkpoint(run), State)["agent"]


def test_they_train_resume_bit_for_bit_and_are_evaluated(tiny, tmp_path, monkeypatch, break_off):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    flags = [*tiny, *FLAGS, "--total-timesteps", "128"]
    assert ppo.main([*flags, "--run-dir", str(whole)]) == 0
    assert final_weights(whole)["layers.0.weight"].shape == (16, 4, 8, 8)
    with (whole / "metrics.csv").open() as file:
        assert all(float(row["losses/agreement"]) > 0 for row in csv.DictReader(file))
    assert yaml.safe_load((whole / "config.yaml").read_text())["imports"] == FILES

    break_off([*flags, "--run-dir", str(broken)], Collector, "act", 16 * 2 + 5)
    assert load_checkpoint(latest_checkpoint(broken), State)["global_step"] == 64
    monkeypatch.chdir(tmp_path)
    assert ppo.main(["--resume", str(broken)]) == 0
    ours, theirs = final_weights(whole), final_weights(broken)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)

    flags = ["--episodes", "1", "--device", "cpu", "--no-video", "--faithfulness", "--closed-loop"]
    assert evaluate.main([str(whole), *flags, "--faithfulness-frames", "4"]) == 0
    assert "faithfulness" in json.loads((whole / "evaluation.json").read_text())


def test_a_study_checks_their_flags_before_it_begins(tmp_path, monkeypatch):
    """`outside/test_environment.py` runs one."""
    monkeypatch.chdir(tmp_path)
    content = {
        "command": "rl_attn.ppo",
        "arguments": {"env": "Spotlight-v0", "network": "tiny", "import": FILES},
        "grid": {"method": {"Plain": {"method": "vanilla"}, "Shifts": {"method": "shifts"}}},
        "seeds": [1],
    }
    content["grid"]["method"]["Shifts"]["pixls"] = 3
    Path("study.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="pixls"):
        study.main(["study.yaml", "--out", "out", "--workers", "1"])
    assert not Path("out").exists()


def test_what_cannot_be_imported_is_refused(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("import nowhere_at_all")
    for word, reason in (
        (str(tmp_path / "missing.py"), "there is no such file"),
        (str(broken), "No module named 'nowhere_at_all'"),
        ("nowhere_at_all", "No module named 'nowhere_at_all'"),
    ):
        with pytest.raises(UserError, match=reason):
            ppo.main(["--import", word])
