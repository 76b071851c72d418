#!/usr/bin/env bash
# On a Bridges-2 login node: build .venv from requirements.lock with the site's Python, and say what comes next.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if ! type module >/dev/null 2>&1; then
    echo "no 'module' command here: run this on a Bridges-2 login node; elsewhere, make setup" >&2
    exit 1
fi
module load anaconda3/2024.10-1
make PYTHON="$(command -v python3)" setup profiles
cat <<'NEXT'
Next, in tmux on this login node:
  export SBATCH_ACCOUNT=<grant id>
  . .venv/bin/activate
  snakemake clusters --profile bridges2
profiles/README.md says how to watch it, and which GPU to ask for.
NEXT
