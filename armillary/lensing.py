"""Weak lensing of polarisation on a flat patch: exact remapping, its inverse, and the first-order template.

A lensed field is X(x) = X_unlensed(x + alpha(x)) with the deflection alpha = grad phi. Off-grid values come from the
Fourier series of the field itself by a non-uniform FFT (ducc0), so that they are exact to `EPSILON`, not interpolated.
The deflection is kept as one complex number, alpha_x + i alpha_y in radian.
"""

import ducc0
import numpy as np
import scipy.fft

from armillary.flatsky import ARCMIN, Patch, eb_from_qu, fourier, full_plane, modes, pixels, qu_from_eb, resampled

EPSILON = 3e-6  # of the rms, relative error of the non-uniform FFT


def deflection(kappa: np.ndarray, patch: Patch) -> np.ndarray:
    """alpha_x + i alpha_y in radian, complex64 (n_y, n_x), from Fourier coefficients of the convergence.

    phi_l = 2 kappa_l / l^2 and alpha_l = i l phi_l.
    """
    m = modes(patch)
    phi = potential(kappa, patch)
    # FT of alpha_x + i alpha_y: i l_x phi + i (i l_y phi), whose two parts are not each other's mirror image
    spin = full_plane(1j * m.l_x * phi, patch) + 1j * full_plane(1j * m.l_y * phi, patch)
    return scipy.fft.ifft2(spin, workers=1).astype(np.complex64, copy=False)


def potential(kappa: np.ndarray, patch: Patch) -> np.ndarray:
    """Fourier coefficients of the lensing potential (rad^2) from those of the convergence; its mean is zero."""
    squared = modes(patch).l ** 2
    return kappa * np.divide(2.0, squared, out=np.zeros_like(squared), where=squared > 0)


def at_displaced(field: np.ndarray, shift: np.ndarray, patch: Patch, out: Patch | None = None) -> np.ndarray:
    """Values of a complex periodic field at x + shift(x), complex64 like `shift`.

    `field` are its full-plane Fourier coefficients (n_y, n_x) on `patch`; `shift` in radian lies on the pixels of
    `out`, another grid of the same area, or of `patch`.
    """
    out = out or patch
    return _at_displaced(field, shift, patch, out, np.float32, EPSILON)


def at_displaced_exactly(field: np.ndarray, shift: np.ndarray, patch: Patch, out: Patch | None = None) -> np.ndarray:
    """The same in double precision to 1e-10, the reference that tests and reports compare with."""
    return _at_displaced(field, shift, patch, out or patch, np.float64, 1e-10)


def _at_displaced(field, shift, patch, out, real, epsilon) -> np.ndarray:
    kind = np.complex64 if real == np.float32 else np.complex128
    step = out.pixel_arcmin * ARCMIN
    place = np.empty((out.n_y, out.n_x, 2), real)
    place[..., 0] = shift.imag + (np.arange(out.n_y) * step)[:, None]
    place[..., 1] = shift.real + (np.arange(out.n_x) * step)[None, :]
    values = ducc0.nufft.u2nu(
        grid=np.ascontiguousarray(field, kind), coord=place.reshape(-1, 2), forward=False, epsilon=epsilon, nthreads=1,
        periodicity=np.array([out.n_y * step, out.n_x * step]), fft_order=True,
    )  # fmt: skip
    return values.reshape(out.shape) * real(1.0 / (patch.n_y * patch.n_x))


def polarisation(e: np.ndarray, b: np.ndarray | None, patch: Patch) -> np.ndarray:
    """Full-plane coefficients of Q + i U from half-plane coefficients of E and B (None: no B)."""
    q, u = qu_from_eb(e, np.zeros_like(e) if b is None else b, patch)
    return full_plane(q, patch) + 1j * full_plane(u, patch)


def eb_of_polarisation(spin: np.ndarray, patch: Patch) -> tuple[np.ndarray, np.ndarray]:
    """Half-plane coefficients of E and B from a complex map Q + i U (n_y, n_x)."""
    return eb_from_qu(fourier(np.ascontiguousarray(spin.real)), fourier(np.ascontiguousarray(spin.imag)), patch)


def remapped(
    e: np.ndarray, b: np.ndarray | None, kappa: np.ndarray, patch: Patch, *, oversample: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Lensed E and B from unlensed E, B and the convergence, Fourier coefficients on `patch` all.

    Lensed on a grid `oversample` times finer and cut to the patch's modes after, so that nothing folds back.
    """
    fine = finer(patch, oversample)
    fine_e, fine_kappa = resampled(e, patch, fine), resampled(kappa, patch, fine)
    fine_b = None if b is None else resampled(b, patch, fine)
    lensed = at_displaced(polarisation(fine_e, fine_b, fine), deflection(fine_kappa, fine), fine)
    return tuple(resampled(part, fine, patch) for part in eb_of_polarisation(lensed, fine))


def delensed(q: np.ndarray, u: np.ndarray, kappa: np.ndarray, patch: Patch) -> tuple[np.ndarray, np.ndarray]:
    """E and B of lensed Q and U moved back by the deflection of an estimated convergence; coefficients all.

    The unlensed field at y is the lensed one at x with x + alpha(x) = y. To second order x = y - alpha(y) +
    (alpha . grad) alpha; what is left out is below 0.01 arcmin for the lensing of the CMB.
    """
    m = modes(patch)
    phi = potential(kappa, patch)
    xx, xy, yy = (pixels(-phi * product, patch) for product in (m.l_x**2, m.l_x * m.l_y, m.l_y**2))
    alpha = deflection(kappa, patch)
    second = (alpha.real * xx + alpha.imag * xy) + 1j * (alpha.real * xy + alpha.imag * yy)
    spin = full_plane(q, patch) + 1j * full_plane(u, patch)
    return eb_of_polarisation(at_displaced(spin, second - alpha, patch), patch)


def gradient_template(
    e: np.ndarray, kappa: np.ndarray, patch: Patch, *, grid: Patch | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """First-order lensing of an E field: E and B of grad phi . grad (Q_E, U_E), coefficients on `patch`.

    With the *lensed* E this is a better template of lensing B than with the unlensed one (Baleato Lizancos et al.
    2021). Products are formed on `grid`, a finer one by 3/2 unless given, so that nothing folds back.
    """
    return template_of_gradients(polarisation_gradients(e, patch, grid=grid), kappa, patch, grid=grid)


def polarisation_gradients(e: np.ndarray, patch: Patch, *, grid: Patch | None = None) -> np.ndarray:
    """d/dx and d/dy of the Q and U that an E field makes, maps (2: Q and U, 2: x and y, n_y, n_x) on `grid`."""
    grid = grid or finer(patch, 1.5)
    m = modes(grid)
    q, u = qu_from_eb(resampled(e, patch, grid), np.float32(0), grid)
    return pixels(1j * np.stack([[q * m.l_x, q * m.l_y], [u * m.l_x, u * m.l_y]]), grid)


def template_of_gradients(
    gradients: np.ndarray, kappa: np.ndarray, patch: Patch, *, grid: Patch | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """`gradient_template` of E whose `polarisation_gradients` are known."""
    grid = grid or finer(patch, 1.5)
    m = modes(grid)
    phi = potential(resampled(kappa, patch, grid), grid)
    slopes = pixels(1j * np.stack([phi * m.l_x, phi * m.l_y]), grid)
    products = fourier((gradients * slopes).sum(1))
    return tuple(resampled(part, grid, patch) for part in eb_from_qu(*products, grid))


def finer(patch: Patch, factor: float) -> Patch:
    """The same area on at least `factor` times as many pixels a side, a number that FFTs like."""
    n_y = scipy.fft.next_fast_len(int(np.ceil(patch.n_y * factor)), real=True)
    n_x = patch.n_x * n_y / patch.n_y
    if n_x != int(n_x):
        n_y, n_x = (int(np.ceil(factor)) * n for n in patch.shape)
    return Patch(n_y, int(n_x), patch.pixel_arcmin * patch.n_y / n_y)
