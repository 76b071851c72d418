"""E and B on a cut piece of sky: the plain transform of a tapered map, which leaks E into B; pure B, which does not.

Pure B projects out the modes that an edge makes ambiguous (Smith 2006): derivatives of the window cancel what the taper
of Q and U adds. The window must vanish at the edge together with its first derivative.
"""

from functools import lru_cache

import numpy as np
import scipy.fft

from armillary.flatsky import Patch, eb_from_qu, fourier, full_plane, modes


def naive_eb(q: np.ndarray, u: np.ndarray, window: np.ndarray, patch: Patch) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of E and B of the windowed map; B holds a leak of E far above lensing B below l = 1000."""
    return eb_from_qu(fourier(window * q), fourier(window * u), patch)


def pure_eb(q: np.ndarray, u: np.ndarray, window: np.ndarray, patch: Patch) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of pure E and pure B of maps q, u (n_y, n_x) seen through `window`.

    X(l) = e^(-2i phi) FT[W P] + (2i e^(-i phi) / l) FT[(d_- W) P] - (1 / l^2) FT[(d_-^2 W) P], with P = Q + iU and
    d_- = d_x - i d_y; E and B are the parts of X that belong to real maps. Eq. (28) ff. of Smith (2006), flat.
    """
    windows, factors = _pure_parts(window.tobytes(), str(window.dtype), patch)
    spin = q + 1j * u
    x = (factors * scipy.fft.fft2(windows * spin, workers=1)).sum(0)  # (n_y, n_x)
    mirrored = np.roll(x[::-1, ::-1], (1, 1), (0, 1)).conj()
    half = patch.n_x // 2 + 1
    return (0.5 * (x + mirrored))[:, :half], (-0.5j * (x - mirrored))[:, :half]


@lru_cache(maxsize=4)
def _pure_parts(window_bytes: bytes, dtype: str, patch: Patch) -> tuple[np.ndarray, np.ndarray]:
    """The window with its derivatives d_- W, d_-^2 W, and what multiplies each of their transforms (3, n_y, n_x)."""
    window = np.frombuffer(window_bytes, dtype).reshape(patch.shape).astype(np.float64)
    m = modes(patch)
    l_x, l_y = (full_signed(component.astype(np.float64), patch) for component in (m.l_x, m.l_y))
    down = 1j * l_x + l_y  # FT of d_x - i d_y: i l_x - i (i l_y)
    transform = scipy.fft.fft2(window)
    windows = np.stack([window, scipy.fft.ifft2(down * transform), scipy.fft.ifft2(down**2 * transform)])
    l = np.hypot(l_x, l_y)  # noqa: E741
    inverse = np.divide(1.0, l, out=np.zeros_like(l), where=l > 0)
    turn = np.exp(-1j * np.arctan2(l_y, l_x))
    factors = np.stack([turn**2, 2j * turn * inverse, -(inverse**2)])
    if patch.n_y % 2 == 0:
        factors[:, patch.n_y // 2] = 0.0
    if patch.n_x % 2 == 0:
        factors[:, :, patch.n_x // 2] = 0.0
    return windows.astype(np.complex64), factors.astype(np.complex64)


def full_signed(component: np.ndarray, patch: Patch) -> np.ndarray:
    """A component of l, odd under l -> -l, on the full plane."""
    return (full_plane(1j * component, patch) / 1j).real
