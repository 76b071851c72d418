"""Hamiltonian trajectories of a chain in many dimensions, for a density that is known, or known but for a learned push.

A network's push has no energy. Its work along the trajectory stands in for one, by the trapezium rule, which is exact
for pushes that are linear in the position. It varies slowly beside the rest, so it is asked only every few leaps
(Tuckerman, Berne & Martyna 1992).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from armillary.step import announce

ACCEPTANCE = 0.75  # that the step is tuned for; beyond 0.9 and below 0.5 a chain moves slowly
LEAST_ACCEPTANCE = 0.2
FIRST_STEP = 0.1
LEAPS_PER_PUSH = 4

Judge = Callable[[jax.Array], tuple[jax.Array, jax.Array]]  # position -> energy and its slope
Push = Callable[[jax.Array], jax.Array]  # position -> what a network adds to minus the slope


class Place(NamedTuple):
    """Where a chain is, and how far it steps."""

    position: jax.Array  # (n_y, n_x)
    energy: jax.Array
    slope: jax.Array
    push: jax.Array
    ln_step: jax.Array


def place_at(position: jax.Array, ln_step: jax.Array, judge: Judge, push: Push | None = None) -> Place:
    """The place of a position."""
    return Place(position, *judge(position), (push or _no_push)(position), ln_step)


def trajectory(
    judge: Judge, place: Place, key: jax.Array, n_leapfrog: int, push: Push | None = None
) -> tuple[Place, jax.Array]:
    """The next place and the probability that the move was to be accepted. Neal (2011), section 5.2.

    The step varies, so that no trajectory closes on itself. With a push, `n_leapfrog` is rounded up to a multiple of
    LEAPS_PER_PUSH.
    """
    n_inner = n_leapfrog if push is None else min(LEAPS_PER_PUSH, n_leapfrog)
    speed_key, step_key, choice_key = jax.random.split(key, 3)
    speed = jax.random.normal(speed_key, place.position.shape)
    step = jnp.exp(place.ln_step) * jax.random.uniform(step_key, minval=0.7, maxval=1.3)

    def leap(carry, _):
        position, speed, _, slope = carry
        speed = speed - 0.5 * step * slope
        position = position + step * speed
        energy, slope = judge(position)
        return (position, speed - 0.5 * step * slope, energy, slope), None

    def stretch(carry, _):
        position, speed, energy, slope, pushed, work = carry
        speed = speed + 0.5 * n_inner * step * pushed
        (moved, speed, energy, slope), _ = jax.lax.scan(leap, (position, speed, energy, slope), None, n_inner)
        newly = (push or _no_push)(moved)
        work = work + 0.5 * ((pushed + newly) * (moved - position)).sum()
        return (moved, speed + 0.5 * n_inner * step * newly, energy, slope, newly, work), None

    start = (place.position, speed, place.energy, place.slope, place.push, jnp.zeros(()))
    n_stretches = -(-n_leapfrog // n_inner)
    (position, last_speed, energy, slope, pushed, work), _ = jax.lax.scan(stretch, start, None, n_stretches)
    gained = place.energy - energy + work + 0.5 * ((speed**2).sum() - (last_speed**2).sum())
    share = jnp.where(jnp.isfinite(gained), jnp.exp(jnp.minimum(gained, 0.0)), 0.0)
    taken = jax.random.uniform(choice_key) < share
    moved = Place(position, energy, slope, pushed, place.ln_step)
    return jax.tree.map(lambda new, old: jnp.where(taken, new, old), moved, place), share


def warmed_up(
    judge: Judge, place: Place, keys: jax.Array, n_leapfrog: int, push: Push | None = None, first_number: int = 0
) -> Place:
    """The place after one trajectory a key, while the step is tuned; `first_number` counts those that went before."""

    def move(place, numbered_key):
        number, key = numbered_key
        place, share = trajectory(judge, place, key, n_leapfrog, push)
        return place._replace(ln_step=place.ln_step + (share - ACCEPTANCE) / (1.0 + 0.1 * number)), None

    return jax.lax.scan(move, place, (first_number + jnp.arange(len(keys)), keys))[0]


def sampled(
    judge: Judge, look: Callable[[jax.Array], jax.Array], place: Place, keys: jax.Array, n_between: int,
    n_leapfrog: int, push: Push | None = None,
) -> tuple[jax.Array, jax.Array, jax.Array]:  # fmt: skip
    """Positions of a chain (n, n_y, n_x), `n_between` trajectories apart, one a key; the mean of `look` at all its
    positions; the mean acceptance.
    """

    def move(carry, key):
        place, total = carry
        place, share = trajectory(judge, place, key, n_leapfrog, push)
        return (place, total + look(place.position)), share

    def sample(place, key):
        blank = jnp.zeros(place.position.shape)
        (place, total), share = jax.lax.scan(move, (place, blank), jax.random.split(key, n_between))
        return place, (place.position, total / n_between, share.mean())

    _, (positions, means, share) = jax.lax.scan(sample, place, keys)
    return positions, means.mean(0), share.mean()


def _no_push(position: jax.Array) -> jax.Array:
    return jnp.zeros(())


def require_moves(chain: str, share: float, step: float, way_out: str) -> None:
    """Say how a finished chain moved. Raises ValueError when it hardly did; `way_out` says what to do about it."""
    announce(f"{chain} chain: acceptance {share:.2f}, step {step:.3f}")
    if not share > LEAST_ACCEPTANCE:
        raise ValueError(f"the {chain} chain accepts {share:.2f} of its moves, less than {LEAST_ACCEPTANCE}: {way_out}")
