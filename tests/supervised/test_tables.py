"""Every study of configs/tables: each of its cells is a command line that the training takes."""

from pathlib import Path

import pytest

from rl_attn.errors import UserError
from rl_attn.run.cli import parse, read_options
from rl_attn.studies.check import check
from rl_attn.studies.plan import Command
from rl_attn.supervised.comparison.table import read_table
from rl_attn.supervised.data import LOADERS, options_of
from rl_attn.supervised.settings import args_type, method_of, validate

TABLES = sorted((Path(__file__).parents[2] / "configs" / "tables").glob("*.yaml"))


def cells(study: dict) -> list[dict]:
    """The flags of as many cells as it takes to see every label once."""
    keys = [
        list(entries.values()) if isinstance(entries, dict) else [{key: v} for v in entries]
        for key, entries in study["grid"].items()
    ]
    found = []
    for i in range(max(map(len, keys))):
        flags = dict(study["arguments"])
        for labels in keys:
            flags |= labels[i % len(labels)]
        found.append(flags)
    return found


def words(flags: dict) -> list[str]:
    argv = []
    for key, value in flags.items():
        flag = f"--{key.replace('_', '-')}"
        if isinstance(value, bool):
            argv.append(flag if value else f"--no-{flag[2:]}")
            continue
        argv += [flag, *map(str, value)] if isinstance(value, list) else [f"{flag}={value}"]
    return argv


@pytest.mark.parametrize("file", TABLES, ids=lambda file: file.stem)
def test_cells_are_command_lines(file):
    study = read_table(file, None).values
    assert study["report"]["compare"] in study["grid"]
    assert ("seeds" in study) != ("folds" in study)
    for flags in cells(study):
        if flags["data"] not in LOADERS:
            pytest.skip(f"{flags['data']} is not here")
        argv = words(flags)
        args = parse(args_type(argv), argv, "python -m supervised.train")
        validate(args)
        assert method_of(args).name == flags["method"]
        assert set(read_options(args.data_options, "--data-options")) <= set(options_of(args.data))


def test_studies_know_the_flags_of_the_method_that_a_cell_names():
    check(Command("supervised.train", ("--method=rrr", "--data=digits", "--weight=2")))
    with pytest.raises(UserError, match="--weigth"):
        check(Command("supervised.train", ("--method=rrr", "--data=digits", "--weigth=2")))


@pytest.mark.parametrize("file", TABLES, ids=lambda file: file.stem)
def test_grid_keys_set_flags_of_their_own(file):
    owners: dict[str, str] = {}
    for key, entries in read_table(file, None).values["grid"].items():
        flags = {f for v in entries.values() for f in v} if isinstance(entries, dict) else {key}
        for flag in flags:
            assert owners.setdefault(flag, key) == key


def test_each_table_has_a_small_version():
    names = {file.stem for file in TABLES}
    assert len(names) == 22
    assert all(f"{name}_cpu" in names for name in names if not name.endswith("_cpu"))


@pytest.mark.parametrize("file", TABLES, ids=lambda file: file.stem)
def test_each_table_can_be_compared(file):
    """Its report is understood; where faithfulness is measured it is also reported."""
    study = read_table(file, None)
    assert study.report.metrics and study.steps == "epochs"
    metrics = {metric.name for metric in study.report.metrics}
    assert ("deletion_area" in metrics) == ("faithfulness" in study.arguments)
    if "grid" in file.stem:
        assert study.report.heat_maps == ("selection_score", "accuracy")
