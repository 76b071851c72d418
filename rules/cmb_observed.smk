"""The user's own maps: convergence, E and B of what `cmb: observed:` names, by every estimator and by a network.

Makes  <results>/cmb/observed/maps.h5, band_powers.h5, metrics.json and maps.png.
From   a HDF5, NPZ or FITS file with q and u in uK.
Steps  estimate_observed (simulates skies of this very geometry to calibrate on) -> infer_observed -> plot_observed.
"""


rule cmb_estimate_observed:
    """Calibrate the estimators on {params.n_simulations} skies of the geometry of the observed map, apply them, and
    test its sign convention; band powers of the convergence with covariance come from as many further skies.
    """
    input:
        file=lambda wildcards: CMB["observed"]["file"] or [],
        spectra="<results>/cmb/spectra/fiducial.npz",
        code=code_of("scripts/cmb/estimate_observed.py"),
    output:
        estimates="<results>/cmb/observed/estimates.h5",
        estimators="<results>/cmb/observed/estimators.npz",
        band_powers="<results>/cmb/observed/band_powers.h5",
    log:
        "<results>/cmb/logs/estimate_observed.log",
    benchmark:
        "<results>/cmb/benchmarks/estimate_observed.tsv"
    conda:
        "../envs/maps.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        **{name: value for name, value in CMB["observed"].items() if name not in ("file", "experiment")},
        **{name: CMB["train_estimators"][name] for name in ("n_steps", "n_iterations", "l_min", "l_max")},
        bin_edges=CMB["score_maps"]["bin_edges"],
        seed=CMB["seed"],
    script:
        "../scripts/cmb/estimate_observed.py"


rule cmb_infer_observed:
    """Apply the network of experiment {params.experiment} to the observed map at its own pixel scale, in overlapping
    tapered squares; score everything if there is a truth."""
    input:
        estimates="<results>/cmb/observed/estimates.h5",
        estimators="<results>/cmb/observed/estimators.npz",
        network=f"<results>/cmb/experiments/{CMB['observed']['experiment']}/training_1/network.ckpt",
        code=code_of("scripts/cmb/infer_observed.py"),
    output:
        maps="<results>/cmb/observed/maps.h5",
        metrics="<results>/cmb/observed/metrics.json",
    log:
        "<results>/cmb/logs/infer_observed.log",
    benchmark:
        "<results>/cmb/benchmarks/infer_observed.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        experiment=CMB["observed"]["experiment"],
        bin_edges=CMB["score_maps"]["bin_edges"],
    script:
        "../scripts/cmb/infer_observed.py"


rule cmb_plot_observed:
    """Draw the convergence of the observed map by every method, and its E and B."""
    input:
        maps="<results>/cmb/observed/maps.h5",
        code=code_of("scripts/cmb/plot_observed.py"),
    output:
        figure=report(
            "<results>/cmb/observed/maps.png",
            caption="../resources/captions/cmb_observed.rst",
            category="CMB maps",
        ),
    log:
        "<results>/cmb/logs/plot_observed.log",
    benchmark:
        "<results>/cmb/benchmarks/plot_observed.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    script:
        "../scripts/cmb/plot_observed.py"
