"""Pictures of the site that are made while it is built: what each environment, data set that needs
no download, and map looks like. They stay in docs/made/pictures, and are made once.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "made" / "pictures"

#: Steps of "do nothing" after which a frame is taken: long enough for targets to come into sight.
_STEPS = 30
#: Sets of a few seconds; `monsters` has its picture on the page of classifiers.
_SETS = {
    "digits": [],
    "color-mnist": ["--data-options", "base=digits"],
    "decoy-mnist": ["--data-options", "base=digits"],
}


def write() -> None:
    """Make those that are missing."""
    from rl_attn.attention import MAPS
    from rl_attn.envs import SCENARIOS

    for name in SCENARIOS:
        if not (file := _file("environments", name)).exists():
            _save(file, environment(name))
    for name, options in _SETS.items():
        if not (file := _file("data", name)).exists():
            dataset(name, options, file)
    missing = {name: file for name in MAPS if not (file := _file("maps", name)).exists()}
    if missing:
        for name, picture in maps(list(missing)).items():
            _save(missing[name], picture)


def environment(name: str) -> np.ndarray:
    """A frame beside the same frame with its mask tinted, RGB (H, W, 3)."""
    import gymnasium

    from rl_attn.pictures import tinted

    env = gymnasium.make(f"rl_attn.envs:rl_attn/{name}-v0", resolution=(320, 240), rgb=True)
    seen, _ = env.reset(seed=3)
    for _ in range(_STEPS):
        following, _, ended, cut, _ = env.step(0)
        if ended or cut:
            break
        seen = following
    env.close()
    frame = seen["frame"]
    return np.hstack([frame, tinted(frame, seen["mask"] > 0)])


def dataset(name: str, options: list[str], file: Path) -> None:
    """The contact sheet of `rl-attn check`."""
    from contextlib import redirect_stdout

    from rl_attn.supervised import check

    file.parent.mkdir(parents=True, exist_ok=True)
    with redirect_stdout(None):
        check.main([name, "--sheet", str(file), "--columns", "5", *options])


def maps(names: list[str]) -> dict[str, np.ndarray]:
    """Digits above, and below them the maps of a small network that was trained on digits: RGB
    (H, W, 3) each. What a map is made of that this network does not have, has no picture."""
    import torch

    from rl_attn.attention import Seen, explain, tap
    from rl_attn.errors import UserError
    from rl_attn.pictures import enlarged, heat
    from rl_attn.supervised.data import load

    digits = load("digits").splits["train"]
    shown = torch.tensor([(digits.labels == label).nonzero()[0, 0] for label in range(8)])
    images = digits.images.float() / 255
    model = _trained(images, digits.labels)
    x, y = images[shown], digits.labels[shown]
    with tap(model, "conv2") as features:
        logits = model(x)
    seen = Seen(
        score=logits.gather(1, y[:, None])[:, 0],
        features=features(),
        cells=features.cells,
        logits=logits,
        labels=y,
        images=x,
        score_of=lambda pictures, rows: model(pictures).gather(1, y[rows][:, None])[:, 0],
        logits_of=model,
    )
    rgb = [
        enlarged(one, 4)
        for one in (x.expand(-1, 3, -1, -1) * 255).byte().permute(0, 2, 3, 1).numpy()
    ]
    found = {}
    for name in names:
        try:
            level = explain(name, seen).upsample(x.shape[2:]).detach().numpy()
        except UserError:  # of a transformer's blocks
            continue
        below = [heat(picture, one) for picture, one in zip(rgb, level, strict=True)]
        found[name] = np.vstack([np.hstack(rgb), np.hstack(below)])
    return found


def _trained(images, labels, steps: int = 120):
    """A small network that tells digits apart."""
    import torch
    import torch.nn.functional as F

    from rl_attn.supervised.backbones import build, seeded

    model = seeded(1, lambda: build("decoy-cnn", 1, 10, (28, 28)))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    drawn = torch.Generator().manual_seed(1)
    for _ in range(steps):
        rows = torch.randint(len(images), (32,), generator=drawn)
        optimizer.zero_grad()
        F.cross_entropy(model(images[rows]), labels[rows]).backward()
        optimizer.step()
    return model.eval()


def _file(folder: str, name: str) -> Path:
    return FOLDER / folder / f"{name}.png"


def _save(file: Path, picture: np.ndarray) -> None:
    from PIL import Image

    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(file, optimize=True)
