import errno
import os
import random
import zipfile
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pytest
import torch
from torch import Tensor

from rl_attn.errors import TrainingError, UserError
from rl_attn.run.checkpoint import (
    FORMAT,
    best_checkpoint,
    check_moments,
    checkpoints,
    fitting,
    latest_checkpoint,
    load_checkpoint,
    load_state,
    save_checkpoint,
    save_state,
)


class State(TypedDict):
    agent: dict[str, Tensor]
    random: Tensor
    lanes: list[dict[str, Any]]
    best_return: float
    global_step: int


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    return tmp_path / "run"


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
    file = save_checkpoint(run, state(5), step=5, keep=3)
    found = load_checkpoint(file, State)
    assert_same(found, state(5))


def test_the_last_few_checkpoints_are_kept_and_the_best(run):
    save_state(best_checkpoint(run), state(3))
    for step in range(1, 6):
        save_checkpoint(run, state(step), step, keep=2)
    assert files(run / "checkpoints") == ["best.pt", "step_000000004.pt", "step_000000005.pt"]
    assert [p.name for p in checkpoints(run)] == ["step_000000004.pt", "step_000000005.pt"]
    assert load_checkpoint(latest_checkpoint(run), State)["global_step"] == 5


def test_all_stay_if_none_is_to_go(run):
    for step in range(1, 6):
        save_checkpoint(run, state(step), step, keep=0)
    assert len(checkpoints(run)) == 5


def test_part_of_a_checkpoint_is_read_by_a_schema_of_that_part(run):
    class Part(TypedDict):
        agent: dict[str, Tensor]
        global_step: int

    file = save_checkpoint(run, state(5), step=5, keep=3)
    assert_same(load_checkpoint(file, Part, more=True)["agent"], state(5)["agent"])
    assert load_checkpoint(file, Part, more=True).keys() == {"agent", "global_step"}
    assert "random" in refusal(file, Part)


def test_checkpoints_are_ordered_by_number_not_by_name(run):
    for step in (999_999_999, 1_000_000_000):
        save_checkpoint(run, state(step), step, keep=3)
    assert latest_checkpoint(run).name == "step_1000000000.pt"


def test_a_run_without_checkpoints_has_no_latest(run):
    assert latest_checkpoint(run) is None and checkpoints(run) == []


def test_saving_the_same_step_again_replaces_it(run):
    for best in (1.0, 2.0):
        file = save_checkpoint(run, {**state(7), "best_return": best}, step=7, keep=3)
    assert load_checkpoint(file, State)["best_return"] == 2
    assert files(run / "checkpoints") == ["step_000000007.pt"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_save_that_fails_half_way_leaves_the_old_file_and_no_scratch(run, monkeypatch, error):
    file = save_checkpoint(run, state(7), step=7, keep=3)
    before, names = file.read_bytes(), files(run)

    def fail(state, out):
        out.write(before[:100])
        raise error

    monkeypatch.setattr(torch, "save", fail)
    for step in (7, 8):
        with pytest.raises(type(error)):
            save_checkpoint(run, state(8), step, keep=1)
    assert files(run) == names and file.read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_an_error_of_the_system_and_leaves_no_scratch(run, monkeypatch):
    full = {**state(7), "agent": {"weight": torch.zeros(1_000_000)}}
    monkeypatch.setattr(Path, "open", lambda path, mode: open("/dev/full", mode))  # noqa: SIM115
    with pytest.raises(OSError, match="No space left") as error:
        save_checkpoint(run, full, step=7, keep=3)
    assert error.value.errno == errno.ENOSPC
    assert files(run) == []


def test_a_state_that_cannot_be_saved_leaves_no_file(run):
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint(run, {"agent": lambda: None}, step=7, keep=3)
    assert files(run) == []


@pytest.mark.parametrize("value", [np.float64(0.5), np.int64(3), np.zeros(2), Path("a")])
def test_what_would_not_be_read_is_not_written_and_the_last_one_stays(run, value):
    file = save_checkpoint(run, state(7), step=7, keep=3)
    with pytest.raises(TrainingError, match="cannot be read back"):
        save_checkpoint(run, {**state(8), "best_return": value}, step=8, keep=1)
    assert files(run) == [str(file.relative_to(run))]
    assert load_checkpoint(file, State)["global_step"] == 7


@pytest.mark.parametrize("kept", [0, 1, 100, 0.3, 0.6, 0.9, -100, -1])
def test_a_truncated_checkpoint_is_refused_by_name(run, kept):
    file = save_checkpoint(run, state(7), step=7, keep=3)
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(UserError) as error:
        load_checkpoint(file, State)
    assert str(file) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "pickled",
    [b"\x80\x02h\x09.", b"\x80\x02u.", b"\x80\x02\x8a\x02", b""],
    ids=["unknown memo", "missing mark", "cut number", "nothing"],
)
def test_a_checkpoint_with_damaged_content_is_refused_by_name(run, pickled):
    file = save_checkpoint(run, state(7), step=7, keep=3)
    with zipfile.ZipFile(file) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, pickled if name.endswith("/data.pkl") else data)
    with pytest.raises(UserError) as error:
        load_checkpoint(file, State)
    assert str(file) in str(error.value)


class MakesAFolder:
    """Pickles to code that makes a folder when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_loading_a_checkpoint_runs_no_code(tmp_path):
    file, made = tmp_path / "step_1.pt", tmp_path / "made"
    torch.save({"format": FORMAT, "agent": MakesAFolder(made)}, file)
    with pytest.raises(UserError):
        load_checkpoint(file, State)
    assert not made.exists()


@pytest.mark.parametrize("content", [{"format": FORMAT + 1}, {"agent": 1}, [1, 2], None])
def test_a_checkpoint_of_another_format_is_refused(tmp_path, content):
    file = tmp_path / "step_1.pt"
    torch.save(content, file)
    with pytest.raises(UserError, match="format") as error:
        load_checkpoint(file, State)
    assert str(file) in str(error.value)


def test_a_missing_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_checkpoint(tmp_path / "step_1.pt", State)


def test_a_text_file_is_no_checkpoint(tmp_path):
    file = tmp_path / "step_1.pt"
    file.write_text("hello")
    with pytest.raises(UserError, match=r"step_1\.pt"):
        load_checkpoint(file, State)


# ---------------------------------------------------------------------- what lies in it


def refusal(file, schema=State):
    with pytest.raises(UserError) as error:
        load_checkpoint(file, schema)
    message = str(error.value)
    assert message.startswith(f"checkpoint {file} ") and "\n" not in message
    return message


def test_any_flipped_bit_is_refused_or_does_not_matter(run):
    file = save_checkpoint(run, state(7), step=7, keep=3)
    content, chance, refused = file.read_bytes(), random.Random(0), 0
    for _ in range(300):
        damaged = bytearray(content)
        damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        try:
            found = load_checkpoint(file, State)
        except UserError:
            refused += 1
        else:
            assert_same(found, state(7))  # in the padding between tensors
    assert refused > 30


def test_a_flipped_bit_of_a_weight_is_named_with_the_checkpoint_before(run):
    save_checkpoint(run, state(3), step=3, keep=3)
    file = save_checkpoint(run, state(7), step=7, keep=3)
    content = bytearray(file.read_bytes())
    content[content.index(state(7)["agent"]["weight"].numpy().tobytes()) + 3] ^= 0x40
    file.write_bytes(content)
    message = refusal(file)
    assert "checksum of" in message
    assert message.endswith("delete it to go on from step_000000003.pt")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"agent": None}, "agent"),
        ({"agent": 3}, "agent"),
        ({"agent": {"weight": [1.0]}}, "weight"),
        ({"lanes": [{1: 2}]}, "lanes"),
        ({"best_return": "high"}, "best_return"),
        ({"global_step": "many"}, "global_step"),
        ({"global_step": -7}, "step -7"),
        ({"global_step": 10**12}, "step 1000000000000"),
        ({"further": 1}, "further"),
        ({"agent": {"weight": torch.tensor([1.0, float("nan")])}}, "agent/weight is not finite"),
    ],
    ids=str,
)
def test_what_the_schema_does_not_declare_is_refused_by_name(run, change, named):
    file = run / "checkpoints" / "step_000000007.pt"
    torch.save({"format": FORMAT, **state(7), **change}, file)
    assert named in refusal(file)


@pytest.mark.parametrize("name", list(State.__annotations__))
def test_what_is_missing_is_named(run, name):
    file = run / "checkpoints" / "step_000000007.pt"
    held = {"format": FORMAT, **state(7)}
    del held[name]
    torch.save(held, file)
    assert name in refusal(file)


def test_a_stray_file_among_the_checkpoints_is_none(run):
    file = save_checkpoint(run, state(7), step=7, keep=3)
    (run / "checkpoints" / "step_abc.pt").write_text("x")
    assert checkpoints(run) == [file]


def test_a_state_that_is_not_finite_is_not_saved_and_the_last_one_stays(run):
    save_checkpoint(run, state(7), step=7, keep=1)
    before = files(run)
    broken = state(8)
    broken["agent"]["bias"][1] = float("inf")
    with pytest.raises(TrainingError, match="agent/bias is not finite"):
        save_checkpoint(run, broken, step=8, keep=1)
    assert files(run) == before


def test_other_states_have_other_schemas(tmp_path):
    class Pictures(TypedDict):
        images: Tensor

    save_state(tmp_path / "pictures.pt", {"images": torch.zeros(2)})
    assert load_state(tmp_path / "pictures.pt", Pictures).keys() == {"images"}
    with pytest.raises(UserError, match=r"pictures\.pt does not hold what it should.*delete it"):
        load_state(tmp_path / "pictures.pt", State)


@pytest.mark.parametrize("error", [RuntimeError("size\nmismatch"), KeyError("x"), UserError("no")])
def test_what_does_not_fit_is_one_line_with_the_file(run, error):
    file = save_checkpoint(run, state(7), step=7, keep=3)
    with pytest.raises(UserError, match=r"step_000000007\.pt does not fit") as found, fitting(file):
        raise error
    assert "\n" not in str(found.value)


def test_moments_of_another_shape_are_refused():
    weight = torch.nn.Parameter(torch.zeros(2, 3))
    optimizer = torch.optim.Adam([weight])
    weight.grad = torch.ones(2, 3)
    optimizer.step()
    check_moments(optimizer)
    optimizer.state[weight]["exp_avg"] = torch.zeros(3, 2)
    with pytest.raises(ValueError, match=r"exp_avg has shape \(3, 2\), its parameter \(2, 3\)"):
        check_moments(optimizer)
