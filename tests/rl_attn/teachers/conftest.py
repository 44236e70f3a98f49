"""The small CLIP of random weights, loaded, and something to ask it."""

import pytest
import torch

from rl_attn.teachers import Clip, Prompts, load_clip


@pytest.fixture(scope="session")
def clip(clip_folder) -> Clip:
    return load_clip(str(clip_folder), "own")


@pytest.fixture
def prompts() -> Prompts:
    return Prompts(("imp", "demon"), ("wall", "floor", "sky"), ("a {}", "a picture of a {}"))


@pytest.fixture
def images() -> torch.Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=random)
