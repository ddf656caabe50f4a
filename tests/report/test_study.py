"""A multirun: groups, medians, winners, and the jobs that are not there."""

import math

import pytest

from flowlat.report.build import build
from flowlat.report.page.blocks import Table
from flowlat.report.page.html import write
from flowlat.report.sweep.groups import grouped
from flowlat.report.sweep.study import curves, study
from flowlat.report.sweep.time_to_target import reached, time_to_target
from flowlat.runs.jobs import read_jobs
from flowlat.utils.errors import ConfigError
from tests.support.run_folders import write_multirun, write_training

CURVES = {  # evaluated at epochs 0, 2, 3, 5
    "conv": {
        1: [0.1, 0, 0.3, 0.6, 0, 0.7],
        2: [0.1, 0, 0.6, 0.7, 0, 0.8],
        3: [0.1, 0, 0.2, 0.3, 0, 0.4],
    },
    "combconv_k1": {s: [0.6, 0, 0.7, 0.7, 0, 0.7 + s / 100] for s in (1, 2, 3)},
}
SECONDS = {"conv": 1.0, "combconv_k1": 10.0}


@pytest.fixture
def folder(tmp_path):
    """2 lattices x 2 archs x 3 seeds; of the larger one, k1 crashed, never started, or reached
    nothing."""
    task = ["lattice.shape=[4,4],[4,4,4]", "arch=conv,combconv_k1", "seed=1,2,3", "trainer=cpu"]
    sweep = write_multirun(tmp_path / "sweep", *task)
    number = 0
    for shape in ((4, 4), (4, 4, 4)):
        for arch, seeds in CURVES.items():
            for seed, acceptance in seeds.items():
                overrides = (f"lattice.shape={list(shape)}", f"arch={arch}", f"seed={seed}")
                options = {"shape": shape, "overrides": (*overrides, "trainer=cpu")}
                options |= {"seconds": SECONDS[arch], "number": number}
                if len(shape) == 3 and arch == "combconv_k1":
                    acceptance = [a / 10 for a in acceptance]
                    if seed == 1:
                        options["finished"] = False
                    if seed == 2:
                        options["finished"], acceptance = False, []
                    if seed == 3:
                        continue
                write_training(sweep / str(number), acceptance, **options)
                number += 1
    return sweep


def test_groups_differ_in_their_seed_alone(folder):
    groups = grouped(read_jobs(folder))
    sizes = {
        (theory.split(",")[0], label): len(runs)
        for theory, group in groups.items()
        for label, runs in group.items()
    }
    assert sizes == {
        ("2-d 4x4", "conv"): 3,
        ("2-d 4x4", "combconv_k1"): 3,
        ("3-d 4x4x4", "conv"): 3,
        ("3-d 4x4x4", "combconv_k1"): 1,
    }


def labels(sweep):
    """Those of the one theory of a multirun."""
    (group,) = grouped(read_jobs(sweep)).values()
    return list(group)


def test_a_label_has_what_varies(tmp_path):
    sweep = write_multirun(tmp_path, "arch=conv", "arch.kernel_size=3,5", "optimizer.lr=1e-3")
    for number, size in enumerate((3, 5)):
        overrides = ("arch=conv", f"arch.kernel_size={size}", "optimizer.lr=0.001")
        write_training(sweep / str(number), [0.2], overrides=overrides, number=number)
    assert labels(sweep) == ["arch.kernel_size=3", "arch.kernel_size=5"]


def test_a_group_is_named_by_its_option_and_a_flag_by_its_key(tmp_path):
    sweep = write_multirun(tmp_path, "arch=conv,spline", "symmetrize=true", "~arch.block")
    for number, arch in enumerate(("conv", "spline")):
        overrides = (f"arch={arch}", "symmetrize=true", "~arch.block")
        write_training(sweep / str(number), [0.2], overrides=overrides, number=number)
    assert labels(sweep) == ["conv", "spline"]
    alone = write_multirun(tmp_path / "alone", "symmetrize=true,false", "~arch.block")
    for number, flag in enumerate(("true", "false")):
        overrides = (f"symmetrize={flag}", "~arch.block")
        write_training(alone / str(number), [0.2], overrides=overrides, number=number)
    assert labels(alone) == ["symmetrize=true", "symmetrize=false"]


def test_epochs_and_seconds_to_the_target(folder):
    conv, k1 = next(iter(grouped(read_jobs(folder)).values())).values()
    # seeds at epochs 4, 3 and never: the median is 4, of as many seconds
    assert reached(conv) == (4, 4.0, 2, 0.8)
    assert reached(k1) == (1, 10.0, 3, 0.73)
    assert reached(conv[2:])[:2] == (math.inf, math.inf)


def test_the_winner_of_each_dimension(folder):
    rows = time_to_target(grouped(read_jobs(folder))).rows
    assert [(row[0].split()[0], *row[1:4], row[4], *row[6:]) for row in rows] == [
        ("2-d", "conv", "4", "4.0", "2 of 3", "0.720", "first in seconds"),
        ("2-d", "combconv_k1", "1", "10.0", "3 of 3", "0.657", "first in epochs"),
        ("3-d", "conv", "4", "4.0", "2 of 3", "0.720", "first in epochs and seconds"),
        ("3-d", "combconv_k1", "-", "-", "0 of 1", "0.064", ""),
    ]


def test_jobs_that_did_not_finish_are_shown_as_such(folder):
    (section,) = study(folder)
    warning, table = section.blocks[:2]
    assert warning.text.startswith("3 of 12 jobs did not finish")
    assert isinstance(table, Table)
    assert [(row[0], row[2]) for row in table.rows] == [
        ("9", "crashed, or running: 6 epochs"),
        ("10", "crashed, or running: 0 epochs"),
        ("11", "missing: it never started"),
    ]
    assert "lattice.shape=[4,4,4] arch=combconv_k1 seed=3" in table.rows[2][1]


def test_a_failed_job_says_why(folder):
    (folder / "10" / "error.txt").write_text("ValueError: a reason\nTraceback ...")
    assert read_jobs(folder)[10].status == "failed: ValueError: a reason"


def test_a_job_that_went_on_by_itself_is_still_of_the_sweep(folder):
    hydra = folder / "3" / ".hydra"
    (hydra / "hydra.yaml").write_text("hydra:\n  job:\n    num: ???\n")
    (hydra / "overrides.yaml").write_text("[arch=combconv_k1, resume=true]")
    job = read_jobs(folder)[3]
    assert job.run.path == folder / "3"
    assert job.changes(["arch", "seed"]) == "arch=combconv_k1 seed=1"
    assert "resume" not in job.overrides


def test_a_curve_goes_on_where_a_seed_broke_off(tmp_path):
    sweep = write_multirun(tmp_path, "arch=conv", "seed=1,2")
    write_training(sweep / "0", [0.2] * 7, seconds=1.0, overrides=("arch=conv", "seed=1"))
    options = {"seconds": 5.0, "number": 1, "finished": False}
    write_training(sweep / "1", [0.6] * 4, overrides=("arch=conv", "seed=2"), **options)
    expected = {"epoch": [1, 3, 4, 6, 7], "seconds": [3, 9, 12, 14, 15]}  # 3 s in the median of two
    for against, x in expected.items():
        line, cross = curves(grouped(read_jobs(sweep)), against).figure.axes[0].lines[:2]
        assert line.get_xdata() == pytest.approx(x)
        assert line.get_ydata() == pytest.approx([0.4, 0.4, 0.4, 0.2, 0.2])
        assert cross.get_marker() == "x"
        assert (*cross.get_xdata(), *cross.get_ydata()) == pytest.approx((x[2], 0.6))


def test_the_page_of_a_study(folder, tmp_path):
    text = write(build([folder]), tmp_path / "out").read_text()
    for name in ("study_epoch", "study_seconds"):
        assert (tmp_path / "out" / f"{name}.png").stat().st_size > 20_000
    assert text.count("data:image/png") == 2
    assert "missing: it never started" in text


def test_where_a_sweeper_chooses_the_jobs_none_is_missed(tmp_path):
    sweep = write_multirun(tmp_path, "optimizer.lr=interval(0,1)", sweeper="optuna.OptunaSweeper")
    write_training(sweep / "0", [0.1], overrides=("optimizer.lr=0.5",))
    assert [job.status for job in read_jobs(sweep)] == [""]


def test_a_multirun_without_jobs_is_refused(tmp_path):
    sweep = write_multirun(tmp_path, "seed=1,2")
    with pytest.raises(ConfigError, match=f"RUN={sweep}: no job in it"):
        study(sweep)


def test_a_job_without_its_config_is_refused(tmp_path):
    sweep = write_multirun(tmp_path, "seed=1,2")
    write_training(sweep / "0", [0.1])
    (sweep / "0" / ".hydra" / "config.yaml").unlink()
    with pytest.raises(ConfigError, match=r"\.hydra/config\.yaml has no lattice"):
        study(sweep)


def test_a_multirun_of_samplings_is_refused(tmp_path):
    sweep = write_multirun(tmp_path, "seed=1,2")
    write_training(sweep / "0", [])
    (sweep / "0" / "ensemble.h5").touch()
    with pytest.raises(ConfigError, match=r"a multirun of sample.py"):
        study(sweep)
