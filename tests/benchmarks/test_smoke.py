"""Every benchmark runs; those with tests of their own are tested there."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"

#: The least work that each takes, and what its table or its lines then say.
QUICK = {
    (
        *("supervised_epoch", "--steps=2", "--rounds=1", "--batch-size=8", "--threads=1"),
        *("--only", "supervised.train"),
    ): ("straightforward loop", "supervised.train"),
    ("supervised_epoch", "--seeds", "--steps=1", "--rounds=1", "--batch-size=8", "--threads=1"): (
        "five runs in turn",
        "one batched model",
    ),
    ("methods", "--quick", "--only", "CAMAL + DrAC"): ("CAMAL + DrAC", "s / 1,000"),
    ("vapl_refinement", "--masks=20", "--loop-masks=2", "--size=64", "--threads=1"): (
        "N = 20 in batches of 16",
        "one mask at a time",
    ),
}
#: Modules that no one runs, and the benchmarks that run them.
PARTS = {"machine", "workload", "classifiers", "lenet_by_hand", "stepping", "training"}
PARTS |= {"attribution_steps", "agents_grid"}


@pytest.mark.slow
@pytest.mark.parametrize("command", QUICK, ids=" ".join)
def test_it_measures(command, benchmark, capsys):
    name, *flags = command
    assert benchmark(name).main(flags) == 0
    printed = capsys.readouterr().out
    for words in QUICK[command]:
        assert words in printed


def test_a_run_on_each_core_shares_the_steps_out(benchmark):
    settings = benchmark("workload").Classifiers(batch_size=8, threads=2)
    contender = benchmark("classifiers").OnEachCore(settings)
    try:
        assert contender.run(3) == benchmark("classifiers").Ours(settings).run(1)
    finally:
        contender.close()


def test_every_benchmark_has_a_test():
    tested = {Path(script).stem for script, *_ in QUICK}
    tested |= {file.stem.removeprefix("test_") for file in Path(__file__).parent.glob("test_*.py")}
    assert {file.stem for file in FOLDER.glob("*.py")} - PARTS <= tested
