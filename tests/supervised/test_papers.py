"""Files that are called a paper's say everything that the paper, or its framework, does."""

from pathlib import Path

import pytest

from rl_attn.rl import settings as rl_settings
from rl_attn.run.cli import parse
from rl_attn.run.yaml import load_yaml
from rl_attn.supervised.comparison.table import read_table
from rl_attn.supervised.settings import args_type

CONFIGS = Path(__file__).parents[2] / "configs"

#: CAMAL (Hundal et al. 2026), Table 8, its text, and CleanRL's ppo_atari.py.
TABLE_8 = {
    **{"num_envs": 8, "total_timesteps": 10_000_000, "num_steps": 128, "update_epochs": 4},
    **{"num_minibatches": 4, "learning_rate": 2.5e-4, "gamma": 0.99, "gae_lambda": 0.95},
    **{"clip_coef": 0.1, "ent_coef": 0.01, "vf_coef": 0.5, "max_grad_norm": 0.5, "camal": 1.0},
    **{"frame_skip": 4, "frame_stack": 4, "reward_clip": 1.0, "width": 320, "height": 240},
    **{"network": "nature", "anneal_lr": True, "norm_adv": True, "clip_vloss": True},
    **{"separate_clipping": False, "rgb": False, "precision": "fp32", "method": "camal"},
    **{"attention": "grad-cam", "attention_target": "value", "tap": "conv3"},
    **{"second_order": True, "normalization": "max", "dead_maps": "zero"},
    **{"compare": "map-up", "placement": "stretched", "empty_mask": "skip"},
    **{"control": "none", "objective": "camal", "target_kl": None},
}

#: Table 7 and Appendix C, and AdamW's defaults; without what differs by backbone.
TABLE_7 = {
    **{"epochs": 500, "weight_decay": 0.01, "batch_size": 32, "optimizer": "adamw"},
    **{"weights": "imagenet", "size": 224, "crop": "center", "flip": False, "schedule": "none"},
    **{"precision": "fp32", "batch_norm": "keep", "select": "last", "fold_validation": False},
    "attention": "grad-cam",
}
#: Eq. 1 and 2, and Table 8's lambda.
CAMAL = {"method": "camal", "weight": 1, "second_order": True}
CAMAL |= {"empty_mask": "skip", "placement": "stretched"}
RATES = {"ResNet": 1e-3, "ConvNeXt": 1e-3, "EfficientNet": 1e-3}
RATES |= {"ViT": 1e-4, "Swin": 1e-4, "MaxViT": 1e-4}


def test_table_8_of_camal():
    values = load_yaml(CONFIGS / "ppo" / "camal_paper.yaml")
    assert {key: values.get(key) for key in TABLE_8} == TABLE_8
    assert set(values) - set(TABLE_8) == {"checkpoint_interval"}  # nothing that changes a number
    argv = ["--config", str(CONFIGS / "ppo" / "camal_paper.yaml")]
    args = parse(rl_settings.args_type(argv), argv, "ppo")
    assert {key: getattr(args, key) for key in TABLE_8} == TABLE_8


@pytest.mark.parametrize("name", ["camal_vanilla", "camal_prior"])
def test_table_7_of_camal(name):
    table = read_table(CONFIGS / "tables" / f"{name}.yaml")
    assert table.runs == ("fold", list(range(10)))
    for label, backbone in table.grid["backbone"].items():
        for method in table.grid["method"].values():
            flags = table.arguments | backbone | method
            assert {key: flags.get(key) for key in TABLE_7} == TABLE_7
            assert flags["learning_rate"] == RATES[label]
    assert table.grid["method"]["CAMAL"] == CAMAL


#: VAPL (Zhang et al. 2024, 5.2), and what its ablations (Table 3) change.
VAPL = {
    **{"epochs": 100, "perturbed_masks": 5000, "keep": 0.1, "model_passes": 5, "weight_passes": 5},
    **{"lambda_parameters": 0.1, "lambda_activations": 1, "lambda_aggregation": 10},
}
ABLATIONS = {
    "VAPL": {},
    "VAPL-1": {"epochs": 50, "refine": False},
    "VAPL-2": {"lambda_parameters": 0},
    "VAPL-3": {"lambda_activations": 0},
    "VAPL-4": {"epochs": 50, "learn_weights": False},
}


def test_vapl_s_section_5():
    table = read_table(CONFIGS / "tables" / "vapl.yaml")
    for name, changed in ABLATIONS.items():
        assert table.grid["method"][name] == {"method": "vapl", **VAPL, **changed}
    same = {"size": 224, "train_pictures": 100, "batch_size": 16, "learning_rate": 1e-4}
    same |= {"optimizer": "adam", "backbone": "resnet18", "weights": "imagenet"}
    assert {key: table.arguments[key] for key in same} == same
    others = ("Baseline", "GRADIA", "HAICS", "RES-G", "RES-L")
    assert {table.grid["method"][name]["epochs"] for name in others} == {50}


#: Learning to Look (Yang et al. 2026), its section on MNIST and the authors' configurations.
LOOK = {
    **{"method": "learning-to-look", "selection": "optim-value", "formula": "released"},
    **{"backbone": "lenet", "size": 32, "optimizer": "sgd", "momentum": 0.98, "harden": True},
    **{"weight_decay": 1e-4, "batch_size": 32, "epochs": 30, "schedule": "step"},
    "data_options": ["base=mnist", "variant=learning-to-look"],
}
BY_SET = {
    "decoy": {"learning_rate": 1e-2, "weight": 8, "attention_epochs": 13, "region": "object"},
    "color": {"learning_rate": 1e-3, "weight": 160, "attention_epochs": 11, "region": "ring"},
}


@pytest.mark.parametrize("name", BY_SET)
def test_table_1_of_learning_to_look(name):
    table = read_table(CONFIGS / "tables" / f"learning_to_look_{name}.yaml")
    assert table.grid["method"]["Ours"] == LOOK | BY_SET[name]


def test_tables_of_papers_are_in_fp32():
    files = [f for f in (CONFIGS / "tables").glob("*.yaml") if not f.stem.endswith("_cpu")]
    assert len(files) > 6
    assert {read_table(file).arguments.get("precision") for file in files} == {"fp32"}


@pytest.mark.parametrize(
    ("backbone", "rate"),
    [("resnet18", 1e-3), ("vit_b_16", 1e-4), ("torchvision:swin_v2_t", 1e-4)],
)
def test_a_backbone_has_its_learning_rate_with_and_without_camal(backbone, rate, tmp_path):
    for method in ("vanilla", "suppress-only", "entropy"):
        words = ["--method", method, "--backbone", backbone]
        assert parse(args_type(words), words, "train").learning_rate == rate
    words = ["--method", "camal", "--backbone", backbone]
    assert parse(args_type(words), words, "train").learning_rate == rate
    file = tmp_path / "config.yaml"
    file.write_text(f"method: camal\nbackbone: {backbone}\n")
    words = ["--config", str(file)]
    assert parse(args_type(words), words, "train").learning_rate == rate
    words = ["--config", str(file), "--learning-rate", "0.5"]
    assert parse(args_type(words), words, "train").learning_rate == 0.5
