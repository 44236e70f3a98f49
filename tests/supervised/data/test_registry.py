"""Names and options are checked before anything is read."""

import pytest

from rl_attn.errors import UserError
from rl_attn.supervised.data import LOADERS, load, options_of


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("decoymnist", {}, r"unknown data set 'decoymnist' \(did you mean decoy-mnist\?\).*digits"),
        ("digits", {"sizes": 32}, r"unknown option of digits 'sizes' \(did you mean size\?\)"),
        ("decoy-mnist", {"variant": "xil"}, r"unknown variant of decoy-mnist 'xil'.*rrr, cdep"),
        ("decoy-mnist", {"size": "big"}, "size of decoy-mnist is 'big': it must be a int"),
        ("decoy-mnist", {"size": 28.5}, "size of decoy-mnist is 28.5"),
        ("digits", {"seed": "-1"}, "seed of digits is -1: it must be from 0"),
    ],
)
def test_mistakes_are_named_with_the_choices(name, options, message):
    with pytest.raises(UserError, match=message):
        load(name, **options)


def test_text_becomes_numbers():
    assert load("digits", size="32").size == (32, 32)


@pytest.mark.parametrize("name", list(LOADERS))
def test_every_set_lists_its_options(name):
    assert "root" not in options_of(name)
    assert "size" in options_of(name)
