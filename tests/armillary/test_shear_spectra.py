"""The convergence spectrum against CAMB's own lensing sources, and its parts against closed forms."""

import camb
import numpy as np
import pytest
from camb.sources import SplinedSourceWindow

from armillary.shear_spectra import (
    convergence_spectrum,
    cosmology,
    lensing_efficiency,
    lognormal_shift,
    redshift_histogram,
    source_redshifts,
)

COSMOLOGY = {
    "hubble": 67.74,
    "omega_matter": 0.3089,
    "omega_baryon": 0.0486,
    "sigma8": 0.8159,
    "spectral_index": 0.9667,
}


def test_mean_redshift_is_what_was_asked_for():
    redshift, density = source_redshifts(0.97)
    assert np.average(redshift, weights=density) == pytest.approx(0.97, rel=2e-3)


def test_efficiency_of_one_source_plane_falls_linearly():
    chi = np.array([0.0, 500.0, 1000.0, 1500.0])
    assert lensing_efficiency(chi, np.array([1000.0]), np.array([1.0])) == pytest.approx([1, 0.5, 0, 0])


def test_histogram_counts_every_redshift():
    redshift, counts = redshift_histogram(np.array([0.31, 0.32, 1.0]), np.array([1.0, 2.0, 4.0]))
    assert counts.sum() == 7
    assert redshift[np.argmax(counts)] == pytest.approx(1.0, abs=0.03)


def test_spectrum_is_that_of_camb():
    redshift, density = source_redshifts(1.0)
    multipole, power = convergence_spectrum(redshift, density, **COSMOLOGY)
    parameters = cosmology(*COSMOLOGY.values())
    parameters.WantCls, parameters.Want_CMB = True, False
    parameters.set_for_lmax(2000)
    parameters.NonLinear = camb.model.NonLinear_both
    parameters.SourceTerms.limber_windows = True
    parameters.SourceWindows = [SplinedSourceWindow(source_type="lensing", z=redshift, W=density)]
    theirs = camb.get_results(parameters).get_source_cls_dict(lmax=2000, raw_cl=True)["W1xW1"]
    for wanted in (100, 300, 1000):
        found = np.exp(np.interp(np.log(wanted), np.log(multipole), np.log(power)))
        assert found == pytest.approx(theirs[wanted], rel=0.03)


def test_spectrum_grows_with_sigma8_squared_on_large_scales():
    redshift, density = source_redshifts(1.0)
    low, high = (
        convergence_spectrum(redshift, density, **(COSMOLOGY | {"sigma8": sigma8}))[1][0] for sigma8 in (0.7, 0.8)
    )
    assert high / low == pytest.approx((0.8 / 0.7) ** 2, rel=0.03)


def test_the_shift_of_a_log_normal_is_that_of_hilbert_et_al_and_averages_over_sources():
    redshift = np.array([0.7, 1.25])
    assert lognormal_shift(redshift, np.array([1.0, 0.0])) == pytest.approx(0.017)
    assert lognormal_shift(redshift, np.array([0.0, 2.0])) == pytest.approx(0.042)
    assert lognormal_shift(redshift, np.array([1.0, 1.0])) == pytest.approx(0.0295)
