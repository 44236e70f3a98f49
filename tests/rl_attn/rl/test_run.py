"""What a run keeps: the bookkeeping of `save`, without a game."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rl_attn.envs.doom.scenario_file import FOLDER
from rl_attn.errors import UserError
from rl_attn.rl.run import prepare, save, training_state
from rl_attn.rl.settings import AgentSettings, check_together, with_method
from rl_attn.rl.trainer import AgentState
from rl_attn.run.checkpoint import best_checkpoint, load_checkpoint
from rl_attn.run.folder import create


def test_files_of_an_environment_are_found_from_any_folder(tmp_path, monkeypatch):
    for name in ("basic.cfg", "basic.wad"):
        shutil.copy(FOLDER / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    args = AgentSettings(env="basic.cfg", wad="basic.wad", targets=("Cacodemon",))
    settled, folder = prepare(args, [])
    assert (settled.env, settled.wad) == (str(tmp_path / "basic.cfg"), str(tmp_path / "basic.wad"))
    assert folder.parts[:2] == ("runs", "basic")


def test_a_teacher_of_the_same_file_is_taken_however_its_path_is_said(tmp_path, monkeypatch):
    for name in ("basic.cfg", "basic.wad"):
        shutil.copy(FOLDER / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    files = {"env": "basic.cfg", "wad": "basic.wad", "targets": ("Cacodemon",)}
    taught, _ = prepare(AgentSettings(**files), [])
    (create(Path("teacher"), taught) / "checkpoints" / "step_000000001.pt").touch()
    student = with_method("privileged-teacher")
    check_together(student(**files, teacher_run="teacher"))
    settled, _ = prepare(student(**files, teacher_run="teacher"), [])
    assert settled.teacher_run == str(tmp_path / "teacher") and settled.env == taught.env
    shutil.copy("basic.cfg", "other.cfg")
    with pytest.raises(UserError, match=r"with env \S+basic.cfg, this is \S+other.cfg"):
        check_together(student(**files | {"env": "other.cfg"}, teacher_run="teacher"))


@pytest.fixture
def run(tmp_path) -> Iterator[SimpleNamespace]:
    """`at(step, recent return, keep)` saves; `files()` is what is kept then."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    trainer = SimpleNamespace(best_return=float("-inf"), end=50)
    trainer.agent_state = lambda: {
        **{"agent": {}, "method": {}, "module": {}, "global_step": trainer.global_step}
    }
    trainer.state_dict = lambda: {**trainer.agent_state(), "optimizer": {}}

    def at(step: int, recent: float, keep: int = 2) -> None:
        trainer.global_step, trainer.returns = step, [recent]
        trainer.args = SimpleNamespace(keep_checkpoints=keep)
        save(trainer, SimpleNamespace(path=tmp_path))

    names = lambda: sorted(file.stem[-2:] for file in folder.iterdir())  # noqa: E731
    return SimpleNamespace(at=at, files=names, path=tmp_path)


def test_a_finished_run_keeps_its_last_agent_and_a_better_one_before_it(run):
    for step, recent in ((10, 1.0), (20, 3.0), (30, 2.0), (40, 2.0)):
        run.at(step, recent)
    assert run.files() == ["30", "40", "st"]
    assert load_checkpoint(best_checkpoint(run.path), AgentState)["global_step"] == 20
    run.at(50, 2.5)
    assert run.files() == ["50", "st"]
    last = load_checkpoint(run.path / "checkpoints" / "step_000000050.pt", AgentState)
    assert "optimizer" not in last


def test_a_finished_run_whose_last_agent_is_its_best_keeps_no_other(run):
    run.at(40, 1.0)
    run.at(50, 1.0)
    assert run.files() == ["50"]


def test_with_none_to_go_all_stay_and_can_be_resumed(run):
    run.at(40, 2.0, keep=0)
    run.at(50, 1.0, keep=0)
    assert run.files() == ["40", "50", "st"]
    assert "optimizer" in load_checkpoint(run.path / "checkpoints" / "step_000000050.pt", dict)


def test_a_finished_run_that_is_asked_for_more_is_not_called_damaged(run):
    run.at(50, 1.0)
    with pytest.raises(UserError, match="is of a finished run and holds the agent alone"):
        training_state(run.path / "checkpoints" / "step_000000050.pt", torch.device("cpu"))


@pytest.mark.parametrize("step", [{}, {"global_step": "forty"}, {"global_step": None}])
def test_a_step_that_is_no_number_is_refused(run, step):
    """Whether it holds an optimizer is asked of a file that has just failed its checks."""
    run.at(40, 1.0)
    file = run.path / "checkpoints" / "step_000000040.pt"
    state = torch.load(file, weights_only=True)
    del state["global_step"]
    torch.save(state | step, file)
    with pytest.raises(UserError, match="does not hold what it should"):
        training_state(file, torch.device("cpu"))
