"""The README's Python runs as printed; links between pages lead somewhere."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from rl_attn.agents import ActorCritic

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WRITTEN = [file for file in (ROOT / "docs").rglob("*.md") if "made" not in file.parts]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(WRITTEN)]


def snippet(containing: str) -> str:
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    (block,) = [block for block in blocks if containing in block]
    return block


def test_the_environment_snippet_gives_frames_and_masks():
    names: dict[str, object] = {}
    exec(snippet("gymnasium.make"), names)
    observation = names["observation"]
    names["env"].close()
    assert observation["frame"].shape == (120, 160, 1)
    assert observation["mask"].shape == (120, 160)
    assert observation["frame"].dtype == observation["mask"].dtype == np.uint8


def test_the_training_loop_snippet_trains_through_the_attention():
    torch.manual_seed(0)
    agent = ActorCritic(4, (44, 52), 3)
    masks = torch.zeros(2, 44, 52)
    masks[:, 10:20, 10:20] = 1
    names = {
        "agent": agent,
        "frames": torch.randint(0, 256, (2, 4, 44, 52), dtype=torch.uint8),
        "masks": masks,
        "task_loss": torch.zeros(()),
    }
    exec(snippet("grad_cam(output.value"), names)
    names["loss"].backward()
    for layer in (agent.hidden, agent.convolutions[0]):  # above the features, and below
        assert layer.weight.grad.abs().sum() > 0


def test_the_classifier_snippet_reaches_both_sides_of_the_tap():
    names: dict[str, object] = {}
    exec(snippet("with tap(model"), names)
    model = names["model"]
    assert names["attention"].shape == (8, 2, 2)
    for layer in (model.fc, model.conv1):
        assert layer.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_and_sections_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        if target.startswith("../made/"):  # exists in the built site: its build checks these
            continue
        path, _, section = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        if section:
            heads = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), flags=re.MULTILINE)
            anchors = [re.sub(r"[^\w\- ]", "", head).lower().replace(" ", "-") for head in heads]
            assert section in anchors, f"{page.name} links to {target}"


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150
