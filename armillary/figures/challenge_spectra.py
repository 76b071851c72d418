"""Figures of the challenge spectra: drawn beside real ones, reconstruction against size, indices, and wishes."""

import numpy as np
from matplotlib.figure import Figure

from armillary.challenges.galaxy_spectra import LN_WAVE
from armillary.figures.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PALE,
    PURPLE,
    SKY,
    VERMILION,
    light_grid,
    note,
    say_empty,
)

LABELS = {
    ("pca", "mixture"): "components, observed frame", ("pca_rest", "asked"): "components, rest frame",
    ("pca_rest", "detailed"): "the same, second stage", ("vae", "prior"): "VAE, prior", ("vae", "flow"): "VAE, flow",
    ("conditional", "asked"): "conditional VAE, rest frame", ("conditional", "detailed"): "the same, second stage",
}  # fmt: skip
COLOURS = dict(zip(LABELS, (ORANGE, SKY, PURPLE, GREEN, BLUE, VERMILION, INK), strict=True))
SHOWN = (("pca", "mixture"), ("pca_rest", "asked"), ("vae", "flow"), ("conditional", "asked"))  # where space is short


def samplers(found: dict, wanted=tuple(LABELS)) -> list[tuple[str, str]]:
    """(variant, sampler) of all that was drawn, of those that are wanted."""
    return [pair for pair in wanted if pair[0] in found]


def draw_samples(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Held-out spectra with their noise, and spectra drawn by each method without."""
    rows = [("held out", INK, next(iter(found.values()))[0]["real_spectra"])] if found else []
    rows += [(LABELS[name, s], COLOURS[name, s], found[name][0][f"drawn_{s}"]) for name, s in samplers(found, SHOWN)]
    if not rows:
        say_empty(sheet.subplots(), "no method was run")
        return
    wave = np.exp(LN_WAVE)
    panels = sheet.subplots(len(rows), 3, sharex=True, sharey="row", squeeze=False)
    for axes, (label, colour, spectra) in zip(panels, rows, strict=True):
        for place, spectrum in zip(axes, spectra, strict=False):
            place.plot(wave, spectrum, color=colour, lw=0.7)
            place.set(ylim=(0, 2.6))
            light_grid(place)
        note(axes[0], label)
    for place in panels[-1]:
        place.set_xlabel("observed wavelength, A")


def draw_fidelity(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Misfit against the number of latents, what tells drawn from real, and where both lie in two components."""
    sizes, judged, plane = sheet.subplots(1, 3)
    for name, sampler, label in (
        ("pca", "mixture", "components, observed frame"), ("pca_rest", "asked", "components, rest frame"),
        ("vae", "flow", "VAE, observed frame"), ("conditional", "asked", "conditional VAE, rest frame"),
    ):  # fmt: skip
        colour = COLOURS[name, sampler]
        if name not in found:
            continue
        order = np.sort(found[name][0]["sizes"])
        entries = [metrics[f"spectra_{name}_chi2_at_{k}"] for k in order]
        values, low, high = (np.array([entry[end] for entry in entries], float) for end in ("value", "lo", "hi"))
        sizes.errorbar(order, values, np.maximum([values - low, high - values], 0), fmt="o-", color=colour, label=label)
    sizes.axhline(1, color=PALE, lw=1, ls="--")
    sizes.set(xlabel="components or latents", ylabel="chi2 a pixel, held out", yscale="log")
    pairs = samplers(found)
    for k, (name, s) in enumerate(pairs):
        entry = metrics[f"spectra_{name}_{s}_auc"]
        ends = np.maximum([[entry["value"] - entry["lo"]], [entry["hi"] - entry["value"]]], 0)
        judged.errorbar(entry["value"], k, xerr=ends, fmt="o", color=COLOURS[name, s])
        if (name, s) in SHOWN:
            plane.plot(*found[name][0][f"components_{s}"].T, ".", ms=2, color=COLOURS[name, s], alpha=0.5)
    judged.axvline(0.5, color=PALE, lw=1, ls="--")
    names = [LABELS[pair] for pair in pairs]
    judged.tick_params(axis="y", labelsize=7)
    judged.set(yticks=range(len(pairs)), yticklabels=names, ylim=(-0.5, max(len(pairs), 1) - 0.5),
               xlabel="area under ROC", xlim=(0.4, 1.02))  # fmt: skip
    if found:
        plane.plot(*next(iter(found.values()))[0]["components_real"].T, ".", ms=2, color=INK, alpha=0.4)
        sizes.legend(fontsize=7)
    plane.set(xlabel="first component", ylabel="second")
    note(plane, "black: held out")
    for axes in (sizes, judged, plane):
        light_grid(axes)


def draw_physics(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Break and lines of drawn and held-out spectra, line ratios, and what was asked against what came out."""
    breaks, ratios, redshift, metals = sheet.subplots(2, 2).ravel()
    if not found:
        say_empty(breaks, "no method was run")
        return
    shown = samplers(found, SHOWN)
    real = np.concatenate([run["indices_real"] for run in next(iter(found.values()))])
    for axes, (i, j) in ((breaks, (0, 1)), (ratios, (2, 3))):
        axes.plot(real[:, i], real[:, j], ".", color=INK, ms=2, alpha=0.4, label="held out")
        for name, s in shown:
            drawn = np.concatenate([run[f"indices_{s}"] for run in found[name]])
            axes.plot(drawn[:, i], drawn[:, j], ".", color=COLOURS[name, s], ms=2, alpha=0.4, label=LABELS[name, s])
        light_grid(axes)
    breaks.set(xlabel="D4000", ylabel="width of H alpha, A", xlim=(0.9, 2.3), ylim=(-15, 80))
    breaks.legend(markerscale=4, fontsize=8)
    ratios.set(xlabel="log [N II] / H alpha", ylabel="log [O III] / H beta", xlim=(-1.6, 0.6), ylim=(-1, 2))
    told = [name for name in ("conditional", "pca_rest") if name in found]
    if not told:
        say_empty(redshift, "no variant that is told redshifts was run")
        return
    runs = found[told[0]]
    for axes, asked, seen, known, unit in (
        (redshift, "asked_z", "seen_z", "real_z", "redshift"),
        (metals, "asked_metallicity", "seen_metallicity", "real_metallicity", "log metallicity"),
    ):
        x, y, r = (np.concatenate([run[key] for run in runs]) for key in (asked, seen, known))
        axes.plot(x, r, ".", color=INK, ms=2, alpha=0.4, label="held out")
        axes.plot(x, y, ".", color=VERMILION, ms=2, alpha=0.4, label="drawn as asked")
        axes.plot([x.min(), x.max()], [x.min(), x.max()], color=PALE, lw=1)
        axes.set(xlabel=f"{unit}, asked or true", ylabel="measured")
        light_grid(axes)
    redshift.legend(markerscale=4, fontsize=8)
