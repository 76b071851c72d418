"""What a real field can say about its own maps: signal at known clusters, E against B, rotated shapes, the sign of
the shear.
"""

import numpy as np

from armillary.convergence import kaiser_squires, mean_free, smooth
from armillary.shear_catalogs import Grid, ShearMap, pixels_of

SIGNS = {"(+, +)": (1, 1), "(+, -)": (1, -1), "(-, +)": (-1, 1), "(-, -)": (-1, -1)}
LEAST_SIGNIFICANCE = 3.0


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
