"""An environment, a network and a method in files outside the package, which knows none of them."""

import csv
import json
from pathlib import Path

import pytest
import torch
import yaml

from rl_attn import evaluate, ppo
from rl_attn.errors import UserError
from rl_attn.rl.collect import Collector
from rl_attn.rl.faithfulness import MODES
from rl_attn.rl.settings import args_type
from rl_attn.rl.trainer import State
from rl_attn.run.checkpoint import latest_checkpoint, load_checkpoint
from rl_attn.studies.check import check
from rl_attn.studies.plan import Command

HERE = Path(__file__).parent / "outside"
FILES = [str(HERE / name) for name in ("shifts.py", "tiny_network.py", "spotlight.py")]
FLAGS = ["--import", *FILES, "--env", "Spotlight-v0", "--network", "tiny"]
FLAGS += ["--method", "shifts", "--pixels", "3"]


def rows_but_times(table: Path) -> list[dict[str, str]]:
    with table.open() as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in r.items() if "time" not in k and "SPS" not in k} for r in rows]


def test_they_train_resume_bit_for_bit_and_are_evaluated(tiny, tmp_path, monkeypatch, break_off):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    flags = [*tiny, *FLAGS, "--total-timesteps", "96"]
    flags += ["--eval-interval", "64", "--eval-episodes", "2"]
    assert ppo.main([*flags, "--run-dir", str(whole)]) == 0
    assert all(float(row["losses/agreement"]) > 0 for row in rows_but_times(whole / "metrics.csv"))
    assert yaml.safe_load((whole / "config.yaml").read_text())["imports"] == FILES

    break_off([*flags, "--run-dir", str(broken)], Collector, "act", 16 + 5)
    assert load_checkpoint(latest_checkpoint(broken), State)["global_step"] == 32
    monkeypatch.chdir(tmp_path)
    assert ppo.main(["--resume", str(broken)]) == 0
    ours, theirs = (load_checkpoint(latest_checkpoint(run), State) for run in (whole, broken))
    assert ours["global_step"] == 96 and ours["lanes"] == theirs["lanes"]
    assert ours["agent"]["layers.0.weight"].shape == (4, 4, 8, 8)
    assert any("log_std" in name for name in ours["agent"])  # of continuous actions
    for name, weights in ours["agent"].items():
        assert torch.equal(weights, theirs["agent"][name]), name
    for table in ("metrics.csv", "evaluations.csv"):
        assert rows_but_times(whole / table) == rows_but_times(broken / table)

    flags = ["--episodes", "1", "--device", "cpu", "--no-video", "--faithfulness", "--closed-loop"]
    assert evaluate.main([str(whole), *flags, "--faithfulness-frames", "4"]) == 0
    result = json.loads((whole / "evaluation.json").read_text())
    assert result["faithfulness"]["removal_attended_kl"][0] == pytest.approx(0, abs=1e-6)
    assert set(result["closed_loop"]) == set(MODES)


def test_a_study_knows_their_flags_before_it_begins():
    """`outside/test_environment.py` runs one."""
    words = ("--env=Spotlight-v0", "--network=tiny", "--import", *FILES, "--method=shifts")
    check(Command("rl_attn.ppo", (*words, "--pixels=3")))
    with pytest.raises(UserError, match="pixls"):
        check(Command("rl_attn.ppo", (*words, "--pixls=3")))


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


def test_the_other_spelling_of_the_flag_imports_too(tmp_path):
    """A configuration file's key is `imports`, so the parser takes that flag as well."""
    file = tmp_path / "spelled.py"
    file.write_text(
        "from dataclasses import dataclass\n"
        "from rl_attn.rl.methods import METHODS, Method\n"
        "@METHODS.register('spelled')\n"
        "@dataclass\n"
        "class Spelled(Method):\n"
        "    'PPO as it is.'\n"
    )
    assert args_type(["--imports", str(file), "--method", "spelled"]).method == "spelled"
