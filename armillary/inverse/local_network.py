"""A small network that looks at every pixel through smoothed copies of maps: what the learned methods share.

Its sight is a bank of Gaussian filters, applied in Fourier space, so that one pixel's features hold its surroundings
at several scales; what is learned is a perceptron that is the same for all pixels. It trains in a minute where
convolutions need hours. Weights are a flat dictionary of arrays, which goes to and comes from an NPZ file as it is.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from armillary.convergence import ARCMIN_PER_RADIAN, multipole_length
from armillary.files import read_arrays, write_arrays
from armillary.step import announce

Weights = dict[str, jax.Array]


class Kept(NamedTuple):
    """Where the state of a training is kept between runs, and the checksum of all it was made from."""

    path: str
    fingerprint: str


def gaussian_bank(shape: tuple[int, int], widths_px: tuple[float, ...]) -> jax.Array:
    """Multipliers of Gaussian filters on the half plane, (n_widths, n_y, n_x // 2 + 1)."""
    square = (multipole_length(shape, 1.0) / ARCMIN_PER_RADIAN) ** 2
    return jnp.asarray(np.exp([-0.5 * width**2 * square for width in widths_px]), jnp.float32)


def filtered(image: jax.Array, multipliers: jax.Array) -> jax.Array:
    """A map (n_y, n_x) through each of the filters, (n_widths, n_y, n_x)."""
    return jnp.fft.irfft2(jnp.fft.rfft2(image) * multipliers, image.shape)


def gradient_size(image: jax.Array) -> jax.Array:
    """Length of the gradient by central differences, a pixel."""
    steps = [jnp.roll(image, -1, axis) - jnp.roll(image, 1, axis) for axis in (0, 1)]
    return 0.5 * jnp.sqrt(steps[0] ** 2 + steps[1] ** 2 + 1e-16)


def initial_weights(key: jax.Array, n_inputs: int, n_hidden: int, n_outputs: int) -> Weights:
    """Two hidden layers; the last layer is 0, so that an untrained network says 0."""
    first, second = jax.random.split(key)
    return {
        "w1": jax.random.normal(first, (n_inputs, n_hidden)) / n_inputs**0.5,
        "b1": jnp.zeros(n_hidden),
        "w2": jax.random.normal(second, (n_hidden, n_hidden)) / n_hidden**0.5,
        "b2": jnp.zeros(n_hidden),
        "w3": jnp.zeros((n_hidden, n_outputs)),
        "b3": jnp.zeros(n_outputs),
    }


def perceptron(weights: Weights, features: jax.Array) -> jax.Array:
    """(..., n_inputs) -> (..., n_outputs)."""
    hidden = jax.nn.silu(features @ weights["w1"] + weights["b1"])
    hidden = jax.nn.silu(hidden @ weights["w2"] + weights["b2"])
    return hidden @ weights["w3"] + weights["b3"]


def fit(
    weights: Weights, loss: Callable[[Weights, jax.Array], jax.Array], validation_loss: Callable[[Weights], jax.Array],
    *, n_steps: int, learning_rate: float, seed: int, label: str, kept: Kept, n_chunks: int = 20,
) -> tuple[Weights, list[dict]]:  # fmt: skip
    """Weights after `n_steps` of Adam on `loss(weights, key)`, the best of `n_chunks` by validation loss, and the
    history.

    The rate rises over a twentieth of the steps and falls as half a cosine. Raises ValueError when the loss is not
    finite. After every chunk the state goes to the file of `kept`; a run with the same fingerprint goes on from there.
    """
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, learning_rate, max(n_steps // 20, 1), n_steps, 1e-3 * learning_rate
    )
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))
    per_chunk = -(-n_steps // n_chunks)

    def step(state, key):
        weights, memory = state
        value, slope = jax.value_and_grad(loss)(weights, key)
        change, memory = optimiser.update(slope, memory, weights)
        return (optax.apply_updates(weights, change), memory), value

    run_chunk = jax.jit(lambda state, keys: jax.lax.scan(step, state, keys))
    judge = jax.jit(validation_loss)
    state, best, history = _resume(kept, ((weights, optimiser.init(weights)), weights, []), label)
    for chunk in range(len(history), n_chunks):
        state, values = run_chunk(state, jax.random.split(jax.random.fold_in(jax.random.key(seed), chunk), per_chunk))
        row = {
            "step": (chunk + 1) * per_chunk,
            "train_loss": float(values.mean()),
            "validation_loss": float(judge(state[0])),
        }
        if not np.isfinite(row["train_loss"]):
            raise ValueError(f"training of {label} diverged at step {row['step']}: lower `learning_rate`")
        history.append(row)
        if row["validation_loss"] <= min(entry["validation_loss"] for entry in history):
            best = state[0]
        announce(f"{label}: step {row['step']}, loss {row['train_loss']:.4f}, validation {row['validation_loss']:.4f}")
        _keep(kept, state, best, history)
    return best, history


def _keep(kept: Kept, state, best: Weights, history: list[dict]) -> None:
    """Write the state of training under another name first, so that a kill leaves the old one whole."""
    path = Path(kept.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    leaves = {f"leaf_{k}": np.asarray(leaf) for k, leaf in enumerate(jax.tree.leaves((state, best)))}
    rows = np.array([list(row.values()) for row in history])
    hidden = path.with_name(".unfinished-" + path.name)
    write_arrays(str(hidden), history=rows, fingerprint=np.array(kept.fingerprint), **leaves)
    os.replace(hidden, path)


def _resume(kept: Kept, start: tuple, label: str) -> tuple:
    """(state, best, history) as they were kept; `start` where there is nothing, or something else."""
    if not Path(kept.path).exists():
        return start
    arrays = read_arrays(kept.path)
    if str(arrays["fingerprint"]) != kept.fingerprint:
        announce(f"{kept.path} belongs to other settings, data or code; training of {label} starts afresh")
        return start
    structure = jax.tree.structure(start[:2])
    leaves = [jnp.asarray(arrays[f"leaf_{k}"]) for k in range(structure.num_leaves)]
    history = [{"step": int(row[0]), "train_loss": row[1], "validation_loss": row[2]} for row in arrays["history"]]
    announce(f"{label}: resumed after step {history[-1]['step']}")
    return *jax.tree.unflatten(structure, leaves), history
