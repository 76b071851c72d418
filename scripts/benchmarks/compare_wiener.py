"""Time the exact Wiener filter and samples of its posterior, beside the 200 steps of Adam that it replaces."""

import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from armillary.files import write_json
from armillary.inverse.wiener import (
    WienerProblem,
    shear_of_white,
    white_of_shear,
    wiener_map,
    wiener_problem,
    wiener_samples,
)
from armillary.metrics import estimate, measurement
from armillary.step import announce, run

PIXEL_ARCMIN = 0.29
SIGMA = 0.125  # of a pixel's shear, HST/COSMOS


def compare_wiener(
    metrics: str, *, image_size: int, n_repeats: int, n_samples: int, n_adam_steps: int, seed: int
) -> None:
    problem, shear = _field(image_size, seed)
    seconds, (_, residual) = _timed(lambda: wiener_map(problem, *shear), n_repeats)
    keys = jax.random.split(jax.random.key(seed), n_samples)
    started = time.perf_counter()
    jax.block_until_ready(wiener_samples(problem, *shear, keys))
    with_compile = time.perf_counter() - started
    adam_seconds, white = _timed(lambda: _adam(problem, shear, n_adam_steps), n_repeats)
    note = f"{image_size} px square, half of it masked, after compilation; median"
    report = {
        "wiener_seconds": estimate(statistics.median(seconds), seconds, n_repeats, "s", "wiener_adam_seconds", note),
        "wiener_residual": measurement(
            float(residual), baseline="wiener_adam_residual", note="of the normal equations"
        ),
        "wiener_samples_seconds": measurement(
            with_compile, n=n_samples, unit="s", note="exact samples, compilation included"
        ),
        "wiener_adam_seconds": estimate(statistics.median(adam_seconds), adam_seconds, n_repeats, "s", None, note),
        "wiener_adam_residual": measurement(_residual(problem, shear, white), note=f"{n_adam_steps} steps from zero"),
    }
    announce(", ".join(f"{name} {entry['value']:.3g}" for name, entry in report.items()))
    write_json(metrics, report)


def _field(image_size: int, seed: int) -> tuple[WienerProblem, tuple[jax.Array, jax.Array]]:
    """A field as deep as COSMOS whose data cover half of the square, and noise as its shear."""
    rng = np.random.default_rng(seed)
    multipole = np.geomspace(10, 1e5, 60)
    power = 8e-9 * (multipole / 100) ** -0.6 / (1 + (multipole / 2000) ** 1.5)
    mask = np.zeros((image_size, image_size), bool)
    border = round(0.14 * image_size)
    mask[border:-border, border:-border] = rng.random((image_size - 2 * border,) * 2) < 0.97
    sigma = SIGMA * np.exp(0.2 * rng.normal(size=mask.shape))
    problem = wiener_problem(multipole, power, sigma, sigma, mask, PIXEL_ARCMIN)
    shear = tuple(jnp.asarray(np.where(mask, rng.normal(0, SIGMA, mask.shape), 0), jnp.float32) for _ in "12")
    return problem, shear


def _timed(call, n_repeats: int):
    """Seconds of each call after one that compiles, and what the last one gave."""
    jax.block_until_ready(call())
    seconds = []
    for _ in range(n_repeats):
        started = time.perf_counter()
        result = jax.block_until_ready(call())
        seconds.append(time.perf_counter() - started)
    return seconds, result


def _negative_log_posterior(white: jax.Array, problem: WienerProblem, shear: tuple[jax.Array, jax.Array]) -> jax.Array:
    model = shear_of_white(problem, white)
    misfit = sum((w * (g - m) ** 2).sum() for w, g, m in zip(problem.weight, shear, model, strict=True))
    return 0.5 * (misfit + (white**2).sum())


def _adam_steps(problem: WienerProblem, shear: tuple[jax.Array, jax.Array], n_steps: int) -> jax.Array:
    optimiser = optax.adam(0.1)

    def step(state, _):
        white, memory = state
        change, memory = optimiser.update(jax.grad(_negative_log_posterior)(white, problem, shear), memory)
        return (optax.apply_updates(white, change), memory), None

    start = jnp.zeros_like(shear[0])
    return jax.lax.scan(step, (start, optimiser.init(start)), None, n_steps)[0][0]


_adam = jax.jit(_adam_steps, static_argnums=2)


def _residual(problem: WienerProblem, shear: tuple[jax.Array, jax.Array], white: jax.Array) -> float:
    """Norm of the gradient over that at zero: the relative residual of the normal equations."""
    gradient = jax.grad(_negative_log_posterior)(white, problem, shear)
    source = white_of_shear(problem, *(w * g for w, g in zip(problem.weight, shear, strict=True)))
    return float(jnp.linalg.norm(gradient) / jnp.linalg.norm(source))


if __name__ == "__main__":
    run(compare_wiener, snakemake)
