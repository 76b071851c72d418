#!/usr/bin/env bash
# On a Narval login node: build .venv from the site's own wheels, pack it for the nodes, and say what comes next.
# A package that the wheelhouse lacks comes from the network that login nodes have, at the version of requirements.lock.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if ! type module >/dev/null 2>&1; then
    echo "no 'module' command here: run this on a Narval login node; elsewhere, make setup" >&2
    exit 1
fi
module load StdEnv/2023 python/3.11
virtualenv --no-download .venv
pip="$PWD/.venv/bin/python -m pip"
$pip install --quiet --no-index --upgrade pip
sed '/its tests and checks run on/,$d' requirements.lock | grep -v '^#' | grep . | while read -r pinned; do
    $pip install --quiet --no-index "${pinned%%==*}" 2>/dev/null || $pip install --quiet "$pinned"
done
tar -cf .venv/site-packages.tar -C .venv/lib/python3.11 site-packages
touch .venv/.complete
make profiles
cat <<'NEXT'
Next, in tmux on this login node:
  export SBATCH_ACCOUNT=def-<name>
  . .venv/bin/activate
  snakemake clusters --profile narval
profiles/README.md says how to watch it, and how to run the many short jobs as one.
NEXT
