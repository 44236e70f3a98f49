"""A model of stable-baselines3, played and measured as our own agents are.

    rl-attn evaluate model.zip --env DefendCenter --faithfulness

Any on-policy model with a convolution (PPO, A2C, CamalPPO) whose observations are frames, or a dict
of a frame and more; the mask never reaches it. One forward gives policy, value and the maps of its
tapped layer.

Letters: B samples, S stacked frames, C channels, P parameters of a policy.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from rl_attn.agents import Network, Output
from rl_attn.agents.heads import Head, head_of
from rl_attn.attention import tap
from rl_attn.envs.registry import EnvSettings, find, is_gymnasium_id
from rl_attn.errors import UserError, one_line
from rl_attn.rl.play import Player
from rl_attn.rl.settings import AgentSettings


def load_sb3(file: Path, device: torch.device) -> SB3Agent:
    """The agent of a `model.zip`; UserError if it is none that can be played here."""
    try:
        from stable_baselines3 import A2C, PPO
        from stable_baselines3.common.save_util import load_from_zip_file

        from rl_attn.sb3 import CamalPPO
    except ImportError as error:
        raise UserError(f"{file}: {error}") from None
    try:
        data = load_from_zip_file(file, device=device)[0] or {}
        kind = CamalPPO if "camal" in data else PPO if "clip_range" in data else A2C
        model = kind.load(file, device=device)
    except Exception as error:  # of whatever a stranger's file leads to
        reason = one_line(error)
        raise UserError(f"{file} is no on-policy model of stable-baselines3: {reason}") from None
    return SB3Agent(model).to(device).eval()


def sb3_player(file: Path, device: torch.device, env: EnvSettings) -> Player:
    """The agent of a `model.zip` in an environment; Doom's frames get the model's size."""
    agent = load_sb3(file, device)
    settings = AgentSettings(**vars(env), attention_target=agent.target)
    if not is_gymnasium_id(env.env):
        settings = replace(settings, height=agent.frame_size[0], width=agent.frame_size[1])
    environment = find(settings)
    *size, channels = environment.frame_shape
    if tuple(size) != agent.frame_size or agent.in_channels % channels:
        raise UserError(
            f"{file} sees frames of {agent.in_channels} channels and {agent.frame_size} pixels, "
            f"which frames {environment.frame_shape} of --env {env.env} do not make up"
        )
    if environment.action_space != agent.head.space:
        raise UserError(
            f"{file} acts in {agent.head.space} and --env {env.env} in {environment.action_space}"
        )
    return Player(agent, replace(settings, frame_stack=agent.in_channels // channels))


class SB3Agent(Network):
    """See the head of this file."""

    black_start = True  # as `VecFrameStack` does it

    def __init__(self, model: Any):
        from rl_attn.sb3 import tapped_layer

        if model.policy.squash_output:
            raise UserError(
                "the model squashes its actions (squash_output), which no agent here does"
            )
        space, key = model.observation_space, _frame_key(model)
        shape = (space if key is None else space[key]).shape  # (S*C, H, W)
        super().__init__(shape[0], tuple(shape[1:]), model.action_space)
        self.policy, self.frame_key, self.space = model.policy, key, space
        self.target: Literal["value", "action"] = getattr(model, "attention_target", "value")
        self.layer = getattr(model, "layer", None) or tapped_layer(self.extractor)
        self.head = SB3Head(**vars(head_of(model.action_space)))

    @property
    def extractor(self) -> nn.Module:
        """The features extractor whose maps are shown: the value's, or the policy's own."""
        value = self.target == "value"
        return self.policy.vf_features_extractor if value else self.policy.pi_features_extractor

    def forward(self, frames: Tensor, shift: bool = False) -> Output:
        policy = self.policy
        with tap(self.extractor, self.layer) as features:
            extracted = policy.extract_features(self._observation(frames))
        if policy.share_features_extractor:
            actor, critic = policy.mlp_extractor(extracted)
        else:
            actor = policy.mlp_extractor.forward_actor(extracted[0])
            critic = policy.mlp_extractor.forward_critic(extracted[1])
        if isinstance(self.head.space, spaces.Box):  # under use_sde the deviations are the state's
            normal = policy._get_action_dist_from_latent(actor).distribution
            parameters = torch.cat([normal.mean, normal.stddev.log()], dim=1)  # (B, P)
        else:
            parameters = policy.action_net(actor)
        value = policy.value_net(critic)[:, 0]
        return Output(self.head(parameters.float()), value.float(), features())

    def _observation(self, frames: Tensor) -> Any:
        """As the policy had it in training; what else a dict holds, the mask above all, is zero."""
        if self.frame_key is None:
            return frames
        others = {
            key: frames.new_zeros(len(frames), *space.shape) for key, space in self.space.items()
        }
        return {**others, self.frame_key: frames}


class SB3Head(Head):
    """stable-baselines3's Gaussian has its actions in the Box's own units, and clips them."""

    def for_environment(self, actions: Tensor) -> np.ndarray:
        if not isinstance(self.space, spaces.Box):
            return super().for_environment(actions)
        values = actions.cpu().numpy().reshape(len(actions), *self.space.shape)
        return np.clip(values, self.space.low, self.space.high).astype(self.space.dtype)


def _frame_key(model: Any) -> str | None:
    """What the observation calls the frame; None where it is nothing else."""
    space = model.observation_space
    if isinstance(space, gymnasium.spaces.Dict):
        key = getattr(model, "frame_key", "frame")
        if key in space.spaces and len(space[key].shape or ()) == 3:
            return key
    elif len(space.shape or ()) == 3:
        return None
    raise UserError(f"the model sees {space}, in which there is no frame (H, W, C)")
