"""Cherenkov light of single particles in a water tank, as the charge and time of the modules on its wall.

A barrel of 16 rows and 40 columns of multi-PMT modules, 3.7 m in radius and 9.3 m high (the size of the intermediate
detector of Hyper-Kamiokande); its caps are left out.

# ASSUME: four detected photons per MeV, 2 MeV/cm, electrons as gamma-distributed showers with two widths of direction.
"""

import numpy as np

PARTICLES = ("gamma", "e", "mu", "pi0")  # the labels of the public files are 0, 1 and 2
N_ROWS, N_COLUMNS = 16, 40
RADIUS_M, HEIGHT_M = 3.7, 9.3
REFRACTIVE_INDEX = 1.33
LIGHT_M_PER_NS = 0.299792458
PHOTONS_PER_MEV = 4.0
LOSS_MEV_PER_M = 200.0
RADIATION_LENGTH_M = 0.361
ATTENUATION_M = 90.0
DARK_PER_MODULE = 0.02  # 19 tubes at 4.5 kHz in a window of 0.2 us
CHARGE_SPREAD, TIME_SPREAD_NS = 0.35, 1.5
MUON_MEV, PION_MEV, CRITICAL_MEV = 105.66, 134.98, 92.0
MIN_CHARGE = 30.0


def cherenkov_angle(beta):
    """Half-opening angle of the cone in radians; 0 below the threshold beta = 1 / n."""
    return np.arccos(np.clip(1 / (REFRACTIVE_INDEX * np.maximum(beta, 1e-6)), -1, 1))


def sample_events(n: int, energy_mev: tuple[float, float], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """`n` events: images (n, 2, rows, columns) float32 of ln(1 + charge) and time in units of 10 ns, particle (n,) as
    an index of PARTICLES, energy_mev (n,) visible. The visible energy is uniform, the same for all particles, so that
    charge alone tells little."""
    images, particle, energy = [], [], []
    while len(images) < n:
        which, visible = int(rng.integers(len(PARTICLES))), rng.uniform(*energy_mev)
        image = event_image(*_photons(PARTICLES[which], visible, rng), rng)
        if np.expm1(image[0]).sum() >= MIN_CHARGE:
            images.append(image)
            particle.append(which)
            energy.append(visible)
    return {"images": np.stack(images), "particle": np.array(particle), "energy_mev": np.array(energy)}


def _photons(name: str, visible_mev: float, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each photon starts (n, 3) in m, its direction (n, 3) and its time (n,) in ns."""
    radius = RADIUS_M * np.sqrt(rng.uniform(0, 0.85))  # some vertices are near the wall
    azimuth = rng.uniform(0, 2 * np.pi)
    vertex = np.array([radius * np.cos(azimuth), radius * np.sin(azimuth), rng.uniform(-0.35, 0.35) * HEIGHT_M])
    cosine = rng.uniform(-0.5, 0.5)  # toward the barrel
    direction = _unit(np.arccos(cosine), rng.uniform(0, 2 * np.pi))
    if name == "mu":
        return muon_photons(vertex, direction, visible_mev, rng)
    if name == "e":
        return shower_photons(vertex, direction, visible_mev, rng)
    gammas = (
        [(visible_mev, direction)] if name == "gamma" else pion_gammas(max(visible_mev, PION_MEV + 1), direction, rng)
    )
    parts = [
        shower_photons(vertex + towards * rng.exponential(9 / 7 * RADIATION_LENGTH_M), towards, energy, rng)
        for energy, towards in gammas
    ]
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def muon_photons(vertex, direction, visible_mev: float, rng):
    """A straight track that slows down: the cone shrinks as it stops, and multiple scattering blurs it."""
    threshold = MUON_MEV * (1 / np.sqrt(1 - REFRACTIVE_INDEX**-2) - 1)  # 54.6 MeV of kinetic energy
    kinetic = visible_mev + threshold
    length = (kinetic - threshold) / LOSS_MEV_PER_M
    s = np.linspace(0, length, 60)
    gamma = 1 + (kinetic - LOSS_MEV_PER_M * s) / MUON_MEV
    beta = np.sqrt(1 - gamma**-2.0)
    light = np.sin(cherenkov_angle(beta)) ** 2 / np.sin(cherenkov_angle(1.0)) ** 2
    n = rng.poisson(PHOTONS_PER_MEV * visible_mev)
    at = rng.choice(len(s), n, p=light / light.sum())
    momentum = MUON_MEV * gamma * beta
    blur = 13.6 / (beta * momentum) * np.sqrt(np.maximum(s, 1e-4) / RADIATION_LENGTH_M)
    track = _tilted(direction, np.abs(rng.normal(0, 1, n)) * blur[at], rng)
    start = vertex + s[at, None] * direction
    return start, _on_cone(track, cherenkov_angle(beta[at]), rng), s[at] / (LIGHT_M_PER_NS * 0.95)


def shower_photons(vertex, direction, energy_mev: float, rng):
    """An electromagnetic shower: many short tracks along the axis, 60 % within 0.12 rad of it, 40 % within 0.45."""
    n = rng.poisson(PHOTONS_PER_MEV * energy_mev)
    shape = max(1 + 0.5 * (np.log(max(energy_mev, 1.0) / CRITICAL_MEV) - 0.5), 1.1)
    s = rng.gamma(shape, 2.0, n) * RADIATION_LENGTH_M * 0.6
    width = np.where(rng.uniform(size=n) < 0.6, 0.12, 0.45)
    track = _tilted(direction, np.abs(rng.normal(0, 1, n)) * width, rng)
    return vertex + s[:, None] * direction, _on_cone(track, cherenkov_angle(np.ones(n)), rng), s / LIGHT_M_PER_NS


def pion_gammas(total_mev: float, direction, rng) -> list[tuple[float, np.ndarray]]:
    """The two photons of a neutral pion: isotropic in its rest frame, boosted along `direction`."""
    gamma = total_mev / PION_MEV
    beta = np.sqrt(1 - gamma**-2)
    cosine, turn = rng.uniform(-1, 1), rng.uniform(0, 2 * np.pi)
    found = []
    for sign in (1, -1):
        energy = 0.5 * total_mev * (1 + sign * beta * cosine)
        along = (sign * cosine + beta) / (1 + sign * beta * cosine)
        angle = np.arccos(np.clip(along, -1, 1))
        found.append((energy, _turned(direction, np.array([angle]), np.array([turn + (sign < 0) * np.pi]))[0]))
    return found


def event_image(start, towards, time_ns, rng) -> np.ndarray:
    """Charge and time of each module (2, rows, columns): photons that reach the barrel, dark noise, resolutions."""
    a = np.maximum((towards[:, :2] ** 2).sum(1), 1e-9)
    b = (start[:, :2] * towards[:, :2]).sum(1)
    c = (start[:, :2] ** 2).sum(1) - RADIUS_M**2
    path = (-b + np.sqrt(np.maximum(b**2 - a * c, 0))) / a
    hit = start + path[:, None] * towards
    row = np.floor((hit[:, 2] / HEIGHT_M + 0.5) * N_ROWS).astype(int)
    column = np.floor((np.arctan2(hit[:, 1], hit[:, 0]) / (2 * np.pi) + 0.5) * N_COLUMNS).astype(int) % N_COLUMNS
    seen = (row >= 0) & (row < N_ROWS) & (c < 0) & (rng.uniform(size=len(path)) < np.exp(-path / ATTENUATION_M))
    cell = row[seen] * N_COLUMNS + column[seen]
    n_cells = N_ROWS * N_COLUMNS
    dark = rng.poisson(DARK_PER_MODULE, n_cells)
    count = np.bincount(cell, minlength=n_cells)
    arrival = time_ns[seen] + path[seen] * REFRACTIVE_INDEX / LIGHT_M_PER_NS
    total = np.bincount(cell, weights=arrival, minlength=n_cells) + dark * rng.uniform(0, 200, n_cells)
    n_photons = count + dark
    time = total / np.maximum(n_photons, 1) + rng.normal(0, TIME_SPREAD_NS, n_cells) / np.sqrt(np.maximum(n_photons, 1))
    charge = np.maximum(n_photons + rng.normal(0, CHARGE_SPREAD, n_cells) * np.sqrt(n_photons), 0)
    return module_image(charge, time).reshape(2, N_ROWS, N_COLUMNS)


def module_image(charge: np.ndarray, time_ns: np.ndarray) -> np.ndarray:
    """ln(1 + charge) and time after the median in units of 10 ns, 0 where there is no charge: float32 (2, ...)."""
    lit = charge > 0
    middle = np.median(time_ns[lit]) if lit.any() else 0.0
    return np.stack([np.log1p(charge), np.where(lit, np.clip((time_ns - middle) / 10, -3, 3), 0)]).astype(np.float32)


def _unit(polar, azimuth) -> np.ndarray:
    return np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], -1)


def _tilted(direction, angle, rng) -> np.ndarray:
    """`direction` (3,) turned by each angle (n,) in a random plane: (n, 3)."""
    return _turned(direction, angle, rng.uniform(0, 2 * np.pi, len(angle)))


def _on_cone(track, angle, rng) -> np.ndarray:
    """Directions at each angle (n,) from each track (n, 3)."""
    return _turned(track, angle, rng.uniform(0, 2 * np.pi, len(angle)))


def _turned(axis, angle, turn) -> np.ndarray:
    """Unit vectors at `angle` from `axis` (3,) or (n, 3), `turn` around it."""
    axis = np.broadcast_to(axis, (len(angle), 3))
    helper = np.where(np.abs(axis[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    one = np.cross(axis, helper)
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    two = np.cross(axis, one)
    around = np.cos(turn)[:, None] * one + np.sin(turn)[:, None] * two
    return np.cos(angle)[:, None] * axis + np.sin(angle)[:, None] * around
