"""Figures of the cluster chain, each from files that other rules wrote; none computes a result.

Makes  <results>/clusters/figures/<noun>.png, one rule a figure.
plot_field takes images of the first test batch: they are temporary and stay until it has run.
"""


rule clusters_plot_catalogs:
    """Draw the sampled sky of the first test batch: counts, colours, redshifts, sizes, shapes, richness function."""
    input:
        catalogs=clusters_first_test_batch(CATALOGS),
        truths=clusters_first_test_batch(["<results>/clusters/catalogs/truth_{batch}.dat"]),
        code=code_of("scripts/clusters/plot_catalogs.py"),
    output:
        figure=report(
            "<results>/clusters/figures/catalogs.png",
            caption="../resources/captions/catalogs.rst",
            category="Clusters",
        ),
    log:
        "<results>/clusters/logs/plot_catalogs.log",
    benchmark:
        "<results>/clusters/benchmarks/plot_catalogs.tsv"
    priority: 4
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    script:
        "../scripts/clusters/plot_catalogs.py"


rule clusters_plot_render_residuals:
    """Draw the residuals of the sources that every render job drew with both engines, against the promised bounds."""
    input:
        residuals=collect(
            "<results>/clusters/residuals/residuals_{batch}.json",
            batch=[batch for split in clusters_split_sizes() for batch in clusters_batches(split)],
        ),
        code=code_of("scripts/clusters/plot_render_residuals.py"),
    output:
        figure=report(
            "<results>/clusters/figures/render_residuals.png",
            caption="../resources/captions/render_residuals.rst",
            category="Clusters",
        ),
    log:
        "<results>/clusters/logs/plot_render_residuals.log",
    benchmark:
        "<results>/clusters/benchmarks/plot_render_residuals.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        **CLUSTERS["plot_render_residuals"],
    script:
        "../scripts/clusters/plot_render_residuals.py"


rule clusters_plot_training:
    """Draw loss, validation score and learning rate of the encoder's training."""
    input:
        history="<results>/clusters/checkpoints/training_0/history.csv",
        predictions="<results>/clusters/predictions/encoder_0_calibration.npz",
        code=code_of("scripts/clusters/plot_training.py"),
    output:
        figure=report(
            "<results>/clusters/figures/training.png",
            caption="../resources/captions/training.rst",
            category="Clusters",
        ),
    log:
        "<results>/clusters/logs/plot_training.log",
    benchmark:
        "<results>/clusters/benchmarks/plot_training.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    script:
        "../scripts/clusters/plot_training.py"


rule clusters_plot_field:
    """Draw the field of the first test batch with most cluster members, its member tiles and what was inferred."""
    input:
        catalogs=clusters_first_test_batch(CATALOGS),
        images=clusters_first_test_batch(IMAGES),
        truth=clusters_first_test_batch(["<results>/clusters/catalogs/truth_{batch}.dat"])[0],
        predictions="<results>/clusters/predictions/encoder_0_test.npz",
        code=code_of("scripts/clusters/plot_field.py"),
    output:
        figure=report(
            "<results>/clusters/figures/field.png",
            caption="../resources/captions/field.rst",
            category="Clusters",
        ),
    log:
        "<results>/clusters/logs/plot_field.log",
    benchmark:
        "<results>/clusters/benchmarks/plot_field.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=5,
    params:
        bands=CLUSTERS["bands"],
    script:
        "../scripts/clusters/plot_field.py"


rule clusters_plot_pr_curves:
    """Draw precision, recall and calibration of held-out tiles of every method, at the boosted and the natural rate."""
    input:
        curves="<results>/clusters/scores/score_fields.npz",
        code=code_of("scripts/clusters/plot_pr_curves.py"),
    output:
        figure=report(
            "<results>/clusters/figures/pr_curves.png",
            caption="../resources/captions/pr_curves.rst",
            category="Clusters",
        ),
    log:
        "<results>/clusters/logs/plot_pr_curves.log",
    benchmark:
        "<results>/clusters/benchmarks/plot_pr_curves.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    script:
        "../scripts/clusters/plot_pr_curves.py"


rule clusters_plot_completeness:
    """Draw completeness and purity of clusters in bins, against each other and against surface density."""
    input:
        curves="<results>/clusters/scores/score_fields.npz",
        code=code_of("scripts/clusters/plot_completeness.py"),
    output:
        figure=report(
            "<results>/clusters/figures/completeness.png",
            caption="../resources/captions/completeness.rst",
            category="Clusters",
        ),
    log:
        "<results>/clusters/logs/plot_completeness.log",
    benchmark:
        "<results>/clusters/benchmarks/plot_completeness.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    script:
        "../scripts/clusters/plot_completeness.py"


rule clusters_plot_selection:
    """Draw the share of true haloes found against richness and redshift, of every method."""
    input:
        selection="<results>/clusters/scores/selection_function.dat",
        code=code_of("scripts/clusters/plot_selection.py"),
    output:
        figure=report(
            "<results>/clusters/figures/selection.png",
            caption="../resources/captions/selection.rst",
            category="Clusters",
        ),
    log:
        "<results>/clusters/logs/plot_selection.log",
    benchmark:
        "<results>/clusters/benchmarks/plot_selection.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    script:
        "../scripts/clusters/plot_selection.py"


rule clusters_plot_estimates:
    """Draw redshift, richness and centre of the held-out clusters that were found against the truth."""
    input:
        curves="<results>/clusters/scores/score_fields.npz",
        metrics="<results>/clusters/scores/score_fields.json",
        code=code_of("scripts/clusters/plot_estimates.py"),
    output:
        figure=report(
            "<results>/clusters/figures/estimates.png",
            caption="../resources/captions/estimates.rst",
            category="Clusters",
        ),
    log:
        "<results>/clusters/logs/plot_estimates.log",
    benchmark:
        "<results>/clusters/benchmarks/plot_estimates.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    script:
        "../scripts/clusters/plot_estimates.py"


rule clusters_plot_tile:
    """Draw tile {wildcards.tile} with the reference clusters, the detections and the probability map."""
    input:
        images=lambda wildcards: clusters_tile_images(wildcards.tile),
        probability_map="<results>/clusters/tiles/{tile}_probability.fits",
        probability_maps=[
            f"<results>/clusters/tiles/{tile}_probability.fits" for tile in CLUSTERS["infer_tile"]["tiles"]
        ],
        catalog=clusters_reference_catalog,
        truth=lambda wildcards: clusters_simulated_truths([wildcards.tile]),
        matches="<results>/clusters/scores/score_redmapper_matches.dat",
        code=code_of("scripts/clusters/plot_tile.py"),
    output:
        figure=report(
            "<results>/clusters/figures/tile_{tile}.png",
            caption="../resources/captions/tile.rst",
            category="Clusters",
        ),
    log:
        "<results>/clusters/logs/plot_tile_{tile}.log",
    benchmark:
        "<results>/clusters/benchmarks/plot_tile_{tile}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        **clusters_scored_edges(),
        source=CLUSTERS["infer_tile"]["source"],
    script:
        "../scripts/clusters/plot_tile.py"


rule clusters_plot_tiles:
    """Draw the scored tiles, a panel each, with the reference clusters and the detections."""
    input:
        images=[path for tile in clusters_shown_tiles() for path in clusters_tile_images(tile)],
        probability_maps=[
            f"<results>/clusters/tiles/{tile}_probability.fits" for tile in CLUSTERS["infer_tile"]["tiles"]
        ],
        catalog=clusters_reference_catalog,
        truths=clusters_simulated_truths(clusters_shown_tiles()),
        matches="<results>/clusters/scores/score_redmapper_matches.dat",
        code=code_of("scripts/clusters/plot_tiles.py"),
    output:
        figure=report(
            "<results>/clusters/figures/tiles.png",
            caption="../resources/captions/tiles.rst",
            category="Clusters",
        ),
    log:
        "<results>/clusters/logs/plot_tiles.log",
    benchmark:
        "<results>/clusters/benchmarks/plot_tiles.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        **clusters_scored_edges(),
        tiles=clusters_shown_tiles(),
    script:
        "../scripts/clusters/plot_tiles.py"
