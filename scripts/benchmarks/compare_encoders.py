"""Compare the default encoder with the source system's network: held-out score and time for one field."""

import time

import numpy as np
import torch

from armillary.encoder_data import Fields
from armillary.files import write_json
from armillary.fingerprints import fingerprint
from armillary.inference import raw_windows, read_encoder, readable
from armillary.metrics import estimate, measurement, resample_counts
from armillary.scoring import bootstrap_average_precision
from armillary.step import announce, run
from armillary.tiles import read_file_data
from armillary.training import Settings, build_network, evaluate, fit


def compare_encoders(
    train: list[str],
    selection: list[str],
    test: list[str],
    checkpoint: str,
    code: list[str],
    metrics: str,
    *,
    work_folder: str,
    image_size: int,
    n_pairs: int,
    width: int,
    n_training_fields: int,
    n_epochs: int,
    batch_size: int,
    learning_rate: float,
    n_resamples: int,
    seed: int,
    threads: int,
) -> None:
    """The baseline is trained here, on the first `n_training_fields` of the same fields for `n_epochs`; `checkpoint`
    is the trained default encoder. Times are of `image_size` px images in all bands, both sides in turn.
    """
    torch.set_num_threads(threads)
    encoder = read_encoder(checkpoint)
    held_out = [read_file_data(path) for path in test]
    baseline = _network(encoder, width, encoder.bin_factor, seed)
    fields = Fields(_first_fields([read_file_data(path) for path in train], n_training_fields), baseline)
    settings = Settings(
        n_epochs, batch_size, fields.n_tiles, learning_rate, weight_decay=0.01, band_drop=0.0, patience=n_epochs,
        precision="float32", seed=seed,
    )  # fmt: skip
    history = fit(
        baseline, fields, Fields([read_file_data(path) for path in selection[:1]], baseline), settings,
        folder=work_folder, device="cpu",
        fingerprint=fingerprint(
            settings._asdict() | {"width": width, "n_training_fields": n_training_fields}, contents=code, stamped=train
        ),
    )  # fmt: skip
    minutes = history[-1]["seconds"] / 60
    announce(f"bliss trained for {minutes:.1f} minutes on {n_training_fields} fields, {n_epochs} epochs")
    scores = {
        "encoder": _score(encoder.network, held_out, n_resamples, seed),
        "bliss": _score(baseline, held_out, n_resamples, seed),
    }
    times = _times(encoder, baseline, _network(encoder, width, 1, seed), image_size, n_pairs, seed)
    n_fields = sum(len(data["field"]) for data in held_out)
    note = f"bliss: {minutes:.0f} minutes of training on {n_training_fields} of the same fields, {n_epochs} epochs"
    report = {
        "encoder_pr_auc": estimate(*scores["encoder"], n=n_fields, baseline="bliss_pr_auc", note="test fields"),
        "bliss_pr_auc": estimate(*scores["bliss"], n=n_fields, note=note),
        "bliss_training_minutes": measurement(minutes, n=1, unit="min"),
        **_ratios(times, image_size, threads),
    }
    write_json(metrics, report)


def _network(encoder, width: int, bin_factor: int, seed: int):
    return build_network(
        "bliss", n_bands=len(encoder.bands), tile_pixels=encoder.tile_size // bin_factor, width=width,
        pixel_arcsec=encoder.pixel_arcsec * bin_factor, seed=seed,
    )  # fmt: skip


def _first_fields(files: list[dict], n_fields: int) -> list[dict]:
    """Files cut down to their first fields, `n_fields` in all."""
    kept = []
    for data in files:
        n = min(len(data["field"]), n_fields - sum(len(one["field"]) for one in kept))
        if n > 0:
            tiles = {name: value[:n] for name, value in data["tile_catalog"].items()}
            kept.append({**data, **{k: data[k][:n] for k in ("field", "images", "sky_sigma")}, "tile_catalog": tiles})
    return kept


def _score(network, held_out: list[dict], n_resamples: int, seed: int) -> tuple[float, np.ndarray]:
    """Tile PR-AUC on the test fields and its bootstrap over fields."""
    fields = Fields(held_out, network)
    _, outputs = evaluate(network, fields, "cpu", torch.float32)
    truth = fields.labels("membership").numpy()[..., 0]
    unit = np.repeat(np.arange(len(truth)), truth[0].size)
    counts = resample_counts(len(truth), n_resamples, np.random.default_rng(seed))
    return bootstrap_average_precision(outputs[:, 0].numpy().ravel(), truth.ravel(), unit, counts)


def _times(encoder, binned, native, image_size: int, n_pairs: int, seed: int) -> dict[str, list[float]]:
    """Seconds from counts to estimates, the default encoder and bliss on binned and on native pixels, in turn."""
    counts = _sky(len(encoder.bands), image_size, seed)
    sigma = np.ones(len(encoder.bands))
    coded = {2: torch.from_numpy(counts[:, :, ::2, ::2].copy()), 1: torch.from_numpy(counts)}
    ways = {
        "encoder": lambda: readable(encoder, raw_windows(encoder, counts, sigma), class_prior="training"),
        "bliss": lambda: native.eval()(list(torch.asinh(coded[1]))),
        "bliss_binned": lambda: binned.eval()(list(torch.asinh(coded[2]))),
    }
    times = {name: [] for name in ways}
    with torch.inference_mode():
        ways["encoder"]()
        for _ in range(n_pairs):
            for name, way in ways.items():
                started = time.monotonic()
                way()
                times[name].append(time.monotonic() - started)
    return times


def _sky(n_bands: int, image_size: int, seed: int) -> np.ndarray:
    """Noise with 35 sources an arcmin^2 of 0.263-arcsec pixels, (1, C, H, W): what the front end has to find."""
    rng = np.random.default_rng(seed)
    image = rng.standard_normal((1, n_bands, image_size, image_size), dtype=np.float32)
    y, x = rng.integers(2, image_size - 2, (2, round(35 * (image_size * 0.263 / 60) ** 2)))
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            image[:, :, y + dy, x + dx] += 10
    return image


def _ratios(times: dict[str, list[float]], image_size: int, threads: int) -> dict[str, dict]:
    report = {}
    for name in ("bliss", "bliss_binned"):
        ratio = np.array(times[name]) / np.array(times["encoder"])
        own = times[name]
        report[f"{name}_seconds"] = measurement(np.median(own), min(own), max(own), len(own), "s")
        suffix = name.removeprefix("bliss")
        report[f"encoder_speedup{suffix}"] = measurement(
            np.median(ratio), ratio.min(), ratio.max(), len(ratio), "times", f"{name}_seconds",
            f"{image_size} px, {threads} threads; range of the pairs",
        )  # fmt: skip
    own = times["encoder"]
    report["encoder_seconds"] = measurement(np.median(own), min(own), max(own), len(own), "s", "bliss_seconds")
    return report


if __name__ == "__main__":
    run(compare_encoders, snakemake)
