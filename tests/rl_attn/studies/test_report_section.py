import pytest

from rl_attn.errors import UserError
from rl_attn.studies.report_section import Metric, ReportSection, read_report

GRID = {"env": ["Basic"], "method": ["Vanilla", "CAMAL"]}


def read(values, grid=GRID, paired=False):
    return read_report(values, grid, ["random"], paired)


def test_what_is_not_said_has_defaults():
    assert read(None) == read({}) == ReportSection(compare="method")
    assert read(None, {"a": [1], "b": [2]}, paired=True) == ReportSection(compare="b", paired=True)
    assert read(None, {}).compare is None


def test_everything_that_may_be_said_is_read():
    values = {
        "compare": "env",
        "paired": True,
        "baselines": {"Basic": "Basic"},
        "metrics": [{"name": "a_b"}, {"name": "c", "label": "C", "reference": "random"}],
        "heat_maps": ["c"],
    }
    assert read(values) == ReportSection(
        compare="env",
        paired=True,
        baselines={"Basic": "Basic"},
        metrics=(Metric("a_b", "a b"), Metric("c", "C", reference="random")),
        heat_maps=("c",),
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1], "must map"),
        ({"compair": "method"}, "did you mean compare?"),
        ({"compare": "mehtod"}, "did you mean method?"),
        ({"compare": ["method"]}, "report.compare"),
        ({"paired": "yes"}, "true or false"),
        ({"baselines": ["CAMAL"]}, "methods to methods"),
        ({"baselines": {"CAMAL": "Vanila"}}, "did you mean Vanilla?"),
        ({"metrics": "iou"}, "must list"),
        ({"metrics": ["iou"]}, "needs a name"),
        ({"metrics": [{"label": "x"}]}, "needs a name"),
        ({"metrics": [{"name": 3}]}, "needs a name"),
        ({"metrics": [{"name": "x", "labl": "y"}]}, "did you mean label?"),
        ({"metrics": [{"name": "x", "label": None}]}, "must be a word"),
        ({"metrics": [{"name": "x", "better": "red"}]}, "higher, lower, neither"),
        ({"metrics": [{"name": "x", "reference": "randm"}]}, "did you mean random?"),
        ({"metrics": [{"name": "x", "reference": "CAMAL", "best": "CAMAL"}]}, "needs two ends"),
        ({"metrics": [{"name": "x"}, {"name": "x"}]}, "twice"),
        ({"heat_maps": "iou"}, "lists names"),
        ({"heat_maps": [3]}, "lists names"),
    ],
)
def test_what_no_report_could_be_made_of_is_refused_in_one_line(values, words):
    with pytest.raises(UserError) as error:
        read(values)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_heat_maps_need_a_grid_of_two_keys():
    with pytest.raises(UserError, match="this one has 1: method"):
        read({"heat_maps": ["iou"]}, {"method": ["a"]})
