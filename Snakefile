"""What can be asked for: settings, their schemas, the rule sets in story order, and the targets."""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/clusters.yaml"
configfile: "config/cmb.yaml"
configfile: "config/massmap.yaml"
configfile: "config/mim.yaml"
configfile: "config/challenges.yaml"
configfile: "config/hsc.yaml"
configfile: "config/resources.yaml"
configfile: "config/benchmarks.yaml"


include: "rules/common.smk"


check_settings(config, "workflow")
for rule_set in ("clusters", "massmap", "hsc", "cmb", "mim", "challenges", "resources", "benchmarks"):
    check_settings(config[rule_set], rule_set)


# Snakemake 9.27 limits how many jobs start a second, and with each job that ends one more timer has it weigh all waiting
# jobs once a second: a quarter of a core by the end of the demo, ever more with more jobs. Jobs of this machine need no limit.
onstart:
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


wildcard_constraints:
    batch=r"\d{5}",
    split="train|validation|selection|calibration|test",
    training=r"\d+",
    tile=r"DES\d{4}[+-]\d{4}",
    shard=r"\d{4}",
    part="all|so_far",
    group="train|validation|test|unlensed|reference|scaled|other|other_reference|noisier|nulls|unpaired",
    sky=r"[a-z][a-z0-9_]*",
    experiment=r"[a-z][a-z0-9_]*",
    cosmology="fiducial|other",
    field="[a-z0-9]+",
    method="[a-z_]+",
    rule_set="|".join(STEPS_OF_RULE_SETS),
    network=r"[a-z][a-z0-9_]*",
    state="trained|untrained",
    task="[a-z_]+",
    challenge="[a-z_]+",
    variant="[a-z0-9_]+",
    seed=r"\d+",
    figure="[a-z_]+",
    problem="[a-z]+",
    again="(?:_[12])?",
    population="parametric|real",


include: "rules/resources.smk"
include: "rules/clusters_inputs.smk"
include: "rules/clusters.smk"
include: "rules/clusters_tiles.smk"
include: "rules/clusters_survey_inputs.smk"
include: "rules/clusters_survey.smk"
include: "rules/clusters_compare_inputs.smk"
include: "rules/clusters_compare.smk"
include: "rules/clusters_figures.smk"
include: "rules/cmb_inputs.smk"
include: "rules/cmb.smk"
include: "rules/cmb_figures.smk"
include: "rules/cmb_observed.smk"
include: "rules/massmap_inputs.smk"
include: "rules/massmap.smk"
include: "rules/massmap_figures.smk"
include: "rules/mim_inputs.smk"
include: "rules/mim.smk"
include: "rules/mim_labels.smk"
include: "rules/mim_figures.smk"
include: "rules/challenges_inputs.smk"
include: "rules/challenges.smk"
include: "rules/challenges_exercises.smk"
include: "rules/hsc_inputs.smk"
include: "rules/hsc.smk"
include: "rules/hsc_observed.smk"
include: "rules/hsc_figures.smk"
include: "rules/benchmarks.smk"
include: "rules/report_inputs.smk"
include: "rules/report.smk"


localrules:
    clusters,
    clusters_seeds,
    clusters_tiles,
    clusters_survey,
    clusters_compare,
    cmb,
    cmb_experiments,
    cmb_observed,
    massmap,
    mim,
    mim_embed,
    mim_label_efficiency,
    mim_shapes,
    mim_similarity,
    challenges,
    hsc,
    hsc_priors,
    hsc_observed,
    benchmarks,
    report,


rule clusters:
    """The main job: catalogues to scored clusters, with figures and metrics."""
    default_target: True
    input:
        clusters_products(),


rule clusters_seeds:
    """Scores of three trainings of the encoder from different seeds, whatever the config's number of them."""
    input:
        clusters_seeds_products(),


rule clusters_tiles:
    """Maps and cluster catalogues of the DES tiles in the config, without any score."""
    input:
        clusters_inferred_tiles(),


rule clusters_survey:
    """One cluster catalogue and one footprint of all tiles of a list (config/survey.yaml)."""
    input:
        "<results>/clusters/survey/all/clusters.dat",


rule clusters_compare:
    """Two cluster lists, named in `clusters: compare_catalogs:`, against each other: metrics, tables, a figure."""
    input:
        clusters_compared(),


rule cmb:
    """CMB maps: simulated patches, estimators, the networks of two experiments, scores and figures."""
    input:
        cmb_products(),


rule cmb_experiments:
    """Every experiment of config/cmb.yaml; `cmb_experiment_<name>` is one of them."""
    input:
        [path for name in CMB["experiments"] for path in cmb_experiment_products(name)],


for experiment_name in CMB["experiments"]:

    rule:
        """One named experiment: network, scores, figures, and the command that reproduces it."""
        name:
            f"cmb_experiment_{experiment_name}"
        input:
            cmb_experiment_products(experiment_name),
        localrule: True


rule cmb_observed:
    """Convergence, E and B of the maps that `cmb: observed:` names."""
    input:
        cmb_observed_products,


rule massmap:
    """Convergence maps of the fields of the config by every method, scored, with figures and metrics."""
    input:
        massmap_products(),


rule mim:
    """Masked networks on a sky of cutouts: training, probes and search beside baselines, figures and metrics."""
    input:
        mim_products(),


rule mim_label_efficiency:
    """Every kind of probe, fine-tuned and from-scratch networks with them, against the number of labels."""
    input:
        mim_label_products(),


rule mim_embed:
    """Embeddings of the file of cutouts that `mim: embed:` names, by a trained network."""
    input:
        "<results>/mim/own_embeddings.h5",


rule mim_shapes:
    """Shapes of the objects of the file of cutouts that `mim: embed:` names; nothing is learned for them."""
    input:
        "<results>/mim/own_shapes.h5",


rule mim_similarity:
    """The objects most similar to the query that `mim: similarity:` names, as a table and a figure."""
    input:
        mim_similar_products(),


rule challenges:
    """Every challenge that `challenges: run:` names, with a page each and an overview."""
    input:
        challenges_products(),


for challenge_name in CHALLENGES_FIGURES:

    rule:
        """One challenge: data, variants, scores, figures and its page."""
        name:
            f"challenge_{challenge_name}"
        input:
            challenge_products(challenge_name),
        localrule: True


for exercise_name in CHALLENGES_EXERCISES:

    rule:
        """The data and the notebook of one exercise; `make exercise` copies the notebook for you to change."""
        name:
            f"exercise_{exercise_name}"
        input:
            exercise_products(exercise_name),
        localrule: True

    rule:
        """Your answer to one exercise beside ours, with a paired error."""
        name:
            f"exercise_score_{exercise_name}"
        input:
            f"<results>/exercises/{exercise_name}/score.json",
        localrule: True


rule hsc:
    """Galaxies deconvolved, inpainted and deblended under learned priors, scored, with figures and metrics."""
    input:
        hsc_products(),


rule hsc_priors:
    """Scores of three trainings of all priors from different seeds, on the problem of the headline."""
    input:
        hsc_priors_products(),


rule hsc_observed:
    """Galaxies reconstructed from the images that `hsc: observed:` names: a table, images with samples, a figure."""
    input:
        hsc_observed_products(),


rule benchmarks:
    """The speed and memory figures, each measured against what a user would run instead."""
    input:
        benchmarks_products(),


rule report:
    """The light report of what has been run: opens offline, one page a rule set."""
    input:
        "<results>/report.html",
