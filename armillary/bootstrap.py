"""The prior from real catalogues: observed redMaPPer clusters placed among observed sources.

Clusters and sources are partitioned by their identity, so no split shares one with another. Members enter
with their membership probability, at their projected distance and the cluster's redshift; observed
sizes lose the seeing before the renderer adds its own.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from armillary import galaxies
from armillary.catalogs import (
    BLUE_SHEAR_SIGMA,
    CENTRAL_SHEAR_SIGMA,
    DEFAULTS,
    FIELD_STREAM,
    HALO_STREAM,
    MAX_HALOES_PER_FIELD,
    MEMBER_STREAM,
    RED_SHEAR_SIGMA,
    assemble,
    field_centre,
    stream_generator,
)
from armillary.cosmology import HUBBLE_H, pixels_per_mpc, richness_radius_mpc
from armillary.files import read_table
from armillary.haloes import ARCSEC_PER_DEG, RICHNESS_MIN, mean_mass_msun
from armillary.sky import tan_wcs

SPLIT_SHARES = {"train": (0.0, 0.7), "validation": (0.7, 0.85), "test": (0.85, 1.0)}
UNMEASURED_MAG = 90.0
HALF_LIGHT_PER_FWHM = 0.5  # of a Gaussian


class RealPrior(NamedTuple):
    """Clusters (index: position), their members (column `cluster`: position) and sources of one split."""

    clusters: pd.DataFrame
    members: pd.DataFrame
    sources: pd.DataFrame
    red_sequence: galaxies.RedSequence
    image_size: int
    pixel_arcsec: float
    settings: dict


def prepare_real_prior(
    red_sequence: pd.DataFrame,
    *,
    survey: str,
    split: str,
    image_size: int,
    pixel_arcsec: float,
    members_file: str,
    sources_file: str,
    clusters_file: str,
    source_psf_fwhm_arcsec: float,
    settings: dict,
) -> RealPrior:
    """Read and clean the catalogues and keep what belongs to `split`. `clusters_file` may be empty."""
    members = read_members(members_file)
    clusters = _clusters(members, clusters_file, members_file)
    clusters = clusters[_in_split(clusters["cluster_id"].to_numpy(), split)].reset_index(drop=True)
    if clusters.empty:
        raise ValueError(f"{members_file} has no usable cluster for the {split} split (config key `members_file`)")
    position = pd.Series(clusters.index, index=clusters["cluster_id"])
    members = members[members["cluster_id"].isin(position.index)].copy()
    members["cluster"] = position[members["cluster_id"]].to_numpy()
    sources = read_sources(sources_file, pixel_arcsec, source_psf_fwhm_arcsec)
    sources = sources[_in_split(np.arange(len(sources)), split)].reset_index(drop=True)
    if sources.empty:
        raise ValueError(f"{sources_file} has no usable source for the {split} split (config key `sources_file`)")
    sequence = galaxies.prepare_red_sequence(red_sequence, survey)
    return RealPrior(clusters, members, sources, sequence, image_size, pixel_arcsec, DEFAULTS | settings)


def read_members(path: str) -> pd.DataFrame:
    """Members with columns cluster_id radius_mpc probability redshift mag_g ... mag_z.

    Takes the public tables (ID, R, P, P_FREE, THETA_I, THETA_R, MAG_AUTO_G ... or MODEL_MAG_G ...) and the
    finder's own output (MEM_MATCH_ID, PFREE, PMEM, vector MAG of griz or ugriz). R is in h^-1 Mpc. The
    redshift is the cluster's (column Z), else the member's spectroscopic one, else NaN.
    """
    table = read_table(path)
    columns = {
        "cluster_id": _column(table, ("ID", "MEM_MATCH_ID"), path).astype(np.int64),
        "radius_mpc": _column(table, ("R",), path) / HUBBLE_H,
        "probability": np.clip(_membership(table, path), 0.0, 1.0),
        "redshift": _member_redshift(table),
    }
    members = pd.DataFrame(columns | _magnitudes(table, path))
    return members[members["mag_i"].between(0.0, UNMEASURED_MAG)].reset_index(drop=True)


def read_sources(path: str, pixel_arcsec: float, psf_fwhm_arcsec: float) -> pd.DataFrame:
    """Sources with columns flux_g ... flux_z (counts), hlr (arcsec, intrinsic) and is_galaxy.

    Gold-type columns MAG_AUTO_*, FLUX_RADIUS_R (pixels, seeing included) and CLASS_STAR_R (>= 0.5: star).
    # ASSUME: half-light radii add in quadrature, and the seeing's is half its FWHM.
    """
    table = read_table(path)
    magnitudes = pd.DataFrame(_magnitudes(table, path))
    observed = _column(table, ("FLUX_RADIUS_R",), path) * pixel_arcsec
    intrinsic = np.sqrt(np.maximum(observed**2 - (HALF_LIGHT_PER_FWHM * psf_fwhm_arcsec) ** 2, 0.05**2))
    is_galaxy = _column(table, ("CLASS_STAR_R",), path) < 0.5
    sources = pd.DataFrame({f"flux_{band}": _flux(magnitudes[f"mag_{band}"]) for band in galaxies.BANDS})
    sources["hlr"], sources["is_galaxy"] = np.where(is_galaxy, intrinsic, 0.0), is_galaxy
    return sources[(sources["flux_i"] > 0.0) & np.isfinite(observed)].reset_index(drop=True)


def sample_real_field(prior: RealPrior, *, field: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One field of observed clusters and sources; the same two tables as `catalogs.sample_field`."""
    wcs = tan_wcs(*field_centre(field), prior.image_size, prior.pixel_arcsec)
    drawn = _draw_clusters(stream_generator(seed, HALO_STREAM, field), prior, field)
    parts = [
        _member_sources(stream_generator(seed, MEMBER_STREAM, field), prior, drawn),
        _background_sources(stream_generator(seed, FIELD_STREAM, field), prior),
    ]
    sources = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    drawn.pop("position")
    return assemble(sources, drawn, field=field, wcs=wcs, image_size=prior.image_size, pixel_arcsec=prior.pixel_arcsec)


def _draw_clusters(rng: np.random.Generator, prior: RealPrior, field: int) -> dict[str, np.ndarray]:
    """Clusters drawn with equal chance a unit area, uniform over image and own margin; their own weight is 1."""
    redshift, richness = (prior.clusters[name].to_numpy() for name in ("redshift", "richness"))
    margin_px = prior.settings["margin_mpc"] * pixels_per_mpc(redshift, prior.pixel_arcsec)
    areas = (1.0 + 2.0 * margin_px / prior.image_size) ** 2  # of the image
    n_expected = prior.settings["n_clusters_per_field"] * areas.mean()
    position = rng.choice(len(areas), size=rng.poisson(n_expected), p=areas / areas.sum())
    redshift, richness, margin_px = redshift[position], richness[position], margin_px[position]
    x, y = rng.uniform(-margin_px, prior.image_size + margin_px, (2, len(position)))
    return {
        "position": position,
        "cluster_id": field * MAX_HALOES_PER_FIELD + 1 + np.arange(len(position)),
        "x": x,
        "y": y,
        "redshift": redshift,
        "richness": richness,
        "mass_msun": mean_mass_msun(richness, redshift),
        "weight": np.ones(len(position)),
    }


def _member_sources(rng: np.random.Generator, prior: RealPrior, drawn: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Members kept with their probability, at their distance from the centre in a random direction."""
    by_cluster = prior.members.groupby("cluster").indices
    rows = [by_cluster[position] for position in drawn["position"]]
    halo = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    found = prior.members.iloc[np.concatenate([np.empty(0, np.int64), *rows])]
    kept = rng.uniform(size=len(found)) < found["probability"].to_numpy()
    found, halo = found[kept], halo[kept]
    redshift, radius = drawn["redshift"][halo], found["radius_mpc"].to_numpy()
    angle = rng.uniform(0.0, 2.0 * np.pi, len(found))
    radius_px = radius * pixels_per_mpc(redshift, prior.pixel_arcsec)
    is_red, is_central = np.ones(len(found), bool), radius == 0.0
    offset = found["mag_i"].to_numpy() - galaxies.mstar_i(prior.red_sequence, redshift)
    return {
        "x": drawn["x"][halo] + radius_px * np.cos(angle),
        "y": drawn["y"][halo] + radius_px * np.sin(angle),
        "flux": np.stack([_flux(found[f"mag_{band}"]) for band in galaxies.BANDS], axis=-1),
        "hlr": galaxies.sample_sizes_arcsec(rng, redshift, offset, is_red, is_central),
        "fracdev": galaxies.sample_bulge_fractions(rng, is_red, is_central),
        "shear": galaxies.sample_shears(rng, np.where(is_central, CENTRAL_SHEAR_SIGMA, RED_SHEAR_SIGMA)),
        "redshift": redshift,
        "is_galaxy": is_red,
        "is_member": radius < richness_radius_mpc(drawn["richness"][halo]),
        "halo": halo,
    }


def _background_sources(rng: np.random.Generator, prior: RealPrior) -> dict[str, np.ndarray]:
    """Sources drawn with replacement, uniform over the image; a galaxy of unknown redshift has -1."""
    area_arcmin2 = (prior.image_size * prior.pixel_arcsec / ARCSEC_PER_DEG * 60.0) ** 2
    n_sources = rng.poisson(prior.settings["source_density_per_arcmin2"] * area_arcmin2)
    found = prior.sources.iloc[rng.integers(len(prior.sources), size=n_sources)]
    is_galaxy = found["is_galaxy"].to_numpy()
    x, y = rng.uniform(0.0, prior.image_size, (2, n_sources))
    shear = galaxies.sample_shears(rng, np.full(n_sources, BLUE_SHEAR_SIGMA))
    return {
        "x": x,
        "y": y,
        "flux": found[[f"flux_{band}" for band in galaxies.BANDS]].to_numpy(),
        "hlr": found["hlr"].to_numpy(),
        "fracdev": galaxies.sample_bulge_fractions(rng, np.zeros(n_sources, bool), np.zeros(n_sources, bool))
        * is_galaxy,
        "shear": shear * is_galaxy[:, None],
        "redshift": np.full(n_sources, -1.0),
        "is_galaxy": is_galaxy,
        "is_member": np.zeros(n_sources, bool),
        "halo": np.full(n_sources, -1),
    }


def _clusters(members: pd.DataFrame, clusters_file: str, members_file: str) -> pd.DataFrame:
    """Cluster id, redshift and richness: from the cluster catalogue, else from the members themselves."""
    grouped = members.groupby("cluster_id")
    clusters = pd.DataFrame({"redshift": grouped["redshift"].median(), "richness": grouped["probability"].sum()})
    if clusters_file:
        table = read_table(clusters_file)
        listed = pd.DataFrame(
            {
                "redshift": _column(table, ("Z_LAMBDA",), clusters_file).astype(float),
                "richness": _column(table, ("LAMBDA",), clusters_file).astype(float),
            },
            index=_column(table, ("ID", "MEM_MATCH_ID"), clusters_file).astype(np.int64),
        )
        clusters = listed[listed.index.isin(clusters.index)]
    usable = (clusters["redshift"] > 0.0) & (clusters["richness"] >= RICHNESS_MIN)
    if not usable.any():
        raise ValueError(
            f"{members_file} gives no cluster a redshift and a richness >= {RICHNESS_MIN:g}; name the "
            "cluster catalogue with ID, Z_LAMBDA and LAMBDA (config key `sample_catalog: clusters_file`)"
        )
    return clusters[usable].rename_axis("cluster_id").sort_index().reset_index()


def _membership(table: pd.DataFrame, path: str) -> np.ndarray:
    """P * P_FREE * THETA_I * THETA_R: what sums to the richness. Eq. (3), Rykoff et al. (2014)."""
    if "PMEM" in table:
        return table["PMEM"].to_numpy(float)
    free = _column(table, ("P_FREE", "PFREE"), path)
    return _column(table, ("P",), path) * free * _column(table, ("THETA_I",), path) * _column(table, ("THETA_R",), path)


def _member_redshift(table: pd.DataFrame) -> np.ndarray:
    for name in ("Z", "Z_SPEC", "ZSPEC"):
        if name in table:
            return np.where(table[name] > 0.0, table[name], np.nan).astype(float)
    return np.full(len(table), np.nan)


def _magnitudes(table: pd.DataFrame, path: str) -> dict[str, np.ndarray]:
    """mag_g ... mag_z from named columns, or from a vector of griz (4) or ugriz (5)."""
    n_vector = sum(f"MAG_{number}" in table for number in range(5))
    if n_vector >= 4:
        return {
            f"mag_{b}": table[f"MAG_{number + n_vector - 4}"].to_numpy(float) for number, b in enumerate(galaxies.BANDS)
        }
    names = {band: (f"MAG_AUTO_{band.upper()}", f"MODEL_MAG_{band.upper()}") for band in galaxies.BANDS}
    return {f"mag_{band}": _column(table, choices, path).astype(float) for band, choices in names.items()}


def _flux(magnitude) -> np.ndarray:
    """Counts at zero point 30; 0 where the magnitude is unmeasured (99)."""
    magnitude = np.asarray(magnitude, float)
    measured = np.isfinite(magnitude) & (magnitude < UNMEASURED_MAG)
    return np.where(measured, 10 ** (0.4 * (galaxies.ZERO_POINT - np.where(measured, magnitude, 0.0))), 0.0)


def _column(table: pd.DataFrame, names: tuple[str, ...], path: str) -> np.ndarray:
    for name in names:
        if name in table:
            return table[name].to_numpy()
    raise ValueError(f"{path} has no column {' or '.join(names)}; its columns are {', '.join(table.columns[:12])} ...")


def _in_split(identity: np.ndarray, split: str) -> np.ndarray:
    """Which identities belong to a split, by a fixed multiplicative hash (Knuth)."""
    low, high = SPLIT_SHARES[split]
    share = (identity.astype(np.uint64) * np.uint64(2654435761) % np.uint64(2**32)).astype(float) / 2**32
    return (share >= low) & (share < high)
