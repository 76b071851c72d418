"""Score every estimator of the convergence on skies it was not calibrated for, and write their band powers."""

from armillary.band_powers import sums_of_set
from armillary.estimators import KAPPAS, truth_window
from armillary.files import read_arrays, write_json
from armillary.files_cmb import read_maps
from armillary.null_sets import (
    NULLS,
    read_lensing_b,
    read_response_factors,
    recovery_entries,
    write_null_powers,
)
from armillary.skies import estimators_from_arrays
from armillary.step import announce, run


def score_nulls(
    estimators: str, maps: list[str], estimates: list[str], unpaired: str, scores: str, band_powers: str, *,
    sky: str, bin_edges: list[float], n_resamples: int, words: dict[str, str], noise_factor: float, seed: int,
) -> None:  # fmt: skip
    """Files, and in `unpaired` the maps of one file, are in the order of NULLS. Keys:
    <sky>_<method>_<set>_recovered_<bin>."""
    fitted, files = estimators_from_arrays(read_arrays(estimators)), dict(zip(NULLS, estimates, strict=True))
    setting, factors = fitted.setting, read_response_factors(fitted, files, bin_edges)
    lensing_b = read_lensing_b(files, setting, noise_factor)
    window, by_method = truth_window(setting, "k"), {name: {} for name in KAPPAS}
    mixed, end = read_maps(unpaired, list(KAPPAS)), 0
    for null, of_maps, paired in zip(NULLS, maps, estimates, strict=True):
        seen, found = window * read_maps(of_maps, ["k"])["k"], read_maps(paired, list(KAPPAS))
        start, end = end, end + len(seen)
        for name in KAPPAS:
            sums = sums_of_set(found[name], mixed[name][start:end], seen, lensing_b[null], setting, bin_edges)
            by_method[name][null] = sums
    entries = {}
    for name, sums in by_method.items():
        how = {"factors": factors.get(name, {}), "words": words, "n_resamples": n_resamples, "seed": seed}
        entries |= recovery_entries(sums, bin_edges, f"{sky}_{name}", **how)
        worst = entries.get(f"{sky}_{name}_recovered_worst")
        if worst:
            announce(f"{name}: C_kk recovered to {100 * worst['value']:.1f} % at worst ({worst['note']})")
    write_null_powers(band_powers, by_method, factors, bin_edges, {"sky": sky, "n_maps": len(seen)})
    write_json(scores, entries)


if __name__ == "__main__":
    run(score_nulls, snakemake)
