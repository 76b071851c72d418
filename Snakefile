"""What can be asked for: settings, their schemas, the rule sets in story order, and the targets."""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/clusters.yaml"
configfile: "config/massmap.yaml"
configfile: "config/resources.yaml"
configfile: "config/benchmarks.yaml"


include: "rules/common.smk"


check_settings(config, "workflow")
for rule_set in ("clusters", "massmap", "resources", "benchmarks"):
    check_settings(config[rule_set], rule_set)


wildcard_constraints:
    batch=r"\d{5}",
    split="train|validation|test",
    tile=r"DES\d{4}[+-]\d{4}",
    shard=r"\d{4}",
    part="all|so_far",
    field="[a-z0-9]+",
    method="[a-z_]+",


include: "rules/resources.smk"
include: "rules/clusters_inputs.smk"
include: "rules/clusters.smk"
include: "rules/clusters_tiles.smk"
include: "rules/clusters_survey_inputs.smk"
include: "rules/clusters_survey.smk"
include: "rules/clusters_figures.smk"
include: "rules/massmap_inputs.smk"
include: "rules/massmap.smk"
include: "rules/massmap_figures.smk"
include: "rules/benchmarks.smk"


localrules:
    clusters,
    clusters_tiles,
    clusters_survey,
    massmap,
    benchmarks,


rule clusters:
    """The main job: catalogues to scored clusters, with figures and metrics."""
    default_target: True
    input:
        clusters_products(),


rule clusters_tiles:
    """Maps and cluster catalogues of the DES tiles in the config, without any score."""
    input:
        clusters_inferred_tiles(),


rule clusters_survey:
    """One cluster catalogue and one footprint of all tiles of a list (config/survey.yaml)."""
    input:
        "<results>/clusters/survey/all/clusters.dat",


rule massmap:
    """Convergence maps of the fields of the config by every method, scored, with figures and metrics."""
    input:
        massmap_products(),


rule benchmarks:
    """The speed and memory figures, each measured against what a user would run instead."""
    input:
        benchmarks_products(),
