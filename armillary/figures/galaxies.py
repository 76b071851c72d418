"""Galaxies side by side: data, truth and reconstructions; what the prior draws; whether posteriors are calibrated."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from armillary.figures.style import BLUE, GREEN, INK, ORANGE, PALE, PURPLE, SKY, VERMILION, light_grid
from armillary.stamp_evaluation import ProblemData

LABELS = {
    "ml": "ML", "ml_positive": "ML, positive", "monotonic": "monotonic", "bulge_disc": "bulge + disc",
    "pca_gaussian": "PCA-Gaussian", "pca_mixture": "PCA-mixture", "map": "MAP", "vi": "VI, mean",
    "score": "score, mean", "hmc": "HMC, mean",
}  # fmt: skip
COLOURS = {"pca_gaussian": VERMILION, "pca_mixture": PURPLE, "map": ORANGE, "vi": GREEN, "score": SKY, "hmc": BLUE}
SOFTENING = 0.03  # of the peak: linear below, logarithmic above
N_SAMPLES = 2


def draw_prior(
    figure: Figure, truth: np.ndarray, decoded: np.ndarray, drawn: np.ndarray, drawn_by_score: np.ndarray
) -> None:
    """Draw rows of held-out stamps, the same decoded, and draws from both priors, each scaled to its own peak."""
    n = min(12, len(truth), len(drawn) // 2)
    rows = {
        "held out": truth[:n], "decoded": decoded[:n], "flow": drawn[:n], "flow ": drawn[n : 2 * n],
        "score": drawn_by_score[:n], "score ": drawn_by_score[n : 2 * n],
    }  # fmt: skip
    panels = figure.subplots(len(rows), n)
    for row, (label, images) in zip(panels, rows.items(), strict=True):
        for axes, image, scale in zip(row, images, truth[:n] if label == "decoded" else images, strict=True):
            _show(axes, image, scale.max())
        row[0].set_ylabel(label.strip())


def draw_galaxies(figure: Figure, data: ProblemData, n_scenes: int) -> None:
    """Draw a row a scene: data, truth where there is one, every method, samples of the last one with samples, its
    residual in sigma."""
    methods = list(data.posteriors)
    sampled = [method for method in methods if "c" in data.posteriors[method]][-1]
    known = ["truth"] if data.seen.truth.size else []
    titles = ["data", *known, *(LABELS[method] for method in methods), *["sample"] * N_SAMPLES, "residual"]
    panels = figure.subplots(min(n_scenes, len(data.seen.image)), len(titles), squeeze=False)
    for scene, row in enumerate(panels):
        image = data.seen.image[scene]
        _show(row[0], image, np.nanmax(image))
        samples = data.samples(sampled, scene)[:N_SAMPLES]
        images = [data.seen.truth[scene]] if known else []
        images += [*(data.posteriors[method]["image"][scene] for method in methods), *samples]
        peak = _together(data, images[0] if known else data.posteriors[sampled]["image"][scene], scene).max()
        for axes, one in zip(row[1:], images, strict=False):
            _show(axes, _together(data, one, scene), peak)
        left = (image - data.posteriors[sampled]["predicted"][scene]) / np.sqrt(data.seen.variance[scene])
        row[-1].imshow(left, cmap="RdBu", vmin=-4, vmax=4)
        _bare(row[-1])
    for axes, title in zip(panels[0], titles, strict=True):
        axes.set_title(title, fontsize=7)


def draw_pair(figure: Figure, images: dict[str, np.ndarray], bands: list[str]) -> None:
    """Draw a row a band: HSC, what HST becomes in it, HSC interpolated and reconstructed by every method, HST."""
    methods = [str(method) for method in images["methods"]]
    names = ["hsc", "forward", "interpolated", *methods, "hst"]
    titles = ["HSC", "HST by operator", "HSC, interpolated", *(LABELS[name] for name in methods), "HST"]
    panels = figure.subplots(len(bands), len(names), squeeze=False)
    for band, row in zip(bands, panels, strict=True):
        for axes, name in zip(row, names, strict=True):
            image = images[f"{band}_{name}"]
            _show(axes, image[::-1], np.percentile(image, 99.9))
        row[0].set_ylabel(band)
    for axes, title in zip(panels[0], titles, strict=True):
        axes.set_title(title, fontsize=7)


def _together(data: ProblemData, images: np.ndarray, scene: int) -> np.ndarray:
    """The sources' images (n_sources, size, size) in one frame, each at its position to the nearest pixel."""
    if len(images) == 1:
        return images[0]
    size, pixel = images.shape[-1], data.fine_pixel_arcsec
    sheet = np.zeros((2 * size, 2 * size))
    for image, place in zip(images, data.seen.position[scene], strict=True):
        top, left = (int(round(size / 2 + step / pixel)) for step in place)
        top, left = (min(max(corner, 0), size) for corner in (top, left))
        sheet[top : top + size, left : left + size] += image
    return sheet[size // 2 : -size // 2, size // 2 : -size // 2]


def _show(axes: Axes, image: np.ndarray, peak: float) -> None:
    axes.imshow(np.arcsinh(image / peak / SOFTENING), cmap="magma", vmin=-1, vmax=np.arcsinh(1 / SOFTENING))
    axes.set_facecolor("#7fe0ff")
    _bare(axes)


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def draw_calibration(figure: Figure, curves: dict[str, dict[str, np.ndarray]]) -> None:
    """Draw expected coverage against credibility, one panel a problem; the controls dashed."""
    panels = figure.subplots(1, len(curves), squeeze=False, sharey=True)[0]
    for axes, (problem, found) in zip(panels, curves.items(), strict=True):
        light_grid(axes)
        axes.plot([0, 1], [0, 1], color=PALE, linewidth=1.2)
        for method, colour in COLOURS.items():
            if f"{method}_closer" in found:
                _expected_coverage(axes, found[f"{method}_closer"], colour, "-", LABELS[method].removesuffix(", mean"))
        for control, colour in (("shuffled", PALE), ("prior_only", INK)):
            key = f"hmc_closer_{control}"
            if key in found:
                _expected_coverage(axes, found[key], colour, "--", f"control: {control.replace('_', ' ')}")
        axes.set(xlabel="credibility", title=problem, xlim=(0, 1), ylim=(0, 1))
    panels[0].set_ylabel("share of scenes inside (TARP)")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=6)


def _expected_coverage(axes: Axes, shares: np.ndarray, colour: str, line: str, label: str) -> None:
    steps = np.arange(len(shares) + 1) / len(shares)
    axes.plot(
        np.append(np.sort(shares), 1.0), steps, line, color=colour, label=label, linewidth=1.5, drawstyle="steps-post"
    )
