"""Reconstruct the galaxies of one problem by every method, with samples of the posterior where a method has them."""

from functools import partial

from armillary.files import read_json
from armillary.files_hsc import read_set, write_posteriors
from armillary.fingerprints import fingerprint
from armillary.inverse.galaxy_methods import keep_compiled, reconstruct
from armillary.inverse.galaxy_posteriors import Effort
from armillary.inverse.galaxy_prior import read_prior
from armillary.kept_posteriors import kept_or_made
from armillary.stamp_sets import Observations, StampSet, missing_pixels
from armillary.step import run


def infer_observations(
    observations: str, stamps: str, basis: str, autoencoder: str, flow: str, residual: str, score: str,
    mixture: str, tuned: str, code: list[str], posteriors: str, *, methods: list[str], effort: dict, n_draws: int,
    mask_planes: dict, missing_planes: list[str], background_share: float, seed: int, compiled_folder: str,
    work_file: str,
) -> None:  # fmt: skip
    keep_compiled(compiled_folder)
    seen, space = read_set(observations, Observations), read_set(stamps, StampSet)
    missing = missing_pixels(seen.mask, mask_planes, missing_planes)
    prior, stops = read_prior(basis, autoencoder, flow, residual, score, mixture), read_json(tuned)
    settings = (missing, space, prior, stops, Effort(**effort), n_draws, background_share, seed)
    facts = {"effort": effort, "draws": n_draws, "planes": [mask_planes, missing_planes], "seed": seed}
    files = [*code, observations, basis, autoencoder, flow, residual, score, mixture, tuned]
    same = fingerprint(facts | {"background": background_share}, contents=files, stamped=[stamps])
    found = {}
    for method in methods:
        make = partial(reconstruct, method, seen, *settings)
        found[method] = kept_or_made(f"{work_file}_{method}.h5", method, same, make)
    write_posteriors(posteriors, found)


if __name__ == "__main__":
    run(infer_observations, snakemake)
