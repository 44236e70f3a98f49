"""Play episodes of given seeds with a trained agent, and measure where it looks.

The same seeds, policy and network give the same episodes, however many lanes play them: each
episode draws its actions from a generator of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl_attn.agents import Memory, Network, Output, RolloutStorage
from rl_attn.agents.heads import Policy
from rl_attn.attention import measure
from rl_attn.attention.cells import size_of
from rl_attn.envs.protocol import Episode, Step, Steps, VectorEnv
from rl_attn.envs.registry import Environment, find
from rl_attn.envs.variations import Variation
from rl_attn.rl.agent_attention import attention_maps
from rl_attn.rl.methods import Method
from rl_attn.rl.settings import AgentSettings
from rl_attn.statistics import Interval, mean_interval

#: Episode seeds of evaluations start here; training draws its own from all of 0 .. 2**31.
FIRST_SEED = 1_000_000


@dataclass
class Moment:
    """One step of all lanes: what the agents see, and the actions they are about to take."""

    stacks: Tensor  # (N, S*C, H, W) uint8, as the environment gave them
    mask_stacks: Tensor  # (N, S, H, W) uint8, of each frame of a stack
    frames: np.ndarray  # (N, H, W, C) uint8, the newest frames
    masks: Tensor  # (N, H, W) uint8, of the newest frames
    attention: Tensor  # (N, H, W) in [0, 1]
    output: Output
    episode: list[int | None]  # which of the seeds each lane plays; None: idle
    random: list[np.random.Generator | None]  # each lane's generator, of its episode
    memory: Memory | None = None  # what a recurrent agent remembers of what it has acted on
    drawn: Tensor | None = None  # (N, H, W), `attention` for pictures: see `Attention.faded`
    measures: dict[str, Tensor] = field(default_factory=dict)  # (N,) each, of `measure`
    actions: Tensor | None = None  # (N, ...); not known to `disturb` yet
    rewards: np.ndarray | None = None  # (N,) raw, of the step before
    returns: np.ndarray | None = None  # (N,) sum of the raw rewards of the episode so far


@dataclass
class Played:
    """One episode: its raw return and length, and per-frame measures averaged over it.

    The means are over the frames that show a target; NaN where none does.
    """

    seed: int
    episode_return: float = 0.0
    length: int = 0
    empty_masks: float = 0.0  # share of frames without a visible target
    iou: float = float("nan")
    iou_ceiling: float = float("nan")
    pointing_game: float = float("nan")
    alpha: float = float("nan")
    beta: float = float("nan")
    dead_maps: float = float("nan")  # share of frames whose map is zero everywhere
    fault: bool = False
    frames: list[dict[str, float]] = field(default_factory=list, repr=False)


MEASURES = ("iou", "iou_ceiling", "pointing_game", "alpha", "beta", "dead_maps")


def play(
    agent: Network,
    lanes: VectorEnv,
    seeds: Sequence[int],
    *,
    look: Callable[[Moment], None] | None = None,
    progress: Callable[[int], None] | None = None,
    **how: Any,
) -> list[Played]:
    """Play one episode for each seed, in lanes made with `episode_seeds=seeds`.

    Args:
        look: called at every step.
        progress: called at every step with the number of episodes finished so far.
        how: as in `moments`.

    Returns:
        Episodes in the order of `seeds`.
    """
    results = [Played(seed) for seed in seeds]
    finished = 0

    def ended(index: int, episode: Episode) -> None:
        nonlocal finished
        finished += 1
        finish(results[index], episode)
        if progress:
            progress(finished)

    for moment in moments(agent, lanes, seeds, ended=ended, **how):
        _add_measures(moment, results)
        if look:
            look(moment)
        if progress:
            progress(finished)
    return results


def moments(
    agent: Network,
    lanes: Steps,
    seeds: Sequence[int],
    *,
    greedy: bool = False,
    target: str = "value",
    attention: str = "grad-cam",
    stack: int = 4,
    disturb: Callable[[Moment], Tensor] | None = None,
    method: Method | None = None,
    variation: Variation | None = None,
    reseed: bool = False,
    ended: Callable[[int, Episode], None] = lambda index, episode: None,
) -> Iterator[Moment]:
    """Each step of one episode for each seed. A moment is valid until the next one.

    Args:
        greedy: take the likeliest action instead of a sample.
        target: whose attention, "value" or "action" (the likeliest one's logit).
        attention: which map, by its name in MAPS.
        disturb: gives other stacks for the agent to act on (the measures are of the true ones).
        method: decides what the agent is shown, and whose V is meant; default: it sees the stacks.
        variation: the look of all episodes, {} the plain one; default: the environment's choice.
        reseed: the lanes are not made for these seeds: they begin again from them, one a lane.
        ended: called with the number of a seed and its episode.
    """
    storage = storage_of(agent, lanes, stack)
    current: list[int | None] = [i if i < len(seeds) else None for i in range(lanes.num_lanes)]
    random = [_generator(seeds, index) for index in current]
    begin: dict[str, Any] = {"seeds": list(seeds)} if reseed else {}
    if variation is not None:
        begin["variations"] = [variation] * lanes.num_lanes
    lanes.reset(*storage.inbox(0), **begin)
    storage.deliver(0)
    rewards, returns = np.zeros((2, lanes.num_lanes))
    finished = 0
    while finished < len(seeds):
        moment = see(agent, storage, list(current), list(random), target, attention, method)
        moment.rewards, moment.returns = rewards.copy(), returns.copy()
        output = moment.output
        if disturb:
            with torch.no_grad():
                output = act(agent, method, disturb(moment), moment.mask_stacks, moment.memory)
        storage.remember(0, slice(None), output.recall)
        moment.actions = choose_actions(output.policy, random, greedy)
        yield moment
        step = advance(agent, lanes, storage, moment.actions)
        dones = step.terminated | step.truncated
        rewards = np.where(dones, 0, step.rewards)
        returns = np.where(dones, 0, returns + step.rewards)
        for episode in step.episodes:
            index = current[episode.lane]
            assert index is not None  # idle lanes end no episodes
            following = index + lanes.num_lanes
            current[episode.lane] = following if following < len(seeds) else None
            random[episode.lane] = _generator(seeds, current[episode.lane])
            finished += 1
            ended(index, episode)


def _generator(seeds: Sequence[int], index: int | None) -> np.random.Generator | None:
    return None if index is None else np.random.default_rng(seeds[index])


def storage_of(agent: Network, lanes: Steps, stack: int) -> RolloutStorage:
    """For the current observation and the one after it."""
    device, memory = next(agent.parameters()).device, agent.memory_size
    shape = (1, lanes.num_lanes, lanes.frame_shape, stack)
    return RolloutStorage(*shape, device, memory_size=memory, black_start=agent.black_start)


def see(
    agent: Network,
    storage: RolloutStorage,
    episode: list[int | None],
    random: list[np.random.Generator | None],
    target: str,
    attention: str,
    method: Method | None,
) -> Moment:
    """The current observation, the agent's forward on it, and its attention."""
    stacks, mask_stacks = storage.observation(0), storage.observed_masks(0)
    shown, memory = shown_of(method, stacks, mask_stacks), storage.recall(0, slice(None))
    maps, output = attention_maps(agent, shown, target, attention=attention, memory=memory)
    if method:
        with torch.no_grad():
            output = method.judged(output, stacks, mask_stacks)
    masks = storage.masks[0]
    return Moment(
        stacks=stacks,
        mask_stacks=mask_stacks,
        frames=storage.frames[storage.stack - 1].cpu().numpy(),
        masks=masks,
        attention=maps.upsample(size_of(masks)),
        output=output,
        episode=episode,
        random=random,
        memory=memory,
        drawn=maps.faded(size_of(masks)),
        measures=measure(maps, masks),
    )


def shown_of(method: Method | None, stacks: Tensor, masks: Tensor) -> Tensor:
    """What the agent is shown of stacks (B, S*C, H, W) and their masks (B, S, H, W)."""
    if method is None:
        return stacks
    with torch.no_grad():
        return method.observe(stacks, masks, "evaluate")


def act(
    agent: Network, method: Method | None, stacks: Tensor, masks: Tensor, memory: Memory | None
) -> Output:
    """The agent's forward on stacks, through all that its method makes of them."""
    if method is None:
        return agent(stacks, memory=memory)
    return method.act(agent, stacks, masks, "evaluate", memory=memory)


def advance(agent: Network, lanes: Steps, storage: RolloutStorage, actions: Tensor) -> Step:
    """Take these actions; the observation that follows becomes the current one."""
    step = lanes.step(agent.head.for_environment(actions), *storage.inbox(1))
    storage.deliver(1)
    dones = step.terminated | step.truncated
    storage.record(0, slice(None), step.rewards, dones, step.final_frames, step.final_masks)
    storage.roll()
    return step


def _add_measures(moment: Moment, results: list[Played]) -> None:
    """Add this step's measures to the episodes that are being played."""
    names: list[str] = ["present", *MEASURES]
    columns = [moment.measures[name].float() for name in names]
    table = torch.stack(columns, dim=1).cpu().tolist()
    for lane, index in enumerate(moment.episode):
        if index is not None:
            frame: dict[str, float] = dict(zip(names, table[lane], strict=True))
            results[index].frames.append(frame)


def choose_actions(
    policy: Policy, random: list[np.random.Generator | None], greedy: bool
) -> Tensor:
    """(N, ...) actions; the noise of a sample is drawn from the episode's generator."""
    policy = policy.to("cpu", torch.float64)
    if greedy:
        return policy.mode()
    noise = torch.ones_like(policy.parameters)
    for lane, generator in enumerate(random):
        if generator is not None:  # exp(-Gumbel noise) is an exponential variate
            noise[lane] = torch.from_numpy(np.exp(-generator.gumbel(size=noise.shape[1])))
    return policy.sample(noise)


def finish(result: Played, episode: Episode) -> None:
    """The episode's return and length, and the means over its frames with a target."""
    result.episode_return, result.length = episode.episode_return, episode.length
    result.fault = episode.fault
    seen = [frame for frame in result.frames if frame["present"]]
    result.empty_masks = 1 - len(seen) / len(result.frames)
    for name in seen[0].keys() - {"present"} if seen else ():
        setattr(result, name, float(np.mean([frame[name] for frame in seen])))
    result.frames = []


def evaluation_seeds(episodes: int) -> list[int]:
    """The fixed list of seeds that evaluations play."""
    return list(range(FIRST_SEED, FIRST_SEED + episodes))


def summarize(episodes: Sequence[Played]) -> dict[str, Interval]:
    """Means over episodes with their intervals; episodes cut short by a fault are left out."""
    whole = [episode for episode in episodes if not episode.fault]
    names = ("episode_return", "length", *MEASURES, "empty_masks")
    return {name: mean_interval([getattr(e, name) for e in whole]) for name in names}


@dataclass
class Player:
    """An agent and the settings of the environment that it was trained for.

    `method` is the one it was trained with, where that decides what the agent is shown or whose
    its value is.
    """

    agent: Network
    settings: AgentSettings
    method: Method | None = None

    @property
    def environment(self) -> Environment:
        return find(self.settings)

    def lanes(self, num_lanes: int, seeds: Sequence[int]) -> VectorEnv:
        """Lanes that play these episodes and then go idle."""
        return self.environment.start(min(num_lanes, len(seeds)), episode_seeds=seeds)

    @property
    def shown(self) -> dict[str, Any]:
        """What the agent is shown of a game, as arguments of `moments`."""
        return {"stack": self.settings.frame_stack, "method": self.method}

    def play(self, num_lanes: int, seeds: Sequence[int], **how: Any) -> list[Played]:
        """`play` in lanes made for it, and ended after it."""
        with self.lanes(num_lanes, seeds) as lanes:
            return play(self.agent, lanes, seeds, **self.shown, **how)
