"""From channels of maps to the arrays a network sees, and back: windows, estimates to start from, whitening, scaling.

A network may learn a target itself, or what the best classical estimate of it leaves over. That rest is divided by its
own power spectrum first: every multipole counts alike, and not only the largest scales where most of the power is.
"""

from typing import NamedTuple

import numpy as np

from armillary.channels import CHANNELS
from armillary.estimators import KAPPAS, Rings, Setting, truth_window, window_of
from armillary.flatsky import Patch, eb_from_qu, fourier, pixels, qu_from_eb, radial

STARTS = {"k": "k_map_delensed", "e": "e_delensed", "b": "b_template"}
STEEP = KAPPAS  # inputs that are whitened, for their power falls by decades
ROLL_OFF = 80.0  # in l, of the band that a whitened map keeps
NOISE_STREAM = 5


class Preparation(NamedTuple):
    """What was learned from the training maps about scales; made by `fit_preparation`, stored with the network."""

    inputs: list[str]
    outputs: list[str]
    starts: list[str | None]  # the estimate that each output starts from
    input_mean: np.ndarray  # (n_inputs,)
    input_std: np.ndarray
    output_mean: np.ndarray  # (n_outputs,)
    output_std: np.ndarray
    input_filters: np.ndarray  # (n_inputs, l_max + 1), ones where an input is taken as it is
    output_filters: np.ndarray  # (n_outputs, l_max + 1), likewise
    mix: np.ndarray  # (n_outputs, 2, l_max + 1): factors of the estimate and of what the network adds
    apodize_maps: bool
    apodize_targets: bool
    noise_fraction: float
    noise_channels: list[str]


def needed_channels(inputs: list[str], outputs: list[str], start_from_estimates: bool) -> list[str]:
    """All channels that training reads."""
    starts = [STARTS[name] for name in outputs if name in STARTS] if start_from_estimates else []
    return list(dict.fromkeys([*inputs, *outputs, *starts]))


def derived_channels(maps: dict[str, np.ndarray], names: list[str], patch: Patch) -> dict[str, np.ndarray]:
    """`maps` with Q and U made of e, or E and B made of Q and U, where they are asked for and not there."""
    if {"Q", "U"} & set(names) - set(maps):
        pair = [pixels(part, patch) for part in qu_from_eb(fourier(maps["e"]), np.float32(0), patch)]
        maps = maps | dict(zip("QU", pair, strict=True))
    if {"E", "B"} & set(names) - set(maps):
        pair = [pixels(part, patch) for part in eb_from_qu(fourier(maps["Q"]), fourier(maps["U"]), patch)]
        maps = maps | dict(zip("EB", pair, strict=True))
    return {name: maps[name] for name in names}


def fit_preparation(
    maps: dict[str, np.ndarray], setting: Setting, *, inputs: list[str], outputs: list[str], start_from_estimates: bool,
    normalize_maps: bool, apodize_maps: bool, apodize_targets: bool, noise_fraction: float, noise_channels: list[str],
) -> Preparation:  # fmt: skip
    """Scales and whitening filters from training maps (n, n_y, n_x) by channel name."""
    starts = [STARTS.get(name) if start_from_estimates else None for name in outputs]
    missing = [name for name, start in zip(outputs, starts, strict=True) if start_from_estimates and start is None]
    if missing:
        raise ValueError(
            f"cmb: start_from_estimates: there is no estimate of {missing[0]}; only of {', '.join(STARTS)}"
        )
    n_tables = int(1.5 * setting.patch.nyquist)
    ones = np.ones(n_tables)
    blank = Preparation(
        inputs, outputs, starts,
        input_mean=np.zeros(len(inputs)), input_std=np.ones(len(inputs)),
        output_mean=np.zeros(len(outputs)), output_std=np.ones(len(outputs)),
        input_filters=np.tile(ones, (len(inputs), 1)), output_filters=np.tile(ones, (len(outputs), 1)),
        mix=np.ones((len(outputs), 2, n_tables)), apodize_maps=apodize_maps, apodize_targets=apodize_targets,
        noise_fraction=noise_fraction, noise_channels=noise_channels if noise_fraction > 0 else [],
    )  # fmt: skip
    for number, name in enumerate(inputs):
        if name in STEEP:
            blank.input_filters[number] = whitening(maps[name], setting, n_tables)
    for number, (name, start) in enumerate(zip(outputs, starts, strict=True)):
        if start is not None:
            blank.output_filters[number] = whitening(_rest(maps, name, start, setting), setting, n_tables)
    if not normalize_maps:
        return blank
    seen = prepare_inputs(blank, maps, setting, seed=0)
    wanted = prepare_targets(blank, maps, setting)
    return blank._replace(
        input_mean=seen.mean((0, 2, 3)), input_std=_safe(seen.std((0, 2, 3))),
        output_mean=wanted.mean((0, 2, 3)), output_std=_safe(wanted.std((0, 2, 3))),
    )  # fmt: skip


def prepare_inputs(preparation: Preparation, maps: dict[str, np.ndarray], setting: Setting, *, seed: int) -> np.ndarray:
    """Network inputs, float32 (n, n_inputs, n_y, n_x); `seed` is that of the extra noise, where there is any."""
    stack = []
    for number, name in enumerate(preparation.inputs):
        values = maps[name]
        if name in preparation.noise_channels:
            rng = np.random.default_rng([seed, NOISE_STREAM, number])
            level = np.float32(preparation.noise_fraction * values.std())
            values = values + level * rng.standard_normal(values.shape, dtype=np.float32)
        if preparation.apodize_maps and CHANNELS[name].source != "estimate":
            values = values * window_of(setting)
        if name in STEEP:
            values = filtered(values, preparation.input_filters[number], setting.patch)
        stack.append((values - preparation.input_mean[number]) / preparation.input_std[number])
    return np.stack(stack, 1).astype(np.float32)


def prepare_targets(preparation: Preparation, maps: dict[str, np.ndarray], setting: Setting) -> np.ndarray:
    """What the network is to give, float32 (n, n_outputs, n_y, n_x)."""
    stack = []
    for number, (name, start) in enumerate(zip(preparation.outputs, preparation.starts, strict=True)):
        if start is not None:
            rest = _rest(maps, name, start, setting)
            values = filtered(rest, preparation.output_filters[number], setting.patch)
        else:
            values = maps[name] * (window_of(setting) if preparation.apodize_targets else np.float32(1))
        stack.append((values - preparation.output_mean[number]) / preparation.output_std[number])
    return np.stack(stack, 1).astype(np.float32)


def restore(
    preparation: Preparation, outputs: np.ndarray, maps: dict[str, np.ndarray], setting: Setting
) -> dict[str, np.ndarray]:
    """Estimates of the targets as they are seen through the window (squared for k), from network outputs."""
    found = {}
    for number, (name, start) in enumerate(zip(preparation.outputs, preparation.starts, strict=True)):
        values = outputs[:, number] * preparation.output_std[number] + preparation.output_mean[number]
        if start is None:
            seen = window_of(setting) if preparation.apodize_targets else np.float32(1)
            factor = np.divide(truth_window(setting, name), seen, out=np.zeros(setting.patch.shape), where=seen > 0)
            found[name] = (values * factor).astype(np.float32)
        else:
            added = unwhitened(values, preparation.output_filters[number], setting)
            kept = radial(preparation.mix[number, 0], setting.patch) * fourier(maps[start])
            more = radial(preparation.mix[number, 1], setting.patch) * fourier(added)
            found[name] = pixels(kept + more, setting.patch).astype(np.float32)
    return found


def fit_mix(
    preparation: Preparation, outputs: np.ndarray, maps: dict[str, np.ndarray], setting: Setting
) -> Preparation:
    """Factors, ring by ring, of estimate and network of least mean square error, from *validation* maps.

    Where the network has learned nothing its factor goes to zero, so that it does no harm there.
    """
    rings, mix = Rings(setting.patch), preparation.mix.copy()
    for number, (name, start) in enumerate(zip(preparation.outputs, preparation.starts, strict=True)):
        if start is None:
            continue
        values = outputs[:, number] * preparation.output_std[number] + preparation.output_mean[number]
        added = fourier(unwhitened(values, preparation.output_filters[number], setting))
        kept, truth = fourier(maps[start]), fourier(truth_window(setting, name) * maps[name])
        aa, bb, ab = (rings.products(*pair) for pair in ((kept, kept), (added, added), (kept, added)))
        at, bt = rings.products(kept, truth), rings.products(added, truth)
        determinant = aa * bb - ab**2
        usable = determinant > 1e-6 * aa * bb
        divisor = np.where(usable, determinant, 1.0)
        keep = np.where(usable, (at * bb - bt * ab) / divisor, 1.0)
        add = np.where(usable, (bt * aa - at * ab) / divisor, 0.0)
        l = np.arange(mix.shape[-1])  # noqa: E741
        mix[number] = np.interp(l, rings.centres, keep), np.interp(l, rings.centres, np.clip(add, 0.0, 2.0))
    return preparation._replace(mix=mix)


def whitening(values: np.ndarray, setting: Setting, n_tables: int) -> np.ndarray:
    """1 / sqrt(power) of maps (n, n_y, n_x) at l = 0 ... n_tables - 1 inside the band of the estimators, 0 outside."""
    rings = Rings(setting.patch)
    power = rings.products(*[fourier(values)] * 2) / (
        rings.n_modes * len(values) * setting.patch.n_y * setting.patch.n_x
    )
    l = np.arange(n_tables)  # noqa: E741
    smooth = np.exp(np.interp(l, rings.centres, np.log(np.maximum(power, 1e-30 * power.max()))))
    return band(l, setting) / np.sqrt(smooth)


def band(l: np.ndarray, setting: Setting) -> np.ndarray:  # noqa: E741
    """1 from l_min to where lensing can still be measured at all, about 0.6 l_max; falls to a hundredth, then is 0."""
    edge = 1 / (1 + np.exp(np.clip((l - 0.6 * setting.l_max) / ROLL_OFF, -60, 60)))
    return np.where((l >= max(setting.l_min, 1)) & (edge > 0.01), edge, 0.0)


def filtered(values: np.ndarray, table: np.ndarray, patch: Patch) -> np.ndarray:
    """Maps with each multipole multiplied by a table."""
    return pixels(fourier(values) * radial(table, patch), patch)


def unwhitened(values: np.ndarray, table: np.ndarray, setting: Setting) -> np.ndarray:
    """What was whitened by `table`, with its band left in: the other way round noise would grow at the band's edge."""
    inside = band(np.arange(len(table)), setting)
    inverse = np.divide(inside, table, out=np.zeros_like(table), where=table > 0)
    return filtered(values.astype(np.float32), inverse, setting.patch)


def _rest(maps: dict[str, np.ndarray], name: str, start: str, setting: Setting) -> np.ndarray:
    return maps[name] * truth_window(setting, name) - maps[start]


def _safe(spread: np.ndarray) -> np.ndarray:
    return np.where(spread > 0, spread, 1.0)
