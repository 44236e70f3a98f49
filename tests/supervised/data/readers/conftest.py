"""Eight images of two classes with masks as PNG files, and the same folder without the masks."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).parent))  # tests import `writers`

WIDTH, HEIGHT = 20, 16


def outline(i: int) -> list[tuple[int, int]]:
    """The corners of an L, of whole pixels, some of them turned to a triangle."""
    x, y = 2 + i, 1 + i % 4
    if i % 3 == 2:
        return [(x, y), (x + 9, y + 3), (x + 2, y + 9)]
    return [(x, y), (x + 4, y), (x + 4, y + 5), (x + 9, y + 5), (x + 9, y + 9), (x, y + 9)]


def drawn(i: int) -> np.ndarray:
    """bool (H, W): Pillow's filling of the outline, border and all."""
    picture = Image.new("1", (WIDTH, HEIGHT))
    ImageDraw.Draw(picture).polygon(outline(i), fill=1, outline=1)
    return np.array(picture)


def names() -> list[str]:
    return [f"{label}/{i}.png" for label in ("cat", "dog") for i in range(4)]


def write_masks(root: Path, masks: list[np.ndarray]) -> Path:
    """The PNG version of a set."""
    for name, mask in zip(names(), masks, strict=True):
        (root / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask.astype(np.uint8) * 255).save(root / "masks" / name)
    return root


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bare")
    for i, name in enumerate(names()):
        (root / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        picture = np.random.default_rng(i).integers(256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(picture).save(root / "images" / name)
    return root


@pytest.fixture
def folder(bare: Path, tmp_path: Path) -> Path:
    """Images alone."""
    return Path(shutil.copytree(bare, tmp_path / "set"))


@pytest.fixture
def png(bare: Path, tmp_path: Path) -> Path:
    """The same images, to be given masks."""
    return Path(shutil.copytree(bare, tmp_path / "png"))
