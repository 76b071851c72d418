"""The camera's operator: GalSim, the adjoint, flux and shifts, and what is said of a bad PSF."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from armillary.inverse.stamp_operator import observed_stamp
from armillary.operator_checks import GALAXIES, adjoint_error, disagreement, operator_of
from armillary.stamp_psfs import psf_fwhm_arcsec


@pytest.mark.parametrize(("sizes", "bits"), [((101, 41), 32), ((100, 40), 64), ((100, 41), 32)])
def test_it_agrees_with_galsim(sizes, bits):
    with jax.enable_x64(bits == 64):
        worst = disagreement(GALAXIES["sheared"], *sizes, (0.05, -0.11))
    assert worst["peak"] < 3e-4 and worst["flux"] < 1e-4 and worst["centroid"] < 1e-3


def test_its_gradient_is_its_adjoint(rng):
    assert adjoint_error(41, 20, rng) < 1e-5


def test_shift_gain_and_background_are_what_they_say(rng):
    operator = operator_of(41, 25)
    stamp = jnp.zeros((41, 41)).at[20, 20].set(1.0)
    plain = np.asarray(observed_stamp(operator, stamp))
    moved = np.asarray(observed_stamp(operator, stamp, (0.168, -0.336), 3.0, 2.0))
    # one pixel up, two to the left; periodic only at the window's edge
    assert moved[4:-4, 4:-4] == pytest.approx(2 * np.roll(plain, (1, -2), (0, 1))[4:-4, 4:-4] + 3.0, abs=2e-5)
    many = jax.vmap(lambda gain: observed_stamp(operator, stamp, gain=gain))(jnp.array([1.0, 4.0]))
    assert many[1] == pytest.approx(4 * plain, abs=1e-5)


def test_a_source_at_a_corner_does_not_come_back_on_the_other_side():
    operator = operator_of(101, 41)
    image = np.asarray(observed_stamp(operator, jnp.zeros((101, 101)).at[0, 0].set(1.0)))
    assert np.abs(image[-10:, -10:]).max() < 1e-3 * image.max()


@pytest.mark.parametrize(("spoilt", "said"), [(np.nan, "not finite"), (-90.0, "positive flux")])
def test_a_bad_psf_is_one_clear_line(spoilt, said):
    psf = np.ones((9, 9))
    psf[2, 2] = spoilt
    with pytest.raises(ValueError, match=said):
        psf_fwhm_arcsec(psf, 0.1)


def test_the_width_of_a_gaussian_is_found():
    x = np.arange(-20, 21) * 0.1
    psf = np.exp(-4 * np.log(2) * (x[:, None] ** 2 + x**2) / 0.8**2)
    assert psf_fwhm_arcsec(psf, 0.1) == pytest.approx(0.8, rel=0.03)
