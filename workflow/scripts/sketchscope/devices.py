"""Which device computes, and in which precision."""

from contextlib import AbstractContextManager, nullcontext

import torch

from .errors import InputError

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def choose_device(device: str) -> torch.device:
    """Device for a setting 'auto', 'cpu' or 'cuda'.

    Raises
    ------
    InputError
        If CUDA is asked for and there is none: never a silent run on the CPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device is cuda, but this machine offers no CUDA device; ask for a GPU or set device: cpu")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def _fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()


def choose_precision(precision: str, device: torch.device) -> torch.dtype:
    """Dtype for a setting 'auto', 'bf16', 'fp16' or 'fp32'; auto takes bf16 where the hardware has it."""
    if precision == "auto":
        return torch.bfloat16 if _fast_bf16(device) else torch.float32
    return PRECISIONS[precision]


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """Mixed precision for the body, or nothing for float32."""
    return nullcontext() if dtype is torch.float32 else torch.autocast(device.type, dtype)
