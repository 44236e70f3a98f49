"""Contenders that train PPO agents; see `rl_throughput.py`.

A chunk is a number of rollouts, each followed by its update. All of them have the same network,
whose number of parameters proves it, and Table 8's hyper-parameters, which are the defaults of
`AgentSettings`. Rewards are clipped, episodes' returns recorded, nothing is logged.
"""

from functools import partial
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import ClipReward, FrameStackObservation, RecordEpisodeStatistics
from torch import Tensor, nn
from torch.distributions import Categorical
from workload import Games

from rl_attn.agents import feature_grid
from rl_attn.envs.doom.env import DoomEnv
from rl_attn.rl import settings
from rl_attn.rl.trainer import Trainer
from rl_attn.run.device import keep_freed_memory, pick_device, pick_precision
from rl_attn.run.plugins import import_all

#: Far away, so that an annealed learning rate stays what it is.
TOTAL_TIMESTEPS = 10_000_000


class Training:
    """`train()` is one rollout and one update; `returns` has those of the episodes that ended."""

    def __init__(self, args: Games, method: str = "vanilla", **flags: Any) -> None:
        """flags: of our trainer and the method."""
        import_all(flags.get("imports", ()))
        torch.set_num_threads(args.threads)
        self.device = pick_device(args.device)
        self.returns: list[float] = []
        own = {"total_timesteps": TOTAL_TIMESTEPS, **args.flags, **flags}
        self.args = settings.with_method(method)(**own)
        self.note = f"{args.num_envs} games, {args.width}x{args.height}x4 gray, {self.device}"

    def train(self) -> None:
        raise NotImplementedError

    def num_parameters(self) -> int:
        raise NotImplementedError

    def run(self, count: int) -> float:
        """`count` rollouts and updates; returns the size of the network."""
        for _ in range(count):
            self.train()
        return self.num_parameters()


class OurTrainer(Training):
    """`rl_attn.rl.trainer`, set up as `rl_attn.ppo` does it."""

    def __init__(self, args: Games, method: str = "vanilla", **flags: Any) -> None:
        super().__init__(args, method, **flags)
        keep_freed_memory()
        precision = pick_precision(args.precision, self.device)
        self.note += f", {precision}"
        self._trainer = Trainer(self.args, self.device, precision)
        self._trainer.start()

    def train(self) -> None:
        self.returns += [episode.episode_return for episode in self._trainer.rollout()]
        self._trainer.update()
        self._trainer.storage.roll()

    def num_parameters(self) -> int:
        return _count(self._trainer.agent)

    def close(self) -> None:
        self._trainer.envs.close()


OurCamalTrainer = partial(OurTrainer, method="camal", camal=1.0)


class OurMethod(OurTrainer):
    """The same, whose networks may differ in size: the work is the number of steps."""

    def run(self, count: int) -> float:
        super().run(count)
        return float(count * self.args.batch_size)


class FrameOnly(gymnasium.ObservationWrapper):
    """The frame (H, W, 1), or (H, W) if flat, without the mask that the others have no use for."""

    def __init__(self, env: gymnasium.Env, flat: bool) -> None:
        super().__init__(env)
        height, width, channels = env.observation_space["frame"].shape
        self._shape = (height, width) if flat else (height, width, channels)
        self.observation_space = gymnasium.spaces.Box(0, 255, self._shape, np.uint8)

    def observation(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        return observation["frame"].reshape(self._shape)


# ---------------------------------------------------------------------- stable-baselines3


class SB3PPO(Training):
    """stable-baselines3's PPO with its CnnPolicy, on SubprocVecEnv and VecFrameStack."""

    def __init__(self, args: Games, **flags: Any) -> None:
        from stable_baselines3 import PPO
        from stable_baselines3.common.vec_env import SubprocVecEnv, VecFrameStack

        super().__init__(args, **flags)
        ours = self.args
        make = partial(sb3_env, ours)
        self._model = PPO(
            "CnnPolicy",
            VecFrameStack(SubprocVecEnv([make] * ours.num_envs), ours.frame_stack),
            learning_rate=ours.learning_rate,  # its schedule would begin again with every chunk
            n_steps=ours.num_steps,
            batch_size=ours.batch_size // ours.num_minibatches,
            n_epochs=ours.update_epochs,
            gamma=ours.gamma,
            gae_lambda=ours.gae_lambda,
            clip_range=ours.clip_coef,
            clip_range_vf=ours.clip_coef,
            normalize_advantage=ours.norm_adv,
            ent_coef=ours.ent_coef,
            vf_coef=ours.vf_coef,
            max_grad_norm=ours.max_grad_norm,
            policy_kwargs={"features_extractor_kwargs": {"features_dim": 512}},
            seed=ours.seed,
            device=self.device,
        )

    def run(self, count: int) -> float:
        self._model.learn(count * self.args.batch_size, self._keep, reset_num_timesteps=False)
        return self.num_parameters()

    def _keep(self, found: dict[str, Any], _: dict[str, Any]) -> bool:
        """Called by the library after each step of all games."""
        ended = (info["episode"]["r"] for info in found["infos"] if "episode" in info)
        self.returns += map(float, ended)
        return True

    def num_parameters(self) -> int:
        return _count(self._model.policy)

    def close(self) -> None:
        self._model.get_env().close()


def sb3_env(args: settings.AgentSettings) -> gymnasium.Env:
    """One environment as a user of stable-baselines3 would wrap it, observing (H, W, 1)."""
    from stable_baselines3.common.monitor import Monitor

    env = DoomEnv(args.env, (args.width, args.height))
    env = Monitor(FrameOnly(env, flat=False))
    return ClipReward(env, -args.reward_clip, args.reward_clip)


# ---------------------------------------------------------------------- CleanRL's structure


class CleanRLLoop(Training):
    """The structure of CleanRL's `ppo_atari.py`: all in one loop, with float32 observations.

    Games one after the other (SyncVectorEnv), each stacking its own frames; observations become
    float32 tensors and are stored as such; PyTorch's default layout and optimiser.
    https://github.com/vwxyzjn/cleanrl/blob/master/cleanrl/ppo_atari.py
    """

    def __init__(self, args: Games) -> None:
        super().__init__(args)
        ours = self.args
        make = partial(cleanrl_env, ours)
        # SAME_STEP is what gymnasium did when that file was written.
        self._envs = SyncVectorEnv([make] * ours.num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
        num_actions = int(self._envs.single_action_space.n)
        shape = (ours.frame_stack, ours.height, ours.width)
        self._agent = CleanRLAgent(shape, num_actions).to(self.device)
        self._optimizer = torch.optim.Adam(
            self._agent.parameters(), lr=ours.learning_rate, eps=1e-5
        )
        steps = (ours.num_steps, ours.num_envs)
        self._observations = torch.zeros((*steps, *shape)).to(self.device)
        names = ("actions", "log_probs", "rewards", "dones", "values")
        self._stored = {name: torch.zeros(steps).to(self.device) for name in names}
        observation, _ = self._envs.reset(seed=ours.seed)
        self._observation = torch.Tensor(observation).to(self.device)
        self._done = torch.zeros(ours.num_envs).to(self.device)

    def train(self) -> None:
        self._rollout()
        advantages, returns = self._advantages()
        batch = {name: tensor.reshape(-1) for name, tensor in self._stored.items()}
        batch |= {"advantages": advantages.reshape(-1), "returns": returns.reshape(-1)}
        observations = self._observations.reshape(-1, *self._observations.shape[2:])
        indices = np.arange(self.args.batch_size)
        size = self.args.batch_size // self.args.num_minibatches
        for _ in range(self.args.update_epochs):
            np.random.shuffle(indices)
            for start in range(0, len(indices), size):
                chosen = indices[start : start + size]
                picked = {name: tensor[chosen] for name, tensor in batch.items()}
                self._learn(observations[chosen], picked)

    def _rollout(self) -> None:
        stored = self._stored
        for step in range(self.args.num_steps):
            self._observations[step] = self._observation
            stored["dones"][step] = self._done
            with torch.no_grad():
                action, log_prob, _, value = self._agent(self._observation)
            stored["values"][step] = value.flatten()
            stored["actions"][step] = action
            stored["log_probs"][step] = log_prob
            observation, reward, ended, cut, _ = self._envs.step(action.cpu().numpy())
            stored["rewards"][step] = torch.tensor(reward).to(self.device).view(-1)
            self._observation = torch.Tensor(observation).to(self.device)
            self._done = torch.Tensor(np.logical_or(ended, cut)).to(self.device)

    @torch.no_grad()
    def _advantages(self) -> tuple[Tensor, Tensor]:
        args, stored = self.args, self._stored
        value = self._agent.value(self._observation).reshape(1, -1)
        advantages = torch.zeros_like(stored["rewards"])
        advantage, done = 0, self._done
        for t in reversed(range(args.num_steps)):
            going_on = 1.0 - done
            delta = stored["rewards"][t] + args.gamma * value * going_on - stored["values"][t]
            advantage = delta + args.gamma * args.gae_lambda * going_on * advantage
            advantages[t] = advantage
            value, done = stored["values"][t], stored["dones"][t]
        return advantages, advantages + stored["values"]

    def _learn(self, observations: Tensor, batch: dict[str, Tensor]) -> None:
        """One mini-batch."""
        args = self.args
        _, log_prob, entropy, value = self._agent(observations, batch["actions"].long())
        log_ratio = log_prob - batch["log_probs"]
        ratio = log_ratio.exp()
        with torch.no_grad():
            ((ratio - 1) - log_ratio).mean()  # it logs the KL divergence and this share
            ((ratio - 1.0).abs() > args.clip_coef).float().mean().item()
        advantages = batch["advantages"]
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        clipped = -advantages * torch.clamp(ratio, 1 - args.clip_coef, 1 + args.clip_coef)
        policy_loss = torch.max(-advantages * ratio, clipped).mean()
        value = value.view(-1)
        change = torch.clamp(value - batch["values"], -args.clip_coef, args.clip_coef)
        error = (value - batch["returns"]) ** 2
        clipped_error = (batch["values"] + change - batch["returns"]) ** 2
        value_loss = 0.5 * torch.max(error, clipped_error).mean()
        loss = policy_loss - args.ent_coef * entropy.mean() + args.vf_coef * value_loss
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._agent.parameters(), args.max_grad_norm)
        self._optimizer.step()

    def num_parameters(self) -> int:
        return _count(self._agent)

    def close(self) -> None:
        self._envs.close()


class CleanRLAgent(nn.Module):
    """The five-layer network in PyTorch's default layout."""

    def __init__(self, shape: tuple[int, int, int], num_actions: int) -> None:
        super().__init__()
        h, w = feature_grid(shape[1:])
        self.network = nn.Sequential(
            nn.Conv2d(shape[0], 32, 8, stride=4),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, stride=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * h * w, 512),
            nn.ReLU(),
        )
        self.actor = nn.Linear(512, num_actions)
        self.critic = nn.Linear(512, 1)

    def value(self, observations: Tensor) -> Tensor:
        return self.critic(self.network(observations / 255.0))

    def forward(
        self, observations: Tensor, action: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Action (drawn unless given), its log-probability, the entropy, the value."""
        hidden = self.network(observations / 255.0)
        policy = Categorical(logits=self.actor(hidden))
        action = policy.sample() if action is None else action
        return action, policy.log_prob(action), policy.entropy(), self.critic(hidden)


def cleanrl_env(args: settings.AgentSettings) -> gymnasium.Env:
    """One environment in CleanRL's wrappers, observing (S, H, W)."""
    env = DoomEnv(args.env, (args.width, args.height))
    env = RecordEpisodeStatistics(FrameOnly(env, flat=True))
    env = ClipReward(env, -args.reward_clip, args.reward_clip)
    return FrameStackObservation(env, args.frame_stack)


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
