"""The rendered set, from Doom itself but tiny: two monsters on two maps."""

from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from rl_attn.cli import UserError
from supervised.data import DataSet, Split, fold, load
from supervised.data.monsters import MAPS, _swapped, gallery
from supervised.data.monsters.places import places
from supervised.data.monsters.scene import NoRoom, Photographs, Scene

TINY = {"classes": 2, "maps": 2, "pictures": 8, "extra": 1, "size": 32, "bias": 0.75}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def rendered(cache: Path, **options) -> DataSet:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RL_ATTN_CACHE", str(cache))
        return load("monsters", **(TINY | options))


@pytest.fixture(scope="module")
def shortcut(cache) -> DataSet:
    return rendered(cache, split="shortcut")


@pytest.fixture
def no_doom(monkeypatch):
    def refuse(*_):
        raise AssertionError("Doom was started")

    monkeypatch.setattr(gallery, "Scene", refuse)


def engines() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "viz_instance_id" in " ".join(child.cmdline())]


def test_splits_and_masks(shortcut):
    sizes = {name: len(part) for name, part in shortcut.splits.items()}
    assert sum(sizes[name] for name in shortcut.pool) == 16
    assert sizes["test-unbiased"] == 4 and sizes["test-shifted"] == 2
    assert shortcut.classes == ("Demon", "Cacodemon") and shortcut.size == (32, 32)
    for part in shortcut.splits.values():
        cover = part.masks.float().mean((1, 2)) / 255
        assert cover.min() > 0.02 and cover.max() < 0.51
        assert part.images.float().std((1, 2, 3)).min() > 1  # no picture is empty


def test_no_engine_is_left(shortcut):
    assert engines() == []


def test_the_cache_is_used_and_shared_by_other_splits(shortcut, cache, no_doom):
    again = rendered(cache, split="shortcut")
    for name, part in shortcut.splits.items():
        assert torch.equal(part.images, again.splits[name].images)
    rendered(cache, split="iid", pictures=8)  # four of each pair: all are there
    dealt = fold(again, 0, 3, 0)
    assert len(dealt.splits["test"]) in (5, 6) and "test-shifted" in dealt.splits


def test_the_same_seed_gives_the_same_pictures(shortcut, cache, tmp_path):
    with Scene(MAPS[0], 32) as scene:
        seed = np.random.SeedSequence([0, 1, 1])
        few, more = scene.photograph("Demon", 2, seed), scene.photograph("Demon", 3, seed)
    file = cache / "monsters-1" / "32px-seed0" / f"{MAPS[0]}-Demon.npz"
    with np.load(file) as kept:
        assert np.array_equal(kept["images"][:2], few.images.numpy())
        assert np.array_equal(kept["masks"][:3], more.masks.numpy())


def test_foregrounds_are_what_masks_let_through(shortcut, cache):
    with np.load(cache / "monsters-1" / "32px-seed0" / f"{MAPS[1]}-Cacodemon.npz") as kept:
        inside, outside = kept["masks"] == 255, kept["masks"] == 0
        pictures, monsters = (kept[n].transpose(0, 2, 3, 1) for n in ("images", "foregrounds"))
    difference = np.abs(pictures[inside].astype(int) - monsters[inside])
    assert difference.max() <= 2  # 255 of a mask may be 254.6
    assert monsters[outside].max() <= 2


def test_a_damaged_file_is_rendered_again(shortcut, cache):
    file = cache / "monsters-1" / "32px-seed0" / f"{MAPS[0]}-Cacodemon.npz"
    before = np.load(file)["images"]
    file.write_bytes(file.read_bytes()[:100])
    rendered(cache, split="shortcut")
    assert np.array_equal(np.load(file)["images"], before)
    assert not list(file.parent.glob("*.part"))


def test_a_map_without_room_is_named(cache, monkeypatch):
    def full(self, monster, count, seed):
        raise NoRoom(f"no picture of a {monster} on {self.scenario.name}")

    monkeypatch.setattr(Scene, "photograph", full)
    with pytest.raises(UserError, match=r"no picture of a \w+ on MAP\d\d: leave out"):
        rendered(cache, seed=5)
    assert engines() == []


def test_swapping_by_hand():
    taken = {
        (MAPS[0], "Demon"): Photographs(
            images=torch.full((1, 3, 1, 3), 99, dtype=torch.uint8),
            masks=torch.tensor([[[255, 51, 0]]], dtype=torch.uint8),  # all, a fifth, nothing
            foregrounds=torch.tensor([200, 40, 0], dtype=torch.uint8).expand(1, 3, 1, 3),
        )
    }
    background = torch.full((1, 3, 1, 3), 100, dtype=torch.uint8)
    swapped = _swapped(np.array([[0, 0, 0]]), taken, ("Demon",), background)
    assert isinstance(swapped, Split)
    assert swapped.images[0, 0, 0].tolist() == [200, 40 + 80, 100]


def test_places_are_those_of_the_map():
    assert [-192, -192] in places("MAP01").tolist()  # where the player starts
    assert 100 < len(places("MAP01")) <= 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 15}, "classes of monsters is 15: choose from 2 to 14"),
        ({"split": "shortcut", "classes": 4, "maps": 3}, "a map for each class: 4 classes, maps"),
        ({"split": "random"}, "unknown split of monsters 'random'"),
        ({"size": 4000}, "size of monsters is 4000"),
    ],
)
def test_mistakes_are_found_before_rendering(cache, no_doom, options, message):
    with pytest.raises(UserError, match=message):
        rendered(cache, **options)


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be made .*: set RL_ATTN_CACHE"):
        rendered(tmp_path / "file")
