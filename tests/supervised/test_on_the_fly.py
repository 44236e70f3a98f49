"""`--masks teacher`: a CLIP of random weights is asked once about each picture."""

import pytest
import torch
from trainers import run, trainer_of

from rl_attn.errors import UserError
from rl_attn.teachers import Prompts, Teacher, load_clip


@pytest.fixture
def flags(clip_folder):
    return {"masks": "teacher", "mask_teacher.model": clip_folder, "mask_teacher.words": "square"}


def test_each_picture_is_asked_about_once_and_trained_with_the_answer(toy, flags, clip_folder):
    trainer = trainer_of("camal", **flags, epochs=2, size=0, backbone="decoy-cnn")
    cache = trainer.train.make_masks
    assert cache.misses <= 16  # the batch on which the tap is checked
    run(trainer)
    assert cache.misses == len(cache) == 48 and cache.hits >= 48
    split = toy.splits["train"]
    index = torch.arange(4)
    teacher = Teacher(load_clip(str(clip_folder), "openai"), Prompts(("square",)))
    expected = teacher(split.images[index], split.labels[index]).masks
    torch.testing.assert_close(trainer.train.take(index).masks, expected, atol=3e-3, rtol=0)
    own = trainer.data.splits["test"].take(index).masks  # what is measured stays the truth
    torch.testing.assert_close(own, toy.splits["test"].masks[:4] / 255)


def test_the_answer_is_read_as_asked_for(toy, flags, clip_folder):
    reading = {
        "mask_teacher.size": (32, 48),
        "mask_teacher.mirror": True,
        "mask_teacher.spread": False,
    }
    trainer = trainer_of("camal", **flags, **reading, **{"mask_teacher.refine": True}, size=0)
    clips = [load_clip(str(clip_folder), "openai", size=size) for size in (32, 48)]
    teacher = Teacher(clips, Prompts(("square",)), refine=True, spread=False, mirror=True)
    index, split = torch.arange(4), toy.splits["train"]
    expected = teacher(split.images[index], split.labels[index]).masks
    torch.testing.assert_close(trainer.train.take(index).masks, expected, atol=3e-3, rtol=0)
    with pytest.raises(UserError, match="must be from 1 to 8192, got"):
        trainer_of("camal", **flags, **{"mask_teacher.size": (-1,)})


def test_a_set_without_masks_can_be_trained_so(toy, flags):
    trainer = trainer_of("camal", **flags, epochs=1, data_options="masked=false")
    run(trainer)
    assert "losses/total" in trainer.sums


@pytest.mark.parametrize(
    "method", ["camal-swapped", "cdep", "concept-distillation", "paric", "vapl"]
)
def test_methods_that_must_see_all_masks_are_refused(toy, flags, method):
    with pytest.raises(UserError, match="must see all masks"):
        trainer_of(method, **flags)


def test_a_model_that_is_not_there_is_named_before_training(toy, tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        trainer_of("camal", masks="teacher", **{"mask_teacher.model": tmp_path / "nowhere"})
