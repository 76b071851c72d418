"""Every method for scenes of galaxies behind one call: observations in; images, spreads and samples out.

`ml`, `ml_positive` and `monotonic` fit free pixels, `bulge_disc` two profiles; `pca_gaussian` and `pca_mixture` are
closed forms; `map`, `vi` and `hmc` use the learned flow and decoder, `score` the score prior.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np

from armillary.inverse.galaxy_diffusion import score_draws
from armillary.inverse.galaxy_posteriors import (
    Draws,
    Effort,
    gaussian_draws,
    hamiltonian_draws,
    laplace_draws,
    mixture_draws,
    variational_draws,
)
from armillary.inverse.galaxy_prior import GalaxyPrior
from armillary.inverse.pixel_fits import PIXEL_FITS, fitted_pixels
from armillary.inverse.profile_fits import profile_draws, profile_frame
from armillary.inverse.scenes import scenes_of
from armillary.inverse.stamp_likelihood import Scene, residual_of
from armillary.inverse.stamp_operator import image_of, modes_of
from armillary.posterior_checks import effective_samples, split_r_hat
from armillary.stamp_sets import Observations, StampSet, shifted_images
from armillary.step import announce, progress

MIN_DRAWS = 4  # that are looked at, however few are independent
BRIGHT_SIGMA = 1.0  # of a pixel's noise: models above are where a galaxy is seen


def keep_compiled(folder: str) -> None:
    """Keep what JAX compiles in a folder: jobs of other problems take it from there instead of compiling again."""
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def reconstruct(
    method: str, seen: Observations, missing: np.ndarray, stamps: StampSet, prior: GalaxyPrior, tuned: dict,
    effort: Effort, n_draws: int, background_share: float, seed: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Arrays by name, each starting with the scene.

    image (n, n_sources, size, size) centred on the given positions, in counts a fine pixel; chi2 and n_pixels of all,
    chi2_bright and n_bright of pixels where the galaxies are seen; and, where there are samples: sd (as image), c,
    shift, background, predicted and predicted_sd (n, n_y, n_x), n_independent (n,) of the draws, quality; of chains
    r_hat and ess (the worst unknown's) and the share moved; of closed forms ln_evidence.
    """
    size = stamps.image.shape[-1]
    scenes = scenes_of(seen, missing, stamps.effective_psf, size, stamps.pixel_arcsec, background_share)
    run_one = _runner(method, prior, tuned, effort, n_draws, stamps)
    rows, started = [], time.monotonic()
    for number in progress(range(len(seen.image)), method):
        scene = jax.tree.map(lambda part, number=number: part[number], scenes)
        rows.append(run_one(scene, jax.random.fold_in(jax.random.key(seed), number), stamps.pixel_arcsec))
        if number == 0:
            compiled = time.monotonic()
    found = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    seconds = (time.monotonic() - compiled) / max(len(rows) - 1, 1)
    announce(f"{method}: {seconds:.3f} s a scene after {compiled - started:.1f} s for the first")
    return found | {"seconds": np.full(len(rows), seconds)}


def _runner(method: str, prior: GalaxyPrior, tuned: dict, effort: Effort, n_draws: int, stamps: StampSet):
    """A function (scene, key, fine pixel) -> row of arrays."""
    size = stamps.image.shape[-1]
    if method in PIXEL_FITS:
        return lambda scene, key, pixel: _pixel_row(scene, prior, size, method, pixel, tuned[method])
    profiles = profile_frame(stamps)
    samplers = {
        "pca_gaussian": lambda scene, key: gaussian_draws(prior, scene, key, n_draws),
        "pca_mixture": lambda scene, key: mixture_draws(prior, scene, key, n_draws),
        "bulge_disc": lambda scene, key: profile_draws(prior, scene, key, n_draws, profiles),
        "map": lambda scene, key: laplace_draws(prior, scene, key, effort, n_draws),
        "vi": lambda scene, key: variational_draws(prior, scene, key, effort, n_draws),
        "score": lambda scene, key: score_draws(prior, scene, key, effort, n_draws),
        "hmc": lambda scene, key: hamiltonian_draws(prior, scene, key, effort, n_draws),
    }
    draw = samplers[method]
    see = jax.jit(_seen)
    stack = np.asarray(prior.stack)

    def run_one(scene: Scene, key: jax.Array, pixel_arcsec: float) -> dict[str, np.ndarray]:
        drawn = draw(scene, key)
        predicted = (
            np.asarray(see(scene, prior.stack, drawn.c, drawn.shift)) + np.asarray(drawn.background)[:, None, None]
        )
        best = np.asarray(see(scene, prior.stack, drawn.best[None], drawn.best_shift[None]))[0]
        position = np.asarray(scene.position)
        images = shifted_images(
            np.tensordot(np.asarray(drawn.c), stack, 1), np.asarray(drawn.shift) - position, pixel_arcsec
        )
        peak = shifted_images(
            np.tensordot(np.asarray(drawn.best), stack, 1), np.asarray(drawn.best_shift) - position, pixel_arcsec
        )
        at_peak = method in ("map", "bulge_disc")
        model = best if at_peak else predicted.mean(0)
        background = float(drawn.background.mean()) if at_peak else 0.0
        return {
            "image": images.mean(0) if method in ("vi", "score", "hmc") else peak, "sd": images.std(0),
            "c": np.asarray(drawn.c), "shift": np.asarray(drawn.shift), "background": np.asarray(drawn.background),
            "predicted": predicted.mean(0), "predicted_sd": predicted.std(0), "quality": np.asarray(drawn.quality),
            **_misfit(scene, model, background), **_convergence(drawn),
        }  # fmt: skip

    return run_one


def _seen(scene: Scene, stack: jax.Array, c: jax.Array, shift: jax.Array) -> jax.Array:
    """The camera's images (n, n_y, n_x) of draws c (n, n_sources, ...) at shifts (n, n_sources, 2)."""

    def one(c, shift):
        stamps = jnp.tensordot(c, stack, 1)
        return sum(image_of(scene.operator, modes_of(scene.operator, a), b) for a, b in zip(stamps, shift, strict=True))

    return jax.lax.map(lambda pair: one(*pair), (c, shift))


def _pixel_row(
    scene: Scene, prior: GalaxyPrior, size: int, method: str, pixel_arcsec: float, steps: dict
) -> dict[str, np.ndarray]:
    """What a fit of free pixels finds, stopped where it was best on validation galaxies."""
    images, places = fitted_pixels(scene, prior.stack, prior.covariance, size, method, tuple(steps["n_steps"]))
    chosen = steps["n_steps"].index(steps["best"])
    see = [
        image_of(scene.operator, modes_of(scene.operator, a), b) for a, b in zip(images[chosen], places, strict=True)
    ]
    found = _misfit(scene, np.asarray(sum(see)), 0.0)
    kept = [
        shifted_images(np.asarray(one), np.asarray(places - scene.position), pixel_arcsec)
        for one in (images[chosen], images[-1])
    ]
    return {"image": kept[0], "image_at_end": kept[1], **found}


def _misfit(scene: Scene, model: np.ndarray, background: float) -> dict[str, np.ndarray]:
    """chi2 and numbers of pixels, in all of the image and where the model is above the noise."""
    # ASSUME: correlated residuals are whitened as a whole, so that pixels cannot be told apart: bright ones are all
    squares = np.asarray(residual_of(scene, jnp.asarray(model + background, jnp.float32))) ** 2
    seen = np.asarray(
        (scene.whiten != 0) if scene.whiten.shape == scene.image.shape else jnp.diag(scene.whiten) != 0
    ).ravel()
    level = np.asarray(jnp.max(scene.whiten)) if scene.whiten.shape == scene.image.shape else np.inf
    bright = seen & ((model.ravel() * level > BRIGHT_SIGMA) if np.isfinite(level) else True)
    return {
        "chi2": squares[seen].sum(), "n_pixels": seen.sum(), "chi2_bright": squares[bright].sum(),
        "n_bright": bright.sum(),
    }  # fmt: skip


def _convergence(drawn: Draws) -> dict[str, np.ndarray]:
    """The worst unknown's R-hat and effective sample size, and how many draws count as independent, where there are
    chains; the evidence, where there is a closed form.

    R-hat is of the chains that no one moved; with fewer than two of these nothing speaks for convergence, and it is
    infinite.
    """
    evidence = {} if drawn.ln_evidence is None else {"ln_evidence": np.asarray(drawn.ln_evidence)}
    if drawn.chains is None:
        return evidence | {"n_independent": np.array(len(drawn.c))}
    chains = np.asarray(drawn.chains)
    was_moved = np.zeros(len(chains), bool) if drawn.moved is None else np.asarray(drawn.moved)
    own = chains[~was_moved]
    r_hat = split_r_hat(own).max() if len(own) > 1 else np.inf
    ess = effective_samples(chains).min()
    return evidence | {
        "r_hat": r_hat, "ess": ess, "moved": was_moved.mean(),
        "n_independent": np.clip(int(ess), MIN_DRAWS, len(drawn.c)),
    }  # fmt: skip
