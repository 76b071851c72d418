"""What the comparison of two cluster lists is given: their files; no rule lives here."""

COMPARED = CLUSTERS["compare_catalogs"]
for key in ("redshift_range", "richness_edges"):
    if sorted(COMPARED[key]) != COMPARED[key]:
        raise WorkflowError(f"clusters: compare_catalogs: {key} is {COMPARED[key]}; its numbers must rise")
if COMPARED["footprint"] and COMPARED["footprint"]["dec"][0] >= COMPARED["footprint"]["dec"][1]:
    raise WorkflowError(
        f"clusters: compare_catalogs: footprint: dec is {COMPARED['footprint']['dec']}; south comes first, then north"
    )


def clusters_list_file(key):
    """The file of one of the two lists, as it is if it exists, else the data set of this name; None where none is named."""
    name = COMPARED[key] and COMPARED[key]["file"]
    if name is None or Path(name).exists():
        return name
    try:
        return dataset_file(name)
    except ValueError as error:
        raise WorkflowError(
            f"clusters: compare_catalogs: {key}: file: {name} does not exist; {error}"
        ) from None


COMPARED_FILES = {key: clusters_list_file(key) for key in ("first", "second")}


def clusters_compared_files(key):
    """An input function: the file of one of the two lists."""

    def file(_):
        if COMPARED_FILES[key] is None:
            raise WorkflowError(
                f"clusters: compare_catalogs: {key} is null; `first` and `second` must each name a `file` with a "
                "cluster list (config/clusters.yaml)"
            )
        return COMPARED_FILES[key]

    return file


def clusters_compared():
    """What the target `clusters_compare` asks for."""
    return ["<results>/clusters/compare/metrics.json", "<results>/clusters/compare/comparison.png"]
