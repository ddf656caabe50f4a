"""The page of one ensemble: of every kind, whole, escaped, and needing nothing else."""

import json
import math
import re

import pytest
from omegaconf import OmegaConf

from flowlat.report.build import build, ensemble
from flowlat.report.page.blocks import Page, Section, Table, Text
from flowlat.report.page.html import render, write
from flowlat.runs.console import sample_report
from flowlat.runs.folders import read_run
from flowlat.sampling import draw as module
from flowlat.sampling.draw import draw
from flowlat.utils.errors import ConfigError
from flowlat.utils.formatting import measured
from tests.support.fakes import free_config, walk_config
from tests.support.helpers import CONF

KINDS = ("chain", "proposals", "weighted")
STANDARD = OmegaConf.to_container(OmegaConf.load(CONF / "observables" / "standard.yaml"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """``drawn(name, **changes)``: a run folder with all observables, drawn once."""
    folders = {}

    def start(name, kind="chain", **changes):
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp("runs") / name
            folders[name].mkdir()
            sampler = {"kind": kind, "steps": 40}
            config = {"observables": STANDARD, "n_samples": 600, "sampler": sampler, **changes}
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(module, "plot", lambda ensemble, path: None)
                draw(walk_config(**config), folders[name])
        return folders[name]

    return start


def page(runs, out):
    path = write(build(list(runs)), out)
    assert path == out / "report.html"
    assert not list(out.glob(".*.partial"))
    return path.read_text()


def assert_self_contained(text):
    """Nothing is fetched, nothing is run, and every image is in it."""
    assert "<script" not in text
    assert "<link" not in text
    assert "@import" not in text
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!data:)", text)
    assert "url(" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_pictures_and_figures(kind, drawn, tmp_path):
    text = page([drawn(kind, kind)], tmp_path)
    assert_self_contained(text)
    expected = {"history", "magnetization", "two_point", "effective_mass"}
    expected |= {"acceptance"} if kind != "weighted" else set()
    expected |= {"autocorrelation"} if kind != "weighted" else set()
    expected |= {"log_weight"} if kind != "chain" else set()
    pictures = {path.stem: path.read_bytes() for path in tmp_path.glob("*.png")}
    assert set(pictures) == expected
    for content in pictures.values():
        assert content.startswith(b"\x89PNG")
        assert len(content) > 5000
    assert text.count("data:image/png;base64,") == len(expected)
    summary = json.loads((drawn(kind, kind) / "summary.json").read_text())
    identity = summary["schwinger_dyson"]
    pull = (identity["value"] - 1) / identity["error"]
    assert f"exactly 1: {pull:+.1f} sigma" in text
    assert "&lt;sign M&gt;" in text
    assert "phi(x+mu)" in text  # the convention
    assert "git_revision" in text
    assert ("log Z" in text) == (kind != "chain")


def words(folder):
    """All texts and cells of the page of a folder, without its pictures."""
    blocks = [block for section in ensemble(read_run(folder)) for block in section.blocks]
    found = [
        " | ".join([*row]) for b in blocks if isinstance(b, Table) for row in (b.head, *b.rows)
    ]
    return "\n".join([b.text for b in blocks if isinstance(b, Text)] + found)


def test_a_run_that_is_far_from_the_identity_says_so(drawn):
    """The walk does not sample exp(-S)."""
    assert "is not one of exp(-S)" in words(drawn("chain"))


def test_one_mode_is_a_warning(drawn):
    folder = drawn("one mode")
    summary = json.loads((folder / "summary.json").read_text())
    assert "one of two modes" not in words(folder)
    del summary["warnings"]  # as of an earlier version, which is judged anew
    (folder / "summary.json").write_text(json.dumps({**summary, "sign_balance": -0.93}))
    assert "<sign M> = -0.93, and the action is even: the chains sit" in words(folder)


def test_the_warnings_of_a_run_are_on_its_page(drawn):
    folder = drawn("warned")
    summary = json.loads((folder / "summary.json").read_text())
    warned = [{"code": "any", "text": "Mind the gap."}]
    (folder / "summary.json").write_text(json.dumps({**summary, "warnings": warned}))
    text = words(folder)
    assert "Mind the gap." in text
    assert "is not one of exp(-S)" not in text


def test_exact_values_are_beside_those_of_a_free_theory(drawn):
    text = words(drawn("free", action={"_target_": "flowlat.actions.Free", "m2": 0.7}))
    assert "| exact | pull" in text
    chi2 = next(line for line in text.splitlines() if line.startswith("chi2"))
    assert f"| {1 / (2 * 0.7):.6g} |" in chi2
    assert "| exact |" not in words(drawn("chain"))


def test_an_observable_that_was_not_measured_is_named(drawn):
    text = words(drawn("few", observables={"phi2": STANDARD["phi2"]}))
    assert "Not measured in this run: action_density." in text
    assert "Not measured in this run: two_point." in text


def test_an_observable_of_the_users_own_is_reported_but_not_run(drawn, monkeypatch):
    folder = drawn(
        "own", observables={"cube": {"_target_": "tests.support.fakes.Mean", "power": 3}}
    )
    monkeypatch.setattr("tests.support.fakes.Mean.__init__", None)
    assert "\ncube | " in words(folder)


@pytest.mark.parametrize("shape", [[5], [1, 3], [2, 2, 2], [3, 2, 1], [1, 1]], ids=str)
def test_lattices_of_any_shape(shape, drawn):
    lattice = {"_target_": "flowlat.lattice.Lattice", "shape": shape}
    text = words(drawn(f"shape {shape}", lattice=lattice, n_samples=120))
    assert ("no C(t)" in text) == (shape[-1] == 1)


def test_the_window_of_the_fit_can_be_chosen(drawn, tmp_path):
    theory = "lattice", "action", "sampler", "n_samples"
    folder = drawn("window", **{key: free_config()[key] for key in theory})
    averaged = words(folder)
    assert "by correlated cosh fits, averaged over windows: m = " in averaged
    assert "t_min | t_max | m | chi2 | dof | p-value | weight" in averaged
    run = read_run(folder)
    one = [block for section in ensemble(run, [0, 2]) for block in section.blocks]
    (table,) = [b for b in one if isinstance(b, Table) and b.head[0] == "t_min"]
    assert [row[:2] for row in table.rows] == [("0", "2")]
    with pytest.raises(ConfigError, match=r"^--window=\[1,5\]: t goes from 0 to 4"):
        build([folder], [1, 5])
    with pytest.raises(ConfigError, match=r"^--window=1,2: is of one run of sample.py alone"):
        build([folder, folder], [1, 2])


@pytest.mark.parametrize(
    ("lam", "name", "sampler", "of", "symbol"),
    [
        (2.0, "two_point_connected", "Cluster", " of two_point_connected", "C(t) - <|M|>^2"),
        (20.0, "two_point", "Cluster", " (improved)", "C(t) (improved)"),
        (20.0, "two_point", "HMC", "", "C(t)"),
    ],
    ids=["ordered", "symmetric, improved", "symmetric"],
)
def test_the_effective_mass_is_of_what_the_pole_mass_is_of(
    lam, name, sampler, of, symbol, drawn, tmp_path
):
    """On the page and on the terminal, whatever the options of the observable are; it solves the
    ratio of two values of that function."""
    folder = drawn(
        f"lam={lam} {sampler}",
        lattice={"_target_": "flowlat.lattice.Lattice", "shape": [4, 4]},
        action={"_target_": "flowlat.actions.Phi4", "m2": -4.0, "lam": lam},
        sampler={"_target_": f"flowlat.samplers.{sampler}", "replicas": 16},
    )
    summary = json.loads((folder / "summary.json").read_text())
    better = "improved" if "improved" in of else "observables"
    c = [entry["value"] for entry in summary[better][name]]
    mass = summary["pole_mass"]
    assert mass["of"] == name
    for t, entry in enumerate(mass["effective_mass"]):
        far, m = 2 - t, entry["value"]
        assert c[t] / c[t + 1] == pytest.approx(math.cosh(m * far) / math.cosh(m * (far - 1)))
    texts = [measured(entry) for entry in mass["effective_mass"]]
    assert f"\n  effective_mass       {' '.join(texts)}{of}\n" in sample_report(summary, tmp_path)
    rows = words(folder).splitlines()
    start = next(i for i, row in enumerate(rows) if row.endswith(f"| effective mass of {symbol}"))
    assert [row.split(" | ")[-1] for row in rows[start + 1 : start + 3]] == texts


def test_a_run_too_short_for_errors(drawn):
    assert "no error could be given for" in words(drawn("short", n_samples=7))


def test_text_is_escaped():
    section = Section(
        "<h>", [Text("<a>"), Table(["<b>"], [["<c>"]], "<d>"), Text("<f>", title="<e>")]
    )
    text = render(Page("<title>&", "<g>", [section]), {})
    for letter in "abcdefg":
        assert f"<{letter}>" not in text
        assert f"&lt;{letter}&gt;" in text
    assert "<title>&lt;title&gt;&amp;</title>" in text
    assert "<h2>&lt;h&gt;</h2>" in text
