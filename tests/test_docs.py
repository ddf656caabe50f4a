"""The documentation against the code: commands compose, examples run, every module is there."""

import json
import logging
import pkgutil
import re
import shlex
from pathlib import Path

import pytest
import torch
import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

import flowlat
from flowlat import compose
from flowlat.lattice import Lattice
from tests.support.helpers import ROOT

PAGES = sorted(
    path
    for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    if "notebooks" not in path.parts
)
HELP = {name: ROOT / "conf" / "hydra" / "help" / f"{name}.yaml" for name in ("train", "sample")}
#: groups that belong to one of the two programs; the others to both
OWN = {"train": {"sampler", "observables", "hydra"}, "sample": set()}
SCRIPT = re.compile(r"python (train|sample)\.py\b(.*)")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """The command lines of train.py and sample.py in a page, without those that only show."""
    found = []
    text = path.read_text().replace("\\\n", " ").replace("$L", "8").replace("$from", "null")
    for line in text.splitlines():
        match = SCRIPT.search(line)
        # in a sentence, or at a prompt to show an error
        if match and not {"`", "$"} & set(line[: match.start()]):
            words = shlex.split(match[2].partition(" # ")[0].replace(" ...", ""), comments=True)
            if not {"--help", "--cfg"} & set(words):
                found.append((match[1], tuple(words)))
    return found


#: each once, under the first page that has it
LINES = {line: path for path in reversed([*PAGES, *HELP.values()]) for line in commands(path)}


@pytest.mark.parametrize(
    ("script", "words"),
    LINES,
    ids=[f"{name_of(path)}-{' '.join(line[1])}" for line, path in LINES.items()],
)
def test_commands_compose(script, words, monkeypatch):
    """What is Hydra's own, a folder or a launcher, is not checked; of a sweep, every value once."""
    hydra = OmegaConf.create({"hydra": {"runtime": {"output_dir": "."}}})
    monkeypatch.setattr(HydraConfig.instance(), "cfg", hydra)  # wandb writes into the run folder
    options = {}
    for word in words:
        key, _, value = word.partition("=")
        if word != "-m" and not key.lstrip("+").startswith(("hydra.", "hydra/", "hparams_search")):
            # at the commas that are not within brackets
            options[key] = re.split(r",(?![^\[]*\])", value) if "-m" in words else [value]
    first = {key: values[0] for key, values in options.items()}
    jobs = [first, *({**first, key: v} for key, values in options.items() for v in values[1:])]
    for job in jobs:
        compose([f"{key}={value}" for key, value in job.items()], script)


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def examples() -> dict:
    """What the Python of docs/howto/extend.md defines."""
    names: dict = {}
    for block in blocks(ROOT / "docs" / "howto" / "extend.md", "python"):
        exec(block, names)
    return names


def test_the_action_of_the_docs(examples):
    action = examples["Sextic"](m2=-4.0, lam=8.0, g=0.3)
    phi = torch.randn(3, 4, 6, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(action(phi).sum(), phi)
    assert torch.allclose(action.force(phi), -gradient)
    plain = examples["Phi4"](m2=-4.0, lam=8.0)
    assert torch.allclose(action(phi) - plain(phi), 0.3 * phi.pow(6).sum((1, 2)))


@pytest.mark.parametrize("shape", [(8,), (4, 6), (2, 4, 4)])
def test_the_architecture_of_the_docs(examples, shape):
    bijection = examples["neighbours"](Lattice(shape), n_couplings=2).double()
    x = torch.randn(1, *shape, dtype=torch.float64)
    y, log_det = bijection(x)
    assert not torch.allclose(x, y)
    back, inverse_log_det = bijection.inverse(y)
    assert torch.allclose(back, x)
    assert torch.allclose(inverse_log_det, -log_det)
    jacobian = torch.autograd.functional.jacobian(lambda x: bijection(x)[0], x)
    expected = torch.linalg.slogdet(jacobian.reshape(x.numel(), x.numel())).logabsdet
    assert torch.allclose(log_det, expected.reshape(1))


def test_every_module_is_in_the_reference():
    text = "\n".join(path.read_text() for path in ROOT.glob("docs/api/*.md"))
    listed = set(re.findall(r"^::: (\S+)", text, re.MULTILINE))
    modules = {f"flowlat.{module.name}" for module in pkgutil.iter_modules(flowlat.__path__)}
    assert listed == {"flowlat", *modules}


#: of what the pages tell the reader to write
EXAMPLES = re.compile("sextic|neighbours|NAME")
YAMLS = sorted(ROOT.glob("conf/**/*.yaml"))


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CONTRIBUTING.md", *YAMLS], ids=name_of)
def test_paths_and_modules_are_there(path):
    text = path.read_text()
    folders = "flowlat|tests|conf|docs|benchmarks"
    for name in re.findall(rf"(?<![\w/.])(?:{folders})/[\w./]*\w", text):
        assert EXAMPLES.search(name) or (ROOT / name).exists(), name
    # an entry point's group has the form of a module, and is none
    for name in re.findall(r"(?<![\w/.])(?<!points\.\")flowlat(?:\.\w+)+", text):
        assert EXAMPLES.search(name) or pkgutil.resolve_name(name), name


def test_the_notebook_imports_what_is_there():
    notebook = json.loads((ROOT / "docs" / "notebooks" / "first_flow.ipynb").read_text())
    code = "".join("".join(cell["source"]) + "\n" for cell in notebook["cells"])
    imports = re.findall(r"^from flowlat.* import .*", code, re.MULTILINE)
    assert len(imports) > 4
    exec("\n".join(imports), {})


def test_every_page_is_in_the_navigation():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    entries = [page for entry in config["nav"] for page in flat(entry)]
    pages = {str(path.relative_to(ROOT / "docs")) for path in PAGES if path.name != "README.md"}
    assert {page for page in entries if not page.startswith("notebooks")} == pages


def flat(entry: str | dict) -> list[str]:
    return [entry] if isinstance(entry, str) else [page for part in entry.values() for page in part]


def test_docstrings_name_the_parameters_that_there_are(caplog):
    """Griffe, which reads them for the reference, warns but does not stop the build."""
    griffe = pytest.importorskip("griffe")
    package = griffe.load("flowlat", search_paths=[str(ROOT)], docstring_parser="google")
    with caplog.at_level(logging.WARNING, "griffe"):
        parse(package)
    assert not caplog.messages


def parse(module) -> None:
    """The docstrings of a module and of all that it defines."""
    if module.docstring:
        assert module.docstring.parsed
    for member in module.members.values():
        if not member.is_alias:
            parse(member)


@pytest.mark.parametrize("script", HELP)
def test_help_names_every_option(script):
    page = yaml.safe_load(HELP[script].read_text())["template"]
    section = page.partition("Groups and their options:")[2].partition("Keys that")[0]
    groups = {path for path in (ROOT / "conf").iterdir() if path.is_dir()}
    if script == "sample":
        groups = {ROOT / "conf" / name for name in ("lattice", "action", "sampler", "observables")}
    for group in groups:
        if group.name not in OWN[script]:
            options = re.search(rf"^  {group.name} (.*(?:\n {{3,}}.*)*)", section, re.MULTILINE)
            assert options, group.name
            assert names(group) <= set(re.findall(r"\w+", options[1]))


def names(group: Path) -> set[str]:
    """The options of a group, without old names of others."""
    old = {p for p in group.glob("*.yaml") if "# the old name of " in p.read_text()}
    return {p.stem for p in set(group.glob("*.yaml")) - old}


@pytest.mark.parametrize("script", HELP)
def test_help_shows_the_defaults(script):
    page = yaml.safe_load(HELP[script].read_text())["template"]
    section = page.partition("Keys that one changes most")[2].partition("Results:")[0]
    rows = re.findall(r"^  (\S+) {2,}(\[.*?\]|\S+)", section, re.MULTILINE)
    assert len(rows) >= 10
    config = compose([], script) if script == "train" else compose(["sampler=hmc"], script)
    for key, shown in rows:
        assert OmegaConf.select(config, key, throw_on_missing=True) == yaml.safe_load(shown), key
