"""What the report covers: the rule sets of which there are results, their pages, figures and captions; no rule lives here."""

REPORT_PAGES = {name: read_yaml(f"resources/pages/{name}.yaml") for name in STEPS_OF_RULE_SETS}
HEADLINES = {name: read_headlines(name) for name in STEPS_OF_RULE_SETS}
REPORT_TEMPLATES = [
    f"resources/pages/{name}"
    for name in (
        "frame.html",
        "rule_set.html",
        "overview.html",
        "settings.html",
        "viewer.html",
        "tile.html",
        "maps.html",
        "similar.html",
        "style.css",
    )
]


def report_sets():
    """The rule sets that have run; the report covers what there is. An error that says how if there is nothing."""
    results = Path(workflow.pathvars.apply("<results>"))
    found = [name for name in REPORT_PAGES if (results / name / "metrics.json").exists()]
    if not found:
        raise WorkflowError(
            f"the report covers what has been run, and {results} holds no metrics.json: run a target first"
        )
    return found


def report_metrics(_):
    return [f"<results>/{name}/metrics.json" for name in report_sets()]


def report_figures(name):
    """The figures that the target of a rule set asks for."""
    products = {
        "clusters": clusters_products,
        "cmb": cmb_products,
        "massmap": massmap_products,
        "hsc": hsc_products,
        "mim": mim_products,
        "challenges": challenges_products,
    }
    return [path for path in products[name]() if path.endswith(".png")]


def report_first_figures(_):
    """One figure a rule set, for the overview."""
    return [f"<results>/{REPORT_PAGES[name]['figure']}" for name in report_sets()]


def report_views(wildcards):
    """Pages of a rule set to look around in."""
    views = {
        "clusters": [f"<results>/report/tile_{tile}.html" for tile in CLUSTERS["infer_tile"]["tiles"][:1]],
        "massmap": [f"<results>/report/maps_{field}.html" for field in massmap_fields()],
        "mim": [] if MIM["cutouts"] or MIM["tile_coadds"]["patches"] else ["<results>/report/similar.html"],
        "challenges": [f"<results>/challenges/{name}/index.html" for name in challenges_names()],
    }
    return views.get(wildcards.rule_set, [])


def report_captions(wildcards):
    """The caption of each figure: resources/captions/[<set>_]<noun>.rst, of <noun>_<name>.png, too."""
    folder = Path(workflow.basedir, "resources/captions")
    captions = []
    for figure in report_figures(wildcards.rule_set):
        nouns = [Path(figure).stem, Path(figure).stem.partition("_")[0]]
        names = [f"{start}{noun}.rst" for noun in nouns for start in (f"{wildcards.rule_set}_", "")]
        captions.append(next(f"resources/captions/{name}" for name in names if (folder / name).exists()))
    return captions


def report_links():
    """Name, title and question of the pages that there are."""
    return [{"name": name, **REPORT_PAGES[name]} for name in report_sets()]


def report_settings():
    """Schema, defaults and values of every rule set."""
    return {
        name: {
            "schema": read_yaml(f"config/schemas/{name}.yaml"),
            "defaults": read_yaml(f"config/{name}.yaml")[name],
            "values": config[name],
        }
        for name in (*REPORT_PAGES, "resources", "benchmarks")
    }
