"""docs/methods.md: its example trains and joins the study as printed, and no method is missing."""

import csv
import re
from pathlib import Path

import pytest

from rl_attn import ppo
from rl_attn.rl.methods import METHODS
from rl_attn.studies.check import check
from rl_attn.studies.plan import cells
from rl_attn.studies.schema import read_study

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
OUTSIDE = ROOT / "tests" / "rl_attn" / "outside"


# A worker may return to this file after another one: a module's fixture would then be made again,
# and the second black.py would be a second thing of that name.
@pytest.fixture(scope="session")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    for language, name in (("python", "black.py"), ("yaml", "mine.yaml")):
        (text,) = re.findall(rf"```{language}\n# {name}\n(.*?)```", PAGE, flags=re.DOTALL)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def folder(files, monkeypatch):
    """The page's files, in the current folder."""
    monkeypatch.chdir(files)
    return files


def test_the_example_trains(folder):
    flags = ["--import", "black.py", str(OUTSIDE / "spotlight.py"), "--env", "Spotlight-v0"]
    flags += ["--no-env-processes", "--num-envs", "1", "--num-steps", "8", "--num-minibatches", "1"]
    flags += ["--update-epochs", "1", "--total-timesteps", "8", "--device", "cpu", "--threads", "1"]
    assert ppo.main([*flags, "--method", "black", "--black", "0.2", "--run-dir", "run"]) == 0
    with (folder / "run" / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["losses/black"]) > 0


def test_the_example_joins_the_study(folder):
    study = read_study(folder / "mine.yaml")
    assert "vanilla" in study.grid["method"]
    own = [job for job in cells(study, folder / "out") if job.labels["method"] == "black"]
    assert len(own) == len(study.runs[1]) == 3
    check(own[0].start)


def test_every_method_is_in_the_table():
    ours = [name for name in METHODS.names() if METHODS[name].__module__.startswith("rl_attn")]
    for name in ours:
        assert re.search(rf"^\| `{name}[` ]", PAGE, flags=re.MULTILINE), name
