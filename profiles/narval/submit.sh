#!/usr/bin/env bash
# Submit one job as Narval wants it: no partition, the GPU by its model, an hour at least. Prints the job's number.
# submit.sh <rule> <threads> <mem_mb> <minutes> <number of GPUs> <GPU model> <job script>
set -euo pipefail
if [ -z "${SBATCH_ACCOUNT:-}" ]; then
    echo "no account: export SBATCH_ACCOUNT=def-<name> (or rrg-<name>), without _cpu or _gpu" >&2
    exit 1
fi
rule=$1 threads=$2 mem_mb=$3 minutes=$4 gpus=$5 model=$6 script=$7
logs=.snakemake/slurm_logs/$rule
mkdir -p "$logs"
# Slurm puts a job back whose node failed or that was preempted; training and shards go on where they were.
request=(--requeue --job-name="$rule" --comment="$rule" --output="$logs/%j.log" --ntasks=1 --cpus-per-task="$threads" --mem="${mem_mb}M"
    --time="$((minutes < 60 ? 60 : minutes))")
[ "$gpus" -eq 0 ] || request+=(--gpus-per-node="$model:$gpus")
[ -z "${ARMILLARY_MAIL:-}" ] || request+=(--mail-user="$ARMILLARY_MAIL" --mail-type=FAIL)
exec sbatch --parsable --export=ALL "${request[@]}" "$script"
