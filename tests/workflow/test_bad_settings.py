"""A bad setting ends the run before any job, with one clear line."""

import pytest
from running import snakemake

BAD_SETTINGS = {
    "clusters: {sede: 3}": "'sede' was unexpected",
    "clusters: {bands: [g, r, q]}": "clusters: bands: 2: 'q' is not one of",
    "clusters: {image_size: 700}": "image_size is 700 px, not a multiple of tile_size 64",
    "clusters: {survey: sdss}": "clusters: survey: 'sdss' is not one of",
    "clusters: {nfiles: 25}": "nfiles is 25; it must be a multiple of n_catalogs_per_file",
    "clusters: {validation_fraction: 0.1}": "validation_fraction is 0.1 of 6 batches, which is one; it must give two",
    "clusters: {selection_fraction: 1.0}": "1.0 is greater than or equal to the maximum of 1",
    "clusters: {train_encoder: {seeds: 0}}": "seeds: 0 is less than the minimum of 1",
    "clusters: {sample_catalog: {richness_slope: -1}}": "richness_slope: -1 is less than the minimum",
    "clusters: {train_encoder: {architecture: resnet}}": "architecture: 'resnet' is not one of",
    "clusters: {sample_catalog: {margin_px: 250}}": "'margin_px' was unexpected",
    "clusters: {simulate_tile: {clusters_file: no.csv}}": "no data set 'no.csv'",
    "clusters: {score_redmapper: {clusters_file: no.csv}}": "no data set 'no.csv'",
    "clusters: {summarise_survey: {duplicate_dz: 0}}": "less than or equal to the minimum of 0",
    "clusers: {seed: 3}": "'clusers' was unexpected",
    "clusters: {compare_catalogs: {first: {files: a.csv}}}": "'files' was unexpected",
    "clusters: {compare_catalogs: {first: {file: no.csv}}}": "first: file: no.csv does not exist; no data set 'no.csv'",
    "clusters: {compare_catalogs: {second: {file: a.csv, columns: {z: Z}}}}": "'z' was unexpected",
    "clusters: {compare_catalogs: {footprint: {ra: [0, 5], dec: [3, 2]}}}": "dec is [3, 2]; south comes first",
    "clusters: {compare_catalogs: {richness_edges: [30, 20]}}": "richness_edges is [30, 20]; its numbers must rise",
    "cmb: {experiments: {mine: {inputs: quz, outputs: k}}}": "'z' is no channel",
    "cmb: {experiments: {mine: {inputs: qu, outputs: k, noise_channels: quk}}}": "noise_channels has the target k",
    "cmb: {experiments: {mine: {sky: mars}}}": "sky is 'mars'; known: patches",
    "cmb: {simulate_spectra: {l_max: 3000}}": "l_max is 3000, below the Nyquist multipole 4608",
    "cmb: {skies: {noise_free: {n_pixels: 96}}}": "n_pixels is 96; pix2pix needs a power of two",
    "cmb: {experiment: nothing}": "there is no experiment 'nothing'",
    "cmb: {skies: {patches: {n_maps: 50}}}": "n_maps is 50; it must be a multiple of",
    "cmb: {train_network: {lambda: 0}}": "lambda: 0 is less than or equal to the minimum",
    "cmb: {experiments: {mine: {gpus: 3}}}": "'gpus' was unexpected",
    "massmap: {sede: 3}": "'sede' was unexpected",
    "massmap: {run_fields: [nowhere]}": "no field is called 'nowhere'",
    "massmap: {run_fields: [own], fields: {own: {source: catalog}}}": "name a table in `catalog`",
    "massmap: {run_fields: [own], fields: {own: {source: maps}}}": "name them in `maps`",
    "massmap: {run_fields: [own], fields: {own: {catalog: no.fits, columns: {ra: a}}}}": "no data set 'no.fits'",
    "massmap: {sky: flat}": "'flat' is not one of",
    "massmap: {fields: {simulated: {e2_sign: 2}}}": "2 is not one of",
    "massmap: {shift_spread: -1}": "less than the minimum of 0",
    "hsc: {sede: 3}": "'sede' was unexpected",
    "hsc: {run_problems: [tuning, elsewhere]}": "no problem is called 'elsewhere'",
    "hsc: {run_problems: [deblending]}": "does not contain items matching",
    "hsc: {missing_planes: [INTRP, HALO]}": "unknown mask plane 'HALO'",
    "hsc: {observed: {pixel_arcsec: -0.168}}": "less than or equal to the minimum of 0",
    "hsc: {train_score: {architecture: transformer}}": "'transformer' is not one of",
    "hsc: {camera: {sky_sigma: 0}}": "less than or equal to the minimum of 0",
    "hsc: {problems: {inpainting: {methods: [hmc]}}}": "methods must hold pca_gaussian",
    "mim: {missing_bands: [u]}": "missing_bands has 'u'",
    "mim: {pooling: attention}": "attention_pool false",
    "mim: {networks: {mae_1: {patch_px: 5}}}": "must be an even multiple",
    "mim: {simulate_sky: {cutout_px: 8}}": "must fit into it",
    "mim: {train_network: {epochs: 3}}": "'epochs' was unexpected",
    "challenges: {rings: {expect: {mine: {range: [0.9, 1]}}}}": "rings: expect: mine: 'kind' is a required property",
    "challenges: {run: [ring]}": "'ring' is not one of",
    "challenges: {rings: {variants: [cnn_five]}}": "'cnn_five' is not one of",
    "challenges: {rings: {seeds: []}}": "non-empty",
    "challenges: {xray_mass: {settings: {split_by: halo}}}": "'halo' is not one of",
    "challenges: {snia_lasso: {source: real, files: []}}": "source is real; name its `files`",
    "challenges: {snia_lasso: {source: real, files: [no.npz]}}": "no data set 'no.npz'",
    "challenges: {snia_lasso: {settings: {n_folds: 1}}}": "less than the minimum of 2",
}


@pytest.mark.parametrize("setting", BAD_SETTINGS)
def test_a_bad_setting_gives_one_clear_line(setting, tmp_path):
    (tmp_path / "bad.yaml").write_text(setting + "\n")
    target = setting.partition(":")[0].replace("clusers", "clusters")
    done = snakemake(target, "-n", "--configfile", "config/test.yaml", str(tmp_path / "bad.yaml"))
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert sum(BAD_SETTINGS[setting] in line for line in said.splitlines()) == 1, said
    assert "Traceback" not in said
