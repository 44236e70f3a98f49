"""The two small agents of `rl-attn demo`: weights in half precision, without an optimiser.

They were trained on DefendCenter with the settings in `agents/*/config.yaml`, each in a few minutes
of one core, which is too short to play well:

    rl-attn ppo --config rl_attn/live/agents/camal/config.yaml --run-dir RUN
    python -c "from rl_attn.live.shipped import ship; ship('RUN', 'camal')"
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from rl_attn.rl.loading import load
from rl_attn.rl.play import Player
from rl_attn.rl.settings import load_settings
from rl_attn.rl.trainer import load_agent, make_agent
from rl_attn.run.files import replacing

_FOLDER = Path(__file__).parent / "agents"
#: Name on the page -> folder.
AGENTS = {"Vanilla PPO": "vanilla", "CAMAL": "camal"}


def shipped() -> dict[str, Player]:
    """The agents, on the CPU."""
    return {name: _read(_FOLDER / folder) for name, folder in AGENTS.items()}


def _read(folder: Path) -> Player:
    settings = load_settings(folder)
    agent = make_agent(settings)
    load_agent(agent, {k: v.float() for k, v in load_file(folder / "weights.safetensors").items()})
    return Player(agent.eval(), settings)


def ship(run: str, name: str) -> None:
    """Make the agent of a run one of the demo's: its weights, beside the `config.yaml` there."""
    agent = load(Path(run), "latest", torch.device("cpu")).agent
    with replacing(_FOLDER / name / "weights.safetensors") as scratch:
        save_file({k: v.half().contiguous() for k, v in agent.state_dict().items()}, scratch)
