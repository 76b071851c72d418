"""What the rules of mass maps are given: fields, files, settings; no rule lives here."""

from pathlib import Path

MASSMAP = config["massmap"]
MASSMAP_METHODS = [
    "kaiser_squires",
    "inpainted",
    "wiener",
    "cubic",
    "polynomial",
    "sparse",
    "lognormal",
    "learned",
    "score",
]
MASSMAP_MISMATCH_METHODS = ["wiener", "cubic", "polynomial", "learned", "lognormal"]
MASSMAP_NULL_METHODS = [
    "kaiser_squires",
    "wiener",
    "sparse",
    "learned",
]  # a map of the sampled priors takes a minute or more


def massmap_fields():
    """The fields that are run; a WorkflowError for one that is not defined, or defined in a way that cannot work."""
    for name in MASSMAP["run_fields"]:
        if name not in MASSMAP["fields"]:
            known = ", ".join(MASSMAP["fields"])
            raise WorkflowError(f"massmap: run_fields: no field is called {name!r}; fields has: {known}")
        field = massmap_field(name)
        if field["source"] == "catalog" and not (field["catalog"] or field["columns"]):
            raise WorkflowError(
                f"massmap: fields: {name}: source is catalog; name a table in `catalog`, or a file for each of `columns`"
            )
        if field["source"] == "maps" and not field["maps"]:
            raise WorkflowError(f"massmap: fields: {name}: source is maps; name them in `maps`")
        if field["source"] == "simulated" and not (field["map_shape"] and field["centre"]):
            raise WorkflowError(f"massmap: fields: {name}: a simulated field needs `map_shape` and `centre`")
        for file in massmap_given(field):
            massmap_file(file)  # raises for what is neither a file nor a data set
    return MASSMAP["run_fields"]


def massmap_field(name):
    """All settings of a field: its own, and the defaults for the rest."""
    return {**MASSMAP["field_defaults"], **MASSMAP["fields"][name]}


def massmap_of_field(*keys):
    """Settings of the field that the wildcards name, as params: one function a key."""

    def setting(key):
        return lambda wildcards: massmap_field(wildcards.field)[key]

    return {key: setting(key) for key in keys}


def massmap_shared(*names):
    """Settings of the whole rule set that a step asks for."""
    return {name: MASSMAP[name] for name in names}


def massmap_file(name):
    """Path of a given file: as it is if it exists, else that of the data set of this name, fetched when it is needed."""
    return name if Path(name).exists() else dataset_file(name)


def massmap_given(field):
    """Names of the files with the shapes of a field that is not simulated: a table, or a file a column or map."""
    if field["source"] == "catalog":
        return [field["catalog"]] if field["catalog"] else list(field["columns"].values())
    return list(field["maps"].values()) if field["source"] == "maps" else []


def massmap_catalogs(wildcards):
    """The catalogue of a field: the simulated one, a table, or one file a column; none for binned maps."""
    field = massmap_field(wildcards.field)
    if field["source"] == "simulated":
        return [f"<results>/massmap/{wildcards.field}/catalog.fits"]
    return [massmap_file(name) for name in massmap_given(field)] if field["source"] == "catalog" else []


def massmap_map_roles(wildcards):
    """The roles of a field's binned maps, in the order of their files."""
    field = massmap_field(wildcards.field)
    return list(field["maps"]) if field["source"] == "maps" else []


def massmap_maps(wildcards):
    """The binned maps of a field, if it is given as such."""
    return [
        massmap_file(massmap_field(wildcards.field)["maps"][role]) for role in massmap_map_roles(wildcards)
    ]


def massmap_photo_z_catalogs(wildcards):
    """The catalogue whose photometric redshifts are the sources' distribution, if it is one table that has them."""
    field = massmap_field(wildcards.field)
    with_redshifts = field["source"] == "catalog" and field["catalog"] and field["columns"].get("photo_z")
    return massmap_catalogs(wildcards) if with_redshifts else []


def massmap_column(role):
    """The name of the column of a role, as a param; None where there is none."""
    return lambda wildcards: (massmap_field(wildcards.field)["columns"] or {}).get(role)


def massmap_spectrum_tables(wildcards):
    """The table that replaces the computed spectrum, if one is named."""
    name = massmap_field(wildcards.field)["spectrum_file"]
    return [massmap_file(name)] if name else []


def massmap_clusters(wildcards):
    """The list of known clusters of a field: given, or the highest true peaks of a simulated one."""
    field = massmap_field(wildcards.field)
    if field["source"] == "simulated":
        return [f"<results>/massmap/{wildcards.field}/truth.npz"]
    return [massmap_file(field["clusters"])] if field["clusters"] else []


def massmap_truths(wildcards):
    """The true convergence of a field whose maps give it, beside binned shear or beside a catalogue."""
    roles = massmap_field(wildcards.field)["maps"] or {}
    return [massmap_file(roles["convergence"])] if "convergence" in roles else []


def massmap_shown_truths(wildcards):
    """What the figure of a field shows as its truth, if it is known."""
    simulated = massmap_field(wildcards.field)["source"] == "simulated"
    return [f"<results>/massmap/{wildcards.field}/truth.npz"] if simulated else massmap_truths(wildcards)


def massmap_each(pattern, methods):
    """An input function: one file a method of the field that the wildcards name."""
    return [pattern.replace("{method}", method) for method in methods]


def massmap_products():
    """What the target `massmap` asks for."""
    figures = [
        f"<results>/massmap/{field}/figures/{noun}.png"
        for field in massmap_fields()
        for noun in ("maps", "spectra", "peaks", "calibration", "nulls", "training")
    ]
    networks = [
        f"<results>/massmap/{field}/networks/{noun}.npz"
        for field in massmap_fields()
        for noun in ("residual", "score")
    ]
    return ["<results>/massmap/metrics.json", *networks, *figures]
