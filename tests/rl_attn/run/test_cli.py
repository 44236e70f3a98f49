import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

import pytest

from rl_attn.errors import UserError, choose
from rl_attn.run.cli import parse, read_options, run_command
from rl_attn.run.yaml import load_yaml


@dataclass
class Args:
    """Settings of the kinds that the commands have."""

    config: str | None = None
    """file with values"""
    run_dir: str | None = None
    """where the run is kept"""
    targets: tuple[str, ...] = ()
    """what to look at"""
    camal: float = 1.0
    """coefficient of the loss"""
    num_envs: int = 8
    """games at once"""
    rgb: bool = False
    """colour"""
    anneal_lr: bool = True
    """lower the learning rate"""
    empty_mask: Literal["skip", "suppress"] = "skip"
    """what to do without a target"""
    target_kl: float | None = None
    """when to stop"""


@pytest.fixture
def config(tmp_path):
    """Write a YAML file and give its path."""

    def write(text):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return str(path)

    return write


def read(*argv):
    return parse(Args, argv, "prog")


def complaint(*argv):
    """The one line that this command line is refused with."""
    with pytest.raises(UserError) as error:
        read(*argv)
    message = str(error.value)
    assert message and "\n" not in message
    assert not set("╭╮╰╯│─") & set(message)
    return message


# ---------------------------------------------------------------------- flags


def test_without_flags_the_defaults_hold():
    assert read() == Args()


def test_flags_set_fields_of_every_kind():
    found = read(
        *("--run-dir", "runs/a", "--targets", "Zombieman", "category:Monster"),
        *("--camal", "-0.5", "--num-envs", "3", "--rgb", "--no-anneal-lr"),
        *("--empty-mask", "suppress", "--target-kl", "0.02"),
    )
    assert found == Args(
        run_dir="runs/a",
        targets=("Zombieman", "category:Monster"),
        camal=-0.5,
        num_envs=3,
        rgb=True,
        anneal_lr=False,
        empty_mask="suppress",
        target_kl=0.02,
    )


def test_flags_may_be_spelt_with_an_equals_sign_or_underscores():
    assert read("--num-envs=3") == read("--num_envs", "3") == Args(num_envs=3)


def test_the_last_of_two_equal_flags_holds():
    assert read("--camal", "1", "--camal", "0").camal == 0


def test_help_lists_the_flags_and_ends_well(capsys):
    with pytest.raises(SystemExit) as end:
        read("--help")
    assert end.value.code in (0, None)
    printed = capsys.readouterr().out
    assert "--empty-mask" in printed and "suppress" in printed and "games at once" in printed


def test_an_unknown_flag_is_named():
    assert "--num-env" in complaint("--num-env", "3")
    assert "--num-envs" in complaint("--num-env", "3")  # what was meant
    assert "--bogus" in complaint("--bogus")


def test_a_stray_word_is_named():
    assert "stray" in complaint("--camal", "1", "stray")


def test_a_wrong_choice_is_named_with_the_choices():
    message = complaint("--empty-mask", "drop")
    assert "'drop'" in message and "--empty-mask" in message
    assert "skip" in message and "suppress" in message


@pytest.mark.parametrize(
    ("flag", "value"), [("--num-envs", "eight"), ("--num-envs", "8.5"), ("--camal", "[red]x[/red]")]
)
def test_a_wrong_type_is_named_with_flag_and_value(flag, value):
    message = complaint(flag, value)
    assert flag in message and value in message


@pytest.mark.parametrize("flag", ["--num-envs", "--config", "--empty-mask"])
def test_a_flag_without_its_value_is_named(flag):
    assert flag in complaint(flag)


# ---------------------------------------------------------------------- --config


def test_config_sets_fields_of_every_kind(config):
    path = config(
        "run_dir: runs/a\ntargets: [Zombieman, 'category:Monster']\ncamal: -0.5\nnum_envs: 3\n"
        "rgb: true\nanneal_lr: false\nempty_mask: suppress\ntarget_kl: 0.02\n"
    )
    assert read("--config", path) == Args(
        config=path,
        run_dir="runs/a",
        targets=("Zombieman", "category:Monster"),
        camal=-0.5,
        num_envs=3,
        rgb=True,
        anneal_lr=False,
        empty_mask="suppress",
        target_kl=0.02,
    )


def test_config_may_be_spelt_with_an_equals_sign(config):
    assert read("--config=" + config("num_envs: 3")).num_envs == 3


def test_flags_override_the_config_wherever_they_stand(config):
    path = config("camal: 2\nnum_envs: 3\nrgb: true\nanneal_lr: false\ntargets: [A, B]\n")
    expected = Args(config=path, camal=2, num_envs=5, rgb=False, anneal_lr=True, targets=("C",))
    flags = ["--num-envs", "5", "--no-rgb", "--anneal-lr", "--targets", "C"]
    assert read("--config", path, *flags) == read(*flags, "--config", path) == expected


def test_config_may_say_none_and_nothing(config):
    path = config("target_kl: null\nrun_dir: null\ntargets: []\n")
    assert read("--config", path, "--camal", "2") == Args(config=path, camal=2)


def test_config_reads_numbers_that_yaml_takes_for_words(config):
    assert read("--config", config("camal: 1e-4")).camal == 1e-4  # YAML 1.1 wants 1.0e-4


def test_an_unknown_key_is_named_with_a_suggestion_and_the_choices(config):
    path = config("num_env: 3")
    message = complaint("--config", path)
    assert "'num_env'" in message and path in message
    assert "did you mean num_envs?" in message and "empty_mask" in message


def test_a_key_that_is_no_word_is_named(config):
    assert "'7'" in complaint("--config", config("7: 8"))


def test_a_wrong_choice_in_the_config_is_named_with_the_choices(config):
    message = complaint("--config", config("empty_mask: drop"))
    assert "drop" in message and "skip" in message and "suppress" in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_envs", "eight"),
        ("num_envs", "8.5"),
        ("camal", "{a: 1}"),
        ("camal", "true"),
        ("rgb", "1"),
        ("rgb", "maybe"),
        ("empty_mask", "--rgb"),
    ],
)
def test_a_wrong_type_in_the_config_is_named_with_key_and_value(config, key, value):
    message = complaint("--config", config(f"{key}: {value}")).lower()
    assert key in message.replace("-", "_")
    assert value.strip("{}").partition(":")[0] in message


def test_a_missing_config_is_named(tmp_path):
    path = str(tmp_path / "none.yaml")
    assert path in complaint("--config", path)
    assert "does not exist" in complaint("--config=" + path)


@pytest.mark.parametrize("text", ["num_envs: [1,", "a: b: c", "\tx: 1", "{", "'"])
def test_a_config_that_is_not_yaml_is_refused_in_one_line(config, text):
    path = config(text)
    message = complaint("--config", path)
    assert path in message and "YAML" in message


@pytest.mark.parametrize("text", ["- num_envs\n- 3\n", "just words", "42", ""])
def test_a_config_that_is_no_mapping_is_refused(config, text):
    path = config(text)
    assert path in complaint("--config", path)


def test_a_config_that_is_binary_or_a_folder_is_refused(tmp_path):
    binary = tmp_path / "picture.png"
    binary.write_bytes(b"\x89PNG\xff\xfe\x00\x01")
    assert str(binary) in complaint("--config", str(binary))
    assert str(tmp_path) in complaint("--config", str(tmp_path))


def test_a_config_cannot_run_code(config, tmp_path):
    made = tmp_path / "made"
    path = config(f"num_envs: !!python/object/apply:os.mkdir ['{made}']")
    assert path in complaint("--config", path)
    assert not made.exists()


def test_load_yaml_gives_the_mapping(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\nb: [x, é]\n", encoding="utf-8")
    assert load_yaml(path) == {"a": 1, "b": ["x", "é"]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("targets: ['--camal', '5']", "--camal reads as a flag"),
        ("targets: [-h]", "-h reads as a flag"),
        ("targets: [[a]]", "must list plain values"),
        ("targets: [null]", "must list plain values"),
        ("num_envs: [3]", "must be one value"),
        ("num_envs: 999999999999999999999", "--num-envs must be at most"),
        ("camal: 1e400", "finite"),
    ],
)
def test_a_list_or_a_number_that_no_flag_takes_is_refused(config, text, words):
    assert words in complaint("--config", config(text))


def test_a_configuration_of_the_package_is_found_by_its_name():
    with pytest.raises(UserError, match=r"did you mean camal_paper\?"):
        read("--config", "camal_papr")
    assert "key in" in complaint("--config", "camal_paper")  # read, but it is for another command


# ---------------------------------------------------------------------- key=value


def test_options_are_read_with_dashes_as_underscores():
    expected = {"test_shade": "random", "size": "32", "path": "a=b", "none": ""}
    assert read_options(["test-shade=random", "size=32", "path=a=b", "none="], "--o") == expected


@pytest.mark.parametrize("words", [["a"], ["=1"], [" =1"], [""], ["a-b=1", "a_b=2"]])
def test_options_that_are_no_pairs_are_refused(words):
    with pytest.raises(UserError, match=r"^--o "):
        read_options(words, "--o")


# ---------------------------------------------------------------------- choose


def test_choose_gives_back_what_is_known():
    assert choose("environment", "Basic", ["Basic", "TakeCover"]) == "Basic"


def test_choose_names_the_value_the_choices_and_the_closest():
    with pytest.raises(UserError) as error:
        choose("environment", "Basik", ["TakeCover", "Basic"])
    expected = "unknown environment 'Basik' (did you mean Basic?): choose from TakeCover, Basic"
    assert str(error.value) == expected


def test_choose_knows_the_papers_spelling_of_a_map():
    with pytest.raises(UserError, match=r"did you mean grad-cam-plus-plus\?"):
        choose("attention map", "Grad-CAM++", ["grad-cam", "grad-cam-plus-plus"])


def test_choose_suggests_nothing_that_is_far_away():
    with pytest.raises(UserError) as error:
        choose("environment", "zzz", ["TakeCover", "Basic"])
    assert str(error.value) == "unknown environment 'zzz': choose from TakeCover, Basic"


# ---------------------------------------------------------------------- run_command


@pytest.mark.parametrize(("result", "status"), [(None, 0), (0, 0), (3, 3), (143, 143)])
def test_a_command_ends_with_the_status_of_main(monkeypatch, result, status):
    monkeypatch.setattr(sys, "argv", ["prog", "--a", "b"])
    given = []

    def main(argv):
        given.append(argv)
        return result

    with pytest.raises(SystemExit) as end:
        run_command(main)
    assert end.value.code == status
    assert given == [["--a", "b"]]


def test_a_user_error_is_one_line_and_status_2(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["prog"])

    def main(argv):
        raise UserError("no such thing as 'x': choose y")

    with pytest.raises(SystemExit) as end:
        run_command(main)
    assert end.value.code == 2
    printed = capsys.readouterr()
    assert printed.err == "error: no such thing as 'x': choose y\n" and printed.out == ""


def test_ctrl_c_is_a_word_and_status_130(monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["prog"])

    def main(argv):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end:
        run_command(main)
    assert end.value.code == 130 and capfd.readouterr().err == "interrupted\n"


def test_any_other_error_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["prog"])

    def main(argv):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(main)


def test_a_process_with_a_bad_flag_prints_one_line_without_a_traceback(tmp_path):
    script = tmp_path / "command.py"
    script.write_text(
        "from dataclasses import dataclass\n"
        "from rl_attn.run.cli import parse, read_options, run_command\n"
        "@dataclass\n"
        "class Args:\n"
        "    num_envs: int = 8\n"
        "run_command(lambda argv: print(parse(Args, argv, 'command')))\n"
    )
    done = subprocess.run(
        [sys.executable, script, "--num-envs", "eight"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ") and "'eight'" in done.stderr


def test_an_error_on_a_terminal_is_the_same_line_as_in_a_pipe(tmp_path):
    script = tmp_path / "command.py"
    script.write_text(
        "from dataclasses import dataclass\n"
        "from rl_attn.run.cli import parse, run_command\n"
        "@dataclass\n"
        "class Args:\n"
        "    camal: float = 1.0\n"
        "    '''coefficient of the loss'''\n"
        "run_command(lambda argv: print(parse(Args, argv, 'command')))\n"
    )
    command = [sys.executable, script, "--camal", "high"]
    piped = subprocess.run(command, capture_output=True, text=True, timeout=60).stderr
    terminal, its_end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(command, stdout=its_end, stderr=its_end, env=environment) as process:
        assert process.wait(60) == 2
    os.close(its_end)
    with open(terminal, "rb", closefd=True) as shown:
        assert shown.read1().decode().replace("\r\n", "\n") == piped
    assert piped.count("\n") == 1 and "'high'" in piped
