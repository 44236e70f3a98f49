"""The teacher that the project trains itself: what it is told, how it learns, what it leaves."""

import json
import math

import numpy as np
import pytest
import torch

from rl_attn.errors import UserError
from rl_attn.run.checkpoint import load_state, save_state
from rl_attn.teachers import load_clip, offline, offline_training
from rl_attn.teachers.captions import Scene, colour_of, describe, with_articles
from rl_attn.teachers.contrastive import augmented, captions_of, contrastive_loss
from rl_attn.teachers.doom_pictures import SIZE, Pictures, of_map
from rl_attn.teachers.offline_training import State, Training, claim

IMP, EMPTY = Scene(("imp",), "brown"), Scene((), "gray")


def test_captions_hold_of_what_they_describe():
    random = np.random.default_rng(0)
    for scene in (IMP, EMPTY, Scene(("demon", "imp"), "red")):
        for _ in range(30):
            caption = describe(scene, random)
            assert caption.holds_of(scene)
            assert caption.holds_of(scene._replace(colour="blue")) == (caption.colour is None)
            assert not caption.holds_of(Scene(("zombie",), scene.colour))
            assert all(monster in caption.text for monster in scene.monsters)
        assert describe(scene, random, colour=False).colour is None


def test_articles_fit_their_words():
    said = with_articles("a imp and a demon in a empty room")
    assert said == "an imp and a demon in an empty room"


@pytest.mark.parametrize(
    "rgb, name",
    [
        ((200, 20, 20), "red"),
        ((20, 160, 30), "green"),
        ((30, 40, 200), "blue"),
        ((120, 70, 30), "brown"),
        ((128, 128, 128), "gray"),
        ((200, 20, 60), "red"),  # beyond blue the circle comes back to red
    ],
)
def test_places_are_called_by_their_colour(rgb, name):
    place = torch.tensor(rgb, dtype=torch.uint8)[:, None, None].expand(3, 6, 8)
    assert colour_of(place) == name


def test_the_loss_by_hand():
    """Two pictures, three captions; the first caption holds of both."""
    images = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    texts = torch.tensor([[0.6, 0.8], [1.0, 0.0], [0.0, 1.0]])
    holds = torch.tensor([[True, True, False], [True, False, True]])
    logits = [[0.6, 1.0, 0.0], [0.8, 0.0, 1.0]]

    def log_softmax(values, i):
        return values[i] - math.log(sum(math.exp(v) for v in values))

    by_image = [
        -(log_softmax(logits[0], 0) + log_softmax(logits[0], 1)) / 2,
        -(log_softmax(logits[1], 0) + log_softmax(logits[1], 2)) / 2,
    ]
    columns = list(zip(*logits, strict=True))
    by_text = [
        -(log_softmax(columns[0], 0) + log_softmax(columns[0], 1)) / 2,
        -log_softmax(columns[1], 0),
        -log_softmax(columns[2], 1),
    ]
    expected = (sum(by_image) / 2 + sum(by_text) / 3) / 2
    found = contrastive_loss(images, texts, torch.tensor(1.0), holds)
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_a_batch_has_every_caption_once_and_gray_pictures_no_colour():
    scenes, gray = [IMP, IMP, EMPTY, EMPTY] * 8, torch.tensor([True] * 32)
    texts, holds = captions_of(scenes, gray, np.random.default_rng(1))
    assert len(set(texts)) == len(texts) and holds.shape == (32, len(texts))
    assert holds.any(0).all() and holds.any(1).all()
    assert not any(colour in " ".join(texts) for colour in ("brown", "gray"))


def test_augmented_pictures_are_pictures():
    images = torch.randint(0, 256, (64, 3, 18, 24), dtype=torch.uint8)
    crops, gray = augmented(images, 16, torch.Generator().manual_seed(0))
    assert crops.shape == (64, 3, 16, 16)
    assert crops.min() >= 0 and crops.max() <= 1
    assert 0 < gray.sum() < 40
    spread = (crops.amax(1) - crops.amin(1)).flatten(1).amax(1)
    assert (spread[gray] < 1e-5).all() and (spread[~gray] > 0.1).all()


def test_an_interrupted_training_ends_at_the_same_weights(tmp_path):
    args = offline.OfflineTeacherSettings(steps=2, batch_size=4)
    scenes = [IMP, EMPTY, Scene(("demon",), "red"), Scene(("zombie",), "green")] * 4
    images = torch.randint(0, 256, (16, 3, 72, 96), dtype=torch.uint8)
    pictures, cpu = Pictures(images, scenes), torch.device("cpu")
    whole = Training(args, cpu)
    for _ in range(2):
        whole.train_step(pictures)
    first = Training(args, cpu)
    first.train_step(pictures)
    second = Training(args, cpu)
    save_state(tmp_path / "training.pt", first.state_dict())
    second.load_state_dict(load_state(tmp_path / "training.pt", State))
    second.train_step(pictures)
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, second.model.state_dict()[name]), name


@pytest.mark.parametrize("fast", [True, False])
def test_emulated_bf16_is_left_alone(monkeypatch, fast):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: fast)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    training = Training(offline.OfflineTeacherSettings(), torch.device("cpu"))
    with training.autocast():
        assert torch.is_autocast_enabled("cpu") == fast


def test_every_monster_is_pictured_and_some_places_without_one():
    found = list(of_map("MAP32", each=1, seed=0))
    monsters = [scene.monsters for _, scene in found if scene.monsters]
    assert len(set(monsters)) == len(monsters) == 14 and ("mancubus",) in monsters
    assert len(found) == 14 + 14 // 3
    assert all(image.shape == (3, *SIZE) and image.dtype == torch.uint8 for image, _ in found)


@pytest.mark.slow
def test_the_command_leaves_a_folder_that_open_clip_loads(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(offline_training, "HELD_OUT", ("MAP32",))
    few = "--steps 2 --batch-size 8 --maps 1 --each 1 --frames 2"
    flags = [*few.split(), "--device", "cpu"]
    assert offline.main([*flags, "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "teacher.json").read_text())
    assert 0 <= record["zero_shot_accuracy"] <= 1
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"teacher.json", "open_clip_config.json", "open_clip_model.safetensors"}
    clip = load_clip(str(tmp_path), "own")
    assert clip.size == (64, 64)
    assert offline.main([*flags, "--out", str(tmp_path)]) == 0
    assert "is complete" in capsys.readouterr().out


def test_an_unfinished_training_is_not_continued_with_other_settings(tmp_path):
    claim(tmp_path, offline.OfflineTeacherSettings(steps=4))
    claim(tmp_path, offline.OfflineTeacherSettings(steps=4, device="cpu", threads=1))
    with pytest.raises(UserError, match="unfinished training with --steps 4"):
        claim(tmp_path, offline.OfflineTeacherSettings(steps=5))
