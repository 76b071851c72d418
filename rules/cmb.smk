"""CMB maps: from spectra to lensed patches, estimators, networks, and an honest comparison of the two.

Makes  <results>/cmb/metrics.json and, for each experiment, <results>/cmb/experiments/<name>/: network, scores, figures.
From   CAMB or a table of spectra, and the settings in config/cmb.yaml; nothing is downloaded.
Steps  simulate_spectra -> simulate_maps -> train_estimators -> estimate_maps -> score_estimators;
       estimate_unpaired -> score_nulls: power spectra of the convergence on skies nothing was calibrated for;
       train_network -> infer_maps -> score_maps for each experiment, on the same maps as the estimators;
       score_simulations holds maps and estimators against closed forms and CAMB.

A group of maps is a split (train, validation, test) or a null set: unlensed; scaled (other C_kk); other (cosmology);
noisier; and the references of those. A network is trained several times, from other seeds; null sets see the first.
"""


rule cmb_simulate_spectra:
    """Compute the spectra of the {wildcards.cosmology} cosmology with CAMB up to l = {params.l_max}, or read a table."""
    input:
        code=code_of("scripts/cmb/simulate_spectra.py"),
        table=lambda wildcards: (
            CMB["simulate_spectra"]["spectra_file"] or [] if wildcards.cosmology == "fiducial" else []
        ),
    output:
        spectra="<results>/cmb/spectra/{cosmology}.npz",
    log:
        "<results>/cmb/logs/simulate_spectra_{cosmology}.log",
    benchmark:
        "<results>/cmb/benchmarks/simulate_spectra_{cosmology}.tsv"
    conda:
        "../envs/maps.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        l_max=CMB["simulate_spectra"]["l_max"],
        parameters=lambda wildcards: CMB["simulate_spectra"]["cosmologies"][wildcards.cosmology],
    script:
        "../scripts/cmb/simulate_spectra.py"


rule cmb_simulate_maps:
    """Simulate file {wildcards.batch} of the {wildcards.group} maps of sky {wildcards.sky}: Gaussian fields, exact
    lensing on a grid {params.oversample} times finer, beam, noise."""
    input:
        spectra=cmb_spectra,
        lenses=cmb_lenses,
        code=code_of("scripts/cmb/simulate_maps.py"),
    output:
        maps="<results>/cmb/maps/{sky}/{group}_{batch}.h5",
    log:
        "<results>/cmb/logs/simulate_maps_{sky}_{group}_{batch}.log",
    benchmark:
        "<results>/cmb/benchmarks/simulate_maps_{sky}_{group}_{batch}.tsv"
    conda:
        "../envs/maps.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        sky_settings=cmb_sky_settings,
        n_maps=cmb_n_maps,
        oversample=CMB["simulate_maps"]["oversample"],
        null_amplitude=CMB["simulate_maps"]["null_amplitude"],
        null_noise=CMB["simulate_maps"]["null_noise"],
        seed=CMB["seed"],
    script:
        "../scripts/cmb/simulate_maps.py"


rule cmb_train_estimators:
    """Calibrate the estimators of sky {wildcards.sky} on its first {params.n_maps} training maps, with
    {params.n_steps} iterations of the quadratic one and {params.n_iterations} of the most likely convergence.
    """
    input:
        spectra="<results>/cmb/spectra/fiducial.npz",
        maps=lambda wildcards: cmb_files("maps", wildcards.sky, "train")[
            : -(-CMB["train_estimators"]["n_maps"] // CMB["simulate_maps"]["n_maps_per_file"])
        ],
        code=code_of("scripts/cmb/train_estimators.py"),
    output:
        estimators="<results>/cmb/estimators/{sky}.npz",
    log:
        "<results>/cmb/logs/train_estimators_{sky}.log",
    benchmark:
        "<results>/cmb/benchmarks/train_estimators_{sky}.tsv"
    conda:
        "../envs/maps.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        **CMB["train_estimators"],
        sky_settings=cmb_sky_settings,
    script:
        "../scripts/cmb/train_estimators.py"


rule cmb_estimate_maps:
    """Apply every estimator to file {wildcards.batch} of the {wildcards.group} maps of sky {wildcards.sky}."""
    input:
        estimators="<results>/cmb/estimators/{sky}.npz",
        maps="<results>/cmb/maps/{sky}/{group}_{batch}.h5",
        code=code_of("scripts/cmb/estimate_maps.py"),
    output:
        estimates="<results>/cmb/estimates/{sky}/{group}_{batch}.h5",
    log:
        "<results>/cmb/logs/estimate_maps_{sky}_{group}_{batch}.log",
    benchmark:
        "<results>/cmb/benchmarks/estimate_maps_{sky}_{group}_{batch}.tsv"
    conda:
        "../envs/maps.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    script:
        "../scripts/cmb/estimate_maps.py"


rule cmb_estimate_unpaired:
    """Apply every estimator to E of each map of the null sets of sky {wildcards.sky} with B of the next: the
    disconnected bias of their power spectra."""
    input:
        estimators="<results>/cmb/estimators/{sky}.npz",
        maps=lambda wildcards: cmb_null_files("maps", wildcards.sky),
        code=code_of("scripts/cmb/estimate_unpaired.py"),
    output:
        estimates="<results>/cmb/estimates/{sky}/unpaired.h5",
    log:
        "<results>/cmb/logs/estimate_unpaired_{sky}.log",
    benchmark:
        "<results>/cmb/benchmarks/estimate_unpaired_{sky}.tsv"
    conda:
        "../envs/maps.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    script:
        "../scripts/cmb/estimate_unpaired.py"


rule cmb_train_network:
    """Training {wildcards.training} of the network of experiment {wildcards.experiment}, each from another seed; a
    killed run goes on from work/last.ckpt."""
    input:
        estimators=lambda wildcards: f"<results>/cmb/estimators/{cmb_sky(wildcards)}.npz",
        train_maps=cmb_of("maps", "train"),
        validation_maps=cmb_of("maps", "validation"),
        train_estimates=cmb_estimates("train"),
        validation_estimates=cmb_estimates("validation"),
        train_chained=cmb_chained("train"),
        validation_chained=cmb_chained("validation"),
        code=code_of("scripts/cmb/train_network.py"),
    output:
        network="<results>/cmb/experiments/{experiment}/training_{training}/network.ckpt",
        history="<results>/cmb/experiments/{experiment}/training_{training}/history.csv",
        command="<results>/cmb/experiments/{experiment}/training_{training}/command",
        config="<results>/cmb/experiments/{experiment}/training_{training}/config.json",
    log:
        "<results>/cmb/logs/train_network_{experiment}_{training}.log",
    benchmark:
        "<results>/cmb/benchmarks/train_network_{experiment}_{training}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 12
    resources:
        mem_mb=24000,
        runtime=1440,
        gpu=CMB["n_gpus"],
    params:
        settings=cmb_training_settings,
        sky_settings=cmb_sky_settings,
        seed=lambda wildcards: CMB["seed"] + 1000 * (int(wildcards.training) - 1),
        reproduction=cmb_reproduction,
        work_folder=lambda wildcards, output: str(Path(output.network).parent / "work"),
    script:
        "../scripts/cmb/train_network.py"


rule cmb_infer_maps:
    """Apply training {wildcards.training} of the network of experiment {wildcards.experiment} to the
    {wildcards.group} maps: a split, all null sets one after the other (nulls), or their unpaired estimates (unpaired).
    """
    input:
        network="<results>/cmb/experiments/{experiment}/training_{training}/network.ckpt",
        estimators=lambda wildcards: f"<results>/cmb/estimators/{cmb_sky(wildcards)}.npz",
        maps=cmb_of_group("maps"),
        estimates=cmb_estimates(None),
        chained=cmb_chained(None),
        code=code_of("scripts/cmb/infer_maps.py"),
    output:
        predictions="<results>/cmb/experiments/{experiment}/training_{training}/predictions_{group}.h5",
    log:
        "<results>/cmb/logs/infer_maps_{experiment}_{training}_{group}.log",
    benchmark:
        "<results>/cmb/benchmarks/infer_maps_{experiment}_{training}_{group}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        seed=CMB["seed"],
    script:
        "../scripts/cmb/infer_maps.py"


rule cmb_score_estimators:
    """Score every estimator on the test maps of sky {wildcards.sky} in bins of l, beside the analytic noise and the
    analytic limit of iterating."""
    input:
        estimators="<results>/cmb/estimators/{sky}.npz",
        maps=cmb_of("maps", "test"),
        estimates=cmb_of("estimates", "test"),
        code=code_of("scripts/cmb/score_estimators.py"),
    output:
        scores="<results>/cmb/scores/estimators_{sky}.json",
        curves="<results>/cmb/scores/estimators_{sky}.npz",
    log:
        "<results>/cmb/logs/score_estimators_{sky}.log",
    benchmark:
        "<results>/cmb/benchmarks/score_estimators_{sky}.tsv"
    conda:
        "../envs/maps.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        **CMB["score_maps"],
        seed=CMB["seed"],
    script:
        "../scripts/cmb/score_estimators.py"


rule cmb_score_nulls:
    """Recover C_kk on the null sets of sky {wildcards.sky} with every estimator, N0 and N1 taken off; write band
    powers with their covariance, and how far they are from the truth."""
    input:
        estimators="<results>/cmb/estimators/{sky}.npz",
        maps=lambda wildcards: cmb_null_files("maps", wildcards.sky),
        estimates=lambda wildcards: cmb_null_files("estimates", wildcards.sky),
        unpaired="<results>/cmb/estimates/{sky}/unpaired.h5",
        code=code_of("scripts/cmb/score_nulls.py"),
    output:
        scores="<results>/cmb/scores/nulls_{sky}.json",
        band_powers="<results>/cmb/scores/band_powers_{sky}.h5",
    log:
        "<results>/cmb/logs/score_nulls_{sky}.log",
    benchmark:
        "<results>/cmb/benchmarks/score_nulls_{sky}.tsv"
    conda:
        "../envs/maps.yaml"
    threads: 1
    resources:
        mem_mb=6000,
        runtime=20,
    params:
        **CMB["score_maps"],
        words=cmb_null_words(),
        noise_factor=CMB["simulate_maps"]["null_noise"],
        seed=CMB["seed"],
    script:
        "../scripts/cmb/score_nulls.py"


rule cmb_score_maps:
    """Score the network of experiment {wildcards.experiment}, the mean of its trainings, on the test maps, beside every
    estimator of the same target, and its first training on the null sets."""
    input:
        estimators=lambda wildcards: f"<results>/cmb/estimators/{cmb_sky(wildcards)}.npz",
        maps=cmb_of("maps", "test"),
        estimates=cmb_of("estimates", "test"),
        predictions=lambda wildcards: cmb_of_trainings(wildcards.experiment, "predictions_test.h5"),
        histories=lambda wildcards: cmb_of_trainings(wildcards.experiment, "history.csv"),
        null_maps=lambda wildcards: cmb_null_files("maps", cmb_sky(wildcards), cmb_nulls_of(wildcards)),
        null_estimates=lambda wildcards: (
            cmb_null_files("estimates", cmb_sky(wildcards)) if cmb_of_estimates(wildcards.experiment) else []
        ),
        null_predictions=cmb_null_predictions,
        code=code_of("scripts/cmb/score_maps.py"),
    output:
        scores="<results>/cmb/experiments/{experiment}/scores.json",
        curves="<results>/cmb/experiments/{experiment}/curves.npz",
    log:
        "<results>/cmb/logs/score_maps_{experiment}.log",
    benchmark:
        "<results>/cmb/benchmarks/score_maps_{experiment}.tsv"
    conda:
        "../envs/maps.yaml"
    threads: 1
    resources:
        mem_mb=6000,
        runtime=30,
    params:
        **CMB["score_maps"],
        nulls=cmb_nulls_of,
        words=cmb_null_words(),
        noise_factor=CMB["simulate_maps"]["null_noise"],
        seed=CMB["seed"],
        targets=lambda wildcards: cmb_training_settings(wildcards)["outputs"],
        inputs=lambda wildcards: cmb_training_settings(wildcards)["inputs"],
    script:
        "../scripts/cmb/score_maps.py"


rule cmb_score_simulations:
    """Hold the simulations against CAMB, the lensing against a finer grid in double precision and, where they are at
    hand, against the fields of an independent code; the pure B of cut patches against the truth."""
    input:
        spectra="<results>/cmb/spectra/fiducial.npz",
        fields=cmb_external_fields(),
        code=code_of("scripts/cmb/score_simulations.py"),
    output:
        scores="<results>/cmb/scores/simulations.json",
        curves="<results>/cmb/scores/simulations.npz",
    log:
        "<results>/cmb/logs/score_simulations.log",
    benchmark:
        "<results>/cmb/benchmarks/score_simulations.tsv"
    conda:
        "../envs/maps.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        **CMB["score_simulations"],
        seed=CMB["seed"],
    script:
        "../scripts/cmb/score_simulations.py"


rule cmb_summarise_metrics:
    """Put the scores of all steps into one metrics.json and check their form."""
    input:
        parts=cmb_metric_parts,
        code=code_of("scripts/cmb/summarise_metrics.py"),
    output:
        metrics=report(
            "<results>/cmb/metrics.json",
            category="CMB maps",
            caption="../resources/captions/cmb_metrics.rst",
        ),
    log:
        "<results>/cmb/logs/summarise_metrics.log",
    benchmark:
        "<results>/cmb/benchmarks/summarise_metrics.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    script:
        "../scripts/cmb/summarise_metrics.py"
