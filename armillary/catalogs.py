"""Catalogues of whole fields: every source an image holds, and the haloes behind them.

The physical prior (`prepare_prior`, `sample_field`) combines haloes, their galaxies, field galaxies and
stars. Each kind draws from its own seed stream, so more stars leave the clusters as they were.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from armillary import fields, galaxies, haloes, members
from armillary.cosmology import pixels_per_mpc, richness_radius_mpc
from armillary.haloes import groups_only
from armillary.sky import pixel_of_sky, sky_of_pixel, tan_wcs

CATALOG_UNITS = {
    "RA": "deg", "DEC": "deg", "X": "pix", "Y": "pix", "HLR": "arcsec", "GI_COLOR": "mag", "IZ_COLOR": "mag",
    "MASS": "Msun",
}  # fmt: skip
TRUTH_UNITS = {"ra": "deg", "dec": "deg", "x": "pix", "y": "pix", "mass_msun": "Msun", "radius_px": "pix"}
MEMBER_UNITS = {"ra": "deg", "dec": "deg", "x": "pix", "y": "pix", "mag_i": "mag"}
CATALOG_COLUMNS = [
    "RA", "DEC", "X", "Y", "MEM", "FLUX_G", "FLUX_R", "FLUX_I", "FLUX_Z", "HLR", "FRACDEV", "G1", "G2", "Z",
    "SOURCE_TYPE", "GI_COLOR", "IZ_COLOR", "CLUSTER_ID", "MASS", "RICHNESS", "CLUSTER_Z",
]  # fmt: skip
TRUTH_COLUMNS = [
    "field", "cluster_id", "ra", "dec", "x", "y", "redshift", "mass_msun", "richness", "n_members",
    "n_members_inside", "radius_px", "weight",
]  # fmt: skip
DEFAULTS = {
    "cluster_rate": "boosted", "n_clusters_per_field": 1.0, "n_clusters_per_deg2": 4.5, "group_boost": 1.0,
    "richness_slope": 1.5, "sigma_intrinsic": 0.2, "redshift_min": 0.1, "redshift_max": 0.75,
    "margin_mpc": 1.5, "i_magnitude_limit": 24.5, "galaxy_density_per_arcmin2": 45.0,
    "star_density_per_arcmin2": 0.8, "source_density_per_arcmin2": 35.0,
}  # fmt: skip
_HALO_KEYS = [
    "cluster_rate", "n_clusters_per_field", "n_clusters_per_deg2", "group_boost", "richness_slope",
    "sigma_intrinsic", "redshift_min", "redshift_max",
]  # fmt: skip
_FIELD_KEYS = ["i_magnitude_limit", "galaxy_density_per_arcmin2", "star_density_per_arcmin2"]

# Seed streams: one number for each kind of object, never reused for another.
HALO_STREAM, MEMBER_STREAM, FIELD_STREAM, STAR_STREAM = 1, 2, 3, 4
MAX_HALOES_PER_FIELD = 10_000
MAX_REDRAWS = 1000
FIELD_RED_SCATTER = 1.4
RED_SHEAR_SIGMA, BLUE_SHEAR_SIGMA, CENTRAL_SHEAR_SIGMA = 0.15, 0.20, 0.10


class Prior(NamedTuple):
    """The physical prior, prepared for images of one survey and size."""

    red_sequence: galaxies.RedSequence
    rates: haloes.HaloRates
    field_model: fields.FieldModel
    image_size: int
    pixel_arcsec: float
    margin_mpc: float
    i_magnitude_limit: float


def prepare_prior(
    red_sequence: pd.DataFrame, *, survey: str, image_size: int, pixel_arcsec: float, settings: dict
) -> Prior:
    """Tabulate what fields share. `settings` overrides `DEFAULTS`; other keys of it are ignored."""
    settings = DEFAULTS | settings
    sequence = galaxies.prepare_red_sequence(red_sequence, survey)
    image_deg2 = (image_size * pixel_arcsec / haloes.ARCSEC_PER_DEG) ** 2
    rates = haloes.halo_rates(image_deg2=image_deg2, **{key: settings[key] for key in _HALO_KEYS})
    field_model = fields.prepare_field(
        sequence,
        rates,
        image_size=image_size,
        pixel_arcsec=pixel_arcsec,
        **{key: settings[key] for key in _FIELD_KEYS},
    )
    return Prior(
        sequence,
        rates,
        field_model,
        image_size,
        pixel_arcsec,
        settings["margin_mpc"],
        settings["i_magnitude_limit"],
    )


def field_centre(field: int) -> tuple[float, float]:
    """(ra, dec) in degrees of a field's image centre: a grid of 2 by 1 deg, the first 10 800 disjoint."""
    return 2.0 * (field // 60 % 180) + 0.5, -60.0 + field % 60 + 0.5


def stream_generator(seed: int, stream: int, field: int) -> np.random.Generator:
    """The generator of one kind of object in one field."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, field)))


def sample_field(
    prior: Prior,
    *,
    field: int,
    seed: int,
    ra_deg: float | None = None,
    dec_deg: float | None = None,
    haloes: pd.DataFrame | None = None,
    min_separation_mpc: float = 0.0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One field: its catalogue of sources and its table of haloes.

    `haloes` (columns ra dec redshift richness, optionally mass_msun and cluster_id) replaces the sampled
    clusters; groups are still drawn, at their natural rate. Haloes may be centred up to `prior.margin_mpc` (physical,
    at their own redshift) outside the image, so their members leak in. Centres of drawn clusters (richness >= 20) are
    at least `min_separation_mpc` apart, at the lower redshift of the two.
    """
    centre = field_centre(field) if ra_deg is None or dec_deg is None else (ra_deg, dec_deg)
    wcs = tan_wcs(*centre, prior.image_size, prior.pixel_arcsec)
    rng = stream_generator(seed, HALO_STREAM, field)
    drawn = _drawn_haloes(rng, prior, prior.rates if haloes is None else groups_only(prior.rates))
    if min_separation_mpc > 0.0:
        _separate_clusters(rng, prior, drawn, min_separation_mpc)
    if haloes is not None:
        drawn = _joined([_given_haloes(haloes, prior, wcs), drawn])
    drawn["cluster_id"] = _cluster_ids(drawn.get("cluster_id"), len(drawn["x"]), field)
    sources = _joined(
        [
            _halo_sources(stream_generator(seed, MEMBER_STREAM, field), prior, drawn),
            _field_sources(stream_generator(seed, FIELD_STREAM, field), prior),
            _star_sources(stream_generator(seed, STAR_STREAM, field), prior),
        ]
    )
    return assemble(sources, drawn, field=field, wcs=wcs, image_size=prior.image_size, pixel_arcsec=prior.pixel_arcsec)


def assemble(
    sources: dict[str, np.ndarray],
    drawn: dict[str, np.ndarray],
    *,
    field: int,
    wcs,
    image_size: int,
    pixel_arcsec: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The two tables of a field from columns of sources and haloes; sources outside the image are dropped.

    `sources`: x y flux (n, 4) hlr fracdev shear (n, 2) redshift is_galaxy is_member halo (-1: none);
    `drawn`: cluster_id x y redshift richness mass_msun weight.
    """
    inside = (sources["x"] >= 0) & (sources["x"] < image_size) & (sources["y"] >= 0) & (sources["y"] < image_size)
    if not inside.any():
        raise ValueError(
            f"field {field} holds no source inside its {image_size} px image; raise "
            "`sample_catalog: galaxy_density_per_arcmin2` or `i_magnitude_limit`"
        )
    truth = _truth(sources, drawn, inside, field, wcs, pixel_arcsec)
    return _catalog({name: column[inside] for name, column in sources.items()}, drawn, wcs), truth


def _catalog(sources: dict[str, np.ndarray], drawn: dict[str, np.ndarray], wcs) -> pd.DataFrame:
    ra, dec = sky_of_pixel(sources["x"], sources["y"], wcs)
    halo, flux = sources["halo"], sources["flux"]
    in_cluster = np.append(drawn["richness"] >= haloes.RICHNESS_CLUSTER, False)[halo]
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = galaxies.ZERO_POINT - 2.5 * np.log10(flux)
        colour_gi, colour_iz = magnitude[:, 0] - magnitude[:, 2], magnitude[:, 2] - magnitude[:, 3]
    columns = {
        "RA": ra, "DEC": dec, "X": sources["x"], "Y": sources["y"],
        "MEM": np.where(sources["is_member"] & in_cluster, 1.0, 0.0),
        "FLUX_G": flux[:, 0], "FLUX_R": flux[:, 1], "FLUX_I": flux[:, 2], "FLUX_Z": flux[:, 3],
        "HLR": sources["hlr"], "FRACDEV": sources["fracdev"],
        "G1": sources["shear"][:, 0], "G2": sources["shear"][:, 1], "Z": sources["redshift"],
        "SOURCE_TYPE": sources["is_galaxy"].astype(np.int64),
        "GI_COLOR": np.nan_to_num(colour_gi, posinf=0.0, neginf=0.0),
        "IZ_COLOR": np.nan_to_num(colour_iz, posinf=0.0, neginf=0.0),
        "CLUSTER_ID": np.append(drawn["cluster_id"], 0)[halo],
        "MASS": np.append(drawn["mass_msun"], 0.0)[halo],
        "RICHNESS": np.append(drawn["richness"], 0.0)[halo],
        "CLUSTER_Z": np.append(drawn["redshift"], 0.0)[halo],
    }  # fmt: skip
    return pd.DataFrame(columns)


def member_table(catalog: pd.DataFrame) -> pd.DataFrame:
    """True members of clusters inside an image, one row each: cluster_id ra dec x y redshift p_mem mag_i.

    Members are red galaxies above 0.2 L* within R_lambda of a halo of richness >= 20 (`MEM` of `catalog`); p_mem is 1.
    `redshift` is the cluster's.
    """
    members = catalog[catalog["MEM"] == 1.0]
    columns = {
        "cluster_id": members["CLUSTER_ID"],
        "ra": members["RA"],
        "dec": members["DEC"],
        "x": members["X"],
        "y": members["Y"],
        "redshift": members["CLUSTER_Z"],
        "p_mem": 1.0,
        "mag_i": galaxies.ZERO_POINT - 2.5 * np.log10(members["FLUX_I"]),
    }
    return pd.DataFrame(columns).reset_index(drop=True)


def _truth(sources, drawn, inside, field: int, wcs, pixel_arcsec: float) -> pd.DataFrame:
    n_haloes = len(drawn["x"])
    ra, dec = sky_of_pixel(drawn["x"], drawn["y"], wcs) if n_haloes else (np.empty(0), np.empty(0))
    member = sources["is_member"]
    columns = {
        "field": np.full(n_haloes, field), "ra": ra, "dec": dec,
        "n_members": np.bincount(sources["halo"][member], minlength=n_haloes),
        "n_members_inside": np.bincount(sources["halo"][member & inside], minlength=n_haloes),
        "radius_px": richness_radius_mpc(drawn["richness"]) * pixels_per_mpc(drawn["redshift"], pixel_arcsec),
    }  # fmt: skip
    return pd.DataFrame(drawn | columns)[TRUTH_COLUMNS]


def _drawn_haloes(rng, prior: Prior, rates: haloes.HaloRates) -> dict[str, np.ndarray]:
    """Haloes of the image and its margin: a Poisson draw for the widest margin, thinned to each halo's own."""
    widest_px = prior.margin_mpc * pixels_per_mpc(rates.redshift_edges[0], prior.pixel_arcsec)
    side_px = prior.image_size + 2 * widest_px
    drawn = haloes.sample_haloes(rng, rates, (side_px * prior.pixel_arcsec / haloes.ARCSEC_PER_DEG) ** 2)
    x, y = rng.uniform(-widest_px, prior.image_size + widest_px, (2, len(drawn["redshift"])))
    kept = within_margin(x, y, drawn["redshift"], prior.image_size, prior.pixel_arcsec, prior.margin_mpc)
    return {name: column[kept] for name, column in (drawn | {"x": x, "y": y}).items()}


def within_margin(x, y, redshift, image_size: int, pixel_arcsec: float, margin_mpc: float) -> np.ndarray:
    """Flag (n,) of positions in the image or less than `margin_mpc` (physical, at each redshift) beyond its sides."""
    beyond_px = np.maximum(np.abs(x - image_size / 2), np.abs(y - image_size / 2)) - image_size / 2
    return beyond_px <= margin_mpc * pixels_per_mpc(redshift, pixel_arcsec)


def _separate_clusters(rng, prior: Prior, drawn: dict[str, np.ndarray], min_separation_mpc: float) -> None:
    """Redraw x and y of clusters, in place, until no two are closer than the separation at the lower redshift."""
    rows = np.flatnonzero(drawn["richness"] >= haloes.RICHNESS_CLUSTER)
    for number, row in enumerate(rows):
        before, redshift = rows[:number], drawn["redshift"][row]
        lower = np.minimum(drawn["redshift"][before], redshift)
        least_px = min_separation_mpc * pixels_per_mpc(lower, prior.pixel_arcsec)
        margin_px = prior.margin_mpc * pixels_per_mpc(redshift, prior.pixel_arcsec)
        for _ in range(MAX_REDRAWS):
            apart_px = np.hypot(drawn["x"][before] - drawn["x"][row], drawn["y"][before] - drawn["y"][row])
            if np.all(apart_px >= least_px):
                break
            drawn["x"][row], drawn["y"][row] = rng.uniform(-margin_px, prior.image_size + margin_px, 2)
        else:
            raise ValueError(
                f"{len(rows)} clusters on {prior.image_size} px cannot be {min_separation_mpc} Mpc apart; lower "
                "`sample_catalog: n_clusters_per_deg2`"
            )


def _given_haloes(given: pd.DataFrame, prior: Prior, wcs) -> dict[str, np.ndarray]:
    """Haloes at given sky positions, as columns; dropped are those beyond the margin and those without a redshift or
    richness (0, -1, NaN).
    """
    missing = [name for name in ("ra", "dec", "redshift", "richness") if name not in given]
    if missing:
        raise ValueError(f"the table of given haloes lacks the columns {', '.join(missing)}")
    given = given[_is_near(given, wcs) & (given["redshift"] > 0.0) & (given["richness"] > 0.0)]
    x, y = pixel_of_sky(given["ra"], given["dec"], wcs) if len(given) else (np.empty(0), np.empty(0))
    redshift = given["redshift"].to_numpy(float)
    kept = within_margin(x, y, redshift, prior.image_size, prior.pixel_arcsec, prior.margin_mpc)
    redshift, richness = redshift[kept], given["richness"].to_numpy(float)[kept]
    mass = (
        given["mass_msun"].to_numpy(float)[kept] if "mass_msun" in given else haloes.mean_mass_msun(richness, redshift)
    )
    columns = {"redshift": redshift, "richness": richness, "mass_msun": mass, "weight": np.ones(len(mass))}
    if "cluster_id" in given:
        columns["cluster_id"] = given["cluster_id"].to_numpy(np.int64)[kept]
    return columns | {"x": x[kept], "y": y[kept]}


def _is_near(given: pd.DataFrame, wcs) -> np.ndarray:
    """Within 60 deg of the image centre, where a tangent plane is defined."""
    ra, dec = np.radians(given["ra"].to_numpy(float)), np.radians(given["dec"].to_numpy(float))
    ra_centre, dec_centre = np.radians(wcs.wcs.crval)
    return np.sin(dec) * np.sin(dec_centre) + np.cos(dec) * np.cos(dec_centre) * np.cos(ra - ra_centre) > 0.5


def _cluster_ids(given: np.ndarray | None, n_haloes: int, field: int) -> np.ndarray:
    """Given ids first, then ids that no other field of the run has."""
    given = np.empty(0, np.int64) if given is None else given
    fresh = field * MAX_HALOES_PER_FIELD + 1 + np.arange(n_haloes)
    fresh = fresh[~np.isin(fresh, given)][: n_haloes - len(given)]
    return np.concatenate([given, fresh])


def _halo_sources(rng, prior: Prior, drawn) -> dict[str, np.ndarray]:
    found = members.sample_members(rng, drawn, prior.red_sequence, prior.i_magnitude_limit, prior.pixel_arcsec)
    return _galaxy_sources(rng, prior, found, scatter=1.0)


def _field_sources(rng, prior: Prior) -> dict[str, np.ndarray]:
    found = fields.sample_field_galaxies(rng, prior.field_model)
    n_galaxies = len(found["x"])
    found["offset"] = found["magnitude_i"] - galaxies.mstar_i(prior.red_sequence, found["redshift"])
    nothing = {"is_central": np.zeros(n_galaxies, bool), "is_member": np.zeros(n_galaxies, bool)}
    return _galaxy_sources(rng, prior, found | nothing | {"halo": np.full(n_galaxies, -1)}, scatter=FIELD_RED_SCATTER)


def _galaxy_sources(rng, prior: Prior, found: dict[str, np.ndarray], scatter: float) -> dict[str, np.ndarray]:
    """Light and shape of galaxies of known place, redshift, magnitude and type."""
    redshift, is_red, is_central = found["redshift"], found["is_red"], found["is_central"]
    colours = galaxies.sample_colours(rng, prior.red_sequence, redshift, is_red, scatter)
    sigma = np.where(is_central, CENTRAL_SHEAR_SIGMA, np.where(is_red, RED_SHEAR_SIGMA, BLUE_SHEAR_SIGMA))
    return {
        "x": found["x"],
        "y": found["y"],
        "flux": galaxies.fluxes_of(found["magnitude_i"], colours),
        "hlr": galaxies.sample_sizes_arcsec(rng, redshift, found["offset"], is_red, is_central),
        "fracdev": galaxies.sample_bulge_fractions(rng, is_red, is_central),
        "shear": galaxies.sample_shears(rng, sigma),
        "redshift": redshift,
        "is_galaxy": np.ones(len(redshift), bool),
        "is_member": found["is_member"],
        "halo": found["halo"],
    }


def _star_sources(rng, prior: Prior) -> dict[str, np.ndarray]:
    found = fields.sample_stars(rng, prior.field_model)
    n_stars = len(found["x"])
    colours = galaxies.sample_star_colours(rng, n_stars)
    return {
        "x": found["x"],
        "y": found["y"],
        "flux": galaxies.fluxes_of(found["magnitude_i"], colours),
        "hlr": np.zeros(n_stars),
        "fracdev": np.zeros(n_stars),
        "shear": np.zeros((n_stars, 2)),
        "redshift": np.full(n_stars, -1.0),
        "is_galaxy": np.zeros(n_stars, bool),
        "is_member": np.zeros(n_stars, bool),
        "halo": np.full(n_stars, -1),
    }


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Columns of several parts one after another; the first part names the columns."""
    return {name: np.concatenate([part[name] for part in parts if name in part]) for name in parts[0]}
