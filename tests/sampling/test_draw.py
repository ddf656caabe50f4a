"""A sampling run that is killed, resumed or made longer is the run in one go, bit by bit."""

import errno
import itertools
import json
import multiprocessing
import os
import random
import re
import resource
import signal
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from flowlat.ensemble import gathering, open_ensemble, writer
from flowlat.sampling import draw as module
from flowlat.sampling.draw import draw, plot
from flowlat.utils.errors import ConfigError, EnsembleError, Interrupted
from tests.support.fakes import Walk, walk_config

KINDS = ("chain", "proposals", "weighted")


class PowerCut(BaseException):
    """Not an Exception: nothing may catch it."""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Without git, which takes much of the time of a small run."""
    monkeypatch.setattr(module, "provenance", dict)
    monkeypatch.setattr(writer, "PART_SECONDS", 0.0)  # a part a block


def datasets(folder: Path) -> dict[str, np.ndarray]:
    """All datasets of an ensemble."""
    found = {}
    with h5py.File(folder / "ensemble.h5") as file:
        file.visititems(
            lambda name, node: found.update({name: node[...]}) if hasattr(node, "shape") else None
        )
    return found


def assert_same(folder: Path, whole: Path):
    """The same ensemble to the last bit, nothing left over, and the same summary but the time."""
    found, expected = datasets(folder), datasets(whole)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        assert found[name].tobytes() == values.tobytes(), name
    assert {p.name for p in folder.iterdir()} == {p.name for p in whole.iterdir()}
    summaries = [json.loads((f / "summary.json").read_text()) for f in (folder, whole)]
    for summary in summaries:
        assert summary.pop("seconds") > 0
        assert summary.pop("samples_per_second") > 0
    assert summaries[0] == summaries[1]


@pytest.fixture
def run(tmp_path):
    """``run("a", n_samples=50)``: draw into the folder "a"."""

    def start(name: str, **changes) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        draw(walk_config(**changes), folder)
        return folder

    return start


def killed_after(seconds: float, config: dict, folder: Path) -> int:
    """Draw in a child process that is killed after a while; its exit code."""
    child = multiprocessing.get_context("fork").Process(target=draw, args=(config, folder))
    child.start()
    child.join(seconds)
    child.kill()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_random_moments(run, tmp_path, monkeypatch):
    """At least 15 times kill -9, anywhere from the first block to the summary. Six seconds."""
    monkeypatch.setattr(writer, "PART_SECONDS", 0.01)  # parts of several blocks
    monkeypatch.setattr(gathering, "LEAST", 0)  # in the end moved one by one
    config = walk_config(n_samples=400, sampler={"kind": "proposals"})
    run("warm", **config)
    started = time.monotonic()
    whole = run("whole", **config)
    duration = time.monotonic() - started
    kills = 0
    while kills < 15:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        patience, code = duration, None
        while code != 0:
            again = {**config, "resume": True}
            code = killed_after(random.uniform(0, patience), again, folder)
            kills += code != 0
            patience *= 1.2  # the machine may have become slower
        assert_same(folder, whole)


@pytest.mark.parametrize("kind", KINDS)
def test_a_power_cut_at_every_write(kind, run, tmp_path, monkeypatch):
    """Before, and after, every single rename: of each part, of the ensemble, of the summary."""
    changes = {"n_samples": 40, "sampler": {"kind": kind}}
    whole = run("whole", **changes)
    replace, countdown = Path.replace, [0, 0]

    def cut(self, target):
        countdown[0] -= 1
        if countdown[0] == 0 and countdown[1] == 0:
            raise PowerCut
        replace(self, target)
        if countdown[0] == 0:
            raise PowerCut

    for at in range(1, 7):  # four blocks, ensemble.h5, summary.json
        for after in (0, 1):
            folder = f"cut{at}{after}"
            with monkeypatch.context() as patch:
                patch.setattr(Path, "replace", cut)
                countdown[:] = at, after
                with pytest.raises(PowerCut):
                    run(folder, **changes)
            assert_same(run(folder, **changes, resume=True), whole)


@pytest.mark.parametrize("save_configs", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_longer_run_is_the_run_in_one_go(kind, save_configs, run):
    """Within a block, to its end, and beyond it; several times."""
    changes = {"save_configs": save_configs, "sampler": {"kind": kind}}
    for n in (5, 11, 12, 13, 50, 100):
        folder = run("grown", n_samples=n, resume=True, **changes)
        assert_same(folder, run(f"whole{n}", n_samples=n, **changes))
        with open_ensemble(folder) as ensemble:
            assert len(ensemble) == (-(-n // 12) * 12 if kind == "weighted" else n)


def test_a_longer_run_that_is_cut_short_too(run, monkeypatch):
    whole = run("whole", n_samples=90)
    folder = run("grown", n_samples=30)
    before = datasets(folder)
    with monkeypatch.context() as patch:
        patch.setattr(Walk, "step", cut_after(3, Walk.step))
        with pytest.raises(PowerCut):
            run("grown", n_samples=90, resume=True)
    assert datasets(folder).keys() == before.keys()
    assert (folder / "parts").exists()
    assert_same(run("grown", n_samples=90, resume=True), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_holds_what_was_drawn_within_a_second(kind, run, monkeypatch):
    """Of seven blocks six are on the disk, in two parts."""
    changes = {"n_samples": 90, "sampler": {"kind": kind}}
    whole = run("whole", **changes)
    clock = itertools.count(step=0.4)
    with monkeypatch.context() as patch:
        patch.setattr(writer, "PART_SECONDS", 1.0)
        patch.setattr(writer.time, "monotonic", lambda: next(clock))
        patch.setattr(Walk, "step", cut_after(7, Walk.step))
        with pytest.raises(PowerCut):
            run("a", **changes)
    parts = whole.parent / "a" / "parts"
    assert [path.name for path in sorted(parts.iterdir())] == ["000000.h5", "000003.h5"]
    assert_same(run("a", **changes, resume=True), whole)


def cut_after(calls, function):
    """A function that works so many times."""
    left = [calls]

    def wrapped(*args):
        if not left[0]:
            raise PowerCut
        left[0] -= 1
        return function(*args)

    return wrapped


def test_what_is_there_is_not_drawn_again(run, monkeypatch):
    folder = run("a", n_samples=50)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name in ("start", "step"):
        monkeypatch.setattr(Walk, name, cut_after(0, getattr(Walk, name)))
    run("a", n_samples=50, resume=True)
    assert (folder / "ensemble.h5").read_bytes() == before["ensemble.h5"]
    assert (folder / "summary.json").read_bytes() == before["summary.json"]
    run("a", n_samples=60, resume=True)  # the last block has them
    with pytest.raises(PowerCut):
        run("a", n_samples=61, resume=True)


def test_resume_where_there_is_nothing_starts(run):
    assert_same(run("a", resume=True), run("b"))


def test_another_seed_is_another_ensemble(run):
    a, b = datasets(run("a")), datasets(run("b", seed=1))
    assert (a["configurations"] != b["configurations"]).all()


def parts_of_four_blocks(run, monkeypatch, folder):
    """What the run "a" leaves that has no power after them."""
    with monkeypatch.context() as patch:
        patch.setattr(Walk, "step", cut_after(4, Walk.step))
        with pytest.raises(PowerCut):
            run("a", n_samples=60)
    return folder / "a" / "parts"


def test_damaged_parts_are_drawn_again(run, monkeypatch, caplog):
    whole = run("whole", n_samples=60)
    parts = parts_of_four_blocks(run, monkeypatch, whole.parent)
    (parts / "000003.h5").write_bytes((parts / "000003.h5").read_bytes()[:-100])
    damaged = bytearray((parts / "000001.h5").read_bytes())
    damaged[len(damaged) // 2] ^= 16
    (parts / "000001.h5").write_bytes(damaged)
    assert_same(run("a", n_samples=60, resume=True), whole)
    assert re.search(r"000001\.h5: .*damaged.*; drawn again", caplog.text)


def test_a_part_that_is_a_copy_of_another_is_refused(run, monkeypatch, caplog):
    whole = run("whole", n_samples=60)
    parts = parts_of_four_blocks(run, monkeypatch, whole.parent)
    (parts / "000002.h5").write_bytes((parts / "000001.h5").read_bytes())
    assert_same(run("a", n_samples=60, resume=True), whole)
    assert re.search(r"000002\.h5: .*blocks are those from 1 on: a copy", caplog.text)


#: what is changed after 30 configurations: the line that answers
REFUSALS = {
    "seed": ({"seed": 1}, "seed=1: the ensemble in .* has seed=0"),
    "couplings": (
        {"action": {"_target_": "flowlat.actions.Phi4", "m2": 1.0, "lam": 0.7}},
        r"action.lam=0.7: .* has action.lam=0.5",
    ),
    "lattice": (
        {"lattice": {"_target_": "flowlat.lattice.Lattice", "shape": [4, 4]}},
        r"lattice.shape=\[4, 4\]: .* has lattice.shape=\[2, 4\]",
    ),
    "sampler": ({"sampler": {"replicas": 2}}, "sampler.replicas=2: .* has sampler.replicas=None"),
    "batch_size": ({"batch_size": 9}, "batch_size=9: .* has batch_size=8"),
    "precision": ({"precision": 64}, "precision=64: .* has precision=None"),
    "save_configs": ({"save_configs": False}, "save_configs=False: .* has save_configs=True"),
    "observables": (
        {"observables": {"phi2": {"_target_": "flowlat.observables.Phi2"}}},
        "observables.binder._target_=None: .* has .*Binder",
    ),
    "fewer": ({"n_samples": 29}, "n_samples=29: must be at least 30, .* has them already"),
}


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("name", REFUSALS)
def test_runs_that_do_not_go_on(name, finished, run, monkeypatch, tmp_path):
    changes, pattern = REFUSALS[name]
    if finished:
        folder = run("a", n_samples=30)
    else:
        folder = tmp_path / "a"
        with monkeypatch.context() as patch:
            patch.setattr(Walk, "step", cut_after(2, Walk.step))
            with pytest.raises(PowerCut):
                run("a", n_samples=30)
        if name == "fewer":
            changes, pattern = {"n_samples": 12}, "n_samples=12: must be at least 13, .* has them"
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=pattern) as caught:
        run("a", **{"n_samples": 40, **changes}, resume=True)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"hydra.run.dir=.*/a: .*resume=true goes on"):
        run("a", n_samples=40)
    assert files == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_how_it_is_computed_may_change(run):
    changes = {"threads": None, "device": "auto", "resume": True}
    run("a", n_samples=30)
    run("a", n_samples=40, **changes)


def test_a_damaged_ensemble_is_not_gone_on_with(run):
    folder = run("a")
    path = folder / "ensemble.h5"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(EnsembleError, match=r"ensemble.h5: .*truncated"):
        run("a", n_samples=200, resume=True)


def full_disk(config: dict, folder: Path, limit: int, answers) -> None:
    """Draw where no file may grow beyond ``limit`` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        draw(config, folder)
        answers.put("finished")
    except EnsembleError as error:
        answers.put(str(error))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("limit", "left"), [(3_000, 0), (20_000, 9)])
def test_a_full_disk(limit, left, run, tmp_path):
    """Full at the first part, or at the ensemble: one line, the parts kept, and it goes on."""
    folder = tmp_path / "a"
    folder.mkdir()
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=full_disk, args=(walk_config(), folder, limit, answers))
    child.start()
    answer = answers.get()
    child.join()
    assert f"hydra.run.dir={folder}: {os.strerror(errno.EFBIG)}; the blocks" in answer
    assert "\n" not in answer
    assert [path.name for path in folder.iterdir()] == ["parts"]
    assert len(list((folder / "parts").iterdir())) == left
    assert_same(run("a", resume=True), run("whole"))


@pytest.mark.parametrize(
    ("sampler", "pattern"),
    [
        ({"fails_at": 2}, "sampler=walk ckpt_path=None: the walk has lost its way"),
        ({"steps": 0}, "sampler: steps=0: must be at least 1"),
    ],
)
def test_samplers_that_cannot_go_on(sampler, pattern, run, tmp_path):
    with pytest.raises(ConfigError, match=pattern):
        run("a", sampler=sampler)
    assert not (tmp_path / "a" / "ensemble.h5").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_the_picture(kind, run):
    """Of few rows, and no configurations."""
    folder = run("a", n_samples=20, save_configs=False, sampler={"kind": kind})
    assert not (folder / "ensemble.png").stat().st_size  # tests have a fake in its place
    with open_ensemble(folder) as ensemble:
        plot(ensemble, folder / "ensemble.png")
    assert (folder / "ensemble.png").stat().st_size > 5000


def test_the_progress_counts_what_is_there(run, monkeypatch):
    bars = []

    class Bar:
        disable = True

        def __init__(self, total, **options):
            self.total, self.n = total, []
            bars.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def update(self, n):
            self.n.append(n)

    monkeypatch.setattr(module, "tqdm", Bar)
    run("a", n_samples=30)
    run("a", n_samples=50, resume=True)
    assert [bar.total for bar in bars] == [36, 60]
    assert [bar.n for bar in bars] == [[0, 12, 12, 12], [36, 12, 12]]


def test_a_one_sided_ensemble_is_pointed_out(run, monkeypatch):
    noise = Walk._noise
    assert "one_sided" not in (run("a") / "summary.json").read_text()
    monkeypatch.setattr(Walk, "_noise", lambda *args: noise(*args) + 3)
    assert "<sign M> = 1.00" in (run("b") / "summary.json").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_a_signal_ends_it_after_a_block(kind, run, monkeypatch):
    """What is drawn is on the disk, whenever the last part was written."""
    monkeypatch.setattr(writer, "PART_SECONDS", 1000.0)
    step = Walk.step

    def interrupted(self, state, generator):
        if state.n_blocks == 2:
            signal.raise_signal(signal.SIGTERM)
        return step(self, state, generator)

    with monkeypatch.context() as patch:
        patch.setattr(Walk, "step", interrupted)
        with pytest.raises(Interrupted, match=r"^ended by SIGTERM after block 3 of 9$") as caught:
            run("cut", sampler={"kind": kind})
    assert caught.value.number == signal.SIGTERM
    assert_same(run("cut", sampler={"kind": kind}, resume=True), run("a", sampler={"kind": kind}))
