"""Files of other programs where an ensemble is asked for."""

import h5py
import numpy as np
import pytest

from flowlat.ensemble import open_ensemble
from flowlat.ensemble.foreign import IMPORT
from flowlat.report.__main__ import main as report
from flowlat.utils.errors import EnsembleError


def hdf5(path):
    with h5py.File(path, "w") as file:
        file["phi"] = np.zeros((3, 4))


FILES = {
    "phi.npy": (lambda p: np.save(p, np.zeros(3)), "a .npy file, and no ensemble of flowlat"),
    "phi.npz": (lambda p: np.savez(p, phi=np.zeros(3)), "a .npz or zip file, and no ensemble"),
    "phi.txt": (lambda p: p.write_text("1 2 3"), "a text, and no ensemble"),
    "phi.h5": (hdf5, "not an ensemble of flowlat"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_sound_file_of_others_is_to_be_imported(name, tmp_path, capsys):
    path = tmp_path / name
    write, text = FILES[name]
    write(path)
    with pytest.raises(EnsembleError) as caught:
        open_ensemble(path)
    message = str(caught.value)
    assert text in message
    assert message.endswith(IMPORT)
    assert "damaged" not in message
    assert report([str(path)]) == 2
    shown = capsys.readouterr().err
    assert IMPORT in shown or "a file, and not the folder of a run" in shown
