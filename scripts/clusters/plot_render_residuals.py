"""Draw how far the batched renderer is from GalSim, in the sample that every render job drew both ways."""

import numpy as np

from armillary.figures.renders import QUANTITIES, draw_residuals
from armillary.figures.style import page
from armillary.files import read_json
from armillary.step import run


def plot_render_residuals(residuals: list[str], figure: str, *, bounds: dict[str, float]) -> None:
    parts = [read_json(path) for path in residuals]
    samples = {name: np.concatenate([np.asarray(part[name], float) for part in parts]) for name in QUANTITIES}
    with page(figure, 1600, 560) as sheet:
        draw_residuals(sheet, samples, bounds)


if __name__ == "__main__":
    run(plot_render_residuals, snakemake)
