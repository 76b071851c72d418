"""Masked image modelling: a sky of cutouts, networks that fill in what they are not shown, and what that is worth.

Makes  <results>/mim/metrics.json, networks/<name>/trained.ckpt, embeddings/, figures/.
From   a simulated sky, or HDF5 files of cutouts named in config/mim.yaml; nothing is downloaded.
Steps  simulate_sky -> sample_cutouts -> train_network -> infer_embeddings -> score_probes, score_similarity;
       estimate_features measures the baselines on the same cutouts, shapes among them; simulate_structures adds
       galaxies with faint arcs and tails; infer_tuning embeds objects of the pre-training sky for searches.

No object and no sky of the probe set is seen in pre-training.
"""


rule mim_simulate_sky:
    """Simulate fields of objects, file {wildcards.batch}, and cut out what overlapping patches list."""
    input:
        red_sequence="resources/red_sequence.ecsv",
        code=code_of("scripts/mim/simulate_sky.py"),
    output:
        cutouts=temp("<results>/mim/sky/{batch}.h5"),
    log:
        "<results>/mim/logs/simulate_sky_{batch}.log",
    benchmark:
        "<results>/mim/benchmarks/simulate_sky_{batch}.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        settings=MIM["simulate_sky"],
        cutout_px=MIM["simulate_sky"]["cutout_px"],
        dtype=MIM["simulate_sky"]["dtype"],
        seed=MIM["seed"],
    script:
        "../scripts/mim/simulate_sky.py"


rule mim_sample_cutouts:
    """Drop duplicates within {params.tolerance_arcsec} arcsec and deal cells of sky of {params.cell_deg} deg out to training,
    validation and probes."""
    input:
        files=mim_raw_cutouts,
        code=code_of("scripts/mim/sample_cutouts.py"),
    output:
        train=MIM_SETS["train"],
        validation=MIM_SETS["validation"],
        probe=MIM_SETS["probe"],
        report="<results>/mim/cutouts/report.json",
    log:
        "<results>/mim/logs/sample_cutouts.log",
    benchmark:
        "<results>/mim/benchmarks/sample_cutouts.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        **MIM["sample_cutouts"],
        bands=MIM["bands"],
        seed=MIM["seed"],
    script:
        "../scripts/mim/sample_cutouts.py"


rule mim_train_network:
    """Train network {wildcards.network}; a killed run goes on from work/last.ckpt, where live figures are, too."""
    input:
        train=MIM_SETS["train"],
        validation=MIM_SETS["validation"],
        code=code_of("scripts/mim/train_network.py"),
    output:
        trained="<results>/mim/networks/{network}/trained.ckpt",
        untrained="<results>/mim/networks/{network}/untrained.ckpt",
        history="<results>/mim/networks/{network}/history.csv",
    log:
        "<results>/mim/logs/train_network_{network}.log",
    benchmark:
        "<results>/mim/benchmarks/train_network_{network}.tsv"
    conda:
        "../envs/mim.yaml"
    threads: 1 if MIM["n_gpus"] == 0 else 6
    resources:
        mem_mb=6000 if MIM["n_gpus"] == 0 else 100000,
        runtime=240 if MIM["n_gpus"] == 0 else 1440,
        gpu=MIM["n_gpus"],
    params:
        settings=lambda wildcards: mim_training(wildcards.network),
        bands=MIM["bands"],
        image_px=MIM["image_px"],
        pooling=MIM["pooling"],
        n_processes=max(MIM["n_gpus"], 1),
        work_folder=lambda wildcards, output: str(Path(output.trained).parent / "work"),
        tensorboard=lambda wildcards, output: str(Path(output.trained).parent / "tensorboard"),
    script:
        "../scripts/mim/train_network.py"


rule mim_simulate_structures:
    """Simulate galaxies of which {params.settings[arc_share]} have faint arcs and {params.settings[tail_share]} tails."""
    input:
        red_sequence="resources/red_sequence.ecsv",
        code=code_of("scripts/mim/simulate_structures.py"),
    output:
        cutouts="<results>/mim/cutouts/structures.h5",
    log:
        "<results>/mim/logs/simulate_structures.log",
    benchmark:
        "<results>/mim/benchmarks/simulate_structures.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        settings=MIM["simulate_structures"],
        sky=MIM["simulate_sky"],
        seed=MIM["seed"],
    script:
        "../scripts/mim/simulate_structures.py"


rule mim_infer_embeddings:
    """Embed the probe objects with the {wildcards.state} network {wildcards.network}, those that judge also without
    {params.missing_bands}, and through seeing worse by {params.worse_seeing_arcsec} arcsec."""
    input:
        cutouts=MIM_SETS["probe"],
        structures=MIM_STRUCTURES,
        model="<results>/mim/networks/{network}/{state}.ckpt",
        code=code_of("scripts/mim/infer_embeddings.py"),
    output:
        embeddings="<results>/mim/embeddings/{network}_{state}_all.h5",
        missing="<results>/mim/embeddings/{network}_{state}_missing.h5",
        seeing="<results>/mim/embeddings/{network}_{state}_seeing.h5",
        of_structures=["<results>/mim/embeddings/{network}_{state}_structures.h5" for path in MIM_STRUCTURES],
    log:
        "<results>/mim/logs/infer_embeddings_{network}_{state}.log",
    benchmark:
        "<results>/mim/benchmarks/infer_embeddings_{network}_{state}.tsv"
    conda:
        "../envs/mim.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        **MIM_SPLIT,
        bands=MIM["bands"],
        missing_bands=MIM["missing_bands"],
        worse_seeing_arcsec=MIM["worse_seeing_arcsec"],
        poolings=MIM["poolings"],
        pooling=MIM["pooling"],
        search_pooling=MIM["search_pooling"],
        expected=mim_expected,
        n_probe=MIM["n_probe"],
        network_number=lambda wildcards: list(MIM["networks"]).index(wildcards.network),
        n_networks=len(MIM["networks"]),
    script:
        "../scripts/mim/infer_embeddings.py"


rule mim_infer_tuning:
    """Embed {params.n_tuning} objects of the pre-training sky with the first network, trained and untrained."""
    input:
        cutouts=MIM_SETS["train"],
        models=[f"<results>/mim/networks/{next(iter(MIM['networks']))}/{state}.ckpt" for state in MIM_STATES],
        code=code_of("scripts/mim/infer_tuning.py"),
    output:
        embeddings=[f"<results>/mim/embeddings/tuning_{state}.h5" for state in MIM_STATES],
    log:
        "<results>/mim/logs/infer_tuning.log",
    benchmark:
        "<results>/mim/benchmarks/infer_tuning.tsv"
    conda:
        "../envs/mim.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        bands=MIM["bands"],
        poolings=MIM["poolings"],
        n_tuning=MIM["n_tuning"],
    script:
        "../scripts/mim/infer_tuning.py"


rule mim_estimate_features:
    """Measure magnitudes, colours, concentrations and shapes, and {params.n_components} principal components."""
    input:
        train=MIM_SETS["train"],
        probe=MIM_SETS["probe"],
        structures=MIM_STRUCTURES,
        code=code_of("scripts/mim/estimate_features.py"),
    output:
        features="<results>/mim/embeddings/features.npz",
        shapes="<results>/mim/embeddings/shapes.h5",
    log:
        "<results>/mim/logs/estimate_features.log",
    benchmark:
        "<results>/mim/benchmarks/estimate_features.tsv"
    conda:
        "../envs/mim.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        **MIM["estimate_features"],
        **MIM_SPLIT,
        bands=MIM["bands"],
        image_px=MIM["image_px"],
        missing_bands=MIM["missing_bands"],
        worse_seeing_arcsec=MIM["worse_seeing_arcsec"],
        n_probe=MIM["n_probe"],
        n_tuning=MIM["n_tuning"],
        n_seeds=len(MIM["networks"]),
    script:
        "../scripts/mim/estimate_features.py"


rule mim_score_probes:
    """Probe all features for task {wildcards.task} with {params.n_labels} labels; fields of sky judge that were not labelled."""
    input:
        features="<results>/mim/embeddings/features.npz",
        trained=mim_of_task("trained"),
        trained_missing=mim_of_task("trained", "missing"),
        trained_seeing=mim_of_task("trained", "seeing"),
        untrained=mim_of_task("untrained"),
        untrained_missing=mim_of_task("untrained", "missing"),
        untrained_seeing=mim_of_task("untrained", "seeing"),
        cnn=mim_cnn_of_task,
        code=code_of("scripts/mim/score_probes.py"),
    output:
        scores="<results>/mim/scores/{task}.json",
        curves="<results>/mim/scores/{task}.npz",
    log:
        "<results>/mim/logs/score_probes_{task}.log",
    benchmark:
        "<results>/mim/benchmarks/score_probes_{task}.tsv"
    conda:
        "../envs/mim.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        **MIM_SPLIT,
        n_labels=MIM["score_probes"]["n_labels"],
        n_settings=MIM["score_label_efficiency"]["n_settings"],
        n_folds=MIM["score_label_efficiency"]["n_folds"],
        n_resamples=MIM["score_probes"]["n_resamples"],
        n_redshift_bins=MIM["score_probes"]["n_redshift_bins"],
        poolings=MIM["poolings"],
    script:
        "../scripts/mim/score_probes.py"


rule mim_score_similarity:
    """Search for simulated lenses by {params.n_examples} examples, {params.n_queries} times; precision of the nearest {params.n_wanted}."""
    input:
        features="<results>/mim/embeddings/features.npz",
        trained=mim_embeddings("trained", "all"),
        untrained=mim_embeddings("untrained", "all"),
        tuning=[f"<results>/mim/embeddings/tuning_{state}.h5" for state in MIM_STATES],
        code=code_of("scripts/mim/score_similarity.py"),
    output:
        scores="<results>/mim/scores/similarity.json",
        found="<results>/mim/scores/similarity.npz",
    log:
        "<results>/mim/logs/score_similarity.log",
    benchmark:
        "<results>/mim/benchmarks/score_similarity.tsv"
    conda:
        "../envs/mim.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        **MIM["score_similarity"],
        poolings=MIM["poolings"],
        cell_deg=MIM["sample_cutouts"]["cell_deg"],
        seed=MIM["seed"],
    script:
        "../scripts/mim/score_similarity.py"


rule mim_infer_reconstructions:
    """Fill in hidden parts of {params.n_shown} validation cutouts by network {wildcards.network}."""
    input:
        cutouts=MIM_SETS["validation"],
        model="<results>/mim/networks/{network}/trained.ckpt",
        code=code_of("scripts/mim/infer_reconstructions.py"),
    output:
        reconstructions="<results>/mim/networks/{network}/reconstructions.npz",
    log:
        "<results>/mim/logs/infer_reconstructions_{network}.log",
    benchmark:
        "<results>/mim/benchmarks/infer_reconstructions_{network}.tsv"
    conda:
        "../envs/mim.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        n_shown=MIM["infer_reconstructions"]["n_shown"],
        mask_ratio=lambda wildcards: mim_training(wildcards.network)["mask_ratio"],
    script:
        "../scripts/mim/infer_reconstructions.py"


rule mim_summarise_metrics:
    """Put the scores of all steps into one metrics.json and check their form."""
    input:
        parts=mim_metric_parts(),
        code=code_of("scripts/mim/summarise_metrics.py"),
    output:
        metrics=report(
            "<results>/mim/metrics.json",
            category="Masked image modelling",
            caption="../resources/captions/mim_metrics.rst",
        ),
    log:
        "<results>/mim/logs/summarise_metrics.log",
    benchmark:
        "<results>/mim/benchmarks/summarise_metrics.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    script:
        "../scripts/mim/summarise_metrics.py"


rule mim_tile_coadds:
    """Cut the objects of {params.columns} out of coadds of {params.patches}."""
    input:
        catalog=MIM["tile_coadds"]["catalog"],
        code=code_of("scripts/mim/tile_coadds.py"),
    output:
        cutouts="<results>/mim/coadds.h5",
    log:
        "<results>/mim/logs/tile_coadds.log",
    benchmark:
        "<results>/mim/benchmarks/tile_coadds.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        **{name: value for name, value in MIM["tile_coadds"].items() if name != "catalog"},
        bands=MIM["bands"],
    script:
        "../scripts/mim/tile_coadds.py"


rule mim_tile_blends:
    """Cut the matched sources out of real HSC blends."""
    input:
        blends=mim_blends(),
        code=code_of("scripts/mim/tile_blends.py"),
    output:
        cutouts="<results>/mim/blends/cutouts.h5",
    log:
        "<results>/mim/logs/tile_blends.log",
    benchmark:
        "<results>/mim/benchmarks/tile_blends.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        cutout_px=MIM["image_px"],
    script:
        "../scripts/mim/tile_blends.py"


rule mim_infer_blends:
    """Embed the real HSC sources with every network."""
    input:
        blends="<results>/mim/blends/cutouts.h5",
        models=[f"<results>/mim/networks/{name}/trained.ckpt" for name in MIM["networks"]],
        code=code_of("scripts/mim/infer_blends.py"),
    output:
        embeddings=[f"<results>/mim/blends/{name}.h5" for name in MIM["networks"]],
    log:
        "<results>/mim/logs/infer_blends.log",
    benchmark:
        "<results>/mim/benchmarks/infer_blends.tsv"
    conda:
        "../envs/mim.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        bands=MIM["bands"],
        poolings=MIM["poolings"],
    script:
        "../scripts/mim/infer_blends.py"


rule mim_score_blends:
    """Tell stars from galaxies among real HSC sources by probes trained on the simulated sky."""
    input:
        blends="<results>/mim/blends/cutouts.h5",
        features="<results>/mim/embeddings/features.npz",
        simulated=mim_embeddings("trained", "all"),
        real=[f"<results>/mim/blends/{name}.h5" for name in MIM["networks"]],
        code=code_of("scripts/mim/score_blends.py"),
    output:
        scores="<results>/mim/scores/blends.json",
    log:
        "<results>/mim/logs/score_blends.log",
    benchmark:
        "<results>/mim/benchmarks/score_blends.tsv"
    conda:
        "../envs/mim.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        bands=MIM["bands"],
        poolings=MIM["poolings"],
        image_px=MIM["image_px"],
        seed=MIM["seed"],
    script:
        "../scripts/mim/score_blends.py"


rule mim_infer_own:
    """Embed a file of cutouts of your own."""
    input:
        cutouts=mim_own_cutouts,
        model=mim_first("embed"),
        code=code_of("scripts/mim/infer_own.py"),
    output:
        embeddings="<results>/mim/own_embeddings.h5",
    log:
        "<results>/mim/logs/infer_own.log",
    benchmark:
        "<results>/mim/benchmarks/infer_own.tsv"
    conda:
        "../envs/mim.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        bands=MIM["bands"],
        pooling=MIM["pooling"],
        search_pooling=MIM["search_pooling"],
    script:
        "../scripts/mim/infer_own.py"


rule mim_estimate_own_shapes:
    """Measure the shapes of a file of cutouts of your own."""
    input:
        cutouts=mim_own_cutouts,
        code=code_of("scripts/mim/estimate_own_shapes.py"),
    output:
        shapes="<results>/mim/own_shapes.h5",
    log:
        "<results>/mim/logs/estimate_own_shapes.log",
    benchmark:
        "<results>/mim/benchmarks/estimate_own_shapes.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        bands=MIM["bands"],
        image_px=MIM["image_px"],
    script:
        "../scripts/mim/estimate_own_shapes.py"


rule mim_estimate_similar:
    """List the {params.n_wanted} objects most similar to a query."""
    input:
        embeddings=mim_searched(),
        model=mim_first("similarity") if MIM["similarity"]["by"] == "embedding" else [],
        query_cutouts=MIM["similarity"]["cutouts"] or [],
        code=code_of("scripts/mim/estimate_similar.py"),
    output:
        similar="<results>/mim/similar.csv",
        found="<results>/mim/similar.npz",
    log:
        "<results>/mim/logs/estimate_similar.log",
    benchmark:
        "<results>/mim/benchmarks/estimate_similar.tsv"
    conda:
        "../envs/mim.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        ids=MIM["similarity"]["ids"],
        positions=MIM["similarity"]["positions"],
        n_wanted=MIM["similarity"]["n_wanted"],
        search_pooling=MIM["search_pooling"],
        bands=MIM["bands"],
        image_px=MIM["image_px"],
    script:
        "../scripts/mim/estimate_similar.py"
