"""Ensembles that mean harm: each is refused in one line, by every program that reads one."""

import io
import json
import pickle
import shutil
import zipfile

import h5py
import numpy as np
import pytest

from flowlat.ensemble import open_ensemble
from flowlat.forward_ess import main as forward_ess
from flowlat.report.__main__ import main as report
from flowlat.sampling import draw as module
from flowlat.sampling.draw import draw
from flowlat.training.build import build_data, check_ensembles
from flowlat.utils.errors import USER_ERRORS, EnsembleError
from tests.ensemble.test_reader import HOSTILE, attribute, everything, link, replace
from tests.hostile.test_checkpoints import PAYLOADS, TOUCH
from tests.support.fakes import save_flow, walk_config
from tests.support.files import nothing_happens

N, SHAPE = 100, (2, 4)


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
    monkeypatch.setattr(module, "plot", lambda ensemble, path: path.touch())

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
    options = {"shape": (N,), "dtype": "f8", "chunks": (10**6,), "maxshape": (None,)}
    replace("action", **options, compression="gzip", fillvalue=0.0)(file)
    file["action"][...] = np.arange(N)


def cycle(file):
    file["measured/more"] = file["measured"]


def chunk_of_a_gigabyte(file):
    replace("action", shape=(N,), dtype="f8", chunks=(2**27,), maxshape=(None,))(file)


def pickled(file):
    data = np.frombuffer(pickle.dumps(PAYLOADS["a shell"]), np.uint8)
    replace("action", data=np.void(data.tobytes()))(file)


#: an edit that every reader has to refuse
CORPUS = {
    **{way: change for way, (change, _) in HOSTILE.items()},
    "single precision": typed("action", "f4"),
    "integers": typed("log_weight", "i8"),
    "half precision": typed("phi", "f2"),
    "the other byte order": typed("phi", ">f8"),
    "complex numbers": typed("action", "c16"),
    "bytes for truth": typed("accepted", "u1"),
    "a flat field": lambda file: replace("phi", data=file["phi"][...].reshape(N, -1))(file),
    "a number for a column": replace("action", data=1.0),
    "no rows": replace("action", data=np.zeros(0)),
    "nothing at all": replace("action", dtype="f8"),
    "NaN in a field": filled("phi", np.nan),
    "infinity in a field": filled("phi", np.inf),
    "NaN in a log weight": filled("log_weight", np.nan),
    "an infinite log weight": filled("log_weight", np.inf),
    "NaN in a measurement": filled("measured/phi2", np.nan),
    "gzip": stored("phi", compression="gzip"),
    "lzf": stored("phi", compression="lzf"),
    "shuffle": stored("phi", shuffle=True),
    "scale and offset": stored("log_weight", scaleoffset=3),
    "a decompression bomb": bomb,
    "a chunk of a gigabyte": chunk_of_a_gigabyte,
    "a cycle": cycle,
    "a group that is a link": link("measured", h5py.SoftLink("/")),
    "a group of another file": link("measured", h5py.ExternalLink("/etc/passwd", "/")),
    "a link to nothing": link("action", h5py.SoftLink("/nothing")),
    "a dataset for a group": replace("measured", data=[1.0]),
    "a pickle": pickled,
    "objects": replace("action", data=["touch executed"] * N, dtype=h5py.string_dtype()),
    "references": replace("action", shape=(N,), dtype=h5py.ref_dtype),
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


# parts and the last block, from which a run goes on


def arrays(file):
    with np.load(io.BytesIO(file["last_block"][...].tobytes())) as found:
        return dict(found)


def packed(change, save=np.savez):
    """An edit of the last block's arrays."""

    def edit(file):
        found, buffer = arrays(file), io.BytesIO()
        change(found)
        save(buffer, **found)
        replace("last_block", data=np.frombuffer(buffer.getvalue(), np.uint8))(file)

    return edit


def raw(data):
    return lambda file: replace("last_block", data=np.frombuffer(data, np.uint8))(file)


def archive(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def header(shape, dtype="<f8"):
    """A .npy file that claims a shape and has no data."""
    text = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def put(key, value):
    return packed(lambda found: found.update({key: value}))


def turned(key, function):
    return packed(lambda found: found.update({key: function(found[key])}))


def text(value):
    return np.frombuffer(value.encode(), np.uint8)


LAST_BLOCKS = {
    "no archive": raw(b"not at all a block"),
    "an empty archive": raw(archive()),
    "a pickle": raw(pickle.dumps(PAYLOADS["a shell"])),
    "a pickle within": put("rows/action", np.array([PAYLOADS["a shell"]], object)),
    "a huge shape": raw(archive(record=header((10**14,)))),
    "a negative shape": raw(archive(record=header((-1,)))),
    "a program for a shape": raw(archive(record=header("open('executed', 'w')"))),
    "a bomb": packed(lambda f: f.update({"rows/action": np.zeros(10**7)}), np.savez_compressed),
    "a column too few": packed(lambda found: found.pop("rows/action")),
    "a column too many": put("rows/more", np.zeros(12)),
    "rows too few": turned("rows/action", lambda rows: rows[:-1]),
    "rows of another type": turned("rows/action", lambda rows: rows.astype(">f8")),
    "NaN in a row": turned("rows/action", lambda rows: rows * np.nan),
    "no state": packed(lambda found: found.pop("state/phi")),
    "more state": put("state/more", np.zeros(3)),
    "a state of another shape": turned("state/phi", lambda phi: phi[:, :1]),
    "a state of another type": turned("state/phi", lambda phi: phi.astype("f4")),
    "NaN in the state": turned("state/phi", lambda phi: phi * np.nan),
    "a count below nothing": put("state/n_blocks", np.array(-1)),
    "no record": packed(lambda found: found.pop("record")),
    "a record that is no JSON": put("record", text("{")),
    "a record of a list": put("record", text("[1]")),
    "a record of another run": put("record", text('{"seed": 3}')),
    "missing": lambda file: file.__delitem__("last_block"),
    "blocks in words": attribute("blocks", np.bytes_("nine")),
    "blocks too many": attribute("blocks", 10**9),
    "no blocks": attribute("blocks", 0),
    "no time": attribute("seconds", np.nan),
    "time in words": attribute("seconds", np.bytes_("x")),
}


@pytest.mark.parametrize("way", LAST_BLOCKS)
def test_a_run_does_not_go_on_from_a_hostile_block(way, run, tmp_path):
    folder = run(LAST_BLOCKS[way])
    before = (folder / "ensemble.h5").read_bytes()
    assert PROGRAMS["resume"](folder, tmp_path)
    assert (folder / "ensemble.h5").read_bytes() == before


@pytest.mark.parametrize("way", LAST_BLOCKS)
def test_a_hostile_part_is_drawn_again(way, run, drawn, tmp_path, caplog):
    """Or, of another run, refused; and the ensemble is the same as without it."""
    folder = run(LAST_BLOCKS[way])
    with h5py.File(folder / "ensemble.h5") as file:
        if "last_block" not in file:
            return
        (folder / "parts").mkdir()
        content = file["last_block"][...].tobytes()
    (folder / "parts" / "000000.npz").write_bytes(content)
    (folder / "ensemble.h5").unlink()
    refused = PROGRAMS["resume"](folder, tmp_path)
    if way in ("a record of another run", "a record of a list"):
        assert "the ensemble in" in refused
        return
    assert refused == ""
    assert "000000.npz: damaged" in caplog.text
    with h5py.File(folder / "ensemble.h5") as file, h5py.File(drawn / "ensemble.h5") as expected:
        np.testing.assert_array_equal(file["phi"][:N], expected["phi"][:N])


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
    data = {"data": {"batch_size": 4, "double_at": []}, "seed": 0}
    options = {**theory, **data, "objective": {"ensemble": str(folder)}, "evaluation": {}}
    return refusal(check_ensembles, options) or refusal(build_data, options)


PROGRAMS = {"resume": resume, "train": train}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("way", CORPUS)
def test_programs(way, program, run, tmp_path):
    """Refused, or of no concern to this program."""
    message = PROGRAMS[program](run(CORPUS[way]), tmp_path)
    assert message.isprintable()


@pytest.mark.parametrize("way", CORPUS)
def test_commands(way, run, tmp_path, capsys):
    """``python -m flowlat.report`` and ``python -m flowlat.forward_ess``: exit code 2, one line."""
    folder = run(CORPUS[way])
    flow = save_flow(
        *(tmp_path / "a.ckpt", "lattice.shape=[2,4]", "action.m2=1.0", "action.lam=0.5"),
        *("arch=combconv_k1", "arch.n_couplings=2"),
    )
    before = sorted(folder.iterdir())
    codes = report([str(folder)]), forward_ess([str(flow), str(folder)])
    lines = capsys.readouterr().err.splitlines()
    assert 2 in codes  # one reads the columns, the other the fields
    assert len(lines) == codes.count(2)
    assert all(line.startswith("error: ") for line in lines)
    assert codes[0] == 0 or sorted(folder.iterdir()) == before
