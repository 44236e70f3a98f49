"""The benchmark of sets in files: both contenders learn the same, and its table says so."""


def test_both_learn_the_same(benchmark, capsys, tmp_path):
    flags = ["--images", "16", "--size", "16", "--rounds", "1", "--batch-size", "4", "--quick"]
    assert benchmark("large_data").main([*flags, "--folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    rows = [line for line in said.splitlines() if "in memory" in line or "in files" in line]
    assert "16 images of 16 px" in said and len(rows) == 2 and "1.00" in rows[0]
    assert not list(tmp_path.iterdir())
