"""The light report: a first page, one page a rule set, one page of all settings; static files that open offline.

Makes  <results>/report.html, <results>/report/<set>.html, <results>/report/settings.html and pages to look around in.
It covers the rule sets of which there are results when it is asked for.
"""


rule report_summarise_rule_set:
    """Write the page of one rule set: its question, tables, figures, cost and origin."""
    input:
        metrics="<results>/{rule_set}/metrics.json",
        figures=lambda wildcards: report_figures(wildcards.rule_set),
        captions=report_captions,
        views=report_views,
        templates=REPORT_TEMPLATES,
        code=code_of("scripts/report/summarise_rule_set.py"),
    output:
        html="<results>/report/{rule_set}.html",
    log:
        "<results>/report/logs/summarise_rule_set_{rule_set}.log",
    benchmark:
        "<results>/report/benchmarks/summarise_rule_set_{rule_set}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        rule_set=lambda wildcards: wildcards.rule_set,
        page=lambda wildcards: REPORT_PAGES[wildcards.rule_set],
        headlines=lambda wildcards: HEADLINES[wildcards.rule_set],
        pages=lambda wildcards: report_links(),
        steps=lambda wildcards: STEPS_OF_RULE_SETS[wildcards.rule_set],
    script:
        "../scripts/report/summarise_rule_set.py"


rule report_plot_tile:
    """Write a page on which tile {wildcards.tile} can be looked at: bands, probabilities, reference and detections."""
    input:
        images=lambda wildcards: clusters_tile_images(wildcards.tile),
        probability_map="<results>/clusters/tiles/{tile}_probability.fits",
        probability_maps=[
            f"<results>/clusters/tiles/{tile}_probability.fits" for tile in CLUSTERS["infer_tile"]["tiles"]
        ],
        catalog=clusters_reference_catalog,
        truth=lambda wildcards: clusters_simulated_truths([wildcards.tile]),
        matches="<results>/clusters/scores/score_redmapper_matches.dat",
        metrics="<results>/clusters/metrics.json",
        templates=REPORT_TEMPLATES,
        code=code_of("scripts/report/plot_tile.py"),
    output:
        html="<results>/report/tile_{tile}.html",
    log:
        "<results>/report/logs/plot_tile_{tile}.log",
    benchmark:
        "<results>/report/benchmarks/plot_tile_{tile}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        **clusters_scored_edges(),
        tile=lambda wildcards: wildcards.tile,
        bands=CLUSTERS["bands"],
        source=CLUSTERS["infer_tile"]["source"],
        pages=lambda wildcards: report_links(),
    script:
        "../scripts/report/plot_tile.py"


rule report_plot_maps:
    """Write a page on which the mass maps of field {wildcards.field} can be looked at, method by method."""
    input:
        shear="<results>/massmap/{field}/shear.fits",
        maps=massmap_each("<results>/massmap/{field}/maps/{method}.fits", MASSMAP_METHODS),
        truths=massmap_shown_truths,
        clusters=massmap_clusters,
        metrics="<results>/massmap/metrics.json",
        templates=REPORT_TEMPLATES,
        code=code_of("scripts/report/plot_maps.py"),
    output:
        html="<results>/report/maps_{field}.html",
    log:
        "<results>/report/logs/plot_maps_{field}.log",
    benchmark:
        "<results>/report/benchmarks/plot_maps_{field}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        **massmap_of_field("cluster_columns"),
        field=lambda wildcards: wildcards.field,
        methods=MASSMAP_METHODS,
        pages=lambda wildcards: report_links(),
    script:
        "../scripts/report/plot_maps.py"


rule report_plot_similar:
    """Write a page on which objects of the probe set are searched by example."""
    input:
        embeddings=mim_embeddings("trained", "all")[0],
        features="<results>/mim/embeddings/features.npz",
        cutouts=MIM_SETS["probe"],
        metrics="<results>/mim/metrics.json",
        templates=REPORT_TEMPLATES,
        code=code_of("scripts/report/plot_similar.py"),
    output:
        html="<results>/report/similar.html",
    log:
        "<results>/report/logs/plot_similar.log",
    benchmark:
        "<results>/report/benchmarks/plot_similar.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        pages=lambda wildcards: report_links(),
    script:
        "../scripts/report/plot_similar.py"


rule report_summarise_settings:
    """Write the page of all settings: what a key may be, its default, its value in this run, its meaning."""
    input:
        metrics=report_metrics,
        templates=REPORT_TEMPLATES,
        code=code_of("scripts/report/summarise_settings.py"),
    output:
        html="<results>/report/settings.html",
    log:
        "<results>/report/logs/summarise_settings.log",
    benchmark:
        "<results>/report/benchmarks/summarise_settings.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        sets=report_settings(),
        pages=lambda wildcards: report_links(),
    script:
        "../scripts/report/summarise_settings.py"


rule report_summarise_overview:
    """Write the first page: what each rule set asks, its headline beside the strongest baseline, its cost."""
    input:
        metrics=report_metrics,
        figures=report_first_figures,
        pages_of_sets=lambda wildcards: [
            f"<results>/report/{name}.html" for name in (*report_sets(), "settings")
        ],
        templates=REPORT_TEMPLATES,
        code=code_of("scripts/report/summarise_overview.py"),
    output:
        html="<results>/report.html",
    log:
        "<results>/report/logs/summarise_overview.log",
    benchmark:
        "<results>/report/benchmarks/summarise_overview.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        pages=lambda wildcards: report_links(),
        headlines=HEADLINES,
        steps=STEPS_OF_RULE_SETS,
    script:
        "../scripts/report/summarise_overview.py"


rule report_summarise_readme:
    """Write README.md anew with the numbers of this run, and the figures that it shows; `make gallery` puts them in place."""
    input:
        readme="README.md",
        metrics=[f"<results>/{name}/metrics.json" for name in REPORT_PAGES],
        figures=[f"<results>/{path}" for page in REPORT_PAGES.values() for path in page["gallery"].values()],
        code=code_of("scripts/report/summarise_readme.py"),
    output:
        text="<results>/report/gallery/README.md",
        gallery=[
            f"<results>/report/gallery/{name}" for page in REPORT_PAGES.values() for name in page["gallery"]
        ],
    log:
        "<results>/report/logs/summarise_readme.log",
    benchmark:
        "<results>/report/benchmarks/summarise_readme.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        pages=REPORT_PAGES,
        headlines=HEADLINES,
        steps=STEPS_OF_RULE_SETS,
    script:
        "../scripts/report/summarise_readme.py"
