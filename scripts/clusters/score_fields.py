"""Score every method on held-out fields: same fields, same resamples, cuts chosen on the same calibration fields."""

import re

import numpy as np
import pandas as pd

from armillary.completeness import choose_operating_point
from armillary.evaluation import (
    Details,
    Scoring,
    bin_frame,
    cluster_scores,
    operating_entry,
    prefixed,
    rows_over_trainings,
    selection_frame,
)
from armillary.files import read_arrays, read_catalog, write_arrays, write_catalog, write_json
from armillary.metrics import (
    Score,
    difference,
    measurement,
    over_trainings,
    resample_counts,
    share_of_way,
    validate_metrics,
)
from armillary.natural_tiles import weights_of_fields
from armillary.scoring import (
    Tiles,
    best_f1_threshold,
    bin_scores,
    bins_between,
    equal_mass_bins,
    precision_recall_curve,
    reliability,
    tile_scores,
)
from armillary.splits import field_detections, field_truth, flat_tiles, require_same_tiles, with_whole
from armillary.step import announce, run

# Scores that are compared with the finder's: those where more is better
CONTRASTED = re.compile(
    "tile_(pr_auc|precision|recall|f1)(_tuned)?_(boosted|natural)$|cluster_area|cluster_(completeness|purity)_.*at_|"
    r"cluster_completeness_richness_gt\d+$|cluster_purity$|richness_(slope|correlation)$"
)
METHODS = ("encoder", "finder", "combined", "limit")


def score_fields(
    predictions_calibration: list[str],
    predictions_test: list[str],
    detections_calibration: list[str],
    detections_test: list[str],
    truth: list[str],
    metrics: str,
    curves: str,
    selection: str,
    *,
    methods: list[str],
    image_size: int,
    tile_size: int,
    pixel_arcsec: float,
    seed: int,
    n_resamples: int,
    n_calibration_bins: int,
    natural_bin_edges: list[float],
    richness_target: float,
    scoring: dict,
) -> None:
    """`methods` names the files of each list: finder, limit, and encoder_<k> and combined_<k> of each training k."""
    haloes = pd.concat([read_catalog(path) for path in truth], ignore_index=True)
    sky = Sky(haloes, image_size, tile_size, pixel_arcsec)
    settings, rng = Scoring(**scoring), np.random.default_rng(seed)
    files = dict(
        zip(
            methods,
            zip(predictions_calibration, predictions_test, detections_calibration, detections_test, strict=True),
            strict=True,
        )
    )
    test = {method: flat_tiles(read_arrays(paths[1]), paths[1]) for method, paths in files.items()}
    first = methods[0]
    for method in methods[1:]:
        require_same_tiles(test[first], test[method], (files[first][1], files[method][1]))
    fields = test[first]["field"]
    counts = resample_counts(len(fields), n_resamples, rng)

    scores, details, curve_arrays, report = {}, {}, {}, {}
    for method, (tuned_maps, _, tuned_list, test_list) in files.items():
        tuned = flat_tiles(read_arrays(tuned_maps), tuned_maps)
        thresholds = {rate: best_f1_threshold(sky.tiles(tuned, rate)) for rate in ("boosted", "natural")}
        boosted, natural = sky.tiles(test[method], "boosted"), sky.tiles(test[method], "natural")
        boosted_bins = equal_mass_bins(boosted.probability, n_calibration_bins)
        natural_bins = bins_between(natural.probability, natural_bin_edges)
        scores[method] = tile_scores(
            boosted, counts, bins=boosted_bins, suffix="_boosted", threshold=thresholds["boosted"]
        )
        scores[method] |= tile_scores(
            natural, counts, bins=natural_bins, suffix="_natural", threshold=thresholds["natural"]
        )
        scores[method] |= bin_scores(natural, counts, edges=natural_bin_edges, suffix="_natural")
        curve_arrays[method] = curve_columns(boosted, "boosted") | curve_columns(natural, "natural")
        curve_arrays[method] |= prefixed("boosted", reliability(boosted, boosted_bins, counts))
        curve_arrays[method] |= prefixed("natural", reliability(natural, natural_bins, counts))

        operating = choose_operating_point(
            *sky.clusters(tuned_list, tuned["field"]), settings.criteria, richness_above=richness_target
        )
        announce(f"{method}: operating point on {len(tuned['field'])} calibration fields: {operating}")
        found, true = sky.clusters(test_list, fields)
        part, details[method] = cluster_scores(
            found, true, operating["threshold"], counts, settings, area_deg2=sky.area_deg2(len(fields))
        )
        scores[method] |= part
        report |= {
            f"{method}_tile_threshold_{rate}": measurement(
                threshold, note=f"best F1 on calibration fields, {rate} rate"
            )
            for rate, threshold in thresholds.items()
        }
        report |= {f"{method}_cluster_threshold": operating_entry(operating)}

    trainings = [method.removeprefix("encoder_") for method in methods if method.startswith("encoder_")]
    report |= {
        name: score.entry(baseline_of(name, scores["finder"])) for name, score in pooled(scores, trainings, rng).items()
    }
    report |= {
        "area_deg2": measurement(sky.area_deg2(len(fields)), n=len(fields), unit="deg^2", note="held-out test fields"),
        "n_fields_test": measurement(len(fields), n=len(fields)),
        "n_fields_calibration": measurement(len(tuned["field"]), n=len(tuned["field"])),
        "n_trainings": measurement(len(trainings), note="of the encoder, each from another seed"),
    }
    validate_metrics(report, metrics)
    write_json(metrics, report)
    by_method = {method: details_of(method, details, trainings, rng) for method in METHODS}
    write_curves(curves, curve_arrays, by_method, trainings)
    table = pd.concat([selection_frame(each.selection).assign(method=name) for name, each in by_method.items()])
    write_catalog(
        selection, table, {}, {"p_found": "share of true clusters found at the cut, 68 % bounds p_low, p_high"}
    )


class Sky:
    """The true haloes of all fields, and the geometry of a field."""

    def __init__(self, haloes: pd.DataFrame, image_size: int, tile_size: int, pixel_arcsec: float):
        self.haloes, self.image_size, self.tile_size, self.pixel_arcsec = haloes, image_size, tile_size, pixel_arcsec

    def area_deg2(self, n_fields: int) -> float:
        """Area of that many fields."""
        return n_fields * (self.image_size * self.pixel_arcsec / 3600) ** 2

    def tiles(self, flat: dict, rate: str) -> Tiles:
        """The flat tiles of a prediction file at the boosted or the natural rate of clusters."""
        if rate == "boosted":
            return Tiles(flat["probability"], flat["truth"], flat["unit"], np.ones(len(flat["truth"])))
        weights = weights_of_fields(self.haloes, flat["field"], self.image_size, self.tile_size, self.pixel_arcsec)
        return Tiles(flat["probability_natural"], flat["truth"], flat["unit"], weights.ravel())

    def clusters(self, path: str, fields: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Detections of a catalogue and the true haloes, of these fields."""
        found = field_detections(read_catalog(path), fields, path)
        true = field_truth(self.haloes, fields, self.image_size, "the truth tables")
        return tuple(with_whole(frame, self.image_size, self.pixel_arcsec) for frame in (found, true))


def curve_columns(tiles: Tiles, rate: str, n_points: int = 1000) -> dict:
    """Recall and precision of the figure, at most `n_points` of them, evenly in rank."""
    precision, recall, _ = precision_recall_curve(tiles.probability, tiles.truth, tiles.weight)
    kept = np.unique(np.linspace(0, len(recall) - 1, min(n_points, len(recall))).astype(int))
    return {f"{rate}_precision": precision[kept], f"{rate}_recall": recall[kept]}


def pooled(scores: dict[str, dict[str, Score]], trainings: list[str], rng) -> dict[str, Score]:
    """Scores named after their method, trainings pooled, and differences of methods over the same resamples."""
    finder, limit = scores["finder"], scores["limit"]
    result = {f"finder_{key}": score for key, score in finder.items()}
    result |= {f"limit_{key}": score for key, score in limit.items()}
    for method in ("encoder", "combined"):
        of_training = [scores[f"{method}_{training}"] for training in trainings]
        for key in dict.fromkeys(key for each in of_training for key in each):
            of_key = [each[key] for each in of_training if key in each]
            result[f"{method}_{key}"] = over_trainings(of_key, rng)
            if not (CONTRASTED.match(key) and key in finder and key in limit):
                continue
            gains = [
                difference(score, finder[key], f"{method} minus finder, same resampled fields") for score in of_key
            ]
            note = f"(finder to {method}) over (finder to limit), same resampled fields"
            shares = [share_of_way(score, finder[key], limit[key], note) for score in of_key]
            result[f"{method}_minus_finder_{key}"] = over_trainings(gains, rng)
            result[f"{method}_share_of_way_to_limit_{key}"] = over_trainings(shares, rng)
    return result


def baseline_of(name: str, finder: dict[str, Score]) -> str | None:
    """The finder's key for the encoder's and the combination's scores; the base rate for the finder's precision."""
    method, _, key = name.partition("_")
    if method in ("encoder", "combined") and key in finder:
        return f"finder_{key}"
    if method == "finder" and key.startswith("tile_pr_auc_") and "over" not in key:
        return name.replace("pr_auc", "base_rate")
    return None


def details_of(method: str, details: dict[str, Details], trainings: list[str], rng) -> Details:
    """The tables of a method: bins and selection function of all trainings, curve and matches of the first."""
    if method in details:
        return details[method]
    parts = [details[f"{method}_{training}"] for training in trainings]
    return parts[0]._replace(
        bins=rows_over_trainings([part.bins for part in parts], rng),
        selection=rows_over_trainings([part.selection for part in parts], rng),
    )


def write_curves(path: str, curve_arrays: dict, by_method: dict[str, Details], trainings: list[str]) -> None:
    """What the figures draw, flat arrays: <method>_<column> of tiles, and frames bins, trade, matches and selection."""
    arrays = {}
    for method in METHODS:
        arrays |= prefixed(method, curve_arrays.get(method) or curve_arrays[f"{method}_{trainings[0]}"])
    frames = {
        "bins": lambda details: bin_frame(details.bins),
        "selection": lambda details: selection_frame(details.selection),
        "trade": lambda details: details.trade,
        "matches": lambda details: details.matches,
    }
    for name, frame_of in frames.items():
        table = pd.concat([frame_of(each).assign(method=method) for method, each in by_method.items()])
        arrays |= prefixed(name, table)
    write_arrays(path, **arrays)


if __name__ == "__main__":
    run(score_fields, snakemake)
