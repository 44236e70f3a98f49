"""Backbones of others by name, weights from a file, and what is not available, said in one line."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from trainers import flags_of

from rl_attn.errors import UserError
from rl_attn.supervised import train
from rl_attn.supervised.backbones import build, tap_layer
from rl_attn.supervised.models import made
from rl_attn.supervised.settings import TrainSettings
from rl_attn.supervised.tasks import Classes, Labels, Number
from rl_attn.supervised.train import from_anywhere
from rl_attn.supervised.weights import load_weights

OWN = """
import torch

def make(channels, classes):
    return torch.nn.Sequential(
        torch.nn.Conv2d(channels, 4, 3, 2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Linear(4, classes))

def needs(depth):
    return None

def wrong(classes):
    return classes

def many(channels):
    return make(channels, 1000)

def one(channels):
    return make(channels, 1)

def flat(channels):
    return make(channels, 1).append(torch.nn.Flatten(0))

class Named(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = make(3, 3)

    def forward(self, x):
        return {"out": self.inner(x)}

class Strict(Named):
    def forward(self, x):
        assert x.shape[2] == 9, "9 pixels alone"
        return self.inner(x)

def boom():
    raise RuntimeError("my bug")
"""


@pytest.fixture
def own(tmp_path) -> Path:
    file = tmp_path / "own_model.py"
    file.write_text(OWN)
    yield file
    sys.modules.pop("own_model", None)


def test_a_function_of_the_user_s_trains_and_its_run_is_asked(toy, own, tmp_path):
    run = tmp_path / "run"
    flags = flags_of("camal", epochs=1, run_dir=run, backbone=f"{own}:make")
    assert train.main(flags) == 0
    import rl_attn

    loaded = rl_attn.load(run, "cpu")
    assert loaded.layer in ("0", "1") and len(loaded.network) == 5
    image = toy.splits["test"].images[0].permute(1, 2, 0).numpy()
    assert loaded.explain(image).label in "abc"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("none", "has no function 'none'"),
        ("needs", "it takes depth; it is given channels, classes, size"),
        ("wrong", "gives a int, not a torch.nn.Module"),
    ],
)
def test_functions_that_make_no_model_are_named(own, function, message):
    with pytest.raises(UserError, match=message):
        made(f"{own}:{function}", 3, 2, (32, 32), False)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("many", "gives 1000 values for 3 classes: let it give a tensor .B, 3."),
        ("one", "gives 1 values for 3 classes"),
        ("flat", r"gives a tensor \(2,\) for 3 classes"),
        ("Named", "gives a dict for 3 classes"),
        ("Strict", r"does not take pictures \(3, 28, 28\): AssertionError: 9 pixels alone"),
        ("boom", "it raised RuntimeError: my bug"),
    ],
)
@pytest.mark.parametrize("layer", ["", "0", "inner.0"])
def test_networks_that_answer_something_else_are_refused_before_a_run(
    toy, own, tmp_path, function, message, layer
):
    run = tmp_path / "run"
    flags = flags_of("vanilla", epochs=1, run_dir=run, backbone=f"{own}:{function}")
    with pytest.raises(UserError, match=message):
        train.main([*flags, *(["--layer", layer] if layer else [])])
    assert not run.exists()


def test_what_a_network_must_give_is_the_task_s():
    names = ("a", "b", "c")
    found = [(task.outputs(names), task.asked(names)) for task in (Classes(), Labels(), Number())]
    assert found == [(3, "3 classes"), (3, "3 labels"), (1, "one number")]


def test_models_of_timm_that_have_one_size_are_made_at_the_pictures(toy, tmp_path):
    pytest.importorskip("timm")
    model = build("timm:vit_tiny_patch16_224", 3, 3, (32, 48)).eval()
    assert model(torch.zeros(1, 3, 32, 48)).shape == (1, 3)
    assert made("timm:vit_tiny_patch16_224", 3, None, (64, 64), False).num_classes == 1000
    with pytest.raises(UserError, match=r"timm could not make nest_tiny \(Model only handles sq"):
        build("timm:nest_tiny", 3, 3, (32, 48))
    assert build("timm:resnet10t", 3, 3, (32, 32))(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere:make", "--backbone nowhere cannot be imported"),
        ("torchvision:resnet19", "did you mean resnet18"),
        ("hf:{empty}", "name a folder"),
    ],
)
def test_models_that_there_are_not_are_named(tmp_path, name, message):
    name = name.replace("{empty}", str(tmp_path))
    with pytest.raises(UserError, match=message):
        made(name, 3, 2, (32, 32), False)


@pytest.mark.parametrize("name", ["torchvision:squeezenet1_1", "torchvision:mobilenet_v3_small"])
def test_any_classifier_of_torchvision_gets_a_head_of_its_own(name):
    model = build(name, 3, 4, (64, 64)).eval()
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 4) and tap_layer(model, "")


def test_a_classifier_of_transformers_is_read_from_its_folder(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8
    )
    saved = transformers.ViTForImageClassification(config)
    saved.save_pretrained(tmp_path)
    fresh = build(f"hf:{tmp_path}", 3, 5, (64, 64)).eval()
    assert fresh(torch.zeros(1, 3, 64, 64)).shape == (1, 5)
    assert tap_layer(fresh, "") == "model.vit.layers.1.layernorm_before"
    taken = build(f"hf:{tmp_path}", 3, 5, (32, 32), imagenet=True)
    for name, value in saved.vit.state_dict().items():
        assert torch.equal(taken.model.vit.state_dict()[name], value)


@pytest.mark.parametrize("kind", ["safetensors", "pt", "lightning"])
def test_weights_of_a_file_are_taken_where_they_fit(tmp_path, kind):
    model, other = (build("lenet", 3, classes, (28, 28)) for classes in (4, 7))
    state = {f"module.{name}": value for name, value in other.state_dict().items()}
    file = tmp_path / f"weights.{kind if kind != 'lightning' else 'ckpt'}"
    if kind == "safetensors":
        save_file(state, file)
    else:
        torch.save({"state_dict": state} if kind == "lightning" else state, file)
    said = load_weights(model, file)
    assert "4 of 6 tensors; fresh: classifier.weight, classifier.bias" in said
    assert torch.equal(model.conv2.weight, other.conv2.weight)
    with pytest.raises(UserError, match="fits nothing"):
        load_weights(nn.Linear(2, 2), file)
    file.write_bytes(b"none")
    with pytest.raises(UserError, match="holds no weights"):
        load_weights(model, file)


def test_files_are_found_from_anywhere_and_must_be_there(own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = TrainSettings(backbone="own_model.py:make", weights="own_model.py")
    assert from_anywhere(args) == {"backbone": f"{own}:make", "weights": str(own)}
    assert from_anywhere(TrainSettings(backbone="timm:resnet18")) == {}
    with pytest.raises(UserError, match="is not a file"):
        train.prepare(["--weights", "no.pt"])
