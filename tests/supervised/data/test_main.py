"""The command that looks at a data set."""

import numpy as np
import pytest
from PIL import Image

from rl_attn.errors import UserError
from rl_attn.supervised.data import load
from rl_attn.supervised.data.__main__ import main
from rl_attn.supervised.data.sheet import DIMMED, contact_sheet


def test_sheet_and_summary(tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    options = ["--options", "variant=rrr", "mask=not-patch"]
    assert main(["decoy-mnist", *options, "--sheet", str(sheet), "--columns", "3"]) == 0
    shown = capsys.readouterr().out
    assert "validation-unbiased" in shown and "1,293" in shown
    assert Image.open(sheet).size[1] == 10 * 28 * 2


def test_left_is_plain_and_right_is_dimmed():
    data = load("digits")
    sheet = contact_sheet(data, columns=2)[::2, ::2]  # enlarged twice
    part = data.splits["train"]
    first = part[(part.labels == 0).nonzero()[:1, 0]]
    picture, mask = first.images[0, 0].numpy(), first.masks[0].numpy()
    assert np.array_equal(sheet[:28, :28, 0], picture)
    right = sheet[:28, 58:86, 0]
    assert np.array_equal(right[mask == 255], picture[mask == 255])
    assert np.abs(right[mask == 0] - DIMMED * picture[mask == 0]).max() < 1


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["digits", "--options", "size"], "--options takes key=value, got size"),
        (["digits", "--split", "tests"], r"unknown split 'tests' \(did you mean test\?\)"),
        (["digits", "--sheet", "/nowhere/x.png"], "its folder does not exist"),
        (["nothing"], "unknown data set 'nothing'"),
    ],
)
def test_mistakes(argv, message):
    with pytest.raises(UserError, match=message):
        main(argv)
