"""Weights are loaded or refused with the ways out; random ones only when asked for by name."""

import open_clip
import pytest
import torch

from rl_attn.errors import UserError
from rl_attn.teachers import LEARNING_TO_LOOK, Prompts, load_clip
from rl_attn.teachers.clip import _source


def test_unknown_models_and_weights_are_listed():
    with pytest.raises(UserError, match=r"unknown CLIP model 'ViT-B-17' .did you mean ViT-B-1"):
        load_clip("ViT-B-17", "openai")
    with pytest.raises(UserError, match=r"unknown weights of ViT-B-16 'opena'.*openai"):
        load_clip("ViT-B-16", "opena")


def test_openai_weights_take_the_quickgelu_configuration():
    assert _source("ViT-B-16", "openai") == ("ViT-B-16-quickgelu", "openai")
    assert _source("ViT-B-16-quickgelu", "openai") == ("ViT-B-16-quickgelu", "openai")
    assert _source("ViT-B-16", "laion2b_s34b_b88k") == ("ViT-B-16", "laion2b_s34b_b88k")


def test_weights_that_cannot_be_downloaded_are_never_replaced(monkeypatch):
    def offline(*_, **__):
        raise OSError("the network is unreachable")

    monkeypatch.setattr(open_clip.factory, "download_pretrained", offline)
    with pytest.raises(UserError, match="network is unreachable") as error:
        load_clip("ViT-B-16", "openai")
    for way_out in ("with a network", "name a file", "teachers.offline", "masks made elsewhere"):
        assert way_out in str(error.value)


def test_a_file_that_holds_no_weights_is_refused(tmp_path, clip_folder):
    file = tmp_path / "weights.pt"
    file.write_bytes(b"an error page in place of weights")
    with pytest.raises(UserError, match=r"weights .*weights.pt' of RN50 could not be loaded"):
        load_clip("RN50", str(file))
    (tmp_path / "open_clip_config.json").write_text(
        (clip_folder / "open_clip_config.json").read_text()
    )
    file.unlink()
    with pytest.raises(UserError, match="could not be loaded"):  # a folder without weights
        load_clip(str(tmp_path), "own")


def test_the_offline_teacher_has_to_be_trained_first(monkeypatch, tmp_path):
    monkeypatch.setattr("rl_attn.teachers.offline_training.default_folder", lambda: tmp_path)
    with pytest.raises(UserError, match=r"python -m rl_attn\.teachers\.offline"):
        load_clip("doom", "own")


def test_pictures_of_every_kind_become_the_models_input(clip):
    gray = torch.full((2, 1, 48, 64), 255, dtype=torch.uint8)
    ready = clip.prepare(gray)
    assert ready.shape == (2, 3, 32, 32)
    settings = open_clip.get_model_preprocess_cfg(clip.model)
    white = [(1 - m) / s for m, s in zip(settings["mean"], settings["std"], strict=True)]
    torch.testing.assert_close(ready.mean((0, 2, 3)), torch.tensor(white), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(clip.prepare(torch.ones(2, 3, 48, 64)), ready)
    with pytest.raises(ValueError, match="images must be"):
        clip.prepare(torch.zeros(3, 48, 64))


def test_the_papers_prompts_are_there():
    digits = LEARNING_TO_LOOK["decoy-mnist"]
    assert digits.foreground == ("digit",)
    assert digits.background[-1] == "corner patch" and len(digits.background) == 7
    assert len(Prompts(("dog",)).background) == 25


def test_prompts_that_cannot_work_are_refused():
    for arguments, said in (
        (((),), "no foreground words"),
        ((("dog",), ("wall",), ("a dog",)), "needs one {}"),
        ((("dog",), ("dog",)), "foreground and background"),
    ):
        with pytest.raises(UserError, match=said):
            Prompts(*arguments)
