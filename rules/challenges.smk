"""Challenges: small machine-learning problems in astronomy, all in one shape.

Makes  <results>/challenges/metrics.json and index.html; for each challenge metrics.json, index.html and figures/.
From   simulations, or real files where they are at hand (config/challenges.yaml: source, files).
Steps  sample_data (a seed) -> train_variant (a variant and seed) -> score_challenge -> plot_figure -> summarise_page ->
       summarise_metrics.

The steps are the same for all: a challenge is armillary/challenges/<name>.py, <name>_models.py and its figures.
"""


rule challenges_sample_data:
    """Data of challenge {wildcards.challenge} for seed {wildcards.seed}."""
    input:
        files=challenges_files,
        code=code_of("scripts/challenges/sample_data.py"),
        challenge_code=challenges_code(),
    output:
        data="<results>/challenges/{challenge}/data_{seed}.npz",
    log:
        "<results>/challenges/logs/sample_data_{challenge}_{seed}.log",
    benchmark:
        "<results>/challenges/benchmarks/sample_data_{challenge}_{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        **challenges_of("settings"),
    script:
        "../scripts/challenges/sample_data.py"


rule challenges_train_variant:
    """Train {wildcards.variant} of challenge {wildcards.challenge} with seed {wildcards.seed}."""
    input:
        data="<results>/challenges/{challenge}/data_{seed}.npz",
        code=code_of("scripts/challenges/train_variant.py"),
        challenge_code=challenges_code("_models"),
    output:
        outcome="<results>/challenges/{challenge}/{variant}/seed_{seed}.npz",
    log:
        "<results>/challenges/logs/train_variant_{challenge}_{variant}_{seed}.log",
    benchmark:
        "<results>/challenges/benchmarks/train_variant_{challenge}_{variant}_{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        **challenges_of("settings"),
    script:
        "../scripts/challenges/train_variant.py"


rule challenges_score_challenge:
    """Score all variants of challenge {wildcards.challenge}, errors from resampled test objects and seeds."""
    input:
        data=challenges_data,
        outcomes=challenges_outcomes,
        code=code_of("scripts/challenges/score_challenge.py"),
        challenge_code=challenges_code(),
    output:
        metrics="<results>/challenges/{challenge}/metrics.json",
    log:
        "<results>/challenges/logs/score_challenge_{challenge}.log",
    benchmark:
        "<results>/challenges/benchmarks/score_challenge_{challenge}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        **challenges_of("settings", "variants"),
    script:
        "../scripts/challenges/score_challenge.py"


rule challenges_plot_figure:
    """Draw figure {wildcards.figure} of challenge {wildcards.challenge}."""
    input:
        data=challenges_data,
        outcomes=challenges_outcomes,
        metrics="<results>/challenges/{challenge}/metrics.json",
        code=code_of("scripts/challenges/plot_figure.py"),
        challenge_code=challenges_code(folder="armillary/figures/challenge_"),
    output:
        drawing=report(
            "<results>/challenges/{challenge}/figures/{figure}.png",
            caption="../resources/captions/challenges_figure.rst",
            category="Challenges",
            subcategory="{challenge}",
        ),
    log:
        "<results>/challenges/logs/plot_figure_{challenge}_{figure}.log",
    benchmark:
        "<results>/challenges/benchmarks/plot_figure_{challenge}_{figure}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        **challenges_of("variants"),
    script:
        "../scripts/challenges/plot_figure.py"


rule challenges_summarise_page:
    """Write the page of challenge {wildcards.challenge} and hold its numbers against the expected ranges."""
    input:
        data=challenges_data,
        outcomes=challenges_outcomes,
        metrics="<results>/challenges/{challenge}/metrics.json",
        figures=challenges_figures,
        templates=CHALLENGES_TEMPLATES,
        code=code_of("scripts/challenges/summarise_page.py"),
        challenge_code=challenges_code(),
    output:
        page=report(
            "<results>/challenges/{challenge}/index.html",
            caption="../resources/captions/challenges.rst",
            category="Challenges",
            subcategory="{challenge}",
        ),
        checks="<results>/challenges/{challenge}/checks.json",
    log:
        "<results>/challenges/logs/summarise_page_{challenge}.log",
    benchmark:
        "<results>/challenges/benchmarks/summarise_page_{challenge}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        **challenges_of("variants", "expect"),
        story=challenges_story,
    script:
        "../scripts/challenges/summarise_page.py"


rule challenges_summarise_metrics:
    """Put the numbers of all challenges into one metrics.json, and write the overview."""
    input:
        parts=collect("<results>/challenges/{challenge}/metrics.json", challenge=challenges_names()),
        checks=collect("<results>/challenges/{challenge}/checks.json", challenge=challenges_names()),
        templates=CHALLENGES_TEMPLATES,
        code=code_of("scripts/challenges/summarise_metrics.py"),
    output:
        metrics=report(
            "<results>/challenges/metrics.json",
            category="Challenges",
            caption="../resources/captions/metrics.rst",
        ),
        overview=report(
            "<results>/challenges/index.html",
            category="Challenges",
            caption="../resources/captions/challenges.rst",
        ),
    log:
        "<results>/challenges/logs/summarise_metrics.log",
    benchmark:
        "<results>/challenges/benchmarks/summarise_metrics.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        names=challenges_names(),
    script:
        "../scripts/challenges/summarise_metrics.py"
