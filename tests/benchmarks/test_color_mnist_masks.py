"""The benchmark of masks on ColorMNIST: its targets are the method's, and its command goes on."""

import json
import sys
from pathlib import Path

import pytest
import torch
from processes import CONTEXT

from rl_attn.errors import UserError
from rl_attn.supervised.backbones import LeNet
from rl_attn.supervised.data import load
from rl_attn.supervised.data.resize import resize
from rl_attn.supervised.methods import method_class
from rl_attn.supervised.teachers import without_colour

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "color_mnist_masks.py"
TINY = ("--pictures", "64", "--seeds", "1", "--attention-epochs", "1", "--joint-epochs", "1")


@pytest.fixture(scope="module")
def masks():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))
        import color_mnist_masks

        patch.setattr(color_mnist_masks, "get_context", lambda kind: CONTEXT)
        yield color_mnist_masks
    sys.modules.pop("color_mnist_masks", None)


@pytest.fixture(scope="module")
def splits():
    return load("color-mnist", base="digits", variant="learning-to-look").splits


@pytest.mark.parametrize(("kind", "region"), [("ring", "ring"), ("ink", "object")])
def test_targets_are_those_of_learning_to_look(masks, splits, kind, region):
    split = splits["train"][torch.arange(8)]
    method = method_class("learning-to-look")(region=region, harden=True)
    annotated = resize(method.annotations(split.masks, 0), 32).float() / 255
    expected = method.target(annotated, (10, 10))
    found = masks.targets(kind, masks.Pictures.of(split), None)
    torch.testing.assert_close(found[:, 0], expected)


def test_what_a_teacher_sees_does_not_depend_on_colour(masks, splits):
    held = [splits[f"validation{kind}"][torch.arange(20)] for kind in ("", "-shifted")]
    pictures = [masks.Pictures.of(split) for split in held]
    assert (pictures[0].x - pictures[1].x).abs().max() > 0.5
    plain, shifted = (without_colour(p.x, masks.VIEW) for p in pictures)
    assert (plain - shifted).abs().max() < 0.05  # colours are cut to bytes
    assert plain.amin() >= -1 and plain.amax() == 1


@pytest.mark.parametrize(("kind", "number"), [("teacher", 1), ("teacher-every", 10)])
def test_a_teacher_s_targets_are_its_own_maps(masks, splits, kind, number):
    torch.manual_seed(0)
    pictures, teacher = masks.Pictures.of(splits["train"], 12), LeNet(3, 10, (32, 32))
    found = masks.targets(kind, pictures, teacher)
    assert found.shape == (12, number, 10, 10)
    features = teacher.features(without_colour(pictures.x, masks.VIEW))
    label = int(pictures.labels[3])
    evidence = torch.einsum("k,khw->hw", teacher.classifier.weight[label], features[3]).relu()
    expected = (evidence - evidence.min()) / (evidence.max() - evidence.min() + 1e-8)
    torch.testing.assert_close(found[3, label if number == 10 else 0], expected)


def test_command_makes_a_table_and_goes_on_where_it_was(masks, tmp_path, capsys):
    def command(*flags: str) -> str:
        assert masks.main([*TINY, "--out", str(file), *flags]) == 0
        return capsys.readouterr().out

    file = tmp_path / "kept.json"
    assert "ring-every" in command("--masks", "ring-every")
    kept = json.loads(file.read_text())
    (epoch,) = kept["runs"]["ring-every, 1"]
    assert 0 <= epoch["test"] <= 1 and epoch["optim_value"] < epoch["validation"]
    epoch["test"] = 0.777  # a run that is kept is not run again
    file.write_text(json.dumps(kept))
    assert "77.7 %" in command("--masks", "ring-every")
    with pytest.raises(UserError, match="holds runs of other settings"):
        command("--masks", "ring-every", "--weight", "1")
