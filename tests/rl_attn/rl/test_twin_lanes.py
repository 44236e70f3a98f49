"""The rollout's twins: as long as they play the same game, and no longer."""

import corridor  # noqa: F401 (registers its environments)
import pytest
import torch

from rl_attn.agents import RolloutStorage
from rl_attn.agents.heads import head_of
from rl_attn.envs.registry import find
from rl_attn.rl.settings import AgentSettings
from rl_attn.rl.twin_lanes import TwinLanes

STEPS, LANES = 8, 2


@pytest.mark.parametrize(("looks", "count"), [("test:wall", STEPS), ("test:cheat", 4)])
def test_a_look_that_changes_the_game_is_no_twin_from_there_on(looks, count):
    """After four steps the cheating look has another mask, and the episode goes on for twelve."""
    settings = AgentSettings(
        env="tests/Slides-v0", num_envs=LANES, num_steps=STEPS, frame_stack=1, env_processes=False
    )
    environment, cpu = find(settings), torch.device("cpu")
    storage = RolloutStorage(STEPS, LANES, environment.frame_shape, 1, cpu)
    head = head_of(environment.action_space)
    with environment.start(LANES, seed=settings.seed) as lanes:
        lanes.reset(*storage.inbox(0))
        storage.deliver(0)
        for t in range(STEPS):
            storage.actions[t] = torch.tensor([0, 1])
            step = lanes.step(head.for_environment(storage.actions[t]), *storage.inbox(t + 1))
            storage.deliver(t + 1)
            dones = step.terminated | step.truncated
            storage.record(t, slice(None), step.rewards, dones, {}, {})
    twins = TwinLanes(settings, looks, cpu)
    followed = twins.follow(storage, head)
    twins.close()
    assert followed.together.view(STEPS, LANES).sum(0).tolist() == [count] * LANES
    frames = storage.stacks(storage.all_rows())
    differ = (followed[torch.arange(STEPS * LANES)][0] != frames).flatten(1).any(1)
    assert differ.sum() == (STEPS * LANES if looks == "test:wall" else LANES)
