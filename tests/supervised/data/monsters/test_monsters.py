"""The rendered set, from Doom itself but tiny: two monsters on two maps."""

import hashlib
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from rl_attn.envs.doom.freedoom import MONSTERS
from rl_attn.envs.doom.studio import NoRoom, Studio
from rl_attn.errors import UserError
from rl_attn.supervised.data import DataSet, Split, fold, load
from rl_attn.supervised.data.monsters import MAPS, _swapped, gallery
from rl_attn.supervised.data.monsters.photographs import Photographs, photograph, studio_of

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

    monkeypatch.setattr(gallery, "studio_of", refuse)


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
    with studio_of(MAPS[0], 32) as studio:
        seed = np.random.SeedSequence([0, 1, 1])
        few, more = (photograph(studio, "Demon", count, 32, seed) for count in (2, 3))
    file = cache / "monsters-1" / "32px-seed0" / f"{MAPS[0]}-Demon.npz"
    with np.load(file) as kept:
        assert np.array_equal(kept["images"][:2], few.images.numpy())
        assert np.array_equal(kept["masks"][:3], more.masks.numpy())


def test_pictures_are_those_of_the_cache_version():
    """If this fails, pictures in users' caches are no longer what is rendered: raise VERSION."""
    assert gallery.VERSION == 1
    with studio_of("MAP01", 120) as studio:  # of the screen's height: nothing is resized
        seeds = [np.random.SeedSequence([0, 1, number]) for number in (0, 9)]
        demon = photograph(studio, "Demon", 3, 120, seeds[0])
        empty = photograph(studio, None, 3, 120, seeds[1])
    assert [digest(part) for part in (demon.images, demon.masks, demon.foregrounds)] == [
        *("ad81ff1790a5b8fd", "adaff25c3a5afd20", "3451f5c7483f1ef2"),
    ]
    assert digest(empty.images) == "7c80d32063c8f00e"
    assert not empty.masks.any() and not empty.foregrounds.any()


def digest(part: torch.Tensor) -> str:
    return hashlib.sha256(part.numpy().tobytes()).hexdigest()[:16]


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
    def full(self, monster, rng):
        raise NoRoom(f"no picture of a {monster} on {self.scenario.name}")

    monkeypatch.setattr(Studio, "views", full)
    with pytest.raises(UserError, match=r"no picture of a \w+ on MAP\d\d: leave out"):
        rendered(cache, seed=5)
    assert engines() == []


@pytest.fixture
def painted(monkeypatch):
    """Pictures without Doom: a pixel says the map, the monster and the number."""

    def gather(needed, size, seed):
        found = {}
        for (map_name, monster), count in needed.items():
            images = torch.zeros(count + 2, 3, size, size, dtype=torch.uint8)  # two too many
            images[:, 0] = MAPS.index(map_name)
            images[:, 1] = 255 if monster is None else list(MONSTERS).index(monster)
            images[:, 2] = torch.arange(count + 2)[:, None, None]
            masks = torch.zeros(count + 2, size, size, dtype=torch.uint8)
            masks[:, : size // 2] = 255
            found[map_name, monster] = Photographs(images, masks, images * (masks[:, None] > 0))
        return found

    monkeypatch.setattr(gallery, "gather", gather)


def test_shortcut_splits_hold_what_they_say(painted):
    data = load("monsters", split="shortcut", classes=3, maps=4, pictures=20, extra=2, size=8)
    for name in ("train", "test-shifted"):
        part = data.splits[name]
        where, which = part.images[:, 0, 0, 0], part.images[:, 1, 0, 0]
        assert torch.equal(which.long(), part.labels)
        own = (where == which).float().mean()
        assert own > 0.9 if name == "train" else own == 0


def test_groups_of_waterbirds(painted):
    data = load("monsters", split="waterbirds", maps=4, pictures=20, extra=2, size=8, bias=0.9)
    assert data.classes == ("soldier", "beast")
    assert data.group_names[1] == "soldier in hell" and data.group_names[2] == "beast in a base"
    for part in data.splits.values():
        hell = part.images[:, 0, 0, 0].long() % 2
        assert torch.equal(part.groups, 2 * part.labels + hell)
    assert torch.bincount(data.splits["test-unbiased"].groups).tolist() == [12] * 4
    pool = torch.cat([data.splits[name].groups for name in data.pool])
    assert torch.bincount(pool).tolist() == [54, 6, 6, 54]


def test_background_shift_shows_the_same_monsters_elsewhere(painted):
    data = load(
        "monsters", split="background-shift", classes=3, maps=4, pictures=9, extra=2, size=8
    )
    original, swapped, new = (
        data.splits[f"test-{name}"] for name in ("original", "swapped", "new-maps")
    )
    assert torch.equal(original.labels, swapped.labels)
    assert torch.equal(original.images[:, :, :4], swapped.images[:, :, :4])
    assert (swapped.images[:, 0, 4:] == 3).all() and (swapped.images[:, 1, 4:] == 255).all()
    assert (new.images[:, 0] == 3).all() and (original.images[:, 0] < 3).all()
    backgrounds = swapped.images[:, 2, 7, 0]
    assert len(backgrounds.unique()) == len(swapped)  # none twice


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
