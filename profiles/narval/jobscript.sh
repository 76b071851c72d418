#!/bin/bash
# properties = {properties}
# What runs on the node: the site's modules, the packages on the node's own disk, then the job.
# Thousands of small files are slow to read over the network; `make narval` packed them into one.
if command -v module >/dev/null; then module load StdEnv/2023 python/3.11; fi
packed=.venv/site-packages.tar
if [ -n "$SLURM_TMPDIR" ] && [ -f "$packed" ]; then
    tar -xf "$packed" -C "$SLURM_TMPDIR"
    export PYTHONPATH="$SLURM_TMPDIR/site-packages${{PYTHONPATH:+:$PYTHONPATH}}"
fi
# Slurm ends a job with SIGTERM to all its processes. Bash would die of it and take the job along; with a trap it waits
# for Snakemake, which waits for the step, which saves what it has.
trap : TERM
{exec_job}
