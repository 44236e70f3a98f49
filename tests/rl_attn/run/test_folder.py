import json
import os
from dataclasses import dataclass, replace

import pytest

from rl_attn.errors import UserError
from rl_attn.run.cli import parse
from rl_attn.run.folder import create, load_args, locked, make
from rl_attn.run.versions import versions


@dataclass
class Args:
    """Settings of the kinds that the commands have."""

    config: str | None = None
    env: str = "DefendCenter"
    targets: tuple[str, ...] = ()
    camal: float = 1.0
    learning_rate: float = 2.5e-4
    num_envs: int = 8
    rgb: bool = False
    anneal_lr: bool = True
    target_kl: float | None = None


UNUSUAL = Args(
    env="1e3",  # words that YAML could take for numbers and truths
    targets=("yes", "category:Monster", "7"),
    camal=0.0,
    learning_rate=1e-5,
    rgb=True,
    anneal_lr=False,
    target_kl=0.02,
)


@pytest.fixture
def run(tmp_path):
    return create(tmp_path / "run", Args())


def files(path):
    """Every file of a run, by its path within it."""
    return sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())


def test_create_makes_the_folder_with_its_parents(tmp_path):
    path = create(tmp_path / "a" / "b", Args())
    assert path == tmp_path / "a" / "b"
    assert files(path) == ["config.yaml", "versions.json"] and (path / "checkpoints").is_dir()


def test_create_writes_what_the_run_is_made_with(run):
    assert json.loads((run / "versions.json").read_text()) == versions()


def test_create_takes_an_empty_folder(tmp_path):
    (tmp_path / "run").mkdir()
    assert files(create(tmp_path / "run", Args())) == ["config.yaml", "versions.json"]


def test_create_refuses_a_folder_in_use_and_leaves_it_alone(tmp_path):
    used = tmp_path / "run"
    used.mkdir()
    (used / "notes.txt").write_text("mine")
    with pytest.raises(UserError) as error:
        create(used, Args())
    assert str(used) in str(error.value)
    assert "--run-dir" in str(error.value) and "--resume" in str(error.value)
    assert files(used) == ["notes.txt"]


def test_create_refuses_a_file_and_a_folder_below_a_file(tmp_path):
    file = tmp_path / "run"
    file.write_text("mine")
    for path in (file, file / "below"):
        with pytest.raises(UserError) as error:
            create(path, Args())
        assert str(path) in str(error.value)
    assert file.read_text() == "mine"


def test_a_folder_that_cannot_be_written_to_is_refused(run, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(UserError, match="cannot be written to"):
        make(run)
    with pytest.raises(UserError, match="cannot be written to"), locked(run):
        pass


def test_who_holds_the_lock_works_alone_and_sweeps(run):
    dead = 2**22 + 1  # above the largest process number of Linux
    for scratch in (f".config.yaml.{dead}", f"checkpoints/.step_000000007.pt.{dead}"):
        (run / scratch).write_text("half")
    before = files(run)
    with locked(run):
        assert files(run) == ["config.yaml", "versions.json"] != before
        with pytest.raises(UserError, match="another process still works in"), locked(run):
            pass
    with locked(run):
        pass


# ---------------------------------------------------------------------- config.yaml


@pytest.mark.parametrize("args", [Args(), UNUSUAL], ids=["defaults", "unusual"])
def test_the_configuration_comes_back_with_its_types(tmp_path, args):
    path = create(tmp_path / "run", args)
    found = load_args(path, lambda _: Args)
    assert found == args
    for name, value in vars(args).items():
        assert type(getattr(found, name)) is type(value)


@pytest.mark.parametrize("args", [Args(), UNUSUAL], ids=["defaults", "unusual"])
def test_the_configuration_runs_again_with_config(tmp_path, args):
    file = str(create(tmp_path / "run", args) / "config.yaml")
    assert parse(Args, ["--config", file], "prog") == replace(args, config=file)


def test_settings_that_are_newer_than_the_run_get_their_defaults(run):
    (run / "config.yaml").write_text("num_envs: 3\n")
    assert load_args(run, lambda _: Args) == Args(num_envs=3)


@pytest.mark.parametrize("name", [".", "missing", "a_file"])
def test_what_is_not_a_run_is_refused(tmp_path, name):
    (tmp_path / "a_file").write_text("x")
    path = tmp_path / name
    with pytest.raises(UserError) as error:
        load_args(path, lambda _: Args)
    assert str(path) in str(error.value) and "not a run" in str(error.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("num_env: 3\n", "num_envs"),
        ("7: 3\n", "7"),
        ("num_envs: eight\n", "eight"),
        ("num_envs: [1,", "config.yaml"),
        ("", "config.yaml"),
    ],
    ids=["unknown key", "key that is no word", "wrong type", "not YAML", "empty"],
)
def test_a_damaged_configuration_is_refused(run, text, named):
    (run / "config.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        load_args(run, lambda _: Args)
    assert named in str(error.value) and "\n" not in str(error.value)


def test_a_folder_of_runs_offers_the_newest_below_it(tmp_path):
    for number, name in enumerate(("env/old", "env/new", "other")):
        folder = create(tmp_path / name, Args())
        os.utime(folder / "config.yaml", (100 + number % 2, 100 + number % 2))
    with pytest.raises(UserError, match=r"no config.yaml; the newest run below it is .*env/new$"):
        load_args(tmp_path, lambda words: Args)
    with pytest.raises(UserError, match=r"no config.yaml$"):
        load_args(tmp_path / "env" / "nothing", lambda words: Args)
