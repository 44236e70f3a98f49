import pytest
import torch

from rl_attn.errors import UserError
from rl_attn.run.device import pick_device, pick_precision


@pytest.fixture
def gpus(monkeypatch):
    """Pretend that the machine has some GPUs."""

    def pretend(number, capability=(9, 0)):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)

    return pretend


@pytest.mark.parametrize(("number", "expected"), [(0, "cpu"), (1, "cuda"), (4, "cuda")])
def test_auto_is_the_gpu_where_there_is_one(gpus, number, expected):
    gpus(number)
    assert pick_device("auto") == torch.device(expected)


def test_a_device_that_is_there_is_given(gpus):
    gpus(2)
    for name in ("cpu", "cuda", "cuda:0", "cuda:1"):
        assert pick_device(name) == torch.device(name)


@pytest.mark.parametrize(
    ("number", "name"), [(0, "cuda"), (0, "cuda:0"), (1, "cuda:1"), (2, "cuda:7")]
)
def test_a_gpu_that_is_missing_is_refused(gpus, number, name):
    gpus(number)
    with pytest.raises(UserError) as error:
        pick_device(name)
    message = str(error.value)
    assert repr(name) in message and f"has {number} " in message and "choose auto or cpu" in message


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cuda:-1", "CPU0", "mps", "meta"])
def test_an_unknown_device_is_named_with_the_choices(gpus, name):
    gpus(0)
    with pytest.raises(UserError) as error:
        pick_device(name)
    assert repr(name) in str(error.value) and "auto, cpu, cuda or cuda:N" in str(error.value)


@pytest.mark.parametrize("name", ["fp32", "bf16"])
def test_a_precision_that_was_asked_for_is_given(name):
    assert pick_precision(name, torch.device("cpu")) == name


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), "fp32"), ((8, 0), "bf16"), ((9, 0), "bf16")]
)
def test_auto_is_bf16_on_gpus_from_ampere_on(gpus, capability, expected):
    gpus(1, capability)
    assert pick_precision("auto", torch.device("cuda")) == expected


@pytest.mark.parametrize(
    ("avx512_bf16", "amx", "expected"),
    [
        (False, False, "fp32"),
        (True, False, "bf16"),
        (False, True, "bf16"),
        (True, True, "bf16"),
    ],
)
def test_auto_is_bf16_on_cpus_that_are_fast_at_it(monkeypatch, avx512_bf16, amx, expected):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert pick_precision("auto", torch.device("cpu")) == expected


def test_auto_works_on_this_machine():
    device = pick_device("auto")
    assert device.type in ("cpu", "cuda")
    assert pick_precision("auto", device) in ("fp32", "bf16")
