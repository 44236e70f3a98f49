"""A teacher's masks in PPO: how many frames, within which time, and what the run says of it."""

import csv

import pytest
import torch

from rl_attn import ppo
from rl_attn.agents import RolloutStorage
from rl_attn.errors import UserError
from rl_attn.rl.distributed import ALONE, Ranks
from rl_attn.rl.methods import Context, prior
from rl_attn.rl.methods.prior import Prior, RolloutTeacher, target_words
from rl_attn.rl.settings import AgentSettings, args_type, validate
from rl_attn.run.cli import parse
from rl_attn.teachers import Taught


class Clock:
    """Time passes when it is told to."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


def a_prior(clip_folder, ranks=ALONE, **options):
    method = Prior(teacher=RolloutTeacher(model=str(clip_folder), **options))
    cpu = torch.device("cpu")
    method.context = Context(None, AgentSettings(), cpu, ranks, torch.Generator())
    method.prepare()
    return method


def storage():
    rollout = RolloutStorage(num_steps=20, num_lanes=3, frame_shape=(12, 16, 1), stack=4)
    rollout.frames.random_(0, 256)
    return rollout


def test_labelling_stays_within_its_share_of_the_time(clip_folder, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(prior, "time", clock)
    teaching = a_prior(clip_folder, budget=0.2)

    def teach(images):
        clock.now += 0.1 * len(images)
        ones = torch.ones(len(images))
        return Taught(ones[:, None, None].expand(-1, 12, 16), ones)

    teaching.ask = teach
    numbers = []
    for _ in range(8):
        clock.now += 10.0  # the rollout and the update before
        masks, logged = teaching.masks(storage())
        numbers.append(int((masks.flatten(2).amax(2) > 0).sum()))
        assert logged["teacher/share_of_time"] <= 0.2 + 1e-9
        assert logged["teacher/labelled"] == numbers[-1] / 60
    assert numbers[0] == 8  # nothing is known of the time yet
    assert logged["teacher/share_of_time"] > 0.19  # and what is allowed is used
    assert logged["teacher/seconds_per_frame"] == pytest.approx(0.1)


def test_every_kth_frame_shows_the_newest_frame_to_the_teacher(clip_folder):
    teaching, rollout, seen = a_prior(clip_folder, every=7), storage(), []

    def teach(images):
        seen.append(images)
        sure = torch.arange(len(images)) % 2  # every second frame is not trusted
        return Taught(torch.full((len(images), 12, 16), 0.6), sure.float())

    teaching.ask = teach
    masks, logged = teaching.masks(rollout)
    rows = list(range(0, 60, 7))
    newest = rollout.frames[3:23].flatten(0, 1)[rows].permute(0, 3, 1, 2)
    assert torch.equal(seen[0], newest)
    on = masks.flatten(0, 1).flatten(1).amin(1).bool()
    assert on.nonzero().flatten().tolist() == rows[1::2]
    assert logged["teacher/sure"] == pytest.approx(4 / 9)


def test_words_come_from_the_scenarios_targets():
    assert target_words(AgentSettings(env="DefendCenter")) == ("demon", "marine")
    assert target_words(AgentSettings(env="TakeCover", targets=("DoomImpBall",))) == ("fireball",)


def test_a_run_with_a_teacher_logs_its_cost_and_the_true_iou(clip_folder, tiny, tmp_path):
    run = tmp_path / "run"
    flags = ["--method", "prior", "--teacher.model", str(clip_folder), "--teacher.every", "4"]
    flags += ["--teacher.confidence", "0", "--total-timesteps", "64", "--run-dir", str(run)]
    assert ppo.main([*tiny, *flags]) == 0
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert float(row["teacher/labelled"]) == 8 / 32
        assert float(row["attention/empty_masks"]) >= 0.7  # what was not labelled is skipped
        assert 0 <= float(row["attention/iou"]) <= 1
        assert 0 < float(row["teacher/share_of_time"]) < 1


def settings(*flags):
    return parse(args_type(flags), flags, "rl-attn ppo")


def test_settings_that_cannot_work_are_refused(clip_folder):
    with pytest.raises(UserError, match="leave it at skip"):
        validate(settings("--method", "prior", "--empty-mask", "suppress"))
    with pytest.raises(UserError, match="--masks teacher is called --method prior now"):
        settings("--masks", "teacher")
    with pytest.raises(UserError, match="not in 2 ranks"):
        a_prior(clip_folder, ranks=Ranks(0, 2))


def test_its_account_goes_on_after_a_resume(clip_folder, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(prior, "time", clock)
    first, second = (a_prior(clip_folder) for _ in range(2))
    clock.now, first.spent, first.labelled = 100.0, 5.0, 40
    first._draw(60)
    state = first.state_dict()
    clock.now = 1000.0
    second.load_state_dict(state)
    assert (second.spent, second.labelled, second.started) == (5.0, 40, 900.0)
    clock.now = 100.0
    second.started = first.started
    assert torch.equal(first._draw(60), second._draw(60))
