"""Fixtures of the nouns' tests."""

import pytest


@pytest.fixture(scope="session")
def spectra():
    """CAMB's spectra of the fiducial cosmology up to l = 9000; twenty seconds, once a session."""
    from armillary.cmb_spectra import camb_spectra

    fiducial = {"H0": 67.36, "ombh2": 0.02237, "omch2": 0.12, "mnu": 0.06, "tau": 0.0544, "As": 2.1e-9, "ns": 0.9649}
    return camb_spectra(fiducial, 9000)
