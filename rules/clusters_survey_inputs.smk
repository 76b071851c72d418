"""What the rules of the survey are given: its tiles, its shards, the files of each; no rule lives here."""

SURVEY = CLUSTERS["infer_shard"]
SHARD_FILES = {"maps": "maps.fits", "catalogs": "clusters.dat", "summaries": "summary.json"}


@cache
def clusters_survey_tiles():
    """The tiles of the survey in the order of their list; read only when the survey is asked for."""
    path = SURVEY["tile_list"]
    if path is None or not Path(path).exists():
        raise WorkflowError(
            f"clusters: infer_shard: tile_list is {path}; it must name a file with one DES tile a line (config/survey.yaml)"
        )
    lines = (line.partition("#")[0].strip() for line in Path(path).read_text().splitlines())
    tiles = [line for line in lines if line]
    bad = [tile for tile in tiles if not re.fullmatch(r"DES\d{4}[+-]\d{4}", tile)]
    if bad or len(set(tiles)) < len(tiles) or not tiles:
        what = (
            f"line {bad[0]!r} is no DES tile name"
            if bad
            else "a tile is named twice" if tiles else "no tile is named"
        )
        raise WorkflowError(f"clusters: infer_shard: tile_list {path}: {what}")
    return tiles


def clusters_survey_shards():
    """Numbers of the survey's shards as four digits."""
    return [
        f"{number:04d}" for number in range(-(-len(clusters_survey_tiles()) // SURVEY["n_tiles_per_shard"]))
    ]


def clusters_shard_tiles(wildcards):
    """The tiles of one shard."""
    first = int(wildcards.shard) * SURVEY["n_tiles_per_shard"]
    return clusters_survey_tiles()[first : first + SURVEY["n_tiles_per_shard"]]


def clusters_shard_minutes(wildcards):
    """Wall time asked for a shard, half an hour more than its tiles should take."""
    return 30 + round(len(clusters_shard_tiles(wildcards)) * SURVEY["seconds_per_tile"] / 60)


def clusters_survey_checkpoint(wildcards):
    """The trained encoder; stand-ins without pixels need none."""
    if SURVEY["checkpoint"] is None and SURVEY["source"] != "empty":
        raise WorkflowError(
            "clusters: infer_shard: checkpoint is null; it must name a trained best_encoder.ckpt (config/survey.yaml)"
        )
    return [SURVEY["checkpoint"]] if SURVEY["checkpoint"] else []


def clusters_shard_files(kind):
    """An input function: one file of every shard, or `so_far` of those that are done."""

    def files(wildcards):
        shards = clusters_survey_shards()
        if wildcards.part == "so_far":
            results = workflow.pathvars.apply("<results>/clusters/survey")
            shards = [shard for shard in shards if Path(results, f"shard_{shard}_summary.json").exists()]
            if not shards:
                raise WorkflowError(
                    f"no shard of the survey is done yet: {results} has no shard_*_summary.json"
                )
        return collect(f"<results>/clusters/survey/shard_{{shard}}_{SHARD_FILES[kind]}", shard=shards)

    return files
