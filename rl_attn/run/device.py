"""Where and in which precision to compute."""

import ctypes
import sys

import torch

from rl_attn.errors import UserError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4


def pick_device(name: str) -> torch.device:
    """ "auto" is the GPU where there is one; a GPU that is asked for and missing is refused."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"unknown device {name!r}: choose auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device {name!r} is not supported: choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"device {name!r} was asked for and this machine has {torch.cuda.device_count()} "
            "CUDA device(s): choose auto or cpu"
        )
    return device


def pick_precision(name: str, device: torch.device) -> str:
    """ "auto" is bf16 where the hardware multiplies bf16 matrices faster than fp32 ones.

    That is GPUs from Ampere on, and CPUs with AMX or AVX512-bf16; elsewhere bf16 is emulated and
    an order of magnitude slower.
    """
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device)[0] >= 8 else "fp32"
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if fast else "fp32"


def keep_freed_memory() -> None:
    """Let glibc keep freed activations instead of returning them to the kernel.

    By default every large tensor is a fresh mmap, whose pages the kernel zeroes on first touch:
    10 to 30 % of a training step on a CPU. No effect where the C library is another one.
    """
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            largest = 2**31 - 1
            libc.mallopt(_M_MMAP_THRESHOLD, largest)
            libc.mallopt(_M_TRIM_THRESHOLD, largest)
            libc.mallopt(_M_MMAP_MAX, 0)
