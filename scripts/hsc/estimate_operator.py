"""Measure the camera's operator: its disagreement with GalSim, its adjoint's, its speed."""

import jax
import numpy as np

from armillary.files import write_json
from armillary.metrics import measurement
from armillary.operator_checks import GALAXIES, adjoint_error, disagreement, seconds_of_batch
from armillary.step import announce, run

SIZES = ((101, 41), (100, 41), (101, 40), (100, 40))
SHIFT_ARCSEC = (0.05, -0.11)


def estimate_operator(metrics: str, *, n_repeats: int, seed: int) -> None:
    numbers = {}
    for bits in (32, 64):
        with jax.enable_x64(bits == 64):
            rows = [disagreement(galaxy, *sizes, SHIFT_ARCSEC) for galaxy in GALAXIES.values() for sizes in SIZES]
            adjoint = max(adjoint_error(*sizes, np.random.default_rng([seed, 7])) for sizes in SIZES)
        note = (
            f"the worst of {len(GALAXIES)} profiles and {len(SIZES)} pairs of sizes, odd and even, shifted, float{bits}"
        )
        for name, unit in {"peak": "of the peak", "flux": "of the flux", "centroid": "pixels"}.items():
            numbers[f"operator_{name}_error_float{bits}"] = measurement(
                max(row[name] for row in rows), n=len(rows), unit=unit, note=note
            )
        numbers[f"operator_adjoint_error_float{bits}"] = measurement(adjoint, n=len(SIZES))
    seconds = seconds_of_batch(64, n_repeats)
    numbers["operator_ms"] = measurement(1e3 * seconds, n=n_repeats, unit="ms", note="64 stamps, 101 to 41 px")
    announce(f"64 stamps in {1e3 * seconds:.1f} ms")
    write_json(metrics, numbers)


if __name__ == "__main__":
    run(estimate_operator, snakemake)
