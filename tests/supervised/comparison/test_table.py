"""What no comparison could be made of is refused before anything runs, with the remedy."""

import pytest
import yaml

from rl_attn.errors import UserError
from rl_attn.supervised import compare
from rl_attn.supervised.comparison.table import read_table

GOOD = {
    "command": "supervised.train",
    "arguments": {"data": "digits", "epochs": 1},
    "grid": {"method": ["vanilla", "camal"]},
    "seeds": [1],
    "report": {"compare": "method"},
}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "table.yaml"


def write(file, **changes) -> None:
    file.write_text(yaml.safe_dump({**GOOD, **changes}, sort_keys=False))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"command": "rl_attn.ppo"},
            "is a study of rl_attn.ppo, not of rl_attn.supervised.train: run it",
        ),
        ({"report": {"compare": "backbone"}}, r"key in report\.compare: 'backbone': choose from"),
        ({"report": {"heat_maps": ["iou"]}}, "needs a grid of two keys, and this one has 1"),
    ],
)
def test_refused(file, changes, complaint):
    write(file, **changes)
    with pytest.raises(UserError, match=complaint):
        read_table(file, None)


def test_data_root_is_that_of_this_machine(file, tmp_path):
    write(file, arguments={"data": "busi", "data_root": "data"})
    study = read_table(file, str(tmp_path))
    assert study.arguments["data_root"] == str(tmp_path)
    assert study.values["arguments"] == study.arguments
    with pytest.raises(UserError, match="--data-root nowhere is not a folder"):
        read_table(file, "nowhere")


def test_one_attention_for_all_is_refused_where_a_cell_has_its_own(file):
    write(file)
    assert read_table(file, attention="layer-cam").arguments["attention"] == "layer-cam"
    write(file, grid={"method": {"Vanilla": {"attention": "grad-cam"}}})
    with pytest.raises(UserError, match="method Vanilla has one of its own, grad-cam"):
        read_table(file, attention="layer-cam")


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--report-only"], "holds no table: run it first"),
        (["--report-only", "--dry-run"], "leave one out"),
        (["--resamples", "0"], "--resamples must be from 1 to"),
        (["--workers", "0"], "--workers must be from 1 to 4096"),
    ],
)
def test_flags_that_make_no_sense(file, tmp_path, flags, complaint):
    write(file)
    with pytest.raises(UserError, match=complaint):
        compare.main([str(file), "--out", str(tmp_path / "out"), *flags])
    assert not (tmp_path / "out").exists()
