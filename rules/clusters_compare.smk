"""Two cluster lists of the same sky, held against each other.

Makes  <results>/clusters/compare/metrics.json, bins.dat, matches.dat and comparison.png.
From   the two files that clusters: compare_catalogs: first and second name: any cluster lists, columns by role.
Steps  compare_catalogs -> plot_comparison; target clusters_compare.
"""


rule clusters_compare_catalogs:
    """Match two lists within {params.match_radius_mpc} Mpc and dz {params.match_dz}: completeness both ways, redshifts,
    richnesses and positions, errors from {params.n_resamples} resamples, chance from {params.n_shifts} shifts.
    """
    input:
        first_file=clusters_compared_files("first"),
        second_file=clusters_compared_files("second"),
        code=code_of("scripts/clusters/compare_catalogs.py"),
    output:
        metrics="<results>/clusters/compare/metrics.json",
        bins="<results>/clusters/compare/bins.dat",
        matches="<results>/clusters/compare/matches.dat",
    log:
        "<results>/clusters/logs/compare_catalogs.log",
    benchmark:
        "<results>/clusters/benchmarks/compare_catalogs.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        **COMPARED,
        **clusters_shared("seed"),
    script:
        "../scripts/clusters/compare_catalogs.py"


rule clusters_plot_comparison:
    """Draw two cluster lists against each other: completeness, redshift, richness, positions, and where they overlap."""
    input:
        metrics="<results>/clusters/compare/metrics.json",
        bins="<results>/clusters/compare/bins.dat",
        matches="<results>/clusters/compare/matches.dat",
        code=code_of("scripts/clusters/plot_comparison.py"),
    output:
        figure=report(
            "<results>/clusters/compare/comparison.png",
            caption="../resources/captions/comparison.rst",
            category="Clusters",
        ),
    log:
        "<results>/clusters/logs/plot_comparison.log",
    benchmark:
        "<results>/clusters/benchmarks/plot_comparison.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        match_radius_mpc=COMPARED["match_radius_mpc"],
    script:
        "../scripts/clusters/plot_comparison.py"
