import pytest

from rl_attn.rl.settings import AgentSettings
from rl_attn.run.near_misses import THEIRS, unknown_flag, whole_numbers


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("--env-id", "--env"),
        ("--lr", "--learning-rate"),
        ("--lr=1e-3", "--learning-rate"),
        ("--cuda", "--device"),
        ("--total_timestep", "--total-timesteps"),
        ("--n_envs", "--num-envs"),
        ("--no-cuda", "--device"),
    ],
)
def test_flags_of_other_libraries_get_a_suggestion(word, ours):
    said = unknown_flag(["--seed", "1", word, "5"], AgentSettings)
    assert said is not None and said.endswith(f"did you mean {ours}?")


def test_known_flags_are_known_and_strange_ones_get_no_suggestion():
    known = ["--total_timesteps", "5", "--no-anneal-lr", "--import", "a.py", "--gamma=0.9"]
    assert unknown_flag(known, AgentSettings) is None
    assert unknown_flag(["--zzz"], AgentSettings) == "unknown flag --zzz"
    assert all("_" not in name for name in THEIRS)


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["--total-timesteps", "1e6"], ["--total-timesteps", "1000000"]),
        (["--total_timesteps=2.5E3"], ["--total_timesteps=2500"]),
        (["--num-envs", "8.0"], ["--num-envs", "8"]),
        (["--num-envs", "8.5"], ["--num-envs", "8.5"]),  # refused by the parser
        (["--learning-rate", "1e6"], ["--learning-rate", "1e6"]),
        (["--run-dir", "1e6"], ["--run-dir", "1e6"]),
        (["--total-timesteps", "1e99"], ["--total-timesteps", "1e99"]),
        (["--total-timesteps", "1e-3"], ["--total-timesteps", "1e-3"]),
    ],
)
def test_whole_numbers_may_be_written_with_an_exponent(words, read):
    assert whole_numbers(words, AgentSettings) == read
