"""Sky and pixel coordinates of a tangent-plane image, north up, right ascension growing to the left.

Pixel coordinates x, y are measured from the lower-left corner: pixel i covers [i, i + 1), so the FITS
coordinate is x + 0.5. astropy is imported where it is needed: scoring uses only the separations.
"""

import numpy as np


def wcs_keywords(ra_deg: float, dec_deg: float, image_size: int, pixel_arcsec: float) -> dict:
    """FITS keywords of a square TAN image centred on (ra_deg, dec_deg)."""
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "CRVAL1": float(ra_deg),
        "CRVAL2": float(dec_deg),
        "CRPIX1": image_size / 2 + 0.5,
        "CRPIX2": image_size / 2 + 0.5,
        "CD1_1": -pixel_arcsec / 3600,
        "CD1_2": 0.0,
        "CD2_1": 0.0,
        "CD2_2": pixel_arcsec / 3600,
        "RADESYS": "ICRS",
    }


def tan_wcs(ra_deg: float, dec_deg: float, image_size: int, pixel_arcsec: float):
    """The astropy WCS of `wcs_keywords`."""
    return wcs_of_header(wcs_keywords(ra_deg, dec_deg, image_size, pixel_arcsec), "tan_wcs")


def wcs_of_header(header: dict, name: str):
    """The celestial astropy WCS of a header; `name` is the file that an error names."""
    from astropy.wcs import WCS

    if "CTYPE1" not in header or not str(header["CTYPE1"]).startswith("RA--"):
        raise ValueError(
            f"{name} has no celestial WCS (CTYPE1 is {header.get('CTYPE1')!r}, expected 'RA---TAN' or alike)"
        )
    kept = {key: value for key, value in header.items() if _is_wcs_keyword(key)}
    return WCS(kept)


def _is_wcs_keyword(key: str) -> bool:
    starts = (
        "CTYPE",
        "CUNIT",
        "CRVAL",
        "CRPIX",
        "CD1_",
        "CD2_",
        "PC1_",
        "PC2_",
        "CDELT",
        "PV1_",
        "PV2_",
        "RADESYS",
        "EQUINOX",
    )
    return key.startswith(starts)


def sky_of_pixel(x, y, wcs) -> tuple[np.ndarray, np.ndarray]:
    """(ra, dec) in degrees of corner-based pixel coordinates."""
    ra, dec = wcs.all_pix2world(np.asarray(x, float) - 0.5, np.asarray(y, float) - 0.5, 0)
    return ra % 360.0, dec


def pixel_of_sky(ra_deg, dec_deg, wcs) -> tuple[np.ndarray, np.ndarray]:
    """Corner-based pixel coordinates (x, y) of sky positions in degrees."""
    x, y = wcs.all_world2pix(np.asarray(ra_deg, float), np.asarray(dec_deg, float), 0)
    return x + 0.5, y + 0.5


def separation_arcsec(ra1_deg, dec1_deg, ra2_deg, dec2_deg):
    """Great-circle separation in arcsec by the haversine formula; broadcasts."""
    ra1, dec1, ra2, dec2 = (np.radians(v) for v in (ra1_deg, dec1_deg, ra2_deg, dec2_deg))
    half = np.sin((dec2 - dec1) / 2) ** 2 + np.cos(dec1) * np.cos(dec2) * np.sin((ra2 - ra1) / 2) ** 2
    return 2 * np.degrees(np.arcsin(np.sqrt(half))) * 3600
