"""Calibrate the estimators of a sky on training maps."""

from armillary.cmb_spectra import Spectra
from armillary.estimators import fit_estimators
from armillary.files import read_arrays, write_arrays
from armillary.files_cmb import read_many_maps
from armillary.lensed_skies import CHANNELS
from armillary.skies import estimators_to_arrays, setting_of
from armillary.step import announce, run


def train_estimators(
    spectra: str, maps: list[str], estimators: str, *, sky_settings: dict, n_maps: int, n_steps: int,
    n_iterations: int, l_min: int, l_max: int,
) -> None:  # fmt: skip
    """`maps` are the first files of the training split."""
    setting = setting_of(sky_settings, Spectra(**read_arrays(spectra)), l_min=l_min, l_max=l_max)
    training = {name: values[:n_maps] for name, values in read_many_maps(maps, list(CHANNELS)).items()}
    announce(f"{len(training['q'])} maps, l = {setting.l_min} to {setting.l_max}")
    fitted = fit_estimators(setting, training, n_steps=n_steps, n_iterations=n_iterations)
    write_arrays(estimators, **estimators_to_arrays(fitted))


if __name__ == "__main__":
    run(train_estimators, snakemake)
