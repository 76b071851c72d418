"""A split's predictions, detections and truth as the frames that are scored.

A split is a set of fields. `unit` is the index of a field in the sorted list of the split's fields; it is what the
bootstrap resamples. The encoder and the baseline finder go through the same functions.
"""

import numpy as np

from armillary.completeness import between
from armillary.cosmology import pixels_per_mpc, richness_radius_mpc
from armillary.footprint import disc_inside

DETECTION_COLUMNS = ("ra", "dec", "probability", "redshift", "redshift_error", "richness", "richness_error")
TRUTH_COLUMNS = ("field", "cluster_id", "ra", "dec", "x", "y", "redshift", "richness", "weight")
WHOLE_SHARE = 0.8  # redMaPPer leaves out clusters masked by more than 0.2, by default. ASSUME: of the plain disc


def flat_tiles(arrays: dict, name: str) -> dict:
    """Flat probability, probability_natural and truth (n,), unit (n,) and sorted field (N,) of a prediction file.

    `arrays` holds field (N,); probability at the rate of clusters of the fields, probability_natural at that of the sky
    and membership (N, T, T). `name` is for errors.
    """
    maps = ("probability", "probability_natural", "membership")
    missing = [key for key in ("field", *maps) if key not in arrays]
    if missing:
        raise ValueError(f"{name} has no array {', '.join(missing)}; it holds {', '.join(arrays)}")
    field = arrays["field"]
    if len({arrays[key].shape for key in maps}) > 1 or len(field) != len(arrays["membership"]) or len(field) == 0:
        shapes = ", ".join(f"{key} {arrays[key].shape}" for key in ("field", *maps))
        raise ValueError(f"{name} does not fit together: {shapes}")
    order = np.argsort(field)
    flat = {key: np.asarray(arrays[key][order], dtype=float).ravel() for key in maps[:2]}
    for key, probability in flat.items():
        if not np.all((probability >= 0) & (probability <= 1)):
            raise ValueError(f"{name}: {key} has values outside [0, 1] or NaN")
    truth = np.asarray(arrays["membership"][order], dtype=bool)
    unit = np.repeat(np.arange(len(field)), truth[0].size)
    return flat | {"field": np.asarray(field)[order], "truth": truth.ravel(), "unit": unit}


def require_same_tiles(one: dict, other: dict, names: tuple[str, str]) -> None:
    """Raise ValueError unless two results of `flat_tiles` are of the same fields and the same truth."""
    if not np.array_equal(one["field"], other["field"]):
        raise ValueError(f"{names[0]} and {names[1]} are of different fields: predict both on the same split")
    if not np.array_equal(one["truth"], other["truth"]):
        raise ValueError(
            f"{names[0]} and {names[1]} disagree on the true membership of tiles: same fields, other truth"
        )


def field_detections(frame, fields: np.ndarray, name: str):
    """The detections of the split's fields with group and unit, numeric columns, `name` for errors."""
    frame = _numeric(frame, ("field", *DETECTION_COLUMNS), name)
    frame = frame[np.isin(frame["field"], fields)].reset_index(drop=True)
    unit = np.searchsorted(fields, frame["field"])
    return frame.assign(group=unit, unit=unit)


def field_truth(frame, fields: np.ndarray, image_size: int, name: str):
    """The haloes of the split's fields with group, unit and whether their centre is inside the image."""
    frame = _numeric(frame, TRUTH_COLUMNS, name)
    frame = frame[np.isin(frame["field"], fields)].reset_index(drop=True)
    unit = np.searchsorted(fields, frame["field"])
    inside = between(frame["x"], 0, image_size) & between(frame["y"], 0, image_size)
    return frame.assign(group=unit, unit=unit, inside=inside)


def with_whole(frame, image_size: int, pixel_arcsec: float):
    """The frame (x, y, redshift, richness) with `whole`: WHOLE_SHARE of the disc of R_lambda is in the image."""
    radius = richness_radius_mpc(frame["richness"]) * pixels_per_mpc(frame["redshift"].clip(lower=0.01), pixel_arcsec)
    return frame.assign(whole=disc_inside(frame["x"], frame["y"], radius, image_size) >= WHOLE_SHARE)


def _numeric(frame, columns, name: str):
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ValueError(f"{name} has no column {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}")
    return frame.astype({column: float for column in columns})
