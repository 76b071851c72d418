"""The quick search for imports against Python's own reading of every file."""

import ast
from pathlib import Path

import pytest

from armillary.script_imports import modules_named, modules_needed

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("armillary", "scripts") for path in (ROOT / folder).rglob("*.py"))


def named_in_syntax_tree(path: Path) -> set[Path]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    files = [ROOT.joinpath(*name.split(".")).with_suffix(".py") for name in names if name.startswith("armillary")]
    return {file for file in files if file.exists()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_is_missed(path):
    """More may be found: an import in a text that the script runs in a process of its own counts, and should."""
    assert modules_named(path, ROOT) >= named_in_syntax_tree(path)


def test_what_is_imported_through_another_module_is_found(tmp_path):
    (tmp_path / "armillary").mkdir()
    (tmp_path / "armillary/near.py").write_text(
        "def f():\n    from armillary.far import (\n        a,\n        b,\n    )\n"
    )
    (tmp_path / "armillary/far.py").write_text("import numpy as np\nfrom armillary import near\n")
    (tmp_path / "script.py").write_text("from armillary.near import f\n")
    names = [path.name for path in modules_needed(tmp_path / "script.py", tmp_path)]
    assert names == ["far.py", "near.py"]
