"""The agent that a run has trained."""

from pathlib import Path

import torch

from rl_attn.agents import Network
from rl_attn.errors import UserError
from rl_attn.rl.distributed import ALONE
from rl_attn.rl.methods import Context, Method
from rl_attn.rl.play import Player
from rl_attn.rl.settings import AgentSettings, load_settings, method_of
from rl_attn.rl.trainer import AgentState, load_agent, make_agent
from rl_attn.run.checkpoint import best_checkpoint, fitting, latest_checkpoint, load_checkpoint


def load(run: Path, checkpoint: str, device: torch.device) -> Player:
    """The agent of a run; UserError if the folder, the checkpoint or the network is not right."""
    settings = load_settings(run)
    file = Path(checkpoint) if checkpoint not in ("latest", "best") else latest_checkpoint(run)
    if file is None:
        raise UserError(f"{run} has no checkpoint yet")
    if checkpoint == "best" and best_checkpoint(run).exists():  # else the last one is the best
        file = best_checkpoint(run)
    state = load_checkpoint(file, AgentState, device, more=True)
    agent = make_agent(settings).to(device)
    with fitting(file):
        load_agent(agent, state["agent"])
        method = showing(settings, agent.eval(), state, device)
    return Player(agent, settings, method)


def showing(
    settings: AgentSettings, agent: Network, state: AgentState, device: torch.device
) -> Method | None:
    """The method as it was trained, if it decides what the agent is shown or whose its value is;
    others are not needed (and a teacher's model takes long to load)."""
    method = method_of(settings)
    if not (method.shows or method.judges):
        return None
    random = torch.Generator(device).manual_seed(settings.seed)
    method.context = Context(agent, settings, device, ALONE, random)
    method.prepare()
    module = method.module()
    method.load_state_dict(state["method"])
    if module is not None:
        module.to(device).eval().load_state_dict(state["module"])
    return method
