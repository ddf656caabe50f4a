"""An ensemble that is read stretch by stretch: the same rows, and hardly more memory for more."""

import tracemalloc

import numpy as np
import pytest

from flowlat.analysis.stretches import chains as chains_module
from flowlat.ensemble import open_ensemble
from flowlat.ensemble import stretches as module
from flowlat.ensemble.stretches import along_chains, in_rows
from flowlat.ensemble.summary import summarize
from flowlat.sampling.draw import draw
from tests.support.fakes import walk_config

#: C(t) and its effective mass of a long time axis
WIDE = {
    "two_point": {"_target_": "flowlat.observables.TwoPoint"},
    "effective_mass": {"_target_": "flowlat.observables.EffectiveMass"},
}


@pytest.mark.parametrize("rows", [16, 2**15])
@pytest.mark.parametrize("kind", ["proposals", "chain"])
def test_along_the_chains(kind, rows, tmp_path, monkeypatch):
    """What lies far back, before the stretch and its neighbours, too."""
    draw(walk_config(n_samples=601, sampler={"kind": kind}), tmp_path)
    monkeypatch.setattr(module, "BACK", rows)
    monkeypatch.setattr(chains_module, "NUMBERS", rows)
    with open_ensemble(tmp_path) as ensemble:
        if kind == "proposals":  # one replica stands still for the whole run
            ensemble._index[::3] = 0
        for name in ("phi2", "binder"):
            chains = along_chains(ensemble, f"measured/{name}")
            found = [stretch for _, stretch in chains.stretches()]
            for r, expected in enumerate(ensemble.chains(name)):
                np.testing.assert_array_equal(np.concatenate([s[r] for s in found]), expected)
                assert chains.lengths[r] == len(expected)
            drawn = [part for _, (part,) in in_rows(ensemble, f"measured/{name}").stretches()]
            np.testing.assert_array_equal(np.concatenate(drawn), ensemble.measured[name])


@pytest.mark.parametrize("kind", ["proposals", "weighted"])
def test_a_longer_run_needs_hardly_more_memory_for_its_summary(kind, tmp_path):
    """Of its rows it holds a few numbers each, not the hundred that are measured on them."""
    peaks = []
    for n in (20_000, 40_000):
        lattice = {"_target_": "flowlat.lattice.Lattice", "shape": [64]}
        sampler = {"kind": kind, "replicas": 4, "steps": 1000}
        folder = tmp_path / str(n)
        folder.mkdir()
        options = {"observables": WIDE, "save_configs": False, "sampler": sampler}
        draw(walk_config(n_samples=n, lattice=lattice, **options), folder)
        with open_ensemble(folder) as ensemble:
            observables = ensemble.observables()
            tracemalloc.start()
            summarize(ensemble, observables, even=True)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    a_row = (peaks[1] - peaks[0]) / 20_000
    assert a_row < 10 * 8, a_row
