"""Which device computes, and in which precision."""

import platform
import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
CPU_INFO = Path("/proc/cpuinfo")  # of Linux


def choose_device(device: str) -> torch.device:
    """Choose the device for a setting: 'auto', 'cpu' or 'cuda'; auto takes a GPU if there is one.

    Raises
    ------
    InputError
        If CUDA is asked for and there is none. A job never falls back to the CPU silently.
    """
    if device == "cuda" and not torch.cuda.is_available():
        reason = "it offers no CUDA device" if torch.version.cuda else f"torch {torch.__version__} has no CUDA"
        raise InputError(
            f"device: a GPU is asked for on {platform.node()}, but {reason}; ask the scheduler for a GPU,"
            " install torch with CUDA, or set device: cpu"
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def describe_device(device: torch.device) -> str:
    """Name a device for people: 'cuda (NVIDIA H100 80GB HBM3)', or 'cpu (AMD EPYC 7763, not fast at bf16)'."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({_name_cpu()}, {'' if _has_fast_bf16(device) else 'not '}fast at bf16)"


def choose_precision(precision: str, device: torch.device) -> torch.dtype:
    """Choose the dtype for a setting: 'auto', 'bf16', 'fp16' or 'fp32'; auto takes bf16 if the hardware has it."""
    if precision == "auto":
        return torch.bfloat16 if _has_fast_bf16(device) else torch.float32
    return PRECISIONS[precision]


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """Compute the body in mixed precision, or as it is for float32."""
    return nullcontext() if dtype is torch.float32 else torch.autocast(device.type, dtype)


def to_device(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """Copy an array to a device; to a GPU from pinned memory and without waiting."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def _name_cpu() -> str:
    """Name the model of the CPU, or at least its kind, such as x86_64."""
    found = re.search(r"^model name\s*:\s*(.+)$", CPU_INFO.read_text(), re.MULTILINE) if CPU_INFO.exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _has_fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()
