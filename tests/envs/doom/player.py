"""Lanes with a policy, for several tests."""

import hashlib

import numpy as np

from rl_attn.envs.doom.lanes import Lanes


class Player:
    """Lanes with their arrays, stepped by a random policy that depends on its seed alone."""

    def __init__(self, *args, policy_seed=0, **settings):
        self.lanes = Lanes(*args, **settings)
        self.frames = np.full((self.lanes.num_lanes, *self.lanes.frame_shape), 9, np.uint8)
        self.masks = np.full((self.lanes.num_lanes, *self.lanes.mask_shape), 9, np.uint8)
        self.rng = np.random.default_rng(policy_seed)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.lanes.close()

    def reset(self):
        self.lanes.reset(self.frames, self.masks)

    def step(self, action=None):
        actions = self.rng.integers(self.lanes.action_space.n, size=self.lanes.num_lanes)
        if action is not None:
            actions[:] = action
        return self.lanes.step(actions, self.frames, self.masks)

    def pid(self, lane):
        return self.lanes._lanes[lane].game.pid

    def digest(self, lane):
        return hashlib.sha1(self.frames[lane].tobytes() + self.masks[lane].tobytes()).hexdigest()

    def digests(self):
        return [self.digest(lane) for lane in range(self.lanes.num_lanes)]


def record(player, num_steps):
    """Everything that a number of steps brings, comparable with ==."""
    history = []
    for _ in range(num_steps):
        step = player.step()
        history.append(
            (
                player.digests(),
                step.rewards.tolist(),
                step.terminated.tolist(),
                step.truncated.tolist(),
                {index: frame.tobytes() for index, frame in step.final_frames.items()},
                {index: mask.tobytes() for index, mask in step.final_masks.items()},
                step.episodes,
            )
        )
    return history
