"""Pieces of clusters: what an encoder finds beside a cluster at its redshift is part of that cluster."""

import numpy as np
import pandas as pd

from armillary.cosmology import pixels_per_mpc

FRAGMENT_MPC, FRAGMENT_DZ = 0.5, 0.05  # a piece is nearer than this, and within this times 1 + z


def without_fragments(clusters: pd.DataFrame, pixel_arcsec: float) -> pd.DataFrame:
    """The clusters (columns x, y in pixels, probability, redshift), most probable first, without those that a more
    probable one explains.

    # ASSUME: two clusters at one redshift are FRAGMENT_MPC apart (physical, projected); redMaPPer's percolation
    # (Rykoff et al. 2014) likewise gives the galaxies of a cluster to the likelier of two centres.
    """
    clusters = clusters.sort_values("probability", ascending=False, ignore_index=True)
    x, y, redshift = (clusters[name].to_numpy(float) for name in ("x", "y", "redshift"))
    scale = pixels_per_mpc(np.maximum(redshift, 0.01), pixel_arcsec)
    kept = []
    for k in range(len(clusters)):
        near = np.hypot(x[kept] - x[k], y[kept] - y[k]) < FRAGMENT_MPC * scale[kept]
        alike = np.abs(redshift[kept] - redshift[k]) < FRAGMENT_DZ * (1 + redshift[kept])
        if not (near & alike).any():
            kept.append(k)
    return clusters.iloc[kept].reset_index(drop=True)
