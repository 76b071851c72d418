"""Data we were given: fetch any file that resources/datasets.yaml describes.

Makes  resources/downloads/<dataset>, the same path as in the manifest and in the mirror folder.
From   the mirror folder (environment variable ARMILLARY_MIRROR, else config `resources: mirror:`), else the file's own archive.
Steps  fetch_dataset.

Downloads are shared by full, demo and test runs and are not in git.
"""

import os

if config["resources"]["mirror"]:
    os.environ.setdefault("ARMILLARY_MIRROR", os.path.expanduser(config["resources"]["mirror"]))


# No `code=` here, unlike every other rule: a file of known checksum does not change with our code,
# and an edit of the downloader must not fetch a hundred gigabytes again.
rule resources_fetch_dataset:
    """Fetch {wildcards.dataset} from the mirror folder or its archive, and check its length and checksum."""
    output:
        file="resources/downloads/{dataset}",
    log:
        "<results>/resources/logs/fetch_dataset/{dataset}.log",
    benchmark:
        "<results>/resources/benchmarks/fetch_dataset/{dataset}.tsv"
    wildcard_constraints:
        dataset=r"[^.].*",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=120,
    params:
        entry=dataset_entry,
        partial="resources/downloads/.partial/{dataset}",
    script:
        "../scripts/resources/fetch_dataset.py"
