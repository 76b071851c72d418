"""What the comparison of two cluster lists is given: their files; no rule lives here."""

COMPARED = CLUSTERS["compare_catalogs"]
for key in ("redshift_range", "richness_edges"):
    if sorted(COMPARED[key]) != COMPARED[key]:
        raise WorkflowError(f"clusters: compare_catalogs: {key} is {COMPARED[key]}; its numbers must rise")


def clusters_compared_file(key):
    """An input function: the file of one of the two lists, as it is if it exists, else the data set of this name."""

    def file(_):
        if COMPARED[key] is None:
            raise WorkflowError(
                f"clusters: compare_catalogs: {key} is null; `first` and `second` must each name a `file` with a "
                "cluster list (config/clusters.yaml)"
            )
        name = COMPARED[key]["file"]
        if Path(name).exists():
            return name
        try:
            return dataset_file(name)
        except ValueError as error:
            raise WorkflowError(
                f"clusters: compare_catalogs: {key}: file: {name} does not exist, and {error}"
            ) from None

    return file


def clusters_compared():
    """What the target `clusters_compare` asks for."""
    return ["<results>/clusters/compare/metrics.json", "<results>/clusters/compare/comparison.png"]
