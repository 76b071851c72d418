"""Figures of the challenge gan_latent: what is made, how well it covers, what latents mean, along them, and probes."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from armillary.challenges.gan_latent import SUBJECTS, rank_correlations
from armillary.figures.style import BLUE, GREEN, INK, ORANGE, PALE, PURPLE, VERMILION, light_grid, note, say_empty

METHODS = {
    "pca": ("PCA", ORANGE), "vae": ("VAE", GREEN), "gan": ("GAN", BLUE),
    "infogan": ("InfoGAN", PURPLE), "cgan": ("cGAN", VERMILION),
}  # fmt: skip
SIGNS = {
    "log_age": "age", "log_metals": "metals", "dust": "dust", "log_radius": "radius", "z": "redshift",
}  # fmt: skip
TURNS = {
    "": "", "_independent": ", independent", "_factorised": ", first layer", "_features": ", its features",
    "_jacobian": ", Jacobian", "_random": ", random turn",
}  # fmt: skip
STEP_COLOURS = ("#0d3b8c", "#2a6bb0", "#2aa198", "#777777", "#e0962c", "#d5672a", "#c23b22")


def draw_samples(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Held-out objects as seen, and objects made by each method, without noise."""
    for side, subject in zip(sheet.subfigures(1, 2), SUBJECTS, strict=True):
        runs = runs_of(found, subject)
        if not runs:
            say_empty(side.subplots(), f"no method was run on {subject}")
            continue
        first = next(iter(runs.values()))
        rows = [("held out", INK, first["real_examples"])]
        rows += [(*METHODS[method], run["examples"]) for method, run in runs.items()]
        panels = side.subplots(len(rows), 1, squeeze=False)[:, 0]
        for axes, (label, colour, objects) in zip(panels, rows, strict=True):
            if subject == "spectra":
                axes.plot(data[0]["spectra_wave"], objects[:6].T, color=colour, lw=0.6)
                axes.set(ylim=(0, 2.4), yticks=[0, 1, 2])
                light_grid(axes)
            else:
                _mosaic(axes, objects[None])
            axes.set_ylabel(label, fontsize=7)
            if axes is not panels[-1]:
                axes.set_xticklabels([])
        if subject == "spectra":
            panels[-1].set_xlabel("wavelength, A")


def draw_quality(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """What tells made from held-out objects, and how the games went."""
    for row, subject in zip(sheet.subplots(2, 2), SUBJECTS, strict=True):
        runs = runs_of(found, subject)
        if not runs:
            say_empty(row[0], f"no method was run on {subject}")
            continue
        entries = [metrics[f"gan_latent_{subject}_{method}_auc"] for method in runs]
        _ladder(row[0], entries, [METHODS[method] for method in runs], "area under ROC (0.5: cannot be told)")
        row[0].axvline(0.5, color=PALE, lw=1, ls="--")
        row[0].set_title(subject)
        for method, run in runs.items():
            if "history" in run:
                row[1].plot(*run["history"][:, [0, 3]].T, "o-", ms=3, lw=1, color=METHODS[method][1])
        row[1].axhline(metrics[f"gan_latent_{subject}_real_frechet"]["value"], color=PALE, lw=1, ls="--")
        row[1].set(xlabel="step", ylabel="Frechet distance", yscale="log")
        light_grid(row[1])


def _ladder(axes: Axes, entries: list[dict], looks: list[tuple[str, str]], label: str) -> None:
    """One number a row with its interval; `looks` are names and colours."""
    for k, (entry, (_, colour)) in enumerate(zip(entries, looks, strict=True)):
        ends = np.maximum([[entry["value"] - entry["lo"]], [entry["hi"] - entry["value"]]], 0)
        axes.errorbar(entry["value"], k, xerr=ends, fmt="o", color=colour)
    axes.set(yticks=range(len(entries)), yticklabels=[name for name, _ in looks], xlabel=label)
    light_grid(axes)


def draw_latents(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Rank correlation of every latent with every factor of what was made, first seed; codes and wishes come first."""
    grid = sheet.subplots(2, len(METHODS))
    shade = None
    for row, subject in zip(grid, SUBJECTS, strict=True):
        runs = runs_of(found, subject)
        for axes, (method, (label, _)) in zip(row, METHODS.items(), strict=True):
            if method not in runs:
                say_empty(axes, f"{subject}_{method}\nwas not run")
                continue
            run = runs[method]
            table = rank_correlations(run["latents"], run["factors"])
            shade = axes.imshow(np.abs(table), vmin=0, vmax=1, cmap="Blues", aspect="auto", origin="upper")
            for (i, j), value in np.ndenumerate(table):
                axes.text(
                    j,
                    i,
                    f"{value:.2f}",
                    ha="center",
                    va="center",
                    fontsize=6,
                    color="white" if abs(value) > 0.6 else INK,
                )
            axes.set(title=label, xticks=range(table.shape[1]),
                     yticks=range(len(table)))  # fmt: skip
            axes.set_xticklabels(names_of(data, subject), fontsize=7)
            if axes is row[0]:
                axes.set_ylabel(subject)
            axes.set_yticklabels(_latent_names(run, method), fontsize=6)
    if shade is not None:
        sheet.colorbar(shade, ax=grid, label="|rank correlation|", shrink=0.6)


def _latent_names(run: dict, method: str) -> list[str]:
    n, n_codes, n_kinds = run["latents"].shape[1], int(run["n_codes"]), int(run["n_kinds"])
    word = "wish" if method == "cgan" else "code"
    front = [f"{word} {k + 1}" for k in range(n_codes)] + [f"kind {k + 1}" for k in range(n_kinds if n_codes else 0)]
    return front + [f"z {k + 1}" for k in range(n - len(front))]


def draw_traversals(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """One object as each code or wish goes from low to high, or each of the first latents."""
    sides = sheet.subfigures(1, 2, width_ratios=(1.2, 1))
    for side, subject in zip(sides, SUBJECTS, strict=True):
        runs = {name: run for name, run in runs_of(found, subject).items() if "traversals" in run}
        if not runs:
            say_empty(side.subplots(), f"no generator of {subject} was run")
            continue
        if subject == "spectra":
            _spectra_along(side, runs, data)
            continue
        for axes, (method, run) in zip(side.subplots(len(runs), 1, squeeze=False)[:, 0], runs.items(), strict=True):
            _mosaic(axes, run["traversals"])
            axes.set_ylabel(METHODS[method][0], fontsize=8)


def _spectra_along(side: SubFigure, runs: dict, data: list[dict]) -> None:
    panels = side.subplots(len(runs), 3, sharex=True, sharey=True, squeeze=False)
    for row, (method, run) in zip(panels, runs.items(), strict=True):
        for k, (axes, lines) in enumerate(zip(row, run["traversals"], strict=True)):
            for line, colour in zip(lines, STEP_COLOURS, strict=True):
                axes.plot(data[0]["spectra_wave"], line, color=colour, lw=0.7)
            name = (
                names_of(data, "spectra")[k]
                if method == "cgan"
                else f"{'code' if run['n_codes'] else 'latent'} {k + 1}"
            )
            note(axes, name)
            axes.set(ylim=(0, 2.4))
            light_grid(axes)
        row[0].set_ylabel(METHODS[method][0], fontsize=8)
    for axes in panels[-1]:
        axes.set_xlabel("wavelength, A", fontsize=8)


def draw_probes(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """What was asked of the conditional GAN against what came, and the score of each latent space."""
    for row, subject in zip(sheet.subplots(2, 4, width_ratios=(1, 1, 1, 1.6)), SUBJECTS, strict=True):
        runs = runs_of(found, subject)
        names = names_of(data, subject)
        if "cgan" in runs:
            run = runs["cgan"]
            for k, (axes, name) in enumerate(zip(row[:3], names, strict=False)):
                axes.plot(run["real_factors"][:, k], run["real_guess"][:, k], ".", ms=2, color=INK, alpha=0.3)
                axes.plot(run["latents"][:, k], run["factors"][:, k], ".", ms=2, color=VERMILION, alpha=0.4)
                axes.plot([-1.8, 1.8], [-1.8, 1.8], color=PALE, lw=1)
                axes.set(xlabel=f"{name}, asked", ylabel="told" if k == 0 else "")
                light_grid(axes)
            row[0].set_title(f"{subject} asked of the cGAN (red); held out (black)", fontsize=8)
        else:
            say_empty(row[0], f"{subject}_cgan was not run")
        if runs:
            _spaces(row[3], runs, metrics, subject)


def _spaces(axes: Axes, runs: dict, metrics: dict, subject: str) -> None:
    """The matched correlation of each latent space, as it is and along directions found without factors."""
    entries, looks = [], []
    for method in runs:
        label, colour = METHODS[method]
        for turn, words in TURNS.items():
            entry = metrics.get(f"gan_latent_{subject}_{method}_matched{turn}")
            if entry:
                entries.append(entry)
                looks.append((label + words, colour))
    _ladder(axes, entries, looks, "matched correlation")
    axes.tick_params(axis="y", labelsize=6)


def runs_of(found: dict, subject: str) -> dict[str, dict]:
    """The first seed's run of each method on one subject, in the order of METHODS."""
    return {method: found[f"{subject}_{method}"][0] for method in METHODS if f"{subject}_{method}" in found}


def names_of(data: list[dict], subject: str) -> list[str]:
    """Short names of the factors."""
    return [SIGNS.get(str(name), str(name)) for name in data[0][f"{subject}_y_names"]]


def _mosaic(axes: Axes, images: np.ndarray) -> None:
    """Images (rows, columns, side^2) side by side."""
    rows, columns, n_pixels = images.shape
    side = round(n_pixels**0.5)
    tiles = images.reshape(rows, columns, side, side)[::-1]
    axes.imshow(tiles.transpose(0, 2, 1, 3).reshape(rows * side, -1), cmap="magma", vmin=-0.05, vmax=1.3)
    axes.set(xticks=[], yticks=[])
