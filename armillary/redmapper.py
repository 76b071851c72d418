"""redMaPPer catalogues of every release in one normal form, told apart by the columns they have.

Clusters: cluster_id, name, ra, dec (deg), redshift, redshift_error, richness, richness_error, spec_z.
Members: cluster_id, object_id, ra, dec (deg), radius_mpc (physical), p_mem, spec_z, mag_<band>,
mag_error_<band>. What a release does not give is NaN (name: empty). Read are the SVA1 v6.3 expanded catalogue
and members, DES Y1 and Y3 (FITS, HDF5 release, clusterdb CSV), SDSS DR8 v5.10 and v6.3, the raw output of the
redmapper code, and truth and member tables of our own. Lists of other finders are read by role: `read_cluster_list`.
"""

import re

import numpy as np
import pandas as pd

from armillary.cosmology import HUBBLE_H
from armillary.files import read_catalog, read_hdf5_table, read_table

CLUSTER_GROUP, MEMBER_GROUP = "catalog/cluster", "catalog/cluster_members"  # of the Y3 HDF5 release

# Normal name -> names it has in the releases, lower case, best first.
CLUSTER_COLUMNS = {
    "cluster_id": ("cluster_id", "mem_match_id", "id"),
    "name": ("name",),
    "ra": ("ra",),
    "dec": ("dec",),
    "redshift": ("z_lambda", "redshift"),
    "redshift_error": ("z_lambda_err", "z_lambda_e", "redshift_error"),
    "richness": ("lambda", "lambda_chisq", "richness"),
    "richness_error": ("lambda_err", "lambda_e", "lambda_chisq_e", "richness_error"),
    "spec_z": ("z_spec", "cg_spec_z", "bcg_spec_z"),
}
CLUSTER_REQUIRED = ("cluster_id", "ra", "dec", "redshift", "richness")
# Roles of the columns of any cluster list, and the names they have without a setting.
LIST_ROLES = {"id": (*CLUSTER_COLUMNS["cluster_id"], *CLUSTER_COLUMNS["name"])} | {
    role: CLUSTER_COLUMNS[role] for role in ("ra", "dec", "redshift", "redshift_error", "richness", "richness_error")
}
MEMBER_COLUMNS = {
    "cluster_id": ("cluster_id", "mem_match_id", "id"),
    "object_id": ("coadd_objects_id", "coadd_object_id", "objid", "id"),
    "ra": ("ra",),
    "dec": ("dec",),
    "spec_z": ("z_spec", "zspec"),
}
MEMBER_REQUIRED = ("cluster_id", "ra", "dec")
MAX_REDSHIFT = 3.0  # distances are tabulated to this
PROBABILITY_FACTORS = (("p",), ("p_free", "pfree"), ("theta_i",), ("theta_r",))
MAGNITUDE = re.compile(r"^(?:model_)?mag(?P<error>_?err)?(?:_auto)?_(?P<band>[ugrizy]|\d)$")
BANDS_OF_VECTOR = {4: "griz", 5: "ugriz"}


def read_clusters(path: str) -> pd.DataFrame:
    """The clusters of any known release in the normal form."""
    frame = _lower_case(_read_any(path, CLUSTER_GROUP))
    clusters = _renamed(frame, CLUSTER_COLUMNS, CLUSTER_REQUIRED, path, "a redMaPPer cluster catalogue")
    clusters["name"] = clusters["name"].astype(str).where(clusters["name"].notna(), "")
    clusters["cluster_id"] = whole_numbers(clusters["cluster_id"], path)
    clusters["spec_z"] = clusters["spec_z"].where(clusters["spec_z"] > 0)
    return clusters


def read_cluster_list(path: str, columns: dict[str, str | None] | None = None, key: str = "") -> pd.DataFrame:
    """Any list of clusters by role: id (str), ra, dec (deg) and, where there are such columns, the other `LIST_ROLES`.

    `columns` names the column of a role; a role without a name takes the first alias that the file has. Numbers are
    as they stand in the file, NaN where they are none; without an id the rows are numbered from 1. Raises ValueError
    with the file, `key` (the config key of this list), the role and the columns there are.
    """
    frame = _read_any(path, CLUSTER_GROUP).rename(columns=lambda name: str(name).strip())
    lower = _lower_case(frame)
    lower = lower.loc[:, ~lower.columns.duplicated()]
    found = {role: lower[name] for role, name in _chosen_columns(lower, LIST_ROLES).items() if name}
    found |= {role: _named_column(frame, name, role, path, key) for role, name in (columns or {}).items() if name}
    for role in ("ra", "dec"):
        if role not in found:
            names = " or ".join(LIST_ROLES[role]).upper()
            raise ValueError(
                f"{path} has no column for {role} ({names}); name it in {key}: columns: {role}; it has {_shown(frame)}"
            )
    numbers = {role: pd.to_numeric(found[role], errors="coerce").astype(float) for role in found if role != "id"}
    ids = found.get("id", pd.Series(np.arange(1, len(frame) + 1), index=frame.index))
    return pd.DataFrame({"id": ids.astype(str)} | {role: numbers[role] for role in LIST_ROLES if role in numbers})


def _named_column(frame, name: str, role: str, path: str, key: str) -> pd.Series:
    """The column that a setting names; its case is ignored where that is unambiguous."""
    same = [column for column in frame if column == name] or [c for c in frame if c.lower() == name.lower()]
    if len(same) != 1:
        raise ValueError(f"{path} has no column {name!r} ({key}: columns: {role}); it has {_shown(frame)}")
    return frame[same[0]]


def read_members(path: str) -> pd.DataFrame:
    """The members of any known release in the normal form, p_mem = P * P_FREE * THETA_I * THETA_R.

    The sum of p_mem over a cluster is its richness, before the correction for masked area and depth.
    """
    frame = _lower_case(_read_any(path, MEMBER_GROUP))
    members = _renamed(frame, MEMBER_COLUMNS, MEMBER_REQUIRED, path, "a redMaPPer member table")
    members["cluster_id"] = whole_numbers(members["cluster_id"], path)
    members["spec_z"] = members["spec_z"].where(members["spec_z"] > 0)
    # ASSUME: R is in physical h^-1 Mpc, as the redMaPPer papers and code have it.
    members["radius_mpc"] = frame["r"].astype(float) / HUBBLE_H if "r" in frame else np.nan
    members["p_mem"] = member_probability(frame, path)
    return pd.concat([members, magnitudes(frame)], axis=1)


def whole_numbers(column: pd.Series, path: str) -> pd.Series:
    """Cluster ids as int64; ValueError naming the file and the first row that has none."""
    values = pd.to_numeric(column, errors="coerce")
    is_whole = np.isfinite(values) & (values % 1 == 0)
    if not is_whole.all():
        row = int(np.flatnonzero(~is_whole)[0])
        raise ValueError(f"{path}: row {row} has the cluster id {column.iloc[row]}; ids must be whole numbers")
    return values.astype(np.int64)


def usable_clusters(clusters: pd.DataFrame, name: str) -> pd.DataFrame:
    """The clusters with a position, a redshift above 0 and a richness above 0; ValueError if the list has rows and none
    is usable. 0, -1 and NaN are how lists say that there is none."""
    placed = np.isfinite(clusters["ra"]) & clusters["dec"].between(-90, 90)
    known = (clusters["redshift"] > 0) & (clusters["redshift"] < MAX_REDSHIFT) & (clusters["richness"] > 0)
    usable = placed & known & np.isfinite(clusters["richness"])
    if len(clusters) and not usable.any():
        raise ValueError(f"no row of {name}, of {len(clusters)}, has ra, dec, a redshift and a richness above 0")
    return clusters[usable].reset_index(drop=True)


def usable_members(members: pd.DataFrame, name: str) -> pd.DataFrame:
    """The members with a position and a p_mem in [0, 1]; ValueError if the table has rows and none is usable."""
    placed = np.isfinite(members["ra"]) & members["dec"].between(-90, 90)
    usable = placed & members["p_mem"].between(0, 1)
    if len(members) and not usable.any():
        raise ValueError(f"no row of {name}, of {len(members)}, has ra, dec and a membership probability in [0, 1]")
    return members[usable].reset_index(drop=True)


def member_probability(frame: pd.DataFrame, path: str) -> pd.Series:
    """p_mem of a table with lower-case columns: the product of its four factors, else PMEM or P_MEM."""
    factors = [next((name for name in names if name in frame), None) for names in PROBABILITY_FACTORS]
    if None not in factors:
        return frame[factors].astype(float).prod(axis=1)
    for name in ("pmem", "p_mem"):
        if name in frame:
            return frame[name].astype(float)
    absent = ", ".join(
        names[0].upper() for names, name in zip(PROBABILITY_FACTORS, factors, strict=True) if name is None
    )
    raise ValueError(
        f"{path} gives no membership probability: no PMEM or P_MEM, "
        f"and of P, P_FREE, THETA_I, THETA_R it lacks {absent}"
    )


def magnitudes(frame: pd.DataFrame) -> pd.DataFrame:
    """mag_<band> and mag_error_<band> from MAG_AUTO_G, MODEL_MAG_U, or a vector MAG (griz, ugriz)."""
    found = {}
    for column in frame:
        match = MAGNITUDE.match(column.replace("model_magerr", "mag_err").replace("magerr", "mag_err"))
        if match:
            found[("mag_error_" if match["error"] else "mag_", match["band"])] = frame[column]
    n_bands = sum(band.isdigit() and kind == "mag_" for kind, band in found)
    vector = BANDS_OF_VECTOR.get(n_bands, "")
    named = {
        kind + (vector[int(band)] if band.isdigit() else band): values
        for (kind, band), values in found.items()
        if not band.isdigit() or int(band) < len(vector)
    }
    return pd.DataFrame(named, index=frame.index)


def read_cluster_lists(paths: list[str]) -> pd.DataFrame:
    """`read_clusters` of several files as one table: one observed list, or the truth of several simulated tiles."""
    return pd.concat([read_clusters(path) for path in paths], ignore_index=True)


def radial_weight_richness(members: pd.DataFrame, theta_r) -> float:
    """Richness of the radius at which THETA_R falls to 1/2, R_lambda = (lambda / 100)^0.2 h^-1 Mpc
    (Rykoff+14, eq. 4).

    An independent reading of the richness that a member table was made with, to hold its sum of p_mem
    against.
    """
    order = np.argsort(np.asarray(theta_r))
    radius_mpc = np.interp(0.5, np.asarray(theta_r)[order], members["radius_mpc"].to_numpy()[order])
    return float(100 * (radius_mpc * HUBBLE_H) ** 5)


def _read_any(path: str, group: str) -> pd.DataFrame:
    """The table of a FITS, HDF5, CSV or ECSV file."""
    name = str(path).lower()
    if name.endswith((".h5", ".hdf5")):
        return read_hdf5_table(path, group)
    if name.endswith((".csv", ".csv.gz")):
        return _read_csv(path)
    if name.endswith((".dat", ".ecsv")):
        return read_catalog(path)
    return read_table(path)


def _read_csv(path: str) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} does not exist") from error
    except (OSError, EOFError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} is not a CSV file, or is truncated: {str(error).splitlines()[0]}") from error


def _lower_case(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns=str.lower)


def _chosen_columns(frame, columns: dict) -> dict[str, str | None]:
    """Source column of each normal name in a lower-case frame, None where there is none; a column is used once."""
    chosen, used = {}, set()
    for normal, names in columns.items():
        chosen[normal] = next((name for name in names if name in frame and name not in used), None)
        used.add(chosen[normal])
    return chosen


def _renamed(frame, columns: dict, required: tuple, path: str, kind: str) -> pd.DataFrame:
    """The normal columns of a lower-case frame, absent optional ones NaN."""
    chosen = _chosen_columns(frame, columns)
    missing = [f"{normal} ({' or '.join(columns[normal]).upper()})" for normal in required if chosen[normal] is None]
    if missing:
        raise ValueError(f"{path} is not {kind}: no column for {', '.join(missing)}; it has {_shown(frame)}")
    return pd.DataFrame({normal: frame[name] if name else np.nan for normal, name in chosen.items()}, index=frame.index)


def _shown(frame) -> str:
    """The first columns of a table, for an error."""
    return ", ".join(map(str, list(frame.columns)[:20]))
