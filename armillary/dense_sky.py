"""A crowded test sky for renderer benchmarks: many faint galaxies, a few bright ones, stars; no clustering.

10,000 sources in 2560 px of 0.263 arcsec are 79 per square arcminute: magnitudes to i = 25.5 with counts
growing as 10^(0.33 i), 6 % stars to i = 15, sizes of 0.2 to 1.5 arcsec, 70 % exponential, 10 % de
Vaucouleurs, 20 % mixtures.
"""

import numpy as np
import pandas as pd

FAINTEST_I, BRIGHTEST_GALAXY_I, BRIGHTEST_STAR_I = 25.5, 16.5, 15.0
COUNTS_SLOPE = 0.33
COLOURS = {"g": 1.5, "r": 0.6, "i": 0.0, "z": -0.3, "Y": -0.4}


def sample_dense_sky(n_sources: int, image_size: int, generator: np.random.Generator) -> pd.DataFrame:
    """Columns X Y FLUX_G..FLUX_Y HLR FRACDEV G1 G2 (counts at zero point 30, arcsec)."""
    low = 10 ** (COUNTS_SLOPE * (BRIGHTEST_GALAXY_I - FAINTEST_I))
    magnitude = FAINTEST_I + np.log10(generator.uniform(low, 1, n_sources)) / COUNTS_SLOPE
    star = generator.uniform(size=n_sources) < 0.06
    magnitude[star] = generator.uniform(BRIGHTEST_STAR_I, 24, star.sum())
    size = 0.6 * 10 ** (-0.1 * (magnitude - 23)) * np.exp(0.3 * generator.normal(size=n_sources))
    kind = generator.uniform(size=n_sources)
    fracdev = np.where(kind < 0.7, 0.0, np.where(kind < 0.8, 1.0, generator.uniform(size=n_sources)))
    shear = np.where(star, 0.0, np.minimum(generator.rayleigh(0.2, n_sources), 0.85))
    angle = generator.uniform(0, 2 * np.pi, n_sources)
    colour = generator.uniform(0.5, 1.2, n_sources)
    fluxes = {f"FLUX_{band.upper()}": 10 ** (0.4 * (30 - magnitude - step * colour)) for band, step in COLOURS.items()}
    return pd.DataFrame({
        "X": generator.uniform(0, image_size, n_sources),
        "Y": generator.uniform(0, image_size, n_sources), **fluxes,
        "HLR": np.where(star, 0.0, np.clip(size, 0.2, 1.5)), "FRACDEV": np.where(star, 0.0, fracdev),
        "G1": shear * np.cos(angle), "G2": shear * np.sin(angle),
    })  # fmt: skip
