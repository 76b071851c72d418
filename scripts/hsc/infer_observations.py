"""Reconstruct the galaxies of one problem by every method, with samples of the posterior where a method has them."""

from armillary.files import read_json
from armillary.files_hsc import read_set, write_posteriors
from armillary.inverse.galaxy_methods import keep_compiled, reconstruct
from armillary.inverse.galaxy_posteriors import Effort
from armillary.inverse.galaxy_prior import read_prior
from armillary.stamp_sets import Observations, StampSet, missing_pixels
from armillary.step import run


def infer_observations(
    observations: str, stamps: str, basis: str, autoencoder: str, flow: str, residual: str, tuned: str,
    posteriors: str, *, methods: list[str], effort: dict, n_draws: int, mask_planes: dict,
    missing_planes: list[str], background_share: float, seed: int, compiled_folder: str,
) -> None:  # fmt: skip
    keep_compiled(compiled_folder)
    seen, space = read_set(observations, Observations), read_set(stamps, StampSet)
    missing = missing_pixels(seen.mask, mask_planes, missing_planes)
    prior, stops = read_prior(basis, autoencoder, flow, residual), read_json(tuned)
    settings = (missing, space, prior, stops, Effort(**effort), n_draws, background_share, seed)
    write_posteriors(posteriors, {method: reconstruct(method, seen, *settings) for method in methods})


if __name__ == "__main__":
    run(infer_observations, snakemake)
