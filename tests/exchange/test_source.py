"""Files of other programs: the numbers that were written, or one line that says what is amiss."""

import io

import h5py
import numpy as np
import pytest

from flowlat.exchange.source import open_source
from flowlat.utils.errors import ConfigError

NAMES = "a b c d e f g h"
PHI = np.random.default_rng(0).normal(size=(6, 2, 4))


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(save=np.savez, **arrays):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def hdf5(path, **options):
    with h5py.File(path, "w") as file:
        file["lattice/size"] = 4
        file.create_dataset("cfg/phi", data=PHI, **options)


SOUND = {
    "npy": (lambda p: p.write_bytes(npy(PHI)), None),
    "fortran": (lambda p: p.write_bytes(npy(np.asfortranarray(PHI))), None),
    "big endian": (lambda p: p.write_bytes(npy(PHI.astype(">f8"))), None),
    "npz": (lambda p: p.write_bytes(npz(phi=PHI, beta=1.0)), "phi"),
    "npz, deflated": (lambda p: p.write_bytes(npz(np.savez_compressed, phi=PHI)), None),
    "hdf5": (hdf5, "cfg/phi"),
    "hdf5, deflated": (lambda p: hdf5(p, compression="gzip", chunks=(2, 2, 4)), "/cfg/phi"),
    "text": (lambda p: np.savetxt(p, PHI.reshape(6, 8), header="a comment"), None),
    "csv": (lambda p: np.savetxt(p, PHI.reshape(6, 8), delimiter=","), None),
    "named": (
        lambda p: np.savetxt(p, PHI.reshape(6, 8), header="a b c d e f g h", comments=""),
        None,
    ),
}


@pytest.mark.parametrize("kind", SOUND)
def test_what_was_written_is_read(kind, tmp_path):
    path = tmp_path / "file.dat"
    write, dataset = SOUND[kind]
    write(path)
    found = open_source(path, dataset, tmp_path)
    assert isinstance(found, np.memmap)
    np.testing.assert_allclose(np.array(found).reshape(PHI.shape), PHI, rtol=1e-15)


def elsewhere(path):
    layout = h5py.VirtualLayout((6,), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "phi", (6,))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("phi", layout)


def linked(path):
    with h5py.File(path, "w") as file:
        file["phi"] = h5py.ExternalLink("/etc/passwd", "/phi")


def bomb(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("phi", (10**12,), "f8", chunks=(10**6,))


HOSTILE = {
    "nothing": (lambda p: p.write_bytes(b""), None, "no numbers in it"),
    "cut": (lambda p: p.write_bytes(npy(PHI)[:200]), None, "cannot be read"),
    "a pickle": (lambda p: p.write_bytes(npy(np.array([{}]))), None, "cannot be read: "),
    "complex": (lambda p: p.write_bytes(npy(PHI * 1j)), None, "complex128, not real numbers"),
    "no rows": (lambda p: p.write_bytes(npy(PHI[:0])), None, "no numbers in it"),
    "raw": (lambda p: p.write_bytes(PHI.tobytes()), None, "neither .npy, .npz, HDF5 nor text"),
    "a name in a npy": (
        lambda p: p.write_bytes(npy(PHI)),
        "phi",
        "a .npy file, which has no",
    ),
    "no such array": (SOUND["npz"][0], "psi", "dataset=psi: SOURCE=.* has phi, beta"),
    "which array": (SOUND["npz"][0], None, "dataset=None: .* has phi, beta"),
    "a cut zip": (lambda p: p.write_bytes(b"PK\x03\x04 and no more"), None, "cannot be read"),
    "which dataset": (hdf5, None, "has cfg/phi, lattice/size"),
    "no such dataset": (hdf5, "phi", "dataset=phi: SOURCE=.* has cfg/phi, lattice/size"),
    "a single number": (hdf5, "lattice/size", "a single number"),
    "virtual": (elsewhere, None, "the data are in another file"),
    "linked": (linked, "phi", "dataset=phi: SOURCE=.* has none"),
    "not there": (bomb, None, "the data are not there"),
    "words": (lambda p: p.write_text("1 2\n3 x\n"), None, "line 2: 'x' is not a number"),
    "ragged": (lambda p: p.write_text("1 2\n\n# c\n3\n"), None, "line 4 has 1 columns, and not 2"),
    "a head alone": (lambda p: p.write_text("a,b\n"), None, "no numbers below the names"),
    "a second head": (lambda p: p.write_text("a,b\n1,2\na,b\n"), None, "line 3: 'a' is not a"),
    "decimal commas": (lambda p: p.write_text("1,5;2\n"), None, "line 1: '1,5' is not a number"),
    "an empty cell": (lambda p: p.write_text("1,,2\n"), None, "line 1: '' is not a number"),
    "another encoding": (lambda p: p.write_bytes(b"\xff\xfe1\n2"), None, "not a text of numbers"),
}


@pytest.mark.parametrize("way", HOSTILE)
def test_what_cannot_be_read_is_one_line(way, tmp_path):
    path = tmp_path / "file.dat"
    write, dataset, text = HOSTILE[way]
    write(path)
    with pytest.raises(ConfigError, match=text) as caught:
        open_source(path, dataset, tmp_path)
    assert str(caught.value).isprintable()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"SOURCE=.*none: no such file"):
        open_source(tmp_path / "none", None, tmp_path)
