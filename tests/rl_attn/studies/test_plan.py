"""From the file to the jobs: products, labels, flags, names; and what a file may not say."""

from pathlib import Path

import pytest

from rl_attn.errors import UserError
from rl_attn.run.yaml import dump_yaml
from rl_attn.studies.check import check
from rl_attn.studies.plan import cells, in_turns, keep_study, references
from rl_attn.studies.scheduler import Source
from rl_attn.studies.schema import Study, read_study

OUT = Path("/studies/x")
STUDIES = sorted((Path(__file__).parents[3] / "configs" / "studies").glob("*.yaml"))


def planned(lab, **changes) -> Study:
    lab.write(**changes)
    return read_study(lab.file)


def test_cells_are_the_product_of_the_grid_and_the_seeds_in_its_order(lab):
    study = planned(lab, grid={"gain": [3.7, 3.9], "method": {"A": {}, "B two": {"bold": True}}})
    assert [job.name for job in cells(study, OUT)] == [
        *("3.7-A-s1", "3.7-A-s2", "3.7-B-two-s1", "3.7-B-two-s2"),
        *("3.9-A-s1", "3.9-A-s2", "3.9-B-two-s1", "3.9-B-two-s2"),
    ]
    assert cells(study, OUT)[2].labels == {"gain": "3.7", "method": "B two", "seed": "1"}


def test_a_cell_has_the_fixed_flags_those_of_its_labels_and_its_seed(lab):
    grid = {"method": {"A": {}, "B": {"bold": True, "total_timesteps": 9, "method": "b"}}}
    first, second = cells(planned(lab, grid=grid, seeds=[5]), OUT)
    folder = str(OUT / "cells" / "A-s5")
    assert first.start.module == "quick_run"
    assert first.start.arguments == ("--run-dir", folder, "--total-timesteps=20", "--seed=5")
    assert first.resume.arguments == ("--resume", folder)
    assert [(c.module, c.arguments) for c in first.then] == [("quick_evaluate", (folder,))]
    words = ("--total-timesteps=9", "--bold", "--method=b", "--seed=5")
    assert second.start.arguments[2:] == words


def test_folds_in_place_of_seeds(lab):
    jobs = cells(planned(lab, grid=None, seeds=None, folds=3), OUT)
    assert [job.name for job in jobs] == ["f0", "f1", "f2"]
    assert jobs[2].start.arguments[-3:] == ("--fold=2", "--folds=3", "--seed=3")


def test_a_reference_for_each_value_of_its_keys(lab):
    grid = {"gain": [3.7, 3.9], "method": {"A": {}, "B": {}}}
    entry = {"name": "floor", "per": ["gain"], "command": "quick_evaluate",
             "arguments": {"out": "{out}"}}  # fmt: skip
    jobs = references(planned(lab, grid=grid, references=[entry]), OUT)
    assert [job.folder for job in jobs] == [
        OUT / "references" / name for name in ("floor-3.7", "floor-3.9")
    ]
    assert jobs[1].start.arguments == ("--gain=3.9", f"--out={OUT / 'references' / 'floor-3.9'}")
    assert jobs[1].resume is None and not jobs[1].is_cell


def test_a_reference_may_leave_out_a_flag_that_its_key_gives(lab):
    grid = {"gain": {"low": {"gain": 3.7, "total_timesteps": 9}, "high": {"gain": 3.9}}}
    entry = {"name": "floor", "per": ["gain"], "omit": ["total_timesteps"], "command": "x"}
    study = planned(lab, grid=grid, references=[entry])
    assert [job.start.arguments for job in references(study, OUT)] == [
        ("--gain=3.7",),
        ("--gain=3.9",),
    ]
    assert "--total-timesteps=9" in cells(study, OUT)[0].start.arguments


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_every_study_of_the_project_is_made_of_command_lines(file):
    study = read_study(file)
    kind, (first, *_) = study.runs
    some = [job for job in cells(study, OUT) if job.labels[kind] == str(first)]
    for job in [*some, *references(study, OUT)]:
        check(job.start, whole=not job.after)
        for command in job.then:
            check(command)


def test_a_cell_may_read_the_folder_of_another(lab):
    grid = {"gain": [3.7, 3.9], "method": {"Student": {"rate": "{method=The teacher}"}}}
    grid["method"] |= {"The teacher": {"rate": 1}}
    study = planned(lab, grid=grid, seeds=[7, 2])
    student = cells(study, OUT)[0]
    assert student.after == ("3.7-The-teacher-s7",)
    assert f"--rate={OUT / 'cells' / '3.7-The-teacher-s7'}" in student.start.arguments
    source = Source(in_turns(cells(study, OUT), study))
    taken = [source.take() for _ in range(4)]
    names = ["3.7-The-teacher-s7", "3.9-The-teacher-s7", "3.7-The-teacher-s2", "3.9-The-teacher-s2"]
    assert [job.name for job in taken] == names and source.take() is None
    source.ended(taken[1])
    assert source.take().name == "3.9-Student-s7" and source.take() is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("{methd=B}", "did you mean method"),
        ("{method=C}", "label of method in rate"),
        ("{method=A}", "itself reads another run"),
    ],
)
def test_a_cell_that_no_cell_can_read_is_refused(lab, value, reason):
    study = planned(lab, grid={"method": {"A": {"rate": value}, "B": {}}})
    with pytest.raises(UserError, match=reason):
        cells(study, OUT)


def test_all_cells_get_their_first_seed_before_any_gets_its_second(lab):
    grid = {"gain": [3.7, 3.9], "method": {"A": {}}}
    entry = {"name": "floor", "per": ["gain"], "command": "quick_evaluate",
             "arguments": {"out": "{out}"}}  # fmt: skip
    study = planned(lab, grid=grid, seeds=[7, 2], references=[entry])
    jobs = in_turns([*cells(study, OUT), *references(study, OUT)], study)
    floors = ["references/floor-3.7", "references/floor-3.9"]
    assert [job.name for job in jobs] == [*floors, "3.7-A-s7", "3.9-A-s7", "3.7-A-s2", "3.9-A-s2"]


def test_lists_booleans_and_configuration_files_among_the_flags(lab):
    config = lab.folder / "base.yaml"
    config.write_text("total_timesteps: 7\nmethod: deep\n")
    arguments = {"config": str(config), "method": "mine", "words": ["a", "b"]}
    study = planned(lab, arguments=arguments, grid={"bold": [True, False]}, seeds=[1])
    on, off = cells(study, OUT)
    assert (on.name, off.name) == ("true-s1", "false-s1")
    flags = ("--total-timesteps=7", "--method=mine", "--words", "a", "b")
    assert on.start.arguments[2:] == (*flags, "--bold", "--seed=1")
    assert off.start.arguments[2:] == (*flags, "--no-bold", "--seed=1")
    assert study.values["arguments"]["total_timesteps"] == 7, "the file's values are not kept"


def test_a_command_may_be_named_shortly(lab):
    then = [{"command": "evaluate", "positional": ["{run}"]}]
    for name in ("train", "supervised.train", "rl_attn.supervised.train"):
        study = planned(lab, command=name, then=then)
        assert study.command == study.values["command"] == "rl_attn.supervised.train"
        assert study.then[0].command == "rl_attn.evaluate"


def test_flags_may_be_written_with_dashes_and_in_sections(lab):
    study = planned(lab, arguments={"total-timesteps": 3, "teacher": {"model": "a"}}, grid=None)
    words = cells(study, OUT)[0].start.arguments
    assert words[2:4] == ("--total-timesteps=3", "--teacher.model=a")


# ---------------------------------------------------------------------- extends


def write_yaml(file, **values):
    file.write_text(dump_yaml(values))
    return file


def test_a_study_may_say_only_what_differs(tmp_path):
    base = {
        "command": "x",
        "arguments": {"a": 1, "b": 2},
        "grid": {"m": {"A": {}, "B": {"c": 1}}, "n": [1, 2]},
        "seeds": [1, 2],
    }
    write_yaml(tmp_path / "base.yaml", **base)
    changes = {"arguments": {"b": None, "c-d": 3}, "grid": {"m": {"A": None}}, "seeds": [5]}
    found = read_study(write_yaml(tmp_path / "twin.yaml", extends="base", **changes))
    assert found.values == {
        "command": "x",
        "arguments": {"a": 1, "c_d": 3},
        "grid": {"m": {"B": {"c": 1}}, "n": [1, 2]},
        "seeds": [5],
    }
    found = read_study(write_yaml(tmp_path / "more.yaml", extends="twin.yaml", seeds=[6]))
    assert found.runs == ("seed", [6]) and found.arguments == {"a": 1, "c_d": 3}


def test_what_is_extended_must_be_there_and_end(tmp_path):
    file = tmp_path / "a.yaml"
    for name, words in (
        ("a", "circle"),
        ("camal_dlr", "did you mean camal_drl"),
        (3, "name a file"),
    ):
        with pytest.raises(UserError, match=words):
            read_study(write_yaml(file, extends=name))


def test_a_study_of_the_package_may_be_extended_by_its_name(tmp_path):
    study = read_study(write_yaml(tmp_path / "a.yaml", extends="camal_drl", seeds=[9]))
    assert study.runs == ("seed", [9]) and study.arguments["width"] == 320


BAD = {
    "unknown key": ({"sedes": [1]}, ("'sedes'", "seeds")),
    "no command": ({"command": None}, ("command: MODULE",)),
    "grid of a number": ({"grid": {"gain": 3}}, ("gain", "3")),
    "empty grid key": ({"grid": {"gain": []}}, ("gain", "[]")),
    "grid names twice": ({"grid": {"gain": [1, 1]}}, ("gain", "twice")),
    "labels without flags": ({"grid": {"method": {"A": 3}}}, ("A of grid key method", "3")),
    "seeds of text": ({"seeds": ["a"]}, ("seeds", "'a'")),
    "one seed twice": ({"seeds": [1, 1]}, ("seeds", "[1, 1]")),
    "seeds and folds": ({"folds": 3}, ("either", "folds")),
    "one fold": ({"seeds": None, "folds": 1}, ("folds: K",)),
    "a reserved flag": ({"arguments": {"seed": 1}}, ("seed", "seeds")),
    "a flag of two keys": ({"grid": {"gain": [1], "m": {"A": {"gain": 2}}}}, ("gain", "both")),
    "labels alike": ({"grid": {"m": {"a b": {}, "a-b": {}}}}, ("a-b-s1", "label")),
    "then without command": ({"then": [{"positional": []}]}, ("then", "command: MODULE")),
    "a key of then": ({"then": [{"command": "x", "argument": {}}]}, ("'argument'", "arguments")),
    "a placeholder": ({"then": [{"command": "x", "positional": ["{rnu}"]}]}, ("'rnu'", "run")),
    "a conversion": (
        {"then": [{"command": "x", "positional": ["{run!x}"]}]},
        ("without a format",),
    ),
    "a format": ({"then": [{"command": "x", "positional": ["{run:9}"]}]}, ("without a format",)),
    "an attribute": ({"then": [{"command": "x", "positional": ["{run.a}"]}]}, ("'run.a'",)),
    "no placeholder": ({"then": [{"command": "x", "positional": ["{}"]}]}, ("''", "run")),
    "a reserved flag with a dash": ({"arguments": {"run-dir": "a"}}, ("run_dir", "--out")),
    "a flag in two spellings": ({"arguments": {"a-b": 1, "a_b": 2}}, ("a_b twice",)),
    "help": ({"arguments": {"help": True}}, ("prints something",)),
    "help of then": ({"then": [{"command": "x", "arguments": {"-h": True}}]}, ("prints",)),
    "a config of a number": ({"arguments": {"config": 3}}, ("config", "name a file")),
    "a config of a list": ({"arguments": {"config": [3]}}, ("config", "name a file")),
    "one number twice": ({"grid": {"gain": [1, 1.0]}}, ("twice",)),
    "a list in a list": ({"arguments": {"words": [[1]]}}, ("plain values",)),
    "a flag in a list": ({"arguments": {"words": ["--bold"]}}, ("reads as a flag",)),
    "per of a number": ({"references": [{"name": "a", "command": "x", "per": 3}]}, ("per", "3")),
    "a name of a list": ({"references": [{"name": [1], "command": "x"}]}, ("needs a name",)),
    "a name like a log": (
        {
            "grid": None,
            "references": [{"name": "a", "command": "x"}, {"name": "a.log", "command": "x"}],
        },
        ("a.log", "label"),
    ),
    "folds of yes": ({"seeds": None, "folds": True}, ("folds: K",)),
    "a billion folds": ({"seeds": None, "folds": 10**9}, ("folds: K",)),
    "too many cells": ({"grid": {"gain": list(range(10_001))}}, ("20,002 runs", "20,000")),
    "a report of no key": ({"report": {"compare": "gian"}}, ("did you mean gain?", "quick.yaml")),
    "steps of a number": ({"steps": 3}, ("steps", "3")),
    "watch of a word": ({"watch": "iou"}, ("watch", "list")),
    "a brace": ({"then": [{"command": "x", "positional": ["{run"]}]}, ("{run", "{{")),
    "the wrong placeholder": (
        {"references": [{"name": "a", "command": "x", "arguments": {"o": "{run}"}}]},
        ("'run'", "out"),
    ),
    "per of no key": (
        {"references": [{"name": "a", "command": "x", "per": ["gian"]}]},
        ("'gian'", "gain"),
    ),
    "a flag to omit that nothing gives": (
        {"references": [{"name": "a", "command": "x", "per": ["gain"], "omit": ["pause"]}]},
        ("'pause'", "gain"),
    ),
    "a nameless reference": ({"references": [{"command": "x"}]}, ("needs a name",)),
    "a config that is not there": ({"arguments": {"config": "no.yaml"}}, ("no.yaml", "not exist")),
    "search without space": ({"search": {"metric": "iou"}}, ("search", "space")),
    "search of one number": (
        {"search": {"metric": "iou", "space": {"lr": 3}}},
        ("lr", "low", "choices"),
    ),
    "search upside down": (
        {"search": {"metric": "iou", "space": {"lr": {"low": 2, "high": 1}}}},
        ("lr", "low < high"),
    ),
    "search of zero on a log scale": (
        {"search": {"metric": "iou", "space": {"lr": {"low": 0, "high": 1, "log": True}}}},
        ("lr", "low > 0"),
    ),
    "search of a grid's flag": (
        {"search": {"metric": "iou", "space": {"gain": {"choices": [1]}}}},
        ("gain", "both"),
    ),
    "search direction": (
        {"search": {"metric": "iou", "direction": "up", "space": {"lr": {"choices": [1]}}}},
        ("'up'", "maximize"),
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_wrong_file_is_refused_with_the_place(lab, what):
    changes, parts = BAD[what]
    with pytest.raises(UserError) as error:
        study = planned(lab, **changes)
        cells(study, OUT)
        references(study, OUT)
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


def test_another_study_is_refused_with_the_difference(lab, tmp_path):
    keep_study(planned(lab), tmp_path)
    keep_study(planned(lab), tmp_path)  # the same again
    keep_study(planned(lab, report={"compare": "gain"}), tmp_path)  # nothing a run would see
    with pytest.raises(UserError, match="holds another study") as error:
        keep_study(planned(lab, arguments={"total_timesteps": 21}), tmp_path)
    assert "-  total_timesteps: 20\n+  total_timesteps: 21" in str(error.value)
    assert "compare: gain" in (tmp_path / "study.yaml").read_text(), "it was written over"


def test_a_study_may_grow_by_labels_and_seeds_in_any_order(lab, tmp_path):
    grid = {"gain": [3.7], "method": {"A": {}, "B": {"bold": True}}}
    keep_study(planned(lab, grid=grid, seeds=None), tmp_path)
    more = {"gain": [3.9, 3.7], "method": {"C": {}, "B": {"bold": True}, "A": {}}}
    keep_study(planned(lab, grid=more, seeds=[2, 1]), tmp_path)
    assert "seeds" in (tmp_path / "study.yaml").read_text()
    for smaller in ({"grid": grid}, {"grid": more, "seeds": [2]}):
        with pytest.raises(UserError, match="holds another study"):
            keep_study(planned(lab, **smaller), tmp_path)
    with pytest.raises(UserError, match="holds another study"):
        changed = {**more, "method": {**more["method"], "B": {"bold": False}}}
        keep_study(planned(lab, grid=changed, seeds=[2, 1]), tmp_path)


def test_a_table_of_folds_does_not_grow(lab, tmp_path):
    keep_study(planned(lab, seeds=None, folds=3), tmp_path)
    with pytest.raises(UserError, match="holds another study"):
        keep_study(planned(lab, seeds=None, folds=4), tmp_path)


def test_a_search_may_go_on_for_longer_and_may_not_change(lab, tmp_path):
    search = {"metric": "value", "trials": 3, "space": {"pause": {"low": 0, "high": 1}}}
    keep_study(planned(lab, search=search), tmp_path)
    keep_study(planned(lab, search={**search, "trials": 5}), tmp_path)
    with pytest.raises(UserError, match="holds another study"):
        keep_study(planned(lab, search={**search, "metric": "other"}), tmp_path)
