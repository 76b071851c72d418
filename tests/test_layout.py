"""The rules of the house (README, "Decisions"), held by reading the files: nothing is imported or run."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = sorted((ROOT / "armillary").rglob("*.py"))
SCRIPTS = sorted((ROOT / "scripts").rglob("*.py"))
RULES = sorted((ROOT / "rules").glob("*.smk"))
VERBS = "fetch simulate sample render tile train infer estimate score compare plot summarise".split()
TOP_LEVEL = set(
    "Snakefile rules config scripts armillary profiles envs resources results tests README.md "
    "pyproject.toml requirements.lock Makefile LICENSE CITATION.cff CHANGELOG.md".split()
)
FRAMEWORKS = {"torch", "jax", "tensorboard"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(nodes) -> set[str]:
    """Dotted names that these syntax nodes import; `from a import b` gives a and a.b."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what a step needs from code_of()"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@cache
def all_imports(path: Path) -> frozenset[str]:
    return frozenset(imports(ast.walk(tree(path))))


def tops(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in all_imports(path)}


def module_path(name: str) -> Path | None:
    path = ROOT / (name.replace(".", "/") + ".py")
    return path if path.exists() else None


@cache
def start_up_imports(path: Path) -> frozenset[str]:
    """All that is imported when `path` starts: at top level, through our own modules, without end."""
    names, queue, seen = set(), [path], {path}
    while queue:
        found = imports(tree(queue.pop()).body)
        names |= found
        ours = {module_path(name) for name in found if name.startswith("armillary.")} - seen - {None}
        seen |= ours
        queue += ours
    return frozenset(names)


@cache
def rule_blocks() -> dict[str, tuple[Path, str]]:
    """Rule name -> (file it is in, its text). Of rules made in a loop, `name: f"clusters_infer_tile_{shard}"`, one
    block counts for all, under the name before the braces."""
    blocks = {}
    for path in [ROOT / "Snakefile", *RULES]:
        for part in re.split(r"^(?=[ \t]*(?:rule|checkpoint)\b.*:$)", path.read_text(), flags=re.M)[1:]:
            found = re.match(r'\s*\w+ (\w+):|\s*\w+:\s*(?:""".*?"""\s*)?name:\s*f"(\w+)_\{\w+\}"', part, re.S)
            assert found, f"{name_of(path)} has a rule without a name: {part[:80]}"
            name = found[1] or found[2]
            assert name not in blocks, f"two rules are called {name}"
            blocks[name] = (path, part)
    return blocks


def rule_set(path: Path) -> str:
    """The set that a rules file belongs to: rules/<set>.smk or, for a chapter of it, rules/<set>_<chapter>.smk."""
    return path.stem.partition("_")[0]


def script_of(block: str) -> str | None:
    found = re.search(r'script:\s*"\.\./(scripts/[^"]+)"', block)
    return found[1] if found else None


def text_files() -> list[Path]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout: cannot tell the project's files from made ones")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


# --- imports that never exist


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_the_package_has_never_heard_of_the_workflow(path):
    assert not tops(path) & {"snakemake", "yaml", "scripts", "rules"}


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_a_script_imports_no_script_and_no_config(path):
    siblings = {p.stem for p in path.parent.glob("*.py")}
    assert not tops(path) & ({"scripts", "rules", "yaml", "snakemake", "__future__"} | siblings)
    assert "snakemake.config" not in path.read_text()


@pytest.mark.parametrize("path", PACKAGE + SCRIPTS, ids=name_of)
def test_one_framework_a_module(path):
    assert not {"torch", "jax"} <= tops(path)


@pytest.mark.parametrize("path", PACKAGE + SCRIPTS, ids=name_of)
def test_matplotlib_lives_in_figures(path):
    assert "matplotlib" not in tops(path) or "armillary/figures" in name_of(path)


@pytest.mark.parametrize("path", PACKAGE + SCRIPTS, ids=name_of)
def test_file_formats_live_in_files(path):
    if re.fullmatch(r"armillary/files(_[a-z]+)?\.py", name_of(path)):
        return
    assert not tops(path) & {"fitsio", "h5py"}
    assert not {name for name in all_imports(path) if name.startswith("astropy.io")}
    calls = {node.attr for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
    assert not calls & {"savez", "savez_compressed"}


@pytest.mark.parametrize("path", [p for p in PACKAGE + SCRIPTS if p.name == "__init__.py"], ids=name_of)
def test_init_files_are_empty(path):
    assert path.read_text() == ""


@pytest.mark.parametrize("path", PACKAGE + SCRIPTS, ids=name_of)
def test_no_global_randomness(path):
    """A generator is an argument. `default_rng` needs a seed; the global state is never touched."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called.rpartition(".")[2] not in ("manual_seed", "seed") or "generator" in called.lower(), called
            assert not called.endswith("default_rng") or node.args or node.keywords, "default_rng() without a seed"
            assert not re.match(r"(np|numpy)\.random\.(?!default_rng|[A-Z])", called), called


LIGHT = ("score", "compare", "plot", "summarise")  # but for benchmarks, which load what they time


@pytest.mark.parametrize(
    "path", [p for p in SCRIPTS if p.stem.startswith(LIGHT) and p.parent.name != "benchmarks"], ids=name_of
)
def test_scoring_and_figures_start_without_a_framework(path):
    names = start_up_imports(path)
    assert not {name.partition(".")[0] for name in names} & FRAMEWORKS
    slow = ("matplotlib.pyplot", "astropy.table", "astropy.wcs", "astropy.cosmology", "galsim", "numba")
    assert not {name for name in names if name.startswith(slow)}


# --- one name, seven places


@pytest.mark.parametrize("name", rule_blocks())
def test_a_rule_has_its_script_log_benchmark_and_environment(name):
    path, block = rule_blocks()[name]
    script = script_of(block)
    if path.name == "Snakefile":
        assert script is None, "no rule bodies in the Snakefile, only targets"
        return
    family = rule_set(path)
    assert name.startswith(f"{family}_")
    step = name.removeprefix(f"{family}_")
    assert script == f"scripts/{family}/{step}.py"
    assert (ROOT / script).exists()
    assert f"<results>/{family}/logs/{step}" in block
    assert f"<results>/{family}/benchmarks/{step}" in block
    environment = re.search(r'conda:\s*"\.\./(envs/\w+\.yaml)"', block)
    assert environment and (ROOT / environment[1]).exists()
    assert '"""' in block, "a rule says what it does"
    assert f'code_of("{script}")' in block or name == "resources_fetch_dataset"


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_a_script_has_its_rule_its_function_and_its_guard(path):
    step, family = path.stem, path.parent.name
    assert step.partition("_")[0] in VERBS
    assert f"{family}_{step}" in rule_blocks(), "a script is run by the rule of its name"
    assert script_of(rule_blocks()[f"{family}_{step}"][1]) == name_of(path)
    functions = [node.name for node in tree(path).body if isinstance(node, ast.FunctionDef)]
    assert functions[0] == step, "the step comes first, its helpers below"
    assert ast.get_docstring(tree(path))
    assert path.read_text().endswith(f'if __name__ == "__main__":\n    run({step}, snakemake)\n')


@pytest.mark.parametrize("path", RULES, ids=name_of)
def test_a_rules_file_stays_in_its_own_set(path):
    text = path.read_text()
    assert text.startswith('"""'), "a rules file opens with what it makes, from what, in which order"
    assert set(re.findall(r"\.\./scripts/(\w+)/", text)) <= {rule_set(path)}
    assert (ROOT / "rules" / f"{rule_set(path)}.smk").exists(), "a chapter belongs to a set that there is"


@pytest.mark.parametrize("path", RULES, ids=name_of)
def test_a_rules_file_holds_rules_or_functions(path):
    text = path.read_text()
    has_functions = re.search(r"^def ", text, flags=re.M)
    has_rules = re.search(r"^[ \t]*(rule|checkpoint)\b.*:$", text, flags=re.M)
    assert bool(has_functions) != bool(has_rules)
    assert bool(has_functions) == (path.stem == "common" or path.stem.endswith("_inputs"))


def public_definitions(module: ast.Module):
    """The functions and classes that a module offers."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node


@pytest.mark.parametrize("path", [path for path in PACKAGE if path.name != "__init__.py"], ids=name_of)
def test_what_a_module_offers_has_a_docstring(path):
    assert ast.get_docstring(tree(path))
    assert not [node.name for node in public_definitions(tree(path)) if not ast.get_docstring(node)]


# --- the top level, and what must not be in any file


def test_the_top_level_is_closed():
    top = {path.relative_to(ROOT).parts[0] for path in text_files()}
    assert {name for name in top if not name.startswith(".")} <= TOP_LEVEL


def test_no_machine_and_no_registry_is_named():
    machine = re.compile(r"(?<![\w.$}~*-])/(work|home|root|tmp|opt|nfs|scratch)/\w")
    hosts = re.compile(
        "|".join(
            [
                "py" + r"pi\.org",
                "python" + "hosted",
                "ana" + r"conda\.org",
                "npm" + "js",
                r"download\.py" + "torch",
            ]
        )
    )
    for path in text_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        assert not hosts.search(text), f"{name_of(path)} names a package registry"
        if path != Path(__file__):
            found = machine.search(text)
            assert not found, f"{name_of(path)} names a path of one machine: {found[0] if found else ''}"


def test_environments_pin_what_the_lock_file_pins():
    lock = set((ROOT / "requirements.lock").read_text().split())
    for path in sorted((ROOT / "envs").glob("*.yaml")):
        pins = re.findall(r"- (\S+==\S+)", path.read_text())
        assert pins and set(pins) <= lock, name_of(path)
