import csv

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rl_attn.errors import UserError
from rl_attn.run.log import RunLog, check_tables


@pytest.fixture
def run(tmp_path):
    return tmp_path


def table(path, name="metrics"):
    with (path / f"{name}.csv").open(newline="") as file:
        return list(csv.reader(file))


def log_rows(path, steps, resume_step=None, offset=0):
    with RunLog(path, resume_step) as log:
        for step in steps:
            log.row({"loss": step / 8 + offset, "attention/iou": 0.5}, step)


def test_rows_hold_step_and_values_under_one_header(run):
    with RunLog(run) as log:
        log.row({"loss": 0.25, "charts/faults": 3}, 128)
        log.row({"loss": 1 / 3, "charts/faults": 123_456_789}, 256)
        log.row({"return": -1.5}, 256, table="evaluations")
    assert table(run) == [
        ["global_step", "loss", "charts/faults"],
        ["128", "0.25", "3"],
        ["256", "0.33333333", "1.2345679e+08"],
    ]
    assert table(run, "evaluations") == [["global_step", "return"], ["256", "-1.5"]]


def test_a_value_that_is_not_known_is_an_empty_cell(run):
    with RunLog(run) as log:
        log.row({"loss": 0.5, "return": float("nan")}, 1)
        log.row({"loss": 0.5, "return": 2.0}, 2)
    assert table(run)[1:] == [["1", "0.5", ""], ["2", "0.5", "2"]]


def test_the_first_row_decides_the_columns(run):
    with RunLog(run) as log:
        log.row({"loss": 0.5, "return": 2.0}, 1)
        log.row({"return": 3.0, "loss": 0.25}, 2)
    assert table(run) == [["global_step", "loss", "return"], ["1", "0.5", "2"], ["2", "0.25", "3"]]


def test_a_row_is_on_disk_as_soon_as_it_is_written(run):
    with RunLog(run) as log:
        log.row({"loss": 0.5}, 1)
        assert table(run) == [["global_step", "loss"], ["1", "0.5"]]


def test_resuming_drops_the_rows_that_were_lost_and_goes_on(run):
    log_rows(run, [10, 20, 30, 40])
    log_rows(run, [30, 40, 50], resume_step=20, offset=100)
    rows = table(run)
    assert rows[0] == ["global_step", "loss", "attention/iou"]
    assert [row[0] for row in rows[1:]] == ["10", "20", "30", "40", "50"]
    assert [float(row[1]) for row in rows[1:]] == [1.25, 2.5, 103.75, 105.0, 106.25]


def test_resuming_keeps_names_that_csv_has_to_quote(run):
    for resume_step in (None, 1, 2):
        with RunLog(run, resume_step) as log:
            log.row({"losses/a,b": 0.5, 'a "name"': 1.5}, 1 + (resume_step or 0))
    assert table(run) == [
        ["global_step", "losses/a,b", 'a "name"'],
        *([str(step), "0.5", "1.5"] for step in (1, 2, 3)),
    ]


def test_resuming_drops_lost_rows_of_every_table(run):
    with RunLog(run) as log:
        log.row({"return": 1.0}, 10, table="evaluations")
        log.row({"return": 2.0}, 30, table="evaluations")
    with RunLog(run, resume_step=20):
        pass
    assert table(run, "evaluations") == [["global_step", "return"], ["10", "1"]]


def test_a_folder_that_another_process_writes_to_is_refused_and_left_as_it_is(run):
    with RunLog(run) as log:
        log.row({"loss": 1.0}, 10)
        # A lock belongs to the opened folder, so a second one of this process is refused as well.
        with pytest.raises(UserError, match="another process still works in"):
            RunLog(run, resume_step=0)
        log.row({"loss": 0.5}, 20)
    with RunLog(run, resume_step=20):
        pass
    assert (run / "metrics.csv").read_text().split() == ["global_step,loss", "10,1", "20,0.5"]


def test_resuming_drops_a_row_that_was_half_written(run):
    log_rows(run, [10, 20])
    content = (run / "metrics.csv").read_text()
    (run / "metrics.csv").write_text(content + "30,0.")
    log_rows(run, [30], resume_step=20)
    assert [row[0] for row in table(run)] == ["global_step", "10", "20", "30"]
    assert all(len(row) == 3 for row in table(run))


@pytest.mark.parametrize("content", ["", "global_step,loss\n", "global_step,loss\n10,1\n"])
def test_resuming_before_every_row_starts_the_table_anew(run, content):
    (run / "metrics.csv").write_text(content)
    log_rows(run, [5], resume_step=0)
    assert table(run) == [["global_step", "loss", "attention/iou"], ["5", "0.625", "0.5"]]


def test_resuming_leaves_tables_of_others_alone(run):
    mine = "patient,grade\n12,good\n40001,bad\nx,good\n"
    (run / "grades.csv").write_text(mine)
    with RunLog(run, resume_step=20000):
        pass
    assert (run / "grades.csv").read_text() == mine


def test_a_table_that_is_no_runs_is_refused(run):
    with RunLog(run) as log, pytest.raises(ValueError, match="'grades'"):
        log.row({"loss": 1.0}, 10, table="grades")


def test_the_last_step_of_a_table(run):
    with RunLog(run) as log:
        assert log.last_step("evaluations") == -1
        for step in (10, 20):
            log.row({"return": 1.0}, step, table="evaluations")
        assert log.last_step("evaluations") == 20 and log.last_step("metrics") == -1


def test_a_fresh_log_keeps_what_is_there(run):
    log_rows(run, [10, 20])
    log_rows(run, [30])
    assert [row[0] for row in table(run)[1:]] == ["10", "20", "30"]


# ---------------------------------------------------------------------- TensorBoard


def events(path):
    return EventAccumulator(str(path)).Reload()


def points(path, name):
    return [(event.step, event.value) for event in events(path).Scalars(name)]


def test_tensorboard_shows_what_was_logged(run):
    with RunLog(run) as log:
        log.scalar("charts/episodic_return", 7.0, 100)
        log.row({"losses/value_loss": 0.5, "charts/return": float("nan")}, 128)
        log.row({"losses/value_loss": 0.25, "charts/return": 3.0}, 256)
        log.picture("attention/frame_mask_map", np.full((6, 9, 3), (255, 0, 0), np.uint8), 256)
    assert points(run, "charts/episodic_return") == [(100, 7.0)]
    assert points(run, "losses/value_loss") == [(128, 0.5), (256, 0.25)]
    assert points(run, "charts/return") == [(256, 3.0)]  # NaN is no point
    (picture,) = events(run).Images("attention/frame_mask_map")
    assert (picture.step, picture.height, picture.width) == (256, 6, 9)


def test_scalars_alone_make_no_table(run):
    with RunLog(run) as log:
        log.scalar("charts/episodic_return", 7.0, 100)
    assert not (run / "metrics.csv").exists()


def test_tensorboard_forgets_the_events_that_were_lost(run):
    log_rows(run, [10, 20, 30, 40])
    log_rows(run, [30], resume_step=20, offset=100)
    assert points(run, "loss") == [(10, 1.25), (20, 2.5), (30, 103.75)]


@pytest.mark.parametrize(
    "content",
    [b"global_step,a\n1,\xff\n", b"global_step,a\n1,\0\n", b"\n\n", b"patient,grade\n1,2\n"],
)
def test_a_table_that_is_none_of_ours_is_refused_and_left(run, content):
    check_tables(run)
    log_rows(run, [10, 20])
    check_tables(run)
    (run / "metrics.csv").write_bytes(content)
    for attempt in (check_tables, lambda run: RunLog(run, 10)):
        with pytest.raises(UserError, match=r"metrics\.csv is not a table of a run"):
            attempt(run)
    assert (run / "metrics.csv").read_bytes() == content


def test_a_layout_is_what_tensorboard_opens_on(run):
    with RunLog(run) as log:
        log.layout({"first": {"return": ["charts/return", "eval/return"]}})
    events = EventAccumulator(str(run)).Reload()
    (name,) = events.Tags()["tensors"]
    (event,) = events.Tensors(name)
    said = event.tensor_proto.string_val[0]
    assert name.startswith("custom_scalars") and b"charts/return" in said and b"first" in said
