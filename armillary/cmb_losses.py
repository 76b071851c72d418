"""What a CMB network's output costs: errors pixel by pixel, and wrong power."""

import torch
from torch import Tensor
from torch.nn import functional as F

N_SPECTRUM_BINS = 24


def pixel_loss(outputs: Tensor, targets: Tensor, loss: str) -> Tensor:
    """Mean square or mean absolute error."""
    return F.mse_loss(outputs, targets) if loss == "mse" else F.l1_loss(outputs, targets)


def spectrum_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean over rings of multipoles and channels of |ln(C_out / C_true)|, with the spectra of the batch's mean.

    It asks for the power of the truth, not for its phases: it raises the power of a Wiener-like map without making it
    more correlated.
    """
    powers = []
    for maps in (outputs, targets):
        transform = torch.fft.rfft2(maps.float())
        powers.append((transform.real**2 + transform.imag**2).mean(0).flatten(1))  # (C, modes)
    ring = _rings(outputs.shape[2], outputs.shape[3]).to(outputs.device)
    sums = [torch.zeros(len(p), N_SPECTRUM_BINS, device=p.device).index_add(1, ring, p) for p in powers]
    floor = 1e-6 * sums[1].sum(1, keepdim=True)
    return (torch.log(sums[0] + floor) - torch.log(sums[1] + floor)).abs().mean()


def _rings(n_y: int, n_x: int) -> Tensor:
    """Ring number of each half-plane mode, (n_y * (n_x // 2 + 1),); modes in the corners belong to the last."""
    l = torch.hypot(torch.fft.fftfreq(n_y)[:, None], torch.fft.rfftfreq(n_x)[None, :])  # noqa: E741
    return (2 * l * N_SPECTRUM_BINS).long().clamp(max=N_SPECTRUM_BINS - 1).flatten()
