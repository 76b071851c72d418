"""Speed and memory figures: each step against what a user would run instead, both sides in one run.

Makes  <results>/benchmarks/*.json in the form of metrics.json.
Steps  compare_renderers, compare_render_processes, compare_windows, compare_imports, compare_survey_plans,
       compare_remaps, compare_masked_training, compare_executors (where a throw-away Slurm can run); independent of each
       other. summarise_costs is no part of the target: it runs every rule set first.

Run them on a quiet machine with `--cores 1`, so that no two timings share it.
"""


rule benchmarks_compare_renderers:
    """Time the k-space engine against one drawImage a source on {params.n_sources} sources in {params.image_size} px
    of band {params.band}, alternated {params.n_pairs} times, and measure the largest residuals of both modes.
    """
    input:
        code=code_of("scripts/benchmarks/compare_renderers.py"),
    output:
        benchmark="<results>/benchmarks/renderers.json",
    log:
        "<results>/benchmarks/logs/compare_renderers.log",
    benchmark:
        "<results>/benchmarks/benchmarks/compare_renderers.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        **config["benchmarks"]["compare_renderers"],
    script:
        "../scripts/benchmarks/compare_renderers.py"


rule benchmarks_compare_render_processes:
    """Time whole processes, {params.n_pairs} times in turn: five bands with noise and file, against the `galsim`
    command for one band ({params.n_sources} sources in {params.image_size} px)."""
    input:
        code=code_of("scripts/benchmarks/compare_render_processes.py"),
    output:
        benchmark="<results>/benchmarks/render_processes.json",
    log:
        "<results>/benchmarks/logs/compare_render_processes.log",
    benchmark:
        "<results>/benchmarks/benchmarks/compare_render_processes.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        **config["benchmarks"]["compare_render_processes"],
    script:
        "../scripts/benchmarks/compare_render_processes.py"


rule benchmarks_compare_windows:
    """Time the way from a compressed {params.image_size} px tile to {params.window_size} px windows against
    read + cat + unfold + reshape, {params.n_repeats} pairs of fresh processes."""
    input:
        code=code_of("scripts/benchmarks/compare_windows.py") + code_of("armillary/window_timing.py"),
    output:
        metrics="<results>/benchmarks/windows.json",
    log:
        "<results>/benchmarks/logs/compare_windows.log",
    benchmark:
        "<results>/benchmarks/benchmarks/compare_windows.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=7000,
        runtime=30,
    params:
        **config["benchmarks"]["compare_windows"],
    script:
        "../scripts/benchmarks/compare_windows.py"


rule benchmarks_compare_imports:
    """
    Time the imports of every scoring and figure step, {params.n_repeats} fresh processes each.
    """
    input:
        steps=benchmarks_light_steps(),
        code=code_of("scripts/benchmarks/compare_imports.py"),
    output:
        metrics="<results>/benchmarks/imports.json",
    log:
        "<results>/benchmarks/logs/compare_imports.log",
    benchmark:
        "<results>/benchmarks/benchmarks/compare_imports.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 64
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        **config["benchmarks"]["compare_imports"],
    script:
        "../scripts/benchmarks/compare_imports.py"


rule benchmarks_compare_wiener:
    """
    Time the exact Wiener filter of a shear map of {params.image_size} px, {params.n_samples} samples of its posterior, and
    {params.n_adam_steps} steps of Adam instead.
    """
    input:
        code=code_of("scripts/benchmarks/compare_wiener.py"),
    output:
        metrics="<results>/benchmarks/wiener.json",
    log:
        "<results>/benchmarks/logs/compare_wiener.log",
    benchmark:
        "<results>/benchmarks/benchmarks/compare_wiener.tsv"
    conda:
        "../envs/jax.yaml"
    threads: 64
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        **config["benchmarks"]["compare_wiener"],
    script:
        "../scripts/benchmarks/compare_wiener.py"


rule benchmarks_compare_encoders:
    """Train the source system's network on {params.n_training_fields} of the same fields for {params.n_epochs} epochs, score
    both on the test fields, and time both on images of {params.image_size} px, {params.n_pairs} times in turn.
    """
    input:
        train=collect("<results>/clusters/file_data/file_data_{batch}.pt", batch=clusters_batches("train")),
        selection=collect(
            "<results>/clusters/file_data/file_data_{batch}.pt", batch=clusters_batches("selection")
        ),
        test=collect("<results>/clusters/file_data/file_data_{batch}.pt", batch=clusters_batches("test")),
        checkpoint="<results>/clusters/checkpoints/best_encoder.ckpt",
        code=code_of("scripts/benchmarks/compare_encoders.py"),
    output:
        metrics="<results>/benchmarks/encoders.json",
    log:
        "<results>/benchmarks/logs/compare_encoders.log",
    benchmark:
        "<results>/benchmarks/benchmarks/compare_encoders.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=14000,
        runtime=240,
    params:
        **config["benchmarks"]["compare_encoders"],
        work_folder=lambda wildcards, output: str(Path(output.metrics).parent / "work"),
    script:
        "../scripts/benchmarks/compare_encoders.py"


rule benchmarks_compare_survey_plans:
    """Time the dry run of a survey of {params.n_tiles} stand-in tiles, {params.n_repeats} times, and one run of it with no
    pixels: what planning and scheduling cost."""
    input:
        code=code_of("scripts/benchmarks/compare_survey_plans.py"),
    output:
        metrics="<results>/benchmarks/survey_plans.json",
    log:
        "<results>/benchmarks/logs/compare_survey_plans.log",
    benchmark:
        "<results>/benchmarks/benchmarks/compare_survey_plans.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 2
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        **config["benchmarks"]["compare_survey_plans"],
        n_tiles_per_shard=config["clusters"]["infer_shard"]["n_tiles_per_shard"],
        n_cores=2,
        work_folder=lambda wildcards, output: str(Path(output.metrics).parent / "survey"),
    script:
        "../scripts/benchmarks/compare_survey_plans.py"


rule benchmarks_compare_executors:
    """Put {params.n_jobs} empty jobs through a throw-away Slurm with each executor: what the scheduler costs a job."""
    input:
        code=code_of("scripts/benchmarks/compare_executors.py"),
    output:
        metrics="<results>/benchmarks/executors.json",
    log:
        "<results>/benchmarks/logs/compare_executors.log",
    benchmark:
        "<results>/benchmarks/benchmarks/compare_executors.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 2
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        **config["benchmarks"]["compare_executors"],
    script:
        "../scripts/benchmarks/compare_executors.py"


rule benchmarks_compare_remaps:
    """Time {params.n_maps} lensed CMB patches by NUFFT, by scipy's spline and by pixell, and as many quadratic estimates,
    {params.n_pairs} times in turn, and measure the error of each."""
    input:
        spectra="<results>/cmb/spectra/fiducial.npz",
        code=code_of("scripts/benchmarks/compare_remaps.py"),
    output:
        benchmark="<results>/benchmarks/remaps.json",
    log:
        "<results>/benchmarks/logs/compare_remaps.log",
    benchmark:
        "<results>/benchmarks/benchmarks/compare_remaps.tsv"
    conda:
        "../envs/maps.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        **config["benchmarks"]["compare_remaps"],
    script:
        "../scripts/benchmarks/compare_remaps.py"


rule benchmarks_summarise_costs:
    """Tell what every step of every rule set took, from the benchmark files that Snakemake left beside their results."""
    input:
        metrics=[f"<results>/{name}/metrics.json" for name in STEPS_OF_RULE_SETS],
        code=code_of("scripts/benchmarks/summarise_costs.py"),
    output:
        text="<results>/benchmarks/costs.md",
    log:
        "<results>/benchmarks/logs/summarise_costs.log",
    benchmark:
        "<results>/benchmarks/benchmarks/summarise_costs.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        steps=STEPS_OF_RULE_SETS,
    script:
        "../scripts/benchmarks/summarise_costs.py"


rule benchmarks_compare_masked_training:
    """Time {params.n_steps} training steps of {params.batch_size} cutouts by a masked autoencoder, without masking, and by
    torch's own transformer, {params.n_pairs} times in turn, and what reading adds."""
    input:
        code=code_of("scripts/benchmarks/compare_masked_training.py"),
    output:
        benchmark="<results>/benchmarks/masked_training.json",
    log:
        "<results>/benchmarks/logs/compare_masked_training.log",
    benchmark:
        "<results>/benchmarks/benchmarks/compare_masked_training.tsv"
    conda:
        "../envs/mim.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        **config["benchmarks"]["compare_masked_training"],
    script:
        "../scripts/benchmarks/compare_masked_training.py"
