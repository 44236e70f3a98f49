"""A PPO run: the agent, its environments, its method, and its place in the run.

`collect.py` plays into the storage, `learn.py` learns from it with `ppo_loss.py` and the method's
loss (`methods/`); this file puts them together, and saves and restores them.
"""

from collections import deque
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor

from rl_attn.agents import NETWORKS, Network, RolloutStorage
from rl_attn.envs.protocol import Episode, VectorEnv
from rl_attn.envs.registry import find
from rl_attn.errors import UserError, one_line
from rl_attn.rl.agent_attention import attention_maps
from rl_attn.rl.collect import Collector
from rl_attn.rl.distributed import ALONE, Ranks, split_lanes
from rl_attn.rl.learn import Learner
from rl_attn.rl.methods import Context
from rl_attn.rl.settings import AgentSettings, method_of
from rl_attn.run.checkpoint import check_moments


class AgentState(TypedDict):
    """What an agent needs to play: all that is kept of a finished run and of its best agent."""

    agent: dict[str, Tensor]
    method: dict[str, Any]
    module: dict[str, Tensor]
    global_step: int


class State(AgentState):
    """What a checkpoint of `Trainer` holds."""

    optimizer: dict[str, Any]
    random: Tensor  # of the generator on the device
    lanes: dict[str, Any]
    frames: Tensor  # (frame_stack, N, H, W, C) uint8
    masks: NotRequired[Tensor]  # (frame_stack, N, H, W) uint8; older versions kept none
    age: Tensor  # (N,)
    memory: NotRequired[Tensor]  # (N, M), of a recurrent network
    returns: list[float]
    best_return: float


class Trainer:
    """See the head of this file."""

    def __init__(
        self,
        args: AgentSettings,
        device: torch.device,
        precision: str,
        ranks: Ranks = ALONE,
        envs: VectorEnv | None = None,
    ):
        """
        Args:
            ranks: with whom the environments and the work are shared (see `distributed.py`).
            envs: environments that run already, as these settings ask for; None: start some.
        """
        self.args, self.device, self.precision, self.ranks = args, device, precision, ranks
        torch.manual_seed(args.seed)
        self.agent = make_agent(args).to(device)
        if args.compile:
            self.agent.compile_layers()
        self.random = torch.Generator(device).manual_seed(args.seed)
        self.method = method_of(args)
        self.method.context = Context(
            self.agent, args, device, ranks, torch.Generator(device), self.autocast
        )
        self.method.prepare()
        self.module = self.method.module()
        if self.module is not None:
            self.module.to(device)
        num_envs = args.num_envs // ranks.size
        if envs is None:
            envs = find(args).start(
                num_envs,
                seed=args.seed,
                first_lane=ranks.rank * num_envs,
                num_groups=2 if device.type == "cuda" and num_envs % 2 == 0 else 1,
            )
        self.envs = envs
        self.storage = RolloutStorage(
            args.num_steps,
            num_envs,
            self.envs.frame_shape,
            args.frame_stack,
            device,
            self.agent.head.action_shape,
            self.agent.head.dtype,
            self.agent.memory_size,
        )
        parts = (self.method, self.random, ranks)
        self.collector = Collector(args, self.envs, self.storage, *parts)
        self.learner = Learner(
            args, self.agent, self.module, *parts, self.autocast, args.cuda_graphs
        )
        self.global_step = 0
        self.end = args.num_updates * args.batch_size  # the run's last step
        self.returns: deque[float] = deque(maxlen=100)  # raw, of the last episodes
        self.best_return = -np.inf
        self.faults = 0  # of all games so far

    def start(self) -> None:
        """Begin every lane's first episode."""
        self.envs.reset(*self.storage.inbox(0))
        self.storage.deliver(0)

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *_: object) -> None:
        self.envs.close()
        self.method.close()

    def autocast(self) -> torch.autocast:
        enabled = self.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def rollout(self) -> list[Episode]:
        """Play num_steps in every environment; returns the episodes that ended."""
        self._draw_anew(0)
        with self.autocast():  # once: its cache then keeps the weights that were cast
            episodes = self.collector.collect(self.agent)
        self.global_step += self.args.batch_size
        self.faults = sum(self.ranks.gather(self.envs.faults))
        ended = sorted(self.ranks.chain(episodes), key=lambda item: (item[0], item[1].lane))
        self.returns.extend(e.episode_return for _, e in ended if not e.fault)
        return [episode for _, episode in ended]

    def update(self) -> dict[str, float]:
        """Learn from the rollout; returns the means of what is logged."""
        self._draw_anew(1)
        return self.learner.learn(self.storage, self.global_step // self.args.batch_size - 1)

    def _draw_anew(self, phase: int) -> None:
        """Seed the method's random numbers by where the run is, which a resumed run is as well."""
        place = [self.args.seed, self.global_step, self.ranks.rank, phase]
        seed = np.random.SeedSequence(place).generate_state(1, np.uint64)[0]
        self.method.context.random.manual_seed(int(seed))

    # ------------------------------------------------------------------ keep

    def agent_state(self) -> AgentState:
        """The agent and what its method has learned: a third of `state_dict` and less."""
        return {
            "agent": self.agent.state_dict(),
            "method": self.method.state_dict(),
            "module": {} if self.module is None else self.module.state_dict(),
            "global_step": self.global_step,
        }

    def state_dict(self) -> State:
        """Everything that the rest of the run depends on, of all ranks, on every rank."""
        storage, first, ranks = self.storage, self.args.frame_stack, self.ranks
        lanes = self.envs.state_dict()
        lanes["lanes"] = ranks.chain(lanes["lanes"])
        state: State = {
            **self.agent_state(),
            "optimizer": self.learner.optimizer.state_dict(),
            "random": self.random.get_state(),
            "lanes": lanes,
            "frames": ranks.all_lanes(storage.frames[:first]),
            "masks": ranks.all_lanes(storage.all_masks[:first]),
            "age": ranks.all_lanes(torch.from_numpy(storage.age[:1]))[0],
            "returns": list(self.returns),
            "best_return": float(self.best_return),
        }
        if storage.memory_size:
            state["memory"] = storage.memory[0].clone()
        return state

    def load_state_dict(self, state: State) -> None:
        """Continue from `state_dict`: each game is replayed to where it was.

        Games start last: what does not fit is found before.
        """
        state = split_lanes(state, self.ranks)
        load_agent(self.agent, state["agent"])
        self.learner.optimizer.load_state_dict(state["optimizer"])
        check_moments(self.learner.optimizer)
        self.method.load_state_dict(state["method"])
        if self.module is not None:
            self.module.load_state_dict(state["module"])
        self.random.set_state(state["random"].cpu())
        self.global_step, self.best_return = state["global_step"], state["best_return"]
        self.returns.extend(state["returns"])
        storage = self.storage
        frames = storage.frames[: self.args.frame_stack]
        frames.copy_(state["frames"].view_as(frames))
        if "masks" in state:
            masks = storage.all_masks[: self.args.frame_stack]
            masks.copy_(state["masks"].view_as(masks))
        storage.age[0] = state["age"].cpu().numpy()
        if "memory" in state:
            storage.memory[0] = state["memory"].view_as(storage.memory[0])
        elif storage.memory_size:
            raise UserError("the checkpoint is of a network without a memory")
        try:
            self.envs.load_state_dict(state["lanes"], *storage.inbox(0))
        except UserError:
            raise
        except ValueError as error:
            raise UserError(f"the checkpoint is of other games: {error}") from None
        storage.deliver(0)


def try_map(args: AgentSettings) -> None:
    """A UserError if --attention cannot be made of the network."""
    with torch.random.fork_rng(devices=[]):
        agent = make_agent(args)
    attention_maps(agent, agent.black().byte(), args.attention_target, attention=args.attention)


def make_agent(args: AgentSettings) -> Network:
    """The network for this environment's frames and actions; starts no game."""
    environment = find(args)
    height, width, channels = environment.frame_shape
    kind = NETWORKS[args.network]
    in_channels = method_of(args).channels(channels, args.frame_stack)
    actions = environment.action_space
    return kind(in_channels, (height, width), actions, args.tap, **args.network_options)


def load_agent(agent: Network, state: dict[str, Tensor]) -> None:
    """Weights of a checkpoint; a UserError if they are another network's."""
    try:
        agent.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"the checkpoint is of another network: {one_line(error)}") from None
