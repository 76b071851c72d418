"""What a real field can say about its own maps: signal at known clusters, E against B, rotated shapes, the sign of
the shear.
"""

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.special import ndtri
from scipy.stats import rankdata

from armillary.convergence import kaiser_squires, mean_free, smooth
from armillary.shear_catalogs import Grid, ShearMap, pixels_of

SIGNS = {"(+, +)": (1, 1), "(+, -)": (1, -1), "(-, +)": (-1, 1), "(-, -)": (-1, -1)}
LEAST_SIGNIFICANCE = 3.0
LEAST_SHIFT_ARCMIN = 6.0
LEAST_SHARE_IN_MASK = 0.5


def stacked_signal(kappa: np.ndarray, mask: np.ndarray, positions: np.ndarray, grid: Grid) -> tuple[float, float, int]:
    """Mean convergence in the pixels of `positions` (n, 2; ra and dec), its error, and how many lie in the mask.

    The error is the map's own rms over the square root of the number: that of as many pixels taken at random.
    """
    row, column, inside = pixels_of(positions[:, 0], positions[:, 1], grid)
    inside &= mask[row, column]
    if not inside.any():
        raise ValueError("no cluster lies in the mask: is `clusters` a list for this field?")
    kappa = mean_free(kappa, mask)
    n = int(inside.sum())
    return float(kappa[row[inside], column[inside]].mean()), float(kappa[mask].std() / np.sqrt(n)), n


def signal_to_noise(kappa: np.ndarray, mask: np.ndarray, positions: np.ndarray, grid: Grid) -> float:
    """The stacked signal in units of its error."""
    mean, error, _ = stacked_signal(kappa, mask, positions, grid)
    return mean / error if error > 0 else float("nan")


def shifted_stacks(
    kappa: np.ndarray, mask: np.ndarray, positions: np.ndarray, grid: Grid
) -> tuple[float, np.ndarray, int]:
    """(stack, stacks of the shifted pattern, clusters in the mask): the mean of a map at the clusters, and at the whole
    pattern of clusters moved by every shift of whole pixels of at least LEAST_SHIFT_ARCMIN.

    A pattern that keeps less than LEAST_SHARE_IN_MASK of its clusters in the mask is left out; what a shifted stack has
    more or fewer clusters than the real one changes its deviation from the mean of all by the square root of the
    ratio. Clusters of one pattern share large-scale structure, and pixels of a map are not independent: the spread of
    these stacks has both, that of as many single pixels has neither.
    """
    row, column, inside = pixels_of(positions[:, 0], positions[:, 1], grid)
    inside &= mask[row, column]
    if not inside.any():
        raise ValueError("no cluster lies in the mask: is `clusters` a list for this field?")
    pattern = np.zeros(mask.shape)
    np.add.at(pattern, (row[inside], column[inside]), 1.0)
    sides = tuple(next_fast_len(2 * n, real=True) for n in mask.shape)
    lags = [np.fft.fftfreq(n, 1.0 / n) for n in sides]
    moved = rfft2(pattern, sides).conj()
    image = mean_free(kappa, mask)
    total, number = (irfft2(moved * rfft2(one, sides), sides) for one in (image, mask.astype(float)))
    n, number = int(inside.sum()), np.round(number)
    far = np.hypot(lags[0][:, None], lags[1]) * grid.pixel_arcmin >= LEAST_SHIFT_ARCMIN
    kept = far & (number >= LEAST_SHARE_IN_MASK * n)
    stacks = total[kept] / number[kept]
    middle = stacks.mean() if len(stacks) else 0.0
    scaled = middle + (stacks - middle) * np.sqrt(number[kept] / n)
    return float(total[0, 0] / n), scaled, n


def pattern_signal_to_noise(
    kappa: np.ndarray, mask: np.ndarray, positions: np.ndarray, grid: Grid
) -> tuple[float, int]:
    """The stack less the mean of the shifted patterns' stacks, in units of their spread, and how many there were; nan
    where the field has no room for shifts.
    """
    value, stacks, _ = shifted_stacks(kappa, mask, positions, grid)
    if len(stacks) < 20 or not stacks.std() > 0:
        return float("nan"), len(stacks)
    return float((value - stacks.mean()) / stacks.std()), len(stacks)


def normal_scores(kappa: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A map by the ranks of its pixels in the mask, as quantiles of a Gaussian: the same for every rising curve of the
    map, so that a method cannot gain by the units it chooses. Ties share a rank.
    """
    scores = np.zeros(mask.shape)
    scores[mask] = ndtri((rankdata(kappa[mask]) - 0.5) / mask.sum())
    return scores


def excess_variance(shear: ShearMap, rotations: np.ndarray, smoothing_px: float) -> tuple[float, float, float]:
    """(E, B, spread): variance of the smoothed Kaiser-Squires maps over that of rotated shapes (n, 2, n_y, n_x), in
    units of 1e-4, and the spread of a rotation.
    """

    def variance(g1, g2):
        maps = [mean_free(smooth(image, smoothing_px), shear.mask) for image in kaiser_squires(g1, g2)]
        return [1e4 * image[shear.mask].var() for image in maps]

    null = np.array([variance(*rotation) for rotation in rotations])
    e_mode, b_mode = variance(shear.g1, shear.g2)
    return e_mode - null.mean(), b_mode - null.mean(), null.std(ddof=1)


def compare_signs(shear: ShearMap, smoothing_px: float, positions: np.ndarray | None, grid: Grid) -> dict[str, float]:
    """How well each choice of the signs of (e1, e2), relative to the one made, agrees with what lensing does.

    With clusters it is the signal to noise of their stack; without, the difference of the E and B variances over that
    of both, which cannot tell a map from its negative.
    """
    found = {}
    for name, (first, second) in SIGNS.items():
        e_mode, b_mode = (
            mean_free(smooth(image, smoothing_px), shear.mask)
            for image in kaiser_squires(first * shear.g1, second * shear.g2)
        )
        if positions is None:
            e_power, b_power = e_mode[shear.mask].var(), b_mode[shear.mask].var()
            found[name] = (e_power - b_power) / (e_power + b_power)
        else:
            found[name] = signal_to_noise(e_mode, shear.mask, positions, grid)
    return found


def check_sign(
    found: dict[str, float], with_clusters: bool, e_excess_sigma: float, b_excess_sigma: float, name: str
) -> None:
    """Raise ValueError when the data speak for other signs of the shear than those that were chosen.

    With clusters: another choice gives the larger stack, and a significant one. Without: B modes stand out of the
    rotated shapes more than E modes do, significantly.
    """
    best = max(found, key=found.get)
    wrong_stack = with_clusters and best != "(+, +)" and found[best] > LEAST_SIGNIFICANCE
    wrong_power = not with_clusters and b_excess_sigma > max(e_excess_sigma, LEAST_SIGNIFICANCE)
    if wrong_stack or wrong_power:
        numbers = ", ".join(f"{signs}: {value:.2f}" for signs, value in found.items())
        raise ValueError(
            f"field {name}: the sign of the shear is wrong: relative to e1_sign and e2_sign of the config {best} fits "
            f"best ({numbers}; E excess {e_excess_sigma:.1f} sigma, B excess {b_excess_sigma:.1f}): change them"
        )
