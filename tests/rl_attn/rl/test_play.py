"""Playing fixed episodes: the same whoever plays them how, and measured frame by frame."""

import numpy as np
import pytest
import torch

from rl_attn.attention import grad_cam, iou, pointing_game, upsample
from rl_attn.envs.doom.lanes import Lanes
from rl_attn.evaluation import FrameSampler, load
from rl_attn.rl.methods import Method
from rl_attn.rl.play import MEASURES, Played, Player, evaluation_seeds, summarize


@pytest.fixture(scope="module")
def player(tiny_run):
    return load(tiny_run, "latest", torch.device("cpu"))


@pytest.fixture(scope="module")
def episodes(player):
    return player.play(3, evaluation_seeds(3))


def test_episodes_do_not_depend_on_the_number_of_lanes(player, episodes):
    alone = player.play(1, evaluation_seeds(3))
    for one, other in zip(episodes, alone, strict=True):
        assert one.seed == other.seed
        assert one.length == other.length
        assert one.episode_return == other.episode_return
        np.testing.assert_allclose(one.iou, other.iou, atol=1e-4)


def test_the_agent_is_shown_what_its_method_shows(player):
    """A gate or a mask acts in an evaluation as it did in training; the measures' masks stay."""

    class Blind(Method):
        def observe(self, stacks, masks, phase):
            assert phase == "evaluate"
            return torch.zeros_like(stacks)

    seen = []

    def look(moment):
        seen.append((moment.stacks.any().item(), moment.frames.any(), moment.output.value.item()))

    Player(player.agent, player.settings, Blind()).play(1, evaluation_seeds(1), look=look)
    assert all(stacks and frames for stacks, frames, _ in seen)
    assert len({value for _, _, value in seen}) == 1  # every frame looks the same to it


def test_what_is_disturbed_is_shown_by_the_method_and_v_is_the_methods(player):
    class Judge(Method):
        def observe(self, stacks, masks, phase):
            shown.append(stacks)
            return stacks

        def judged(self, output, stacks, masks):
            return output._replace(value=masks.float().sum((1, 2, 3)))

    def look(moment):
        assert torch.equal(moment.output.value, moment.mask_stacks.float().sum((1, 2, 3)))

    shown = []
    judged = Player(player.agent, player.settings, Judge())
    judged.play(1, evaluation_seeds(1), look=look, disturb=lambda m: torch.zeros_like(m.stacks))
    assert all(stacks.any() for stacks in shown[::2])  # what the moment is of
    assert not any(stacks.any() for stacks in shown[1::2])  # what is acted on


def test_returns_and_lengths_are_those_of_the_game(player, episodes):
    """Replaying the actions in a bare game gives the same raw return."""
    actions: list[int] = []

    def record(moment):
        scores = moment.output.logits[0].double().numpy()
        random = np.random.default_rng(evaluation_seeds(1)[0])
        noise = [random.gumbel(size=len(scores)) for _ in range(len(actions) + 1)][-1]
        actions.append(int((scores + noise).argmax()))

    (played,) = player.play(1, evaluation_seeds(1), look=record)
    with Lanes("DefendCenter", 1, episode_seeds=evaluation_seeds(1)) as lanes:
        frames = np.zeros((1, *lanes.frame_shape), np.uint8)
        masks = np.zeros((1, *lanes.mask_shape), np.uint8)
        lanes.reset(frames, masks)
        rewards = [float(lanes.step(np.array([a]), frames, masks).rewards[0]) for a in actions]
    assert played.length == len(actions)
    assert played.episode_return == sum(rewards) == episodes[0].episode_return


def test_measures_are_means_over_the_frames_with_a_target(player):
    seen: dict[str, list[float]] = {"iou": [], "pointing_game": [], "alpha": [], "beta": []}
    empty = []

    def measure(moment):
        mask = moment.masks[:1].float()
        empty.append(not mask.any())
        if empty[-1]:
            return
        output = player.agent(moment.stacks)
        attention = upsample(
            grad_cam(output.value, output.features), mask.shape[1:], player.agent.cells
        ).detach()
        seen["iou"].append(iou(attention, mask).item())
        seen["pointing_game"].append(pointing_game(attention, mask).item())
        seen["alpha"].append(((attention * mask).sum() / mask.sum()).item())
        seen["beta"].append(((attention * (1 - mask)).sum() / (1 - mask).sum()).item())

    with torch.enable_grad():
        (played,) = player.play(1, evaluation_seeds(1), look=measure)
    assert played.empty_masks == pytest.approx(np.mean(empty))
    for name, values in seen.items():
        assert getattr(played, name) == pytest.approx(np.mean(values), abs=1e-4), name
    assert 0 < played.iou_ceiling < 1


def test_greedy_play_takes_the_likeliest_action(player):
    taken, length = [], 0

    def look(moment):
        nonlocal length
        length += 1
        taken.append(moment.output.logits.argmax(-1).item())

    (played,) = player.play(1, evaluation_seeds(1), greedy=True, look=look)
    (again,) = player.play(1, evaluation_seeds(1), greedy=True)
    assert played.length == length
    assert again.episode_return == played.episode_return


def test_disturbed_stacks_are_what_the_policy_acts_on(player):
    """A policy that sees nothing but black acts alike in every state."""
    black = []

    def disturb(moment):
        nothing = torch.zeros_like(moment.stacks)
        with torch.no_grad():
            black.append(player.agent(nothing).logits[0])
        return nothing

    player.play(1, evaluation_seeds(1), greedy=True, disturb=disturb)
    assert all(torch.equal(black[0], logits) for logits in black)


def test_a_summary_leaves_out_faults_and_frames_without_targets():
    episodes = [
        Played(1, episode_return=2.0, length=10, iou=0.25),
        Played(2, episode_return=4.0, length=20),  # no target was ever seen: NaN
        Played(3, episode_return=-99.0, length=1, iou=0.0, fault=True),
    ]
    summary = summarize(episodes)
    assert summary["episode_return"].mean == 3.0
    assert summary["episode_return"].high - 3.0 == pytest.approx(1.96)  # s.e. of 2 and 4 is 1
    assert summary["iou"].mean == 0.25
    assert set(MEASURES) < set(summary)


def test_the_sampler_keeps_frames_evenly(player):
    sampler, steps = FrameSampler(5), 0

    def look(moment):
        nonlocal steps
        steps += 1
        sampler(moment)

    player.play(1, evaluation_seeds(1), look=look)
    assert sampler.seen == steps > 20
    assert len(sampler.kept) < 10
    sample = sampler.sample()
    assert sample["stacks"].shape == sample["masks"].shape == (5, 4, 60, 80)
    assert sample["memory"] is None
