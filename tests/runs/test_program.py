"""Options of ``python -m`` that cannot be used: one line with name and value, exit code 2."""

from importlib import import_module

import pytest

BAD = {
    "report a --window x 2": "--window=x: must be an integer",
    "report a --window 1": "--window: expected 2 arguments",
    "report": "RUN: has to be given",
    "report --w a": "ambiguous option: --w could match --watch, --window",
    "report a --windows": "--windows: no such option (see --help)",
    "report --watch a b": "--watch takes one RUN and writes nothing",
    "forward_ess a": "ENSEMBLE: has to be given",
    "families a": "a checkpoint and --output FILE belong together",
    "validate --seed 1.5": "--seed=1.5: must be an integer",
    "validate --group none": "--group=none: must be 'free', ",
    "exchange": "command: has to be given",
    "exchange none": "command=none: must be 'import', ",
    "exchange import phi.npy --shape 8": "--out: has to be given",
    "exchange import phi.npy --out new --shape 8,x": "--shape=8,x: must be integers, L0,L1,...",
    "exchange import phi.npy --out new --shape 8 --coupling m2": "--coupling=m2: must be NAME=",
    "exchange import phi.npy --out new --shape 8 --coupling m2=a": "--coupling=m2=a: must be NAME",
    "exchange import phi.npy --out new --shape 8 --convention a": "--convention=a: must be 'flow",
    "exchange series a --discard b": "--discard=b: must be an integer",
}


@pytest.mark.parametrize("typed", BAD)
def test_a_bad_option_is_one_line(typed, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program, *words = typed.split()
    home = "flowlat.forward_ess" if program == "forward_ess" else f"flowlat.{program}.__main__"
    assert import_module(home).main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {BAD[typed]}")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("program", ["report", "families", "validate", "exchange"])
def test_help_is_still_a_page(program, capsys):
    with pytest.raises(SystemExit, match="0"):
        import_module(f"flowlat.{program}.__main__").main(["--help"])
    assert capsys.readouterr().out.startswith(f"usage: python -m flowlat.{program}")
