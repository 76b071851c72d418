"""Put galaxies that no training saw through the camera: the scenes of one problem."""

import jax
import numpy as np

from armillary.files_hsc import read_set, write_set
from armillary.inverse.galaxy_diffusion import sample_score_prior
from armillary.inverse.galaxy_prior import read_prior, sample_prior
from armillary.inverse.scenes import Camera, Problem, simulated
from armillary.stamp_sets import StampSet
from armillary.step import run


def simulate_observations(
    stamps: str, basis: str, autoencoder: str, flow: str, residual: str, score: str, mixture: str, observations: str, *,
    problem: str, galaxies: str, n_scenes: int, scene: dict, camera: dict, hidden_bit: int, n_levels: int, seed: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng([seed, 3, *problem.encode()])
    sets, kind = read_set(stamps, StampSet), Problem(**scene)
    known = sets.of_split("validation" if galaxies == "validation" else "test")
    n = n_scenes * kind.n_sources
    if galaxies in ("prior", "score"):
        prior, key = read_prior(basis, autoencoder, flow, residual, score, mixture), jax.random.key(seed + 3)
        drawn = sample_prior(prior, key, n) if galaxies == "prior" else sample_score_prior(prior, key, n, n_levels)
        c = np.asarray(drawn)
        stack = np.asarray(prior.stack)
        images, variances = stack[0] + np.tensordot(c, stack[1:], 1), np.zeros((n, 1, 1))
    elif n > len(known.image):
        raise ValueError(
            f"{problem}: {n_scenes} scenes need {n} galaxies, {len(known.image)} are there, and each may be seen once "
            "(config keys `problems: n_scenes`, `render_stamps`)"
        )
    else:
        images, variances = known.image[:n], known.variance[:n]
    if galaxies == "real":  # as bright as the others of this camera, whatever they are in their own survey
        mags = rng.uniform(camera["mag_min"], camera["mag_max"], n_scenes)
    elif galaxies in ("prior", "score"):
        mags = known.mag[np.arange(n_scenes) % len(known.mag)]
    else:
        mags = known.mag[: n : kind.n_sources]
    limits = ("mag_min", "mag_max")
    settings = Camera(**{name: value for name, value in camera.items() if name not in limits})
    found = simulated(
        images.reshape(n_scenes, kind.n_sources, *images.shape[1:]), mags,
        variances.reshape(n_scenes, kind.n_sources, *variances.shape[1:]),
        sets.effective_psf, sets.pixel_arcsec, settings, kind, hidden_bit, rng,
    )  # fmt: skip
    write_set(observations, found)


if __name__ == "__main__":
    run(simulate_observations, snakemake)
