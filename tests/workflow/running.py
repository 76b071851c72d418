"""How the tests run Snakemake."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def snakemake(*arguments: str, folder: Path = ROOT, **more) -> subprocess.CompletedProcess:
    """Run Snakemake in `folder`; settings files may follow the targets in `arguments`; `more` goes to subprocess."""
    command = [sys.executable, "-m", "snakemake", "--nolock", "--cores", "2", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, **more)
