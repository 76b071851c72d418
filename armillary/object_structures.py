"""Galaxies with faint structures around them, for questions that the shape of the bright parts does not answer.

A plain field of galaxies comes from `armillary.object_skies`; some get blue arcs far fainter than those of its lenses,
others a tidal tail. Draws are streams of their own: nothing of the sky that networks learn from changes.
"""

from typing import NamedTuple

import numpy as np

from armillary.kspace import Sources
from armillary.object_skies import BANDS, Objects
from armillary.surveys import ZERO_POINT

PLAIN, ARCS, TAIL = 0, 1, 2
N_POINTS = 14
BLUE, RED = (0.35, 0.15, 0.05, 0.03), (0.95, 0.45, 0.25, 0.12)  # g-r, r-i, i-z, z-y
COLOUR_SCATTER = 0.08


class Structures(NamedTuple):
    """Shares of the galaxies that have arcs and tails; range of a structure's light in i over that of its galaxy."""

    arc_share: float
    tail_share: float
    light_range: tuple[float, float]


def add_structures(rng: np.random.Generator, objects: Objects, of: Structures, pixel_arcsec: float) -> Objects:
    """The field with arcs and tails drawn in; the truth has two more columns, `arcs` and `tail`, 0 or 1.

    The light of a structure comes on top of that of its galaxy; a few percent are too little for magnitudes to tell.
    """
    truth = objects.truth
    kind = rng.choice(3, len(truth), p=[1 - of.arc_share - of.tail_share, of.arc_share, of.tail_share])
    share = rng.uniform(*of.light_range, len(truth))
    flux_i = 10 ** (0.4 * (ZERO_POINT - truth["magnitude_i"].to_numpy())) * share
    x, y = truth["x"].to_numpy(), truth["y"].to_numpy()
    parts = [objects.sources]
    for which, draw, colours in ((ARCS, _arc_places, BLUE), (TAIL, _tail_places, RED)):
        chosen = kind == which
        dx, dy, light = draw(rng, int(chosen.sum()))
        flux = (flux_i[chosen, None] * light)[..., None] * _flux_over_i(rng, colours, int(chosen.sum()))[:, None]
        positions = [(centre[chosen, None] + step / pixel_arcsec).ravel() for centre, step in ((x, dx), (y, dy))]
        none = np.zeros(len(positions[0]))
        parts.append(Sources(*positions, flux.reshape(-1, len(BANDS)).T, none + 0.13, none, none, none))
    joined = [np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in Sources._fields]
    truth = truth.assign(arcs=(kind == ARCS).astype(int), tail=(kind == TAIL).astype(int))
    return Objects(Sources(*(np.ascontiguousarray(value) for value in joined)), truth)


def _arc_places(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets (n, N_POINTS) in arcsec, and shares of the light, of an arc and its fainter counter-image.

    # ASSUME: Einstein radii of 0.9 to 1.7 arcsec, arcs of 70 to 170 degrees, as of the bright lenses.
    """
    radius = rng.uniform(0.9, 1.7, (n, 1))
    start, extent = rng.uniform(0, 2 * np.pi, (n, 1)), np.radians(rng.uniform(70, 170, (n, 1)))
    n_arc = N_POINTS - 3
    arc = start + np.linspace(-0.5, 0.5, n_arc)[None] * extent
    angle = np.concatenate([arc, start + np.pi + np.linspace(-0.2, 0.2, 3)[None]], 1)
    light = np.append(np.full(n_arc, 0.8 / n_arc), np.full(3, 0.2 / 3))
    return radius * np.cos(angle), radius * np.sin(angle), np.tile(light, (n, 1))


def _tail_places(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets (n, N_POINTS) in arcsec, and shares of the light, of one tail that winds outwards and fades.

    # ASSUME: a spiral from 0.7 to between 1.8 and 2.4 arcsec over 40 to 120 degrees; light falls to a third along it.
    """
    along = np.linspace(0, 1, N_POINTS)[None]
    radius = 0.7 + (rng.uniform(1.8, 2.4, (n, 1)) - 0.7) * along
    wind = np.radians(rng.uniform(40, 120, (n, 1))) * rng.choice([-1, 1], (n, 1))
    angle = rng.uniform(0, 2 * np.pi, (n, 1)) + wind * along
    light = np.exp(-np.log(3) * along[0])
    return radius * np.cos(angle), radius * np.sin(angle), np.tile(light / light.sum(), (n, 1))


def _flux_over_i(rng: np.random.Generator, colours: tuple[float, ...], n: int) -> np.ndarray:
    """Fluxes (n, 5) in g r i z y over that in i, from mean colours of neighbouring bands."""
    gr, ri, iz, zy = (np.asarray(colours) + COLOUR_SCATTER * rng.standard_normal((n, 4))).T
    return 10 ** (-0.4 * np.stack([gr + ri, ri, 0 * ri, -iz, -iz - zy], 1))
