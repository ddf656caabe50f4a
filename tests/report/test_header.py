"""The head of every page says what it is about."""

import json

import yaml

from flowlat.actions import Free, Phi4
from flowlat.report.build import build
from flowlat.report.page.header import header
from flowlat.runs.folders import read_run
from flowlat.runs.jobs import read_jobs
from flowlat.sampling import draw as module
from flowlat.sampling.draw import draw
from tests.support.fakes import walk_config
from tests.support.run_folders import write_multirun, write_training

ARCH = {"_target_": "flowlat.archs.continuous", "n_steps": 4, "equivariant": True}


def trained(folder, **options):
    """A training that says what it was."""
    write_training(folder, [0.1, 0.2], **options)
    path = folder / ".hydra" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config |= {"arch": ARCH, "objective": {"_target_": "flowlat.objectives.path_gradient"}}
    path.write_text(
        yaml.safe_dump(config | {"phase": "auto", "symmetrize": True, "seed": 3}, sort_keys=False)
    )
    summary = json.loads((folder / "summary.json").read_text())
    versions = {"flowlat": "0.2.0", "git_revision": "0123456789abcdef-dirty"}
    summary |= {"phase": "ordered", "provenance": versions}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def rows(page):
    """The table at the head of a page, by name."""
    (table,) = page.sections[0].blocks
    assert page.sections[0].title == "Runs"
    return table.head, {name: cells for name, *cells in table.rows}


def test_of_a_training(tmp_path):
    head, facts = rows(build([trained(tmp_path / "a")]))
    assert head == ["", ""]
    assert facts == {
        "theory": ["Phi4, lam=8.0 m2=-4.0"],
        "lattice": ["2-d 4x4"],
        "architecture": ["continuous(n_steps=4, equivariant=True)"],
        "recipe": ["path_gradient, phase=ordered, symmetrised"],
        "seed": ["3"],
        "flowlat": ["0.2.0 (0123456-dirty)"],
        "folder": [str(tmp_path / "a")],
    }


def test_the_formula_of_the_action_is_the_subtitle(tmp_path):
    """Of trainings, too, whose config names the class; not of a class that no file may name."""
    folder = trained(tmp_path / "a")
    assert build([folder]).subtitle == Phi4.convention
    path = folder / ".hydra" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    for target, subtitle in (
        ("flowlat.actions.Free", Free.convention),
        ("tests.support.fakes.Walk", "All values in lattice units."),
    ):
        config["action"]["_target_"] = target
        path.write_text(yaml.safe_dump(config))
        assert build([folder]).subtitle == subtitle
    both = build([folder, trained(tmp_path / "b")]).subtitle
    assert both == Phi4.convention


def test_of_samplings_side_by_side(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "plot", lambda ensemble, path: None)
    for name, seed in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        draw(walk_config(seed=seed), tmp_path / name)
    head, facts = rows(build([tmp_path / "a", tmp_path / "b"]))
    assert head == ["", "A walk", "B walk"]
    assert facts["theory"] == 2 * ["Phi4, m2=1.0 lam=0.5"]
    assert facts["lattice"] == 2 * ["2-d 2x4"]
    assert facts["recipe"] == 2 * ["Walk"]
    assert facts["seed"] == ["1", "2"]
    assert all(facts["flowlat"])
    assert "architecture" not in facts  # HMC has none


def test_of_a_study_what_differs_is_listed(tmp_path):
    sweep = write_multirun(tmp_path / "sweep", "action.lam=8,5")
    for number, lam in enumerate((8.0, 5.0)):
        overrides = (f"action.lam={lam}",)
        write_training(sweep / str(number), [0.1], lam=lam, number=number, overrides=overrides)
    jobs = [job.run for job in read_jobs(sweep)]
    (theory, *_), lattice = header({"sweep": jobs}).rows[:2]
    assert header({"sweep": jobs}).rows[0][1] == "Phi4, lam=8.0 m2=-4.0; Phi4, lam=5.0 m2=-4.0"
    assert (theory, lattice) == ("theory", ["lattice", "2-d 4x4"])
    assert build([sweep]).sections[0].title == "Runs"


def test_of_a_family_the_domain(tmp_path):
    folder = trained(tmp_path / "a")
    path = folder / ".hydra" / "config.yaml"
    domain = {"m2": [-6.4, 2.3], "lam": [0.0, 15.0], "shapes": [[4, 4], [8, 8], [8, 8]]}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"family": domain}))
    rows = dict(header({"": [read_run(folder)]}).rows)
    assert rows["theory"] == "Phi4, lam=0.0 to 15.0 m2=-6.4 to 2.3"
    assert rows["lattice"] == "2-d 4x4, 2-d 8x8"


def test_of_a_folder_that_says_nothing(tmp_path):
    folder = write_training(tmp_path / "a", [0.1], finished=False)
    (folder / ".hydra" / "config.yaml").write_text("lattice: 3\naction: null\nseed: 0\n")
    rows = dict(header({"": [read_run(folder)]}).rows)
    assert rows == {"seed": "0", "folder": str(folder)}
