import dataclasses

import pytest
import yaml

from rl_attn.errors import UserError
from rl_attn.run.cli import parse
from rl_attn.supervised.data import LOADERS
from rl_attn.supervised.methods import METHODS
from rl_attn.supervised.settings import TrainSettings, args_type, method_of, validate


def parsed(*argv: str) -> TrainSettings:
    return parse(args_type(argv), argv, "train")


def test_defaults_are_those_of_the_method_s_paper_on_that_data():
    args = parsed("--method", "learning-to-look", "--data", "color-mnist")
    assert (args.learning_rate, args.momentum, args.epochs, args.size) == (1e-3, 0.98, 30, 32)
    assert (args.weight, args.attention_epochs, args.region) == (160, 11, "ring")
    args = parsed("--method=learning-to-look", "--data=decoy-mnist")
    assert (args.learning_rate, args.weight, args.attention_epochs) == (1e-2, 8, 13)
    args = parsed()
    assert (args.method, args.optimizer, args.weight_decay, args.weight) == (
        "camal",
        "adamw",
        0.01,
        1,
    )


def test_flags_override_a_file_and_the_file_the_paper(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("method: hint\nweight: 7\nepochs: 9\n")
    args = parsed("--config", str(file), "--epochs", "2")
    assert (args.method, args.weight, args.epochs, args.batch_size) == ("hint", 7, 2, 256)
    args = parsed("--config", str(file), "--method", "camal")
    assert args.method == "camal" and args.weight == 7


def test_nothing_is_selected_by_folds_that_are_trained_on():
    for words in ((), ("--select", "accuracy")):
        with pytest.raises(UserError, match="leaves nothing to select by"):
            validate(parsed("--no-fold-validation", "--fold", "0", *words))
    validate(parsed("--no-fold-validation", "--fold", "0", "--select", "last"))


def test_rare_classes_are_made_up_for_once():
    with pytest.raises(UserError, match="make up for rare classes twice"):
        validate(parsed("--class-weights", "balanced", "--sampling", "balanced"))
    with pytest.raises(UserError, match=r"unknown --select 'auc' \(did you mean auroc"):
        validate(parsed("--select", "auc"))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_its_flags(method):
    """All fields reach the method, none hides a flag of training, each recipe works."""
    kind = METHODS[method]
    own = {field.name for field in dataclasses.fields(kind)}
    assert not own & {field.name for field in dataclasses.fields(TrainSettings)}
    for name in {"digits", *filter(None, kind.recipes)}:  # a data set, or a backbone
        args = parsed("--method", method, "--data" if name in LOADERS else "--backbone", name)
        validate(args)
        assert method_of(args) == kind(**{name: getattr(args, name) for name in own})
        yaml.safe_dump(dataclasses.asdict(args))


def test_a_method_of_another_flag_is_refused():
    with pytest.raises(UserError, match="attention-epochs"):
        parsed("--method", "camal", "--attention-epochs", "3")


def test_a_data_set_of_a_strangers_own(tmp_path, monkeypatch):
    from rl_attn.supervised.train import prepare

    file = tmp_path / "strangers_set.py"
    file.write_text(
        "from rl_attn.supervised.data import LOADERS\n"
        "@LOADERS.register('strangers')\n"
        "def load(root=None, *, size: int = 8): ...\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ["--import", "./strangers_set.py", "--data", "strangers"]
    args, _, _ = prepare(words)
    assert args.data == "strangers" and args.imports == (str(file),)
