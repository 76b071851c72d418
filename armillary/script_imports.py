"""Which modules of `armillary` a script needs: an edit of one of them re-runs the rules that use it and no other."""

import re
from functools import cache
from pathlib import Path

# An import of ours as ruff lays it out: one module a statement, a long list of names in parentheses. Parsing the whole
# of every file to find these lines took two seconds of each start of Snakemake.
IMPORT = re.compile(r"^ *(?:from (armillary[\w.]*) import (\([^)]*\)|.*)|import (armillary[\w.]*))", flags=re.M)


def modules_needed(script: Path, root: Path) -> list[Path]:
    """Files below `root`/armillary that a script imports, directly or through each other, sorted."""
    todo, found = [script], set()
    while todo:
        new = modules_named(todo.pop(), root) - found
        found |= new
        todo += new
    return sorted(found)


@cache
def modules_named(path: Path, root: Path) -> frozenset[Path]:
    """Files below `root`/armillary that one file names in its imports. Read once: most scripts share most of them."""
    names = set()
    for package, imported, module in IMPORT.findall(path.read_text()):
        names |= {module or package, *(f"{package}.{name}" for name in re.findall(r"\w+", imported))}
    files = [root.joinpath(*name.split(".")).with_suffix(".py") for name in names]
    return frozenset(file for file in files if file.exists())
