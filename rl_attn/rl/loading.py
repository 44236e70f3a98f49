"""The agent that a run has trained."""

from pathlib import Path

import torch

from rl_attn.errors import UserError
from rl_attn.rl.play import Player
from rl_attn.rl.settings import load_settings
from rl_attn.rl.trainer import State, load_agent, make_agent
from rl_attn.run.checkpoint import fitting, latest_checkpoint, load_checkpoint


def load(run: Path, checkpoint: str, device: torch.device) -> Player:
    """The agent of a run; UserError if the folder, the checkpoint or the network is not right."""
    settings = load_settings(run)
    file = {"latest": latest_checkpoint(run), "best": run / "checkpoints" / "best.pt"}.get(
        checkpoint, Path(checkpoint)
    )
    if file is None:
        raise UserError(f"{run} has no checkpoint yet")
    state = load_checkpoint(file, State, device)
    agent = make_agent(settings).to(device)
    with fitting(file):
        load_agent(agent, state["agent"])
    return Player(agent.eval(), settings)
