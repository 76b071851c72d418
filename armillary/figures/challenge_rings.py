"""Figures of the challenge rings: examples, counting, regression, drawn rings, and particles in the detector."""

import numpy as np
from matplotlib.figure import Figure

from armillary.challenges.cherenkov import PARTICLES
from armillary.challenges.rings import ENERGY_BINS, LABELS
from armillary.figures.style import BLUE, GREEN, INK, ORANGE, PALE, VERMILION, light_grid, note, say_empty

COLOURS = {"mu": BLUE, "pi0": VERMILION, "gamma": GREEN}
NAMES = {"mu": "muon", "pi0": "neutral pion", "gamma": "photon"}
METHODS = {"detector_charge": ":", "detector_boosting": "--", "detector_cnn": "-"}


def draw_examples(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Images with one to four rings, and an event of each particle on the unrolled barrel."""
    top, bottom = sheet.subfigures(2, 1, height_ratios=[1, 1])
    one = data[0]
    for number, axes in enumerate(top.subplots(1, 8)):
        wanted = np.flatnonzero(one["count"] == number // 2 + 1)
        if len(wanted) > number % 2:
            axes.imshow(one["count_images"][wanted[number % 2]], cmap="gray")
        axes.set_title(f"{number // 2 + 1} ring{'s' if number > 1 else ''}")
        axes.set(xticks=[], yticks=[])
    for number, axes in enumerate(bottom.subplots(1, len(PARTICLES))):
        wanted = np.flatnonzero((one["particle"] == number) & (one["energy_mev"] > np.median(one["energy_mev"])))
        if len(wanted):
            axes.imshow(one["events"][wanted[0], 0], cmap="magma")
            axes.set_title(f"{PARTICLES[number]}, {one['energy_mev'][wanted[0]]:.0f} MeV")
        axes.set(xticks=[], yticks=[])


def draw_counting(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Confusion of the network, accuracy against the most rings, against training size, and DBSCAN's clusters."""
    confusion, sweep, clusters = sheet.subplots(1, 3)
    if "cnn_four" in found:
        truth = np.concatenate([run["truth"] for run in found["cnn_four"]])
        guess = np.concatenate([run["guess"] for run in found["cnn_four"]])
        share = np.array([[np.mean(guess[truth == t] == g) for g in range(1, 5)] for t in range(1, 5)])
        confusion.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for t, g in np.ndindex(4, 4):
            confusion.text(
                g, t, f"{share[t, g]:.2f}", ha="center", va="center", color="white" if share[t, g] > 0.5 else INK
            )
        confusion.set(xticks=range(4), xticklabels=range(1, 5), yticks=range(4), yticklabels=range(1, 5),
                      xlabel="network says", ylabel="true rings")  # fmt: skip
    if "training_curve" in found:
        sizes = found["training_curve"][0]["sizes"]
        each = np.array([run["accuracies"] for run in found["training_curve"]])
        for k, (name, colour) in enumerate((("PCA + SVM", ORANGE), ("network", BLUE))):
            sweep.plot(sizes, each[:, :, k].T, color=colour, lw=0.7, alpha=0.6)
            sweep.plot(sizes, each[:, :, k].mean(0), "o-", color=colour, label=f"{name}, 1 to 4 rings")
    marks = {"pca_svm_whitened_four": "whitened", "pca_svm_unturned_four": "not whitened", "pca_svm_four": "and turned",
             "cnn_four": "network"}  # fmt: skip
    entries = {label: metrics.get(f"rings_{name}_accuracy") for name, label in marks.items()}
    text = [f"{label}: {entry['value']:.3f}" for label, entry in entries.items() if entry]
    note(sweep, "SVM, then network, 1 to 4 rings\n" + "\n".join(text), 0.97, 0.05)
    sweep.set(xscale="log", xlabel="training images", ylabel="accuracy")
    if "training_curve" in found:
        sweep.legend(loc="upper left")
    light_grid(sweep)
    if "dbscan" in found:
        truth = np.concatenate([run["truth"] for run in found["dbscan"]])
        n_clusters = np.concatenate([run["n_clusters"] for run in found["dbscan"]])
        for rings in range(1, 5):
            share = np.bincount(np.minimum(n_clusters[truth == rings], 6), minlength=7) / max(np.sum(truth == rings), 1)
            clusters.plot(range(7), share, "o-", label=f"{rings} ring{'s' if rings > 1 else ''}")
        clusters.set(xlabel="pixel clusters (DBSCAN)", ylabel="share of images")
        clusters.legend()
        light_grid(clusters)


def draw_regression(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """True against regressed labels, pulls, and correlation of the errors."""
    axes = sheet.subplots(2, 3).ravel()
    if "regressor" not in found:
        say_empty(axes[0], "the variant regressor was not run")
        return
    runs = found["regressor"]
    truth, mean, sigma = (np.concatenate([run[key] for run in runs]) for key in ("truth", "mean", "sigma"))
    for k, name in enumerate(LABELS):
        axes[k].plot(truth[::3, k], mean[::3, k], ".", color=BLUE, ms=1.5, alpha=0.5)
        ends = [truth[:, k].min(), truth[:, k].max()]
        axes[k].plot(ends, ends, color=VERMILION, lw=1)
        axes[k].set(xlabel=f"true {name}, px", ylabel="regressed")
        pull = (mean[:, k] - truth[:, k]) / sigma[:, k]
        note(axes[k], f"rms {np.sqrt(np.mean((mean - truth)[:, k] ** 2)):.2f} px\npull {pull.std():.2f}")
        light_grid(axes[k])
    correlation = np.corrcoef((mean - truth).T)
    axes[5].imshow(correlation, cmap="RdBu_r", vmin=-1, vmax=1)
    for i, j in np.ndindex(5, 5):
        axes[5].text(j, i, f"{correlation[i, j]:.1f}", ha="center", va="center", fontsize=7)
    short = [name[:6] for name in LABELS]
    axes[5].set(xticks=range(5), xticklabels=short, yticks=range(5), yticklabels=short, title="correlation of errors")
    axes[5].tick_params(labelsize=7)


def draw_generation(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Rings of the simulator beside rings drawn from their labels, twice each."""
    images = data[0]["ring_images"][data[0]["ring_split"] == 2][:8]
    rows = [("simulator", images / 255.0)]
    for name, label in (("generator_plain", "decoder"), ("generator_vae", "VAE")):
        if name in found:
            rows += [(label, found[name][0]["drawn"]), (f"{label}, again", found[name][0]["drawn_again"])]
    drawings, curve = sheet.subfigures(1, 2, width_ratios=[3, 1])
    axes = drawings.subplots(len(rows), 8, squeeze=False)
    _draw_generation_curve(curve.subplots(), data, metrics)
    for row, (label, pictures) in zip(axes, rows, strict=True):
        for one, picture in zip(row, pictures, strict=False):
            one.imshow(picture, cmap="gray", vmin=0, vmax=1)
        for one in row:
            one.set(xticks=[], yticks=[])
        row[0].set_ylabel(label, fontsize=8)


def _draw_generation_curve(axes, data: list[dict], metrics: dict) -> None:
    """Errors of what is read in drawn rings against the number of images that the drawer learned from."""
    n_all = int((data[0]["ring_split"] == 0).sum())
    for key, colour in (("centre_px", BLUE), ("radius_px", VERMILION)):
        start, end = "rings_generator_vae_of_", f"_{key}"
        points = {int(name.removeprefix(start).removesuffix(end)): entry for name, entry in metrics.items()
                  if name.startswith(start) and name.endswith(end)}  # fmt: skip
        whole = metrics.get(f"rings_generator_vae_{key}")
        points |= {n_all: whole} if whole else {}
        axes.plot(
            list(points),
            [entry["value"] for entry in points.values()],
            "o-",
            color=colour,
            label=key.removesuffix("_px"),
        )
    axes.set(xscale="log", xlabel="images to learn from", ylabel="error of the VAE's rings as read, px")
    axes.legend()
    light_grid(axes)


def draw_detector(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """ROC curves of electrons against each other particle, and the area under them against energy."""
    roc, energy = sheet.subplots(1, 2)
    electron = PARTICLES.index("e")
    for name, style in METHODS.items():
        if name not in found:
            continue
        truth = np.concatenate([one["particle"][one["event_split"] == 2] for one in data])
        chance = np.concatenate([run["probability"] for run in found[name]])
        for other, colour in COLOURS.items():
            k = PARTICLES.index(other)
            if not (truth == k).any():
                continue
            ratio = np.log(chance[:, electron] + 1e-9) - np.log(chance[:, k] + 1e-9)
            cuts = np.quantile(ratio[truth == electron], np.linspace(0, 1, 200))
            kept = [np.mean(ratio[truth == k] >= cut) for cut in cuts]
            label = NAMES[other] if name == "detector_cnn" else None
            roc.plot(np.linspace(1, 0, 200), kept, style, color=colour, label=label, lw=1.4)
    roc.plot([0, 1], [0, 1], color=PALE, lw=1)
    roc.set(xlabel="electrons kept", ylabel="others taken for electrons", yscale="log", ylim=(2e-3, 1))
    note(roc, "solid: network, dashed: boosting\ndotted: charge alone", 0.97, 0.05)
    if "detector_cnn" in found:
        roc.legend(loc="upper left")
    light_grid(roc)
    energies = np.concatenate([one["energy_mev"][one["event_split"] == 2] for one in data])
    edges = np.quantile(energies, np.linspace(0, 1, ENERGY_BINS + 1))
    for other, colour in COLOURS.items():
        entries = [metrics.get(f"rings_detector_cnn_auc_{other}_energy_{b + 1}") for b in range(ENERGY_BINS)]
        known = [b for b, entry in enumerate(entries) if entry and entry["lo"] is not None]  # bins with both particles
        values, low, high = (np.array([entries[b][end] for b in known]) for end in ("value", "lo", "hi"))
        centres = 0.5 * (edges[1:] + edges[:-1])[known]
        energy.errorbar(centres, values, np.maximum([values - low, high - values], 0), fmt="o-", color=colour)
    energy.set(xlabel="visible energy, MeV", ylabel="area under the curve, network")
    light_grid(energy)
