"""`rl_attn.load(what)`: a trained network that answers for any image.

    run = rl_attn.load("runs/masked-folder/...")     # of rl-attn train
    run = rl_attn.load("runs/DefendCenter/...")      # of rl-attn ppo
    run = rl_attn.load("model.zip")                  # of stable-baselines3
    run = rl_attn.load("timm:resnet18")              # a model by its name; also torchvision:, hf:

Each has `network`, `preprocess(image)` and `explain(image)`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from rl_attn.errors import UserError

if TYPE_CHECKING:
    from rl_attn.loaded_agent import Agent
    from rl_attn.supervised.classifier import Classifier


def load(run: str | Path, device: str = "auto", weights: str = "imagenet") -> "Agent | Classifier":
    """The network of a run's folder, of a model.zip, or of a name; UserError if there is none.

    weights: of a model by its name: imagenet (its own), none (random) or a file.
    """
    from rl_attn.run.device import pick_device

    place, where = Path(run), pick_device(device)
    if weights != "imagenet" and not is_name(str(run)):
        raise UserError(f"weights are of a model by its name, and {run} has its own")
    if is_name(str(run)):
        from rl_attn.supervised.bare import load_by_name

        return load_by_name(str(run), where, weights)
    if place.suffix == ".zip":
        from rl_attn.loaded_agent import load_model

        return load_model(place, where)
    if kind_of(place) == "agent":
        from rl_attn.loaded_agent import load_agent

        return load_agent(place, where)
    from rl_attn.supervised.classifier import load_classifier

    return load_classifier(place, where)


def is_name(run: str) -> bool:
    """Whether it names a model, SOURCE:NAME, rather than a place."""
    return ":" in run and not Path(run).exists()


def kind_of(run: Path) -> str:
    """Whether a run's folder holds an "agent" or a "classifier"; UserError: neither."""
    from rl_attn.run.yaml import load_yaml

    file = run / "config.yaml"
    if not file.is_file():
        there = "has no config.yaml" if run.is_dir() else "does not exist"
        raise UserError(f"{run} {there}: name the folder of a run, or a model.zip")
    return "agent" if "env" in load_yaml(file) else "classifier"
