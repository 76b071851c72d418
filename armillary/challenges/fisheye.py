"""Frames of a whole-sky camera at night: stars, glow, Moon, twilight, and clouds that hide or shine.

A frame is SIDE_PX square; the zenith is its middle and the horizon a circle (equidistant projection). It is divided
into 33 cells, a disc at the zenith and four rings of eight (Mommert 2020).
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

SIDE_PX = 120
N_RINGS, N_SECTORS = 4, 8
N_CELLS = 1 + N_RINGS * N_SECTORS
SATURATED = 65535
EXTINCTION_MAG = 0.25  # an airmass
CLOUDY_DEPTH, CLOUDY_SHARE = 0.3, 0.3  # a cell is cloudy if that share of it is deeper


def directions() -> tuple[np.ndarray, np.ndarray]:
    """Zenith angle and azimuth in radians of each pixel; beyond the horizon the angle is above pi / 2."""
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] - 0.5 * (SIDE_PX - 1)
    return np.hypot(x, y) / (0.5 * SIDE_PX) * np.pi / 2, np.arctan2(y, x)


ZENITH, AZIMUTH = directions()
INSIDE = np.pi / 2 > ZENITH
UNIT = np.stack([np.sin(ZENITH) * np.cos(AZIMUTH), np.sin(ZENITH) * np.sin(AZIMUTH), np.cos(ZENITH)])


def cell_map() -> np.ndarray:
    """Number of the cell of each pixel, -1 beyond the horizon: the disc, then ring by ring, sectors from -pi on."""
    ring = np.minimum((ZENITH / (np.pi / 2) * (N_RINGS + 1)).astype(int), N_RINGS)
    sector = np.minimum(((AZIMUTH + np.pi) / (2 * np.pi) * N_SECTORS).astype(int), N_SECTORS - 1)
    return np.where(INSIDE, np.where(ring == 0, 0, 1 + (ring - 1) * N_SECTORS + sector), -1)


CELLS = cell_map()
AIRMASS = 1 / np.maximum(np.cos(ZENITH), 0.1)


class Night(NamedTuple):
    """What stays the same for a night; a brightness of 1 is the dark sky at the zenith."""

    pole: np.ndarray  # of the Milky Way at hour 0, unit vector
    stars: np.ndarray  # (n, 3) unit vectors at hour 0
    star_light: np.ndarray  # (n,)
    moon_phase: float  # 0 new, 1 full
    moon_path: tuple[float, float, float]  # azimuth, culmination, hour of culmination
    city_azimuth: float
    city: float
    tilt: float  # how much more of it clouds at the horizon reflect than at the zenith
    clouds: np.ndarray  # Gaussian random field, periodic
    cover: float  # share of the sky, 0 to 1
    depth: float
    drift: np.ndarray  # of the clouds, field pixels an hour
    blur_px: float
    gain: float
    dark: float  # counts
    skyline: np.ndarray  # zenith angle at which objects begin, for each of 24 directions


def sample_night(rng: np.random.Generator) -> Night:
    """A night of any weather at any site.

    # ASSUME: numbers of stars go as 10^(0.49 V), 8874 to V = 6.5 (Hipparcos), two fifths of them in a band.
    """
    pole = _unit(rng.normal(size=3))
    n = 26000
    stars = _unit(rng.normal(size=(n, 3)))
    band = slice(0, int(0.4 * n))
    stars[band] -= 0.8 * (stars[band] @ pole)[:, None] * pole
    magnitude = 7.45 + np.log10(1 - rng.uniform(size=n)) / 0.49
    kind = rng.choice(4, p=(0.35, 0.3, 0.15, 0.2))  # clear, broken, thin, overcast
    cover = (0.0, rng.uniform(0.1, 0.8), rng.uniform(0.3, 1.0), 1.0)[kind]
    depth = (0.0, rng.uniform(0.8, 4), rng.uniform(0.4, 1.2), rng.uniform(1.5, 5))[kind]
    return Night(
        pole, _unit(stars), np.exp(rng.normal(0, 0.4)) * 10 ** (-0.4 * (magnitude - 6)),
        rng.uniform() ** 0.7 * (rng.uniform() < 0.6),
        (rng.uniform(-np.pi, np.pi), rng.uniform(0.4, 1.3), rng.uniform(-6, 6)), rng.uniform(-np.pi, np.pi),
        np.exp(rng.normal(-1, 1)), rng.uniform(-1.2, 0.8), random_field(256, rng.uniform(8 / 3, 11 / 3), rng), cover,
        depth, rng.normal(0, 8, 2), rng.choice([0.0, 0.0, 0.0, rng.uniform(0.5, 1.2)]), np.exp(rng.normal(6.3, 0.4)),
        rng.uniform(2200, 2600), np.pi / 2 - np.abs(rng.normal(0, 0.08, 24)),
    )  # fmt: skip


def random_field(side: int, slope: float, rng, lowest: int = 2) -> np.ndarray:
    """A periodic Gaussian random field of unit variance whose power goes as wavenumber^-slope, and is flat below
    `lowest` waves a side."""
    k = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    k[0, 0] = np.inf
    modes = np.fft.rfft2(rng.normal(size=(side, side))) * np.maximum(k, lowest / side) ** (-slope / 2)
    field = np.fft.irfft2(modes, s=(side, side))
    return field / field.std()


def cloud_depth(night: Night, hour: float) -> np.ndarray:
    """Optical depth of the clouds in each pixel: a layer above the camera, so that it crowds at the horizon."""
    if night.cover == 0:
        return np.zeros((SIDE_PX, SIDE_PX))
    slant = 14 * np.tan(np.minimum(ZENITH, 1.4))
    places = np.stack([slant * np.sin(AZIMUTH), slant * np.cos(AZIMUTH)]) + (night.drift * hour + 128)[:, None, None]
    field = map_coordinates(night.clouds, places % 256, order=1, mode="grid-wrap")
    threshold = np.quantile(night.clouds, 1 - night.cover) if night.cover < 1 else -4.0
    return night.depth * np.clip(field - threshold, 0, None) ** 0.7 * np.where(night.cover < 1, 1.3, 0.6)


def moon_direction(night: Night, hour: float) -> np.ndarray:
    """Unit vector to the Moon, below the horizon for half of its day."""
    azimuth, culmination, noon = night.moon_path
    angle = (hour - noon) * np.pi / 12
    top = np.array([np.cos(azimuth) * np.cos(culmination), np.sin(azimuth) * np.cos(culmination), np.sin(culmination)])
    side = np.array([-np.sin(azimuth), np.cos(azimuth), 0])
    return np.cos(angle) * top + np.sin(angle) * side


def render_frame(night: Night, hour: float, rng) -> dict[str, np.ndarray]:
    """image uint16 (SIDE_PX, SIDE_PX), cloudy (N_CELLS,), moon_alt_deg, sun_alt_deg; `hour` is from midnight.

    # ASSUME: the Sun is 12 degrees an hour from its lowest point, 60 below the horizon; van Rhijn's layer at 90 km; the
    # Moon scatters as in Krisciunas & Schaefer (1991); exposures of 60 s, or 3 s where that would saturate.
    """
    sun_alt = -60 + 9.0 * abs(hour)
    moon = moon_direction(night, hour)
    depth = cloud_depth(night, hour)
    through = np.exp(-depth)
    glow = 1 / np.sqrt(1 - (0.986 * np.sin(np.minimum(ZENITH, 1.5))) ** 2)
    turn = _turned(night, hour)
    glow = glow + 0.8 * np.exp(-0.5 * (np.tensordot(turn @ night.pole, UNIT, 1) / 0.2) ** 2)
    city = night.city * (0.3 + np.exp(2.5 * (np.cos(AZIMUTH - night.city_azimuth) - 1) - 3 * np.cos(ZENITH)))
    moonlight = _moonlight(night, moon)
    dusk = 10 ** ((sun_alt + 15) / 2.2) if sun_alt > -18 else 0.0
    twilight = dusk * np.exp(1.5 * np.cos(AZIMUTH - night.city_azimuth - 2) * np.sin(np.minimum(ZENITH, np.pi / 2)))
    air = 10 ** (-0.4 * EXTINCTION_MAG * (AIRMASS - 1))
    low = np.sin(np.minimum(ZENITH, 1.5)) ** 2
    diffuse = moonlight[INSIDE].clip(0, 400).mean() + twilight[INSIDE].mean()  # clouds spread the light they get
    lit = 0.1 + 2.5 * night.city * (1 + night.tilt * (low - 0.5)) + moonlight + 0.6 * twilight + 0.7 * diffuse
    bright = 0.6 + 0.7 * depth / (depth + 2)  # thick parts of a cloud shine more
    sky = (glow * air + city + moonlight + twilight) * through + lit * bright * (1 - through)
    sky = sky + _points(night, turn) * air * through
    counts = night.gain * sky
    exposure = 1.0 if np.median(counts[INSIDE]) < 40000 else 0.05
    seen = INSIDE & (np.interp(AZIMUTH, np.linspace(-np.pi, np.pi, 24), night.skyline) > ZENITH)
    counts = np.where(seen, counts * exposure, 0.15 * np.median(counts[INSIDE]) * exposure * INSIDE)
    counts = gaussian_filter(counts, np.hypot(0.45, night.blur_px))
    counts = night.dark + rng.poisson(np.clip(counts, 0, 1e6) * 4) / 4 + rng.normal(0, 8, counts.shape)
    hot = rng.integers(0, SIDE_PX, (2, 25))
    counts[hot[0], hot[1]] += rng.exponential(600, 25)
    cloudy = np.array([np.mean(depth[k == CELLS] > CLOUDY_DEPTH) > CLOUDY_SHARE for k in range(N_CELLS)])
    return {
        "image": np.clip(counts, 0, SATURATED).astype(np.uint16), "cell": cloudy.astype(np.int8),
        "moon_alt_deg": np.degrees(np.arcsin(moon[2])) if night.moon_phase > 0.1 else -90.0, "sun_alt_deg": sun_alt,
    }  # fmt: skip


def _moonlight(night: Night, moon: np.ndarray) -> np.ndarray:
    if moon[2] < 0 or night.moon_phase < 0.05:
        return np.zeros((SIDE_PX, SIDE_PX))
    angle = np.degrees(np.arccos(np.clip(np.tensordot(moon, UNIT, 1), -1, 1)))
    scatter = (
        10 ** (5.36 - 6.15) * (1.06 + np.cos(np.radians(angle)) ** 2) + 10 ** (-angle / 40) + 3000 / (angle + 8) ** 2
    )
    return 45 * night.moon_phase**2 * scatter * (0.3 + 0.7 * moon[2]) + 15000 * night.moon_phase * np.exp(
        -((angle / 2) ** 2)
    )


def _points(night: Night, turn: np.ndarray) -> np.ndarray:
    """Stars as light in the pixel that they fall into."""
    places = night.stars @ turn.T
    up = places[:, 2] > 0
    x, y, z = places[up].T
    radius = np.arccos(z) / (np.pi / 2) * 0.5 * SIDE_PX / np.maximum(np.hypot(x, y), 1e-9)
    column, row = (np.clip(np.rint(p * radius + 0.5 * (SIDE_PX - 1)), 0, SIDE_PX - 1).astype(int) for p in (x, y))
    image = np.zeros((SIDE_PX, SIDE_PX))
    np.add.at(image, (row, column), 0.07 * night.star_light[up])
    return image


def _turned(night: Night, hour: float) -> np.ndarray:
    """Rotation of the sky since midnight, about a pole 34.4 degrees high in the direction of -y."""
    axis = np.array([0, -np.cos(np.radians(34.4)), np.sin(np.radians(34.4))])
    angle = hour * np.pi / 12
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
