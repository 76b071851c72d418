"""Completeness, purity, areas and cuts of a cluster catalogue by plain loops; shares no code with the package.

`detections` (field, ra, dec, redshift, probability) and `haloes` (field, ra, dec, redshift, richness, weight, inside)
are tables of whole fields. A pair may match within 1 Mpc (physical, at the halo) and |dz| <= 0.05 (1 + z); pairs are
taken in the order of sqrt((separation / 1 Mpc)^2 + (dz / (0.05 (1 + z)))^2), each object once. Redshifts from 0.2 to
0.65 count; detections outside are not in the catalogue.
"""

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.cosmology import FlatLambdaCDM

KPC_PER_ARCMIN = FlatLambdaCDM(H0=70, Om0=0.3).kpc_proper_per_arcmin


def separations_mpc(objects, haloes) -> np.ndarray:
    """Projected distance of every object (rows) from every halo, infinite in another field."""
    mpc = KPC_PER_ARCMIN(haloes.redshift.to_numpy()).value / 60 / 1000
    places = [SkyCoord(frame.ra.to_numpy(), frame.dec.to_numpy(), unit="deg") for frame in (objects, haloes)]
    apart = places[0][:, None].separation(places[1][None, :]).arcsec * mpc
    return np.where(objects.field.to_numpy()[:, None] == haloes.field.to_numpy(), apart, np.inf)


def natural_weights(detections, haloes) -> tuple[np.ndarray, np.ndarray]:
    """Product of the weights of all haloes within 1 Mpc on the sky, scaled so that haloes inside keep their number."""
    around = [
        np.where(separations_mpc(each, haloes) <= 1, haloes.weight.to_numpy(), 1.0) for each in (detections, haloes)
    ]
    of_detection, of_halo = (each.prod(axis=1) for each in around)
    inside = haloes.inside.to_numpy(bool)
    scale = haloes.weight[inside].sum() / of_halo[inside].sum()
    return scale * of_detection, scale * of_halo


def curve(detections, haloes, richness_above: float) -> np.ndarray:
    """Threshold, completeness and purity (3, K) at every distinct probability."""
    detections = detections[(detections.redshift >= 0.2) & (detections.redshift < 0.65)]
    detections, haloes = detections.reset_index(drop=True), haloes.reset_index(drop=True)
    weight, halo_weight = natural_weights(detections, haloes)
    apart = separations_mpc(detections, haloes)
    offset = np.abs(detections.redshift.to_numpy()[:, None] - haloes.redshift.to_numpy())
    offset = offset / (0.05 * (1 + haloes.redshift.to_numpy()))
    pairs = [(np.hypot(apart[d, h], offset[d, h]), d, h) for d, h in np.argwhere((apart <= 1) & (offset <= 1))]
    pairs.sort()
    rows = []
    for threshold in sorted(set(detections.probability), reverse=True):
        halo_of, taken = {}, set()
        for _, d, h in pairs:
            if detections.probability[d] >= threshold and d not in halo_of and h not in taken:
                halo_of[d] = h
                taken.add(h)
        listed = pure = found = wanted = 0.0
        for d in np.flatnonzero(detections.probability >= threshold):
            h = halo_of.get(d)
            if h is None or haloes.inside[h]:
                listed += weight[d]
                pure += weight[d] * (h is not None and haloes.richness[h] >= 20)
        for h in range(len(haloes)):
            if haloes.inside[h] and haloes.richness[h] > richness_above and 0.2 <= haloes.redshift[h] < 0.65:
                wanted += halo_weight[h]
                found += halo_weight[h] * (h in taken)
        rows.append((threshold, found / wanted, pure / listed if listed else 1.0))
    return np.array(rows).reshape(-1, 3).T


def area(points: np.ndarray) -> float:
    """Sum of completeness gained times purity."""
    _, completeness, purity = points
    return float(np.sum(np.diff(completeness, prepend=0) * purity))


def cuts(points: np.ndarray) -> np.ndarray:
    """The thresholds at which the lesser of completeness and purity is largest; one half where nothing is listed."""
    threshold, completeness, purity = points
    if len(threshold) == 0:
        return np.array([0.5])
    least = np.minimum(completeness, purity)
    return threshold[least >= least.max() - 1e-9]
