"""Every method from training to evaluation: a resumed run ends as one that was not interrupted."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import rl_attn
from rl_attn import evaluate, ppo
from rl_attn.errors import UserError
from rl_attn.rl.loading import load
from rl_attn.rl.methods import METHODS
from rl_attn.rl.play import evaluation_seeds
from rl_attn.rl.trainer import State
from rl_attn.run.checkpoint import checkpoints, latest_checkpoint, load_checkpoint

OUTSIDE = Path(__file__).parents[2] / "outside"

SMALL = [
    *("--import", str(OUTSIDE / "spotlight.py"), str(OUTSIDE / "tiny_network.py")),
    *("--env", "Spotlight-v0", "--no-env-processes", "--network", "tiny"),
    *("--num-envs", "2", "--num-steps", "8", "--num-minibatches", "2", "--update-epochs", "2"),
    *("--device", "cpu", "--precision", "fp32", "--threads", "1", "--total-timesteps", "32"),
    *("--checkpoint-interval", "1", "--keep-checkpoints", "0", "--picture-interval", "0"),
]

#: The flags of every row.
ROWS = {
    "masked-input": [],
    "mask-channel": [],
    "rad": ["--augmentation", "overlay"],
    "drac": ["--where", "outside"],
    "sgqn": [],
    "learned-gate": ["--gate", "soft"],
    "asymmetric-critic": [],
    "privileged-teacher": [],
    "segmentation-head": [],
    "coverage": [],
    "rrr": [],
    "camal": ["--control", "swapped", "--objective", "suppress"],
    "camal+drac": ["--camal", "0.1"],
    "masked-input+segmentation-head+rrr": [],
}

#: Those that are in tests of their own.
_ELSEWHERE = {"vanilla", "prior", "drac-twin"}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    """A run of an agent that sees the targets alone, of one update."""
    run = tmp_path_factory.mktemp("teacher") / "run"
    flags = [*SMALL, "--total-timesteps", "16", "--method", "masked-input"]
    assert ppo.main([*flags, "--run-dir", str(run)]) == 0
    return run


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return [
            {name: value for name, value in row.items() if "time" not in name and "SPS" not in name}
            for row in csv.DictReader(file)
        ]


def same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize("name", ROWS)
def test_a_resumed_run_is_the_same_bit_for_bit(name, teacher, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    flags = [*SMALL, "--method", name, *ROWS[name]]
    if name == "privileged-teacher":
        flags += ["--teacher-run", str(teacher)]
    assert ppo.main([*flags, "--run-dir", str(whole)]) == 0
    shutil.copytree(whole, broken)
    for later in checkpoints(broken)[1:]:
        later.unlink()
    assert ppo.main(["--resume", str(broken)]) == 0
    first = load_checkpoint(checkpoints(whole)[0], State)
    ends = [load_checkpoint(latest_checkpoint(run), State) for run in (whole, broken)]
    assert ends[0]["global_step"] == 32 and same(*ends)
    assert rows_of(whole) == rows_of(broken)
    for part in ("agent", "module"):  # all of it learns, if it has any
        before, after = first[part].values(), ends[0][part].values()
        assert not before or not all(map(torch.equal, before, after))
    (played,) = load(whole, "latest", torch.device("cpu")).play(1, evaluation_seeds(1))
    assert played.length > 0 and 0 <= played.iou_ceiling <= 1


@pytest.mark.parametrize("method", ["privileged-teacher", "learned-gate+privileged-teacher"])
def test_a_student_needs_its_teacher_in_training_alone(method, teacher, monkeypatch, tmp_path):
    """The second one is shown frames by its method, so an evaluation prepares it."""
    shutil.copytree(teacher, tmp_path / "teacher")
    monkeypatch.chdir(tmp_path)
    flags = [*SMALL, "--method", method, "--teacher-run", "teacher", "--run-dir", "run"]
    assert ppo.main(flags) == 0
    elsewhere, run = tmp_path / "elsewhere", tmp_path / "run"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    checkpoints(run)[-1].unlink()
    assert ppo.main(["--resume", str(run)]) == 0
    (tmp_path / "teacher").rename(tmp_path / "moved")
    (played,) = load(run, "latest", torch.device("cpu")).play(1, evaluation_seeds(1))
    assert played.length > 0
    agent = rl_attn.load(run, "cpu")
    frame = np.zeros((*agent.network.frame_size, agent.channels), np.uint8)
    assert agent.explain(frame, target="action").label
    with pytest.raises(UserError, match="teacher is not a folder of a run"):
        ppo.main(["--resume", str(run)])


def test_twins_are_the_same_game_and_resume_bit_for_bit(tmp_path):
    """Episodes of Basic end in both looks at once; a light changes every frame."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    flags = ["--env", "Basic", "--num-envs", "2", "--num-steps", "8", "--num-minibatches", "1"]
    flags += ["--update-epochs", "1", "--total-timesteps", "32", "--checkpoint-interval", "1"]
    flags += ["--device", "cpu", "--precision", "fp32", "--threads", "1"]
    flags += ["--frame-size", "80x60", "--width-scale", "0.25"]
    flags += ["--method", "drac-twin", "--twin-looks", "train:light", "--keep-checkpoints", "0"]
    assert ppo.main([*flags, "--run-dir", str(whole)]) == 0
    shutil.copytree(whole, broken)
    for later in checkpoints(broken)[1:]:
        later.unlink()
    assert ppo.main(["--resume", str(broken)]) == 0
    ends = [load_checkpoint(latest_checkpoint(run), State) for run in (whole, broken)]
    assert ends[0]["global_step"] == 32 and same(*ends)
    state, plain = ends[0]["method"], ends[0]
    assert state["parted"] == [False, False]
    assert [lane["seed"] for lane in state["lanes"]["lanes"]] == [
        lane["seed"] for lane in plain["lanes"]["lanes"]
    ]
    assert not torch.equal(state["frames"], plain["frames"].view_as(state["frames"]))
    for row in rows_of(whole):
        assert float(row["consistency/parted"]) == 0 and float(row["consistency/value"]) > 0


def test_every_file_is_a_row_here():
    ours = {name for name in METHODS.names() if METHODS[name].__module__.startswith("rl_attn")}
    assert ours - _ELSEWHERE <= set(ROWS)


def test_past_masks_are_right_after_a_resume(teacher, monkeypatch, tmp_path):
    """What masked input shows at the first step is the frames times their own masks."""
    shown = []
    kind = METHODS["masked-input"]
    original = kind.observe

    def observe(self, stacks, masks, phase):
        shown.append((stacks.clone(), masks.clone()))
        return original(self, stacks, masks, phase)

    monkeypatch.setattr(kind, "observe", observe)
    run = tmp_path / "run"
    assert ppo.main([*SMALL, "--method", "masked-input", "--run-dir", str(run)]) == 0
    for later in checkpoints(run)[1:]:
        later.unlink()
    whole, shown[:] = list(shown), []
    assert ppo.main(["--resume", str(run)]) == 0
    for (stacks, masks), (ours, own) in zip(whole[-len(shown) :], shown, strict=True):
        assert torch.equal(stacks, ours) and torch.equal(masks, own)
    stacks, masks = shown[0]
    lit = (stacks == 255) & (masks > 0)  # the spot is the brightest thing but for the pointer
    assert masks.flatten(2).any(2).all()
    assert lit.sum() > 0.5 * masks.sum() and np.isin(masks.numpy(), (0, 1)).all()


def test_what_training_refuses_to_show_is_refused_of_its_agent(tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    flags = [*SMALL, "--total-timesteps", "16", "--method", "asymmetric-critic"]
    assert ppo.main([*flags, "--run-dir", str(run)]) == 0
    words = "critic of --method asymmetric-critic is no part of the agent; leave it at action"
    with pytest.raises(UserError, match=f"--attention-target value: the {words}"):
        evaluate.main([str(run), "--attention-target", "value", "--out", str(out)])
    assert not out.exists()
    agent = rl_attn.load(run, "cpu")
    frame = np.zeros((*agent.network.frame_size, agent.channels), np.uint8)
    with pytest.raises(UserError, match=words):
        agent.explain(frame, target="value")
    assert agent.explain(frame, target="action").label


def test_what_cannot_work_is_refused_before_a_run_exists(teacher, tmp_path):
    run, early = tmp_path / "run", tmp_path / "early"
    shutil.copytree(teacher, early, ignore=shutil.ignore_patterns("step_*"))
    for flags, reason in (
        (["--method", "privileged-teacher"], "needs --teacher-run FOLDER"),
        (["--method", "privileged-teacher", "--teacher-run", "nowhere"], "not a folder of a run"),
        (
            ["--method", "privileged-teacher", "--teacher-run", str(early)],
            "early has no checkpoint yet",
        ),
        (
            [
                *("--method", "privileged-teacher", "--frame-stack", "2"),
                *("--teacher-run", str(teacher)),
            ],
            "trained with frame_stack 4, this is 2",
        ),
        (["--method", "asymmetric-critic", "--attention-target", "value"], "leave it at action"),
        (["--method", "rrr+asymmetric-critic"], "asymmetric-critic does not go with rrr"),
        (["--method", "camal+prior"], "one of these includes the other"),
        (["--method", "drac+drac"], "twice"),
        (["--method", "drac+camel"], "did you mean camal"),
    ):
        with pytest.raises(UserError, match=reason):
            ppo.main([*SMALL, *flags, "--run-dir", str(run)])
        assert not run.exists()
