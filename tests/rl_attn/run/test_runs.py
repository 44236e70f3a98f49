import csv
import json
import os
import zipfile
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rl_attn.errors import UserError
from rl_attn.run import runs
from rl_attn.run.cli import parse
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
    return runs.create(tmp_path / "run", Args())


def files(path):
    """Every file of a run, by its path within it."""
    return sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())


def state(number):
    return {
        "agent": {"weight": torch.full((2, 3), float(number)), "bias": torch.zeros(3).bfloat16()},
        "random": torch.arange(16, dtype=torch.uint8),
        "lanes": [{"seed": 2**40 + number, "actions": [0, 1, 2]}],
        "best_return": float("-inf"),
        "global_step": number,
    }


# ---------------------------------------------------------------------- the folder


def test_create_makes_the_folder_with_its_parents(tmp_path):
    path = runs.create(tmp_path / "a" / "b", Args())
    assert path == tmp_path / "a" / "b"
    assert files(path) == ["config.yaml", "versions.json"] and (path / "checkpoints").is_dir()


def test_create_writes_what_the_run_is_made_with(run):
    assert json.loads((run / "versions.json").read_text()) == versions()


def test_create_takes_an_empty_folder(tmp_path):
    (tmp_path / "run").mkdir()
    assert files(runs.create(tmp_path / "run", Args())) == ["config.yaml", "versions.json"]


def test_create_refuses_a_folder_in_use_and_leaves_it_alone(tmp_path):
    used = tmp_path / "run"
    used.mkdir()
    (used / "notes.txt").write_text("mine")
    with pytest.raises(UserError) as error:
        runs.create(used, Args())
    assert str(used) in str(error.value)
    assert "--run-dir" in str(error.value) and "--resume" in str(error.value)
    assert files(used) == ["notes.txt"]


def test_create_refuses_a_file_and_a_folder_below_a_file(tmp_path):
    file = tmp_path / "run"
    file.write_text("mine")
    for path in (file, file / "below"):
        with pytest.raises(UserError) as error:
            runs.create(path, Args())
        assert str(path) in str(error.value)
    assert file.read_text() == "mine"


# ---------------------------------------------------------------------- config.yaml


@pytest.mark.parametrize("args", [Args(), UNUSUAL], ids=["defaults", "unusual"])
def test_the_configuration_comes_back_with_its_types(tmp_path, args):
    path = runs.create(tmp_path / "run", args)
    found = runs.load_args(path, Args)
    assert found == args
    for name, value in vars(args).items():
        assert type(getattr(found, name)) is type(value)


@pytest.mark.parametrize("args", [Args(), UNUSUAL], ids=["defaults", "unusual"])
def test_the_configuration_runs_again_with_config(tmp_path, args):
    file = str(runs.create(tmp_path / "run", args) / "config.yaml")
    assert parse(Args, ["--config", file], "prog") == replace(args, config=file)


def test_settings_that_are_newer_than_the_run_get_their_defaults(run):
    (run / "config.yaml").write_text("num_envs: 3\n")
    assert runs.load_args(run, Args) == Args(num_envs=3)


@pytest.mark.parametrize("name", [".", "missing", "a_file"])
def test_what_is_not_a_run_is_refused(tmp_path, name):
    (tmp_path / "a_file").write_text("x")
    path = tmp_path / name
    with pytest.raises(UserError) as error:
        runs.load_args(path, Args)
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
        runs.load_args(run, Args)
    assert named in str(error.value) and "\n" not in str(error.value)


# ---------------------------------------------------------------------- checkpoints


def assert_same(one, other):
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    else:
        assert one == other


def test_a_checkpoint_comes_back_as_it_was(run):
    file = runs.save_checkpoint(run, state(5), step=5, keep=3, best=False)
    found = runs.load_checkpoint(file)
    assert found.pop("format") == runs.FORMAT
    assert_same(found, state(5))


def test_the_last_few_checkpoints_and_the_best_are_kept(run):
    for step in range(1, 6):
        runs.save_checkpoint(run, state(step), step, keep=2, best=step in (1, 3))
    assert files(run / "checkpoints") == ["best.pt", "step_000000004.pt", "step_000000005.pt"]
    assert runs.load_checkpoint(run / "checkpoints" / "best.pt")["global_step"] == 3
    assert [p.name for p in runs.checkpoints(run)] == ["step_000000004.pt", "step_000000005.pt"]
    assert runs.load_checkpoint(runs.latest_checkpoint(run))["global_step"] == 5


def test_checkpoints_are_ordered_by_number_not_by_name(run):
    for step in (999_999_999, 1_000_000_000):
        runs.save_checkpoint(run, state(step), step, keep=3, best=False)
    assert runs.latest_checkpoint(run).name == "step_1000000000.pt"


def test_a_run_without_checkpoints_has_no_latest(run):
    assert runs.latest_checkpoint(run) is None and runs.checkpoints(run) == []


def test_saving_the_same_step_again_replaces_it(run):
    for number in (1, 2):
        file = runs.save_checkpoint(run, state(number), step=7, keep=3, best=False)
    assert runs.load_checkpoint(file)["global_step"] == 2
    assert files(run / "checkpoints") == ["step_000000007.pt"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_save_that_fails_half_way_leaves_the_old_file_and_no_scratch(run, monkeypatch, error):
    file = runs.save_checkpoint(run, state(7), step=7, keep=3, best=True)
    before, names = file.read_bytes(), files(run)

    def fail(state, scratch):
        scratch.write_bytes(before[:100])
        raise error

    monkeypatch.setattr(torch, "save", fail)
    for step in (7, 8):
        with pytest.raises(type(error)):
            runs.save_checkpoint(run, state(8), step, keep=1, best=True)
    assert files(run) == names and file.read_bytes() == before
    assert (run / "checkpoints" / "best.pt").read_bytes() == before


def test_a_state_that_cannot_be_saved_leaves_no_file(run):
    with pytest.raises(Exception, match="pickle"):
        runs.save_checkpoint(run, {"agent": lambda: None}, step=7, keep=3, best=True)
    assert files(run) == ["config.yaml", "versions.json"]


@pytest.mark.parametrize("kept", [0, 1, 100, 0.3, 0.6, 0.9, -100, -1])
def test_a_truncated_checkpoint_is_refused_by_name(run, kept):
    file = runs.save_checkpoint(run, state(7), step=7, keep=3, best=False)
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(UserError) as error:
        runs.load_checkpoint(file)
    assert str(file) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "pickled",
    [b"\x80\x02h\x09.", b"\x80\x02u.", b"\x80\x02\x8a\x02", b""],
    ids=["unknown memo", "missing mark", "cut number", "nothing"],
)
def test_a_checkpoint_with_damaged_content_is_refused_by_name(run, pickled):
    file = runs.save_checkpoint(run, state(7), step=7, keep=3, best=False)
    with zipfile.ZipFile(file) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, pickled if name.endswith("/data.pkl") else data)
    with pytest.raises(UserError) as error:
        runs.load_checkpoint(file)
    assert str(file) in str(error.value)


class MakesAFolder:
    """Pickles to code that makes a folder when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_loading_a_checkpoint_runs_no_code(tmp_path):
    file, made = tmp_path / "step_1.pt", tmp_path / "made"
    torch.save({"format": runs.FORMAT, "agent": MakesAFolder(made)}, file)
    with pytest.raises(UserError):
        runs.load_checkpoint(file)
    assert not made.exists()


@pytest.mark.parametrize("content", [{"format": runs.FORMAT + 1}, {"agent": 1}, [1, 2], None])
def test_a_checkpoint_of_another_format_is_refused(tmp_path, content):
    file = tmp_path / "step_1.pt"
    torch.save(content, file)
    with pytest.raises(UserError, match="format") as error:
        runs.load_checkpoint(file)
    assert str(file) in str(error.value)


def test_a_missing_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        runs.load_checkpoint(tmp_path / "step_1.pt")


def test_a_text_file_is_no_checkpoint(tmp_path):
    file = tmp_path / "step_1.pt"
    file.write_text("hello")
    with pytest.raises(UserError, match=r"step_1\.pt"):
        runs.load_checkpoint(file)


# ---------------------------------------------------------------------- metrics.csv


def table(path, name="metrics"):
    with (path / f"{name}.csv").open(newline="") as file:
        return list(csv.reader(file))


def log_rows(path, steps, resume_step=None, offset=0):
    with runs.RunLog(path, resume_step) as log:
        for step in steps:
            log.row({"loss": step / 8 + offset, "attention/iou": 0.5}, step)


def test_rows_hold_step_and_values_under_one_header(run):
    with runs.RunLog(run) as log:
        log.row({"loss": 0.25, "charts/faults": 3}, 128)
        log.row({"loss": 1 / 3, "charts/faults": 123_456_789}, 256)
        log.row({"return": -1.5}, 256, table="evaluations")
    assert table(run) == [
        ["global_step", "loss", "charts/faults"],
        ["128", "0.25", "3"],
        ["256", "0.33333333", "1.2345679e+08"],
    ]
    assert table(run, "evaluations") == [["global_step", "return"], ["256", "-1.5"]]


def test_a_value_that_is_not_known_is_an_empty_cell(run):
    with runs.RunLog(run) as log:
        log.row({"loss": 0.5, "return": float("nan")}, 1)
        log.row({"loss": 0.5, "return": 2.0}, 2)
    assert table(run)[1:] == [["1", "0.5", ""], ["2", "0.5", "2"]]


def test_the_first_row_decides_the_columns(run):
    with runs.RunLog(run) as log:
        log.row({"loss": 0.5, "return": 2.0}, 1)
        log.row({"return": 3.0, "loss": 0.25}, 2)
    assert table(run) == [["global_step", "loss", "return"], ["1", "0.5", "2"], ["2", "0.25", "3"]]


def test_a_row_is_on_disk_as_soon_as_it_is_written(run):
    with runs.RunLog(run) as log:
        log.row({"loss": 0.5}, 1)
        assert table(run) == [["global_step", "loss"], ["1", "0.5"]]


def test_resuming_drops_the_rows_that_were_lost_and_goes_on(run):
    log_rows(run, [10, 20, 30, 40])
    log_rows(run, [30, 40, 50], resume_step=20, offset=100)
    rows = table(run)
    assert rows[0] == ["global_step", "loss", "attention/iou"]
    assert [row[0] for row in rows[1:]] == ["10", "20", "30", "40", "50"]
    assert [float(row[1]) for row in rows[1:]] == [1.25, 2.5, 103.75, 105.0, 106.25]


def test_resuming_drops_lost_rows_of_every_table(run):
    with runs.RunLog(run) as log:
        log.row({"return": 1.0}, 10, table="evaluations")
        log.row({"return": 2.0}, 30, table="evaluations")
    with runs.RunLog(run, resume_step=20):
        pass
    assert table(run, "evaluations") == [["global_step", "return"], ["10", "1"]]


def test_a_folder_that_another_process_writes_to_is_refused_and_left_as_it_is(run):
    with runs.RunLog(run) as log:
        log.row({"loss": 1.0}, 10)
        # A lock belongs to the opened folder, so a second one of this process is refused as well.
        with pytest.raises(UserError, match="another process still trains in"):
            runs.RunLog(run, resume_step=0)
        log.row({"loss": 0.5}, 20)
    with runs.RunLog(run, resume_step=20):
        pass
    assert (run / "metrics.csv").read_text().split() == ["global_step,loss", "10,1", "20,0.5"]


def test_resuming_drops_a_row_that_was_half_written(run):
    log_rows(run, [10, 20])
    content = (run / "metrics.csv").read_text()
    (run / "metrics.csv").write_text(content + "30,0.")
    log_rows(run, [30], resume_step=20)
    assert [row[0] for row in table(run)] == ["global_step", "10", "20", "30"]
    assert all(len(row) == 3 for row in table(run))


@pytest.mark.parametrize("content", ["", "global_step,loss\n", "global_step,loss\n10,1\n"])
def test_resuming_before_every_row_starts_the_table_anew(run, content):
    (run / "metrics.csv").write_text(content)
    log_rows(run, [5], resume_step=0)
    assert table(run) == [["global_step", "loss", "attention/iou"], ["5", "0.625", "0.5"]]


def test_a_fresh_log_keeps_what_is_there(run):
    log_rows(run, [10, 20])
    log_rows(run, [30])
    assert [row[0] for row in table(run)[1:]] == ["10", "20", "30"]


# ---------------------------------------------------------------------- TensorBoard


def events(path):
    return EventAccumulator(str(path)).Reload()


def points(path, name):
    return [(event.step, event.value) for event in events(path).Scalars(name)]


def test_tensorboard_shows_what_was_logged(run):
    with runs.RunLog(run) as log:
        log.scalar("charts/episodic_return", 7.0, 100)
        log.row({"losses/value_loss": 0.5, "charts/return": float("nan")}, 128)
        log.row({"losses/value_loss": 0.25, "charts/return": 3.0}, 256)
        log.picture("attention/frame_mask_map", np.full((6, 9, 3), (255, 0, 0), np.uint8), 256)
    assert points(run, "charts/episodic_return") == [(100, 7.0)]
    assert points(run, "losses/value_loss") == [(128, 0.5), (256, 0.25)]
    assert points(run, "charts/return") == [(256, 3.0)]  # NaN is no point
    (picture,) = events(run).Images("attention/frame_mask_map")
    assert (picture.step, picture.height, picture.width) == (256, 6, 9)


def test_scalars_alone_make_no_table(run):
    with runs.RunLog(run) as log:
        log.scalar("charts/episodic_return", 7.0, 100)
    assert not (run / "metrics.csv").exists()


def test_tensorboard_forgets_the_events_that_were_lost(run):
    log_rows(run, [10, 20, 30, 40])
    log_rows(run, [30], resume_step=20, offset=100)
    assert points(run, "loss") == [(10, 1.25), (20, 2.5), (30, 103.75)]


# ---------------------------------------------------------------------- atomic files


def test_write_text_replaces_and_removes(tmp_path):
    file = tmp_path / "a.txt"
    runs.write_text(file, "first")
    runs.write_text(file, "zweite Fassung, größer")
    assert file.read_text(encoding="utf-8") == "zweite Fassung, größer"
    runs.write_text(file, None)
    runs.write_text(file, None)
    assert files(tmp_path) == []


def test_text_that_cannot_be_written_leaves_the_old(tmp_path):
    file = tmp_path / "a.txt"
    runs.write_text(file, "first")
    with pytest.raises(UnicodeEncodeError):
        runs.write_text(file, "second \udc80")
    assert file.read_text() == "first" and files(tmp_path) == ["a.txt"]
