"""How training computes: number format, and the learning rate's way through a run."""

import math
from contextlib import nullcontext

import torch


def pick_precision(precision: str, device: str) -> torch.dtype:
    """bfloat16 where the hardware multiplies in it, float32 elsewhere, for precision "auto"."""
    if precision != "auto":
        return {"bfloat16": torch.bfloat16, "float32": torch.float32}[precision]
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


def autocast(device: str, dtype: torch.dtype):
    """The context in which a network computes in `dtype`; float32 needs none."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.split(":")[0], dtype)


def rate_at(step: int, n_steps: int) -> float:
    """Learning rate over its highest: a short linear rise, then half a cosine down to a thousandth."""
    n_warmup = max(min(n_steps // 20, 200), 1)
    return min((step + 1) / n_warmup, 0.5 * (1 + math.cos(math.pi * min(step / n_steps, 1)))) + 1e-3
