"""Draw one test patch: truth, every estimate, and what the network leaves over."""

from armillary.estimators import truth_window
from armillary.figures.cmb import draw_maps
from armillary.figures.style import page
from armillary.files import read_arrays
from armillary.files_cmb import read_maps
from armillary.flatsky import fourier, pixels, qu_from_eb
from armillary.skies import estimators_from_arrays
from armillary.step import run

SHOWN = {
    "k": ["k_qe_eb_ee", "k_iqe_eb_ee", "k_map_delensed"],
    "e": ["e_observed", "e_delensed"],
    "b": ["B_pure", "b_template"],
    "Q": [],
    "U": [],
}


def plot_maps(estimators: str, maps: str, estimates: str, predictions: str, figure: str, *, targets: list[str]) -> None:
    """The first patch of the first test file."""
    setting = estimators_from_arrays(read_arrays(estimators)).setting
    truth, found, predicted = read_maps(maps, ["e", "k", "b"]), read_maps(estimates), read_maps(predictions, targets)
    stokes = qu_from_eb(fourier(truth["e"][0]), 0, setting.patch)
    first = {name: values[0] for name, values in truth.items()}
    first |= {name: pixels(part, setting.patch) for name, part in zip("QU", stokes, strict=True)}
    rows = {
        target: {
            "truth": truth_window(setting, target) * first[target],
            **{name: found[name][0] for name in SHOWN[target]},
            "network": predicted[target][0],
        }
        for target in targets
    }
    side = setting.patch.n_x * setting.patch.pixel_arcmin / 60
    with page(figure, 2000, 60 + 380 * len(rows)) as sheet:
        draw_maps(sheet, rows, patch_deg=side)


if __name__ == "__main__":
    run(plot_maps, snakemake)
