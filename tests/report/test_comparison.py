"""Ensembles side by side: pulls by hand, exact columns, and what may not be compared."""

import math

import pytest

from flowlat.report.build import build
from flowlat.report.compare.columns import Column, Comparison, columns_of, flat, with_errors
from flowlat.report.compare.comparison import comparison
from flowlat.report.compare.cost import cost, of_chain, of_weights
from flowlat.report.page.blocks import Table
from flowlat.report.page.html import write
from flowlat.runs.folders import read_run
from flowlat.sampling import draw as module
from flowlat.sampling.draw import draw
from flowlat.utils.errors import EnsembleError
from tests.support.fakes import OBSERVABLES, walk_config

MEASURED = {
    "chi2": {"_target_": f"{OBSERVABLES}.Susceptibility"},
    "two_point": {"_target_": f"{OBSERVABLES}.TwoPoint"},
}


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """``drawn("a", kind)``: the run of a sampling in folder "a"."""
    monkeypatch.setattr(module, "plot", lambda ensemble, path: None)

    def start(name, kind="chain", **changes):
        folder = tmp_path / name
        folder.mkdir()
        config = {"observables": MEASURED, "sampler": {"kind": kind}, "n_samples": 300, **changes}
        draw(walk_config(**config), folder)
        return read_run(folder)

    return start


def test_pulls():
    exact = Column("exact", {"a": (1.0, 0.0)})
    hmc = Column("A", {"a": (1.2, 0.1), "b": (5.0, 0.3), "c": (0.0, 1.0)})
    flow = Column("B", {"a": (0.9, 0.05), "b": (6.0, 0.4), "d": (0.0, 1.0)})
    both = Comparison(exact, [hmc, flow], hmc)
    assert both.numbers == ["a", "b"]
    assert both.pull(hmc, "a") == pytest.approx(2.0)  # from the exact value
    assert both.pull(flow, "a") == pytest.approx(-2.0)
    assert both.pull(flow, "b") == pytest.approx(2.0)  # from HMC, errors in quadrature
    assert math.isnan(both.pull(hmc, "b"))  # not from itself
    annealed = Column("C", {"d": (3.0, 0.0)})
    assert Comparison(exact, [hmc, flow, annealed], hmc).pull(annealed, "d") == pytest.approx(3.0)
    assert both.pulls(["b"]) == {"B": {"b": pytest.approx(2.0)}}


def test_a_large_pull_stands_out():
    hmc, flow = Column("A", {"a": (1.0, 0.1), "b": (1.0, 0.1)}), Column("B", {"a": (2.0, 0.1)})
    flow.values["b"] = (1.1, 0.1)
    table = Comparison(Column("exact", {}), [hmc, flow], hmc).table(["a", "b"], "observable")
    assert table.marked == {0}
    assert table.rows[0][-1] == "+7.07"


def test_vectors_are_compared_element_by_element():
    entry = {"value": 1.0, "error": 0.1, "tau_int": 0.5}
    none = {"value": 1.0, "error": None, "tau_int": None}
    values = {"a": entry, "v": [entry, none, entry], "w": none, "x": 2.0}
    expected = {"a": (1.0, 0.1), "v(0)": (1.0, 0.1), "v(2)": (1.0, 0.1), "x": (2.0, 0.0)}
    assert with_errors(values) == expected
    assert flat(values).keys() == {*expected, "v(1)", "w"}
    assert math.isnan(flat(values)["w"][1])


def test_the_reference_is_hmc_wherever_it_stands(drawn, tmp_path):
    runs = [drawn("flow", "proposals"), drawn("annealed", "weighted"), drawn("hmc")]
    sections = comparison(runs)
    rule = sections[1].blocks[0].text
    assert "else from C walk" in rule
    tables = [b for s in sections for b in s.blocks if isinstance(b, Table)]
    heads = [cell for cell in tables[1].head if cell != "pull"]
    assert heads == ["observable", "exact", "A walk", "A reweighted", "B walk", "C walk"]
    assert [row[0] for row in tables[0].rows] == ["A walk", "B walk", "C walk"]
    assert {row[0] for row in tables[2].rows} == {f"two_point({t})" for t in range(3)}
    identity = next(row for row in tables[1].rows if row[0] == "schwinger_dyson")
    assert identity[1] == "1"
    assert "log_z" in [row[0] for row in tables[1].rows]


def test_effective_samples_of_chain_and_weights():
    entry = {"value": 1.0, "error": 0.1, "tau_int": 2.5}
    summary = {"kind": "proposals", "ess": 0.4, "observables": {"chi2": entry}}
    assert of_chain(summary, 1000) == pytest.approx(200)
    assert of_weights(summary, 1000) == pytest.approx(400)
    assert math.isnan(of_chain(summary | {"kind": "weighted"}, 1000))
    assert math.isnan(of_chain(summary | {"observables": {}}, 1000))
    assert math.isnan(of_weights({"kind": "chain"}, 1000))


def test_the_cost_has_what_a_run_draws_in_a_second(drawn):
    runs = {"A": drawn("flow", "proposals"), "B": drawn("annealed", "weighted"), "C": drawn("hmc")}
    for run in runs.values():
        run.summary["seconds"] = 10.0
    flow, annealed, hmc = cost(runs).rows
    assert flow[1:3] == annealed[1:3] == hmc[1:3] == ["300", "10.0"]
    chain, ess = runs["C"].summary["observables"]["chi2"]["tau_int"], runs["B"].summary["ess"]
    assert float(hmc[5]) == pytest.approx(300 / (2 * chain) / 10, rel=0.01)
    assert float(annealed[7]) == pytest.approx(300 * ess / 10, rel=0.01)
    assert hmc[6:] == annealed[4:6] == ["-", "-"]
    assert "-" not in flow


def test_a_chain_of_proposals_is_two_columns(drawn):
    chain, reweighted = columns_of("A", drawn("a", "proposals"))
    assert chain.values["chi2"] != reweighted.values["chi2"]
    assert "log_z" in reweighted.values
    assert "log_z" not in chain.values


def test_the_page_of_several(drawn, tmp_path):
    drawn("a"), drawn("b", "proposals", seed=3)
    write(build([tmp_path / "a", tmp_path / "b"]), tmp_path / "out")
    pictures = {path.stem: path.stat().st_size for path in (tmp_path / "out").glob("*.png")}
    assert set(pictures) == {"pulls", "two_point_ratio", "magnetization"}
    assert min(pictures.values()) > 5000
    assert (tmp_path / "out" / "report.html").read_text().count("<img") == 3


def test_short_runs_without_errors_have_no_pulls(drawn, tmp_path):
    drawn("a", n_samples=16), drawn("b", n_samples=16, seed=3)
    write(build([tmp_path / "a", tmp_path / "b"]), tmp_path / "out")
    assert [path.stem for path in (tmp_path / "out").glob("*.png")] == ["magnetization"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"action": {"m2": 1.0, "lam": 0.75}}, "action.lam=0.75 against 0.5"),
        ({"action": {"m2": 2.0, "lam": 0.5}}, "action.m2=2.0 against 1.0"),
        ({"shape": [2, 6]}, "lattice.shape=[2, 6] against [2, 4]"),
        ({"shape": [4, 2]}, "lattice.shape=[4, 2] against [2, 4]"),
    ],
)
def test_another_theory_or_lattice_is_refused_in_one_line(changes, message, drawn, tmp_path):
    action = {"_target_": "flowlat.actions.Phi4", **changes.get("action", {"m2": 1.0, "lam": 0.5})}
    lattice = {"_target_": "flowlat.lattice.Lattice", "shape": changes.get("shape", [2, 4])}
    a, b = drawn("a"), drawn("b", action=action, lattice=lattice)
    expected = f"runs {a.path} and {b.path} cannot be compared: {message}"
    with pytest.raises(EnsembleError, match=expected.replace("[", r"\[").replace("]", r"\]")):
        write(build([a.path, b.path]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_free_action_is_phi4_without_coupling(drawn):
    free = drawn("a", action={"_target_": "flowlat.actions.Free", "m2": 1.0})
    phi4 = drawn("b", action={"_target_": "flowlat.actions.Phi4", "m2": 1, "lam": 0})
    names = [row[0] for row in comparison([free, phi4])[1].blocks[1].rows]
    assert {"chi2", "schwinger_dyson"} <= set(names)
