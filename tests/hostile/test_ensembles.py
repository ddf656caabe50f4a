"""Ensembles that mean harm: each is refused in one line, by every program that reads one."""

import json
import pickle
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from flowlat.ensemble import open_ensemble, writer
from flowlat.forward_ess import main as forward_ess
from flowlat.report.__main__ import main as report
from flowlat.sampling.draw import draw
from flowlat.training.build import build_data, check_ensembles
from flowlat.utils.errors import USER_ERRORS, EnsembleError
from tests.ensemble.test_reader import HOSTILE, attribute, everything, link, replace
from tests.support.fakes import save_flow, walk_config
from tests.support.hostile_files import PAYLOADS, TOUCH, nothing_happens

#: samples, and rows in blocks of 12
N, ROWS = 100, 108


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A finished run of proposals, 100 rows of blocks of 12."""
    folder = tmp_path_factory.mktemp("drawn")
    draw(walk_config(sampler={"kind": "proposals"}), folder)
    return folder


@pytest.fixture
def run(drawn, tmp_path, monkeypatch):
    """``run(change)``: a copy of the run whose ensemble.h5 ``change`` has edited."""
    monkeypatch.chdir(tmp_path)

    def write(change):
        folder = tmp_path / "run"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(drawn, folder)
        with h5py.File(folder / "ensemble.h5", "r+") as file:
            change(file)
        return folder

    yield write
    assert not (tmp_path / "executed").exists()


def typed(name, dtype):
    """A column with other numbers than flowlat's."""
    return lambda file: replace(name, data=file[name][...].astype(dtype))(file)


def filled(name, value):
    def change(file):
        file[name][3] = value

    return change


def stored(name, **options):
    """A column whose chunks go through other filters."""
    return lambda file: replace(name, data=file[name][...], **options)(file)


def config(change):
    def edit(file):
        node = json.loads(file.attrs["config"])
        change(node)
        file.attrs["config"] = np.bytes_(json.dumps(node))

    return edit


def named(name):
    return config(lambda node: node["observables"].update({name: node["observables"]["phi2"]}))


def bomb(file):
    options = {"shape": (ROWS,), "dtype": "f8", "chunks": (10**6,), "maxshape": (None,)}
    replace("action", **options, compression="gzip", fillvalue=0.0)(file)
    file["action"][...] = np.arange(ROWS)


def cycle(file):
    file["measured/more"] = file["measured"]


def chunk_of_a_gigabyte(file):
    replace("action", shape=(ROWS,), dtype="f8", chunks=(2**27,), maxshape=(None,))(file)


def pickled(file):
    data = np.frombuffer(pickle.dumps(PAYLOADS["a shell"]), np.uint8)
    replace("action", data=np.void(data.tobytes()))(file)


#: an edit that every reader has to refuse
CORPUS = {
    **{way: change for way, (change, _) in HOSTILE.items()},
    "single precision": typed("action", "f4"),
    "integers": typed("log_weight", "i8"),
    "half precision": typed("proposals", "f2"),
    "the other byte order": typed("proposals", ">f8"),
    "complex numbers": typed("action", "c16"),
    "bytes for truth": typed("accepted", "u1"),
    "a flat field": lambda file: replace(
        "proposals", data=file["proposals"][...].reshape(ROWS, -1)
    )(file),
    "a number for a column": replace("action", data=1.0),
    "no rows": replace("action", data=np.zeros(0)),
    "nothing at all": replace("action", dtype="f8"),
    "NaN in a field": filled("proposals", np.nan),
    "infinity in a field": filled("proposals", np.inf),
    "NaN in a log weight": filled("log_weight", np.nan),
    "an infinite log weight": filled("log_weight", np.inf),
    "NaN in a measurement": filled("measured/phi2", np.nan),
    "gzip": stored("proposals", compression="gzip"),
    "lzf": stored("proposals", compression="lzf"),
    "shuffle": stored("proposals", shuffle=True),
    "scale and offset": stored("log_weight", scaleoffset=3),
    "a decompression bomb": bomb,
    "a chunk of a gigabyte": chunk_of_a_gigabyte,
    "a cycle": cycle,
    "a group that is a link": link("measured", h5py.SoftLink("/")),
    "a group of another file": link("measured", h5py.ExternalLink("/etc/passwd", "/")),
    "a link to nothing": link("action", h5py.SoftLink("/nothing")),
    "a dataset for a group": replace("measured", data=[1.0]),
    "a pickle": pickled,
    "objects": replace("action", data=["touch executed"] * ROWS, dtype=h5py.string_dtype()),
    "references": replace("action", shape=(ROWS,), dtype=h5py.ref_dtype),
    "an attribute of variable length": attribute("config", "{}"),
    "a compound attribute": attribute("kind", np.zeros((), "i4,f4")),
    "a long attribute": attribute("kind", np.bytes_("x" * 65000)),
    "more replicas than memory": attribute("replicas", 10**15),
    "replicas that are none": attribute("replicas", np.nan),
    "half a population": attribute("population", 7),
    "a huge lattice": config(lambda node: node["lattice"].update(shape=[2**40, 2**40])),
    "a lattice in words": config(lambda node: node["lattice"].update(shape="large")),
    "no lattice": config(lambda node: node.pop("lattice")),
    "no action": config(lambda node: node.pop("action")),
    "no observables": config(lambda node: node.update(observables=3)),
    "a name that leads elsewhere": named("../../etc/passwd"),
    "an absolute name": named("/action"),
    "a name of several lines": named("a\nb"),
    "a deep config": attribute("config", np.bytes_("[" * 20_000 + "]" * 20_000)),
}


def test_the_run_before_it_is_edited_is_read(run, tmp_path):
    folder = run(lambda file: None)
    with nothing_happens(), open_ensemble(folder) as ensemble:
        assert everything(ensemble)
    assert PROGRAMS["resume"](folder, tmp_path) == ""
    assert PROGRAMS["train"](folder, tmp_path) == ""


@pytest.mark.parametrize("way", CORPUS)
def test_a_hostile_ensemble_is_refused(way, run):
    folder = run(CORPUS[way])
    with nothing_happens(), pytest.raises(EnsembleError) as caught:  # noqa: SIM117
        with open_ensemble(folder) as ensemble:
            everything(ensemble)
    message = str(caught.value)
    assert message.isprintable()
    assert str(folder) in message


TARGETS = (
    *(
        "os.system",
        "builtins.eval",
        "flowlat.ensemble.open_ensemble",
        "flowlat.training.fit.fit",
        "",
        "???",
    ),
    *("flowlat.actions.phi4.torch.os.system", "flowlat.actions.Action", "${oc.env:HOME}", None, 3),
    TOUCH,
)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_a_config_builds_nothing_but_our_own(target, run):
    node = {"_target_": target, "command": "touch executed"}
    with open_ensemble(run(config(lambda c: c["observables"].update(phi2=node)))) as ensemble:
        assert "phi2" not in ensemble.observables()
    folder = run(config(lambda c: c.update(action=node)))
    with nothing_happens(), pytest.raises(EnsembleError) as caught:  # noqa: SIM117
        with open_ensemble(folder) as ensemble:
            ensemble.theory()
    assert str(caught.value).isprintable()


# what a run goes on from


def edited(change):
    """An edit of a file by its path."""

    def edit(path):
        with h5py.File(path, "r+") as file:
            change(file)

    return edit


def raw(data):
    return lambda path: path.write_bytes(data)


def turned(name, function):
    """A dataset that a function has gone over."""
    return edited(lambda file: replace(name, data=function(file[name][...]))(file))


def put(name, value):
    return edited(lambda file: file.__setitem__(name, value))


def without(name):
    return edited(lambda file: file.__delitem__(name))


def header(name, value):
    return edited(attribute(name, value))


def nan_in_the_last_row(file):
    file["action"][-1] = np.nan


#: an edit of ensemble.h5, or of a part, after which neither is gone on from
LAST_BLOCKS = {
    "no HDF5": raw(b"not at all a block"),
    "nothing": raw(b""),
    "a pickle": raw(pickle.dumps(PAYLOADS["a shell"])),
    "an old part": raw(b"PK\x03\x04"),
    "a huge state": edited(
        replace("state/phi", shape=(10**12, 2, 4), dtype="f8", chunks=(100, 2, 4))
    ),
    "a state of another file": edited(link("state/phi", h5py.ExternalLink("/etc/passwd", "/"))),
    "a state by a link": edited(link("state", h5py.SoftLink("/measured"))),
    "a bomb": edited(
        replace("state/phi", data=np.zeros((10**5, 2, 4)), chunks=(10**5, 2, 4), compression="gzip")
    ),
    "objects": edited(replace("state/phi", data=["touch executed"], dtype=h5py.string_dtype())),
    "a column too few": without("action"),
    "rows too few": turned("action", lambda rows: rows[:-1]),
    "rows of another type": turned("action", lambda rows: rows.astype(">f8")),
    "NaN in a row": edited(nan_in_the_last_row),
    "no state": without("state/phi"),
    "no state at all": without("state"),
    "more state": put("state/more", np.zeros(3)),
    "a state of another shape": turned("state/phi", lambda phi: phi[:, :1]),
    "a state of another type": turned("state/phi", lambda phi: phi.astype("f4")),
    "NaN in the state": turned("state/phi", lambda phi: phi * np.nan),
    "a count below nothing": turned("state/n_blocks", lambda n: n * 0 - 1),
    "a config that is no JSON": header("config", np.bytes_("{")),
    "a config of a list": header("config", np.bytes_("[1]")),
    "a config of another run": edited(config(lambda node: node.update(seed=3))),
    "the flow of another run": header("checkpoint_sha256", np.bytes_("0" * 64)),
    "other replicas": header("replicas", 4),
    "a population": header("population", 2),
    "no samples": header("n_samples", 0),
    "more samples than rows": header("n_samples", ROWS + 1),
    "no time": header("seconds", np.nan),
    "time in words": header("seconds", np.bytes_("x")),
}
OF_ANOTHER_RUN = ("a config of another run", "the flow of another run")


@pytest.mark.parametrize("way", LAST_BLOCKS)
def test_a_run_does_not_go_on_from_a_hostile_ensemble(way, run, tmp_path):
    path = run(lambda file: None) / "ensemble.h5"
    LAST_BLOCKS[way](path)
    before = path.read_bytes()
    assert PROGRAMS["resume"](path.parent, tmp_path)
    assert path.read_bytes() == before


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    """The first part of the same run."""
    folder = tmp_path_factory.mktemp("parts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "PART_SECONDS", 0.0)
        patch.setattr(writer.EnsembleWriter, "finish", lambda self: open_ensemble(folder))
        with pytest.raises(EnsembleError, match="not finished"):
            draw(walk_config(sampler={"kind": "proposals"}, n_samples=12), folder)
    return folder / "parts" / "000000.h5"


@pytest.mark.parametrize("way", LAST_BLOCKS)
def test_a_hostile_part_is_drawn_again(way, part, drawn, tmp_path, caplog):
    """Or, of another run, refused; and the ensemble is the same as without it."""
    folder = tmp_path / "run"
    (folder / "parts").mkdir(parents=True)
    LAST_BLOCKS[way](Path(shutil.copy(part, folder / "parts")))
    refused = PROGRAMS["resume"](folder, tmp_path)
    if way in OF_ANOTHER_RUN:
        assert "the ensemble in" in refused
        return
    assert refused == ""
    assert re.search(r"000000\.h5: .*; drawn again", caplog.text)
    with h5py.File(folder / "ensemble.h5") as file, h5py.File(drawn / "ensemble.h5") as expected:
        for name in ("proposals", "chain_index"):
            np.testing.assert_array_equal(file[name][:N], expected[name][:N])


def test_a_part_of_many_blocks_is_read_to_its_first(run, tmp_path, caplog):
    parts = tmp_path / "parts"
    parts.mkdir()
    shutil.copy(run(filled("action", np.nan)) / "ensemble.h5", parts / "000000.h5")
    assert PROGRAMS["resume"](tmp_path, tmp_path) == ""
    assert "action: NaN or infinity; drawn again" in caplog.text


def test_an_ensemble_whose_last_block_does_not_count_is_refused(run, tmp_path):
    folder = run(attribute("n_samples", 96))
    assert "96 samples, 108 rows: no blocks" in PROGRAMS["resume"](folder, tmp_path)


# the programs


def refusal(task, *arguments):
    """The line with which a function refuses; empty if it does not."""
    try:
        task(*arguments)
    except USER_ERRORS as error:
        return str(error)
    return ""


def resume(folder, tmp_path):
    options = walk_config(sampler={"kind": "proposals"}, n_samples=120, resume=True)
    return refusal(draw, options, folder)


def train(folder, tmp_path):
    theory = {key: walk_config()[key] for key in ("lattice", "action")}
    data = {"data": {"batch_size": 4}, "seed": 0}
    options = {**theory, **data, "objective": {"ensemble": str(folder)}, "evaluation": {}}
    return refusal(check_ensembles, options) or refusal(build_data, options)


PROGRAMS = {"resume": resume, "train": train}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("way", CORPUS)
def test_programs(way, program, run, tmp_path):
    """Refused, or of no concern to this program."""
    message = PROGRAMS[program](run(CORPUS[way]), tmp_path)
    assert message.isprintable()


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    """A checkpoint of the same theory."""
    theory = ("lattice.shape=[2,4]", "action.m2=1.0", "action.lam=0.5")
    path = tmp_path_factory.mktemp("flow") / "a.ckpt"
    return save_flow(path, *theory, "arch=combconv_k1", "arch.n_couplings=2")


@pytest.mark.parametrize("way", CORPUS)
def test_commands(way, run, flow, capsys):
    """``python -m flowlat.report`` and ``python -m flowlat.forward_ess``: exit code 2, one line."""
    folder = run(CORPUS[way])
    before = sorted(folder.iterdir())
    codes = report([str(folder)]), forward_ess([str(flow), str(folder)])
    lines = capsys.readouterr().err.splitlines()
    assert 2 in codes  # one reads the columns, the other the fields
    assert len(lines) == codes.count(2)
    assert all(line.startswith("error: ") for line in lines)
    assert codes[0] == 0 or sorted(folder.iterdir()) == before
