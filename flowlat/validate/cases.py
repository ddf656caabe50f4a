"""The ensembles that are drawn, and what each is held against."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from omegaconf import OmegaConf

from flowlat.analysis import exact
from flowlat.lattice import Lattice
from flowlat.report.compare.columns import Values, flat

#: m2 of all published values
M2 = -4.0

#: what is compared where everything is known
EXACT = ("log_z", "phi2", "action_density", "abs_magnetization", "two_point")


class Case(NamedTuple):
    """An ensemble of ``n_samples``, or of ``quick`` in a quick run (0: left out of it).

    ``references``: name -> value and error. ``flow``, where one is needed: with the prior of mean
    field, which is exact at lam = 0, and couplings moved away from the identity; or trained.
    """

    group: str
    name: str
    shape: Sequence[int]
    m2: float
    lam: float
    references: Values
    sampler: Sequence[str]
    n_samples: int
    quick: int = 0
    flow: Literal["moved", "trained"] | None = None

    @property
    def theory(self) -> list[str]:
        """The overrides that define lattice and action."""
        shape = ",".join(map(str, self.shape))
        return [f"lattice.shape=[{shape}]", f"action.m2={self.m2}", f"action.lam={self.lam}"]


class Use(NamedTuple):
    """A sampler with its options; configurations in a full and in a quick run."""

    overrides: Sequence[str]
    n_samples: int
    quick: int
    flow: Literal["moved", "trained"] | None = None


class Point(NamedTuple):
    """A theory of the table; published.yaml says what its keys mean."""

    shape: tuple[int, ...]
    lam: float
    values: Values
    trajectory: float = 1.0
    hmc: int = 0
    annealed: tuple[int, int, int] | None = None
    quick: int = 0


# many small populations: the error of a weighted ensemble is from their scatter
USES = {
    "hmc": Use(("sampler=hmc", "sampler.thermalization=200"), 100_000, 20_000),
    "mclmc": Use(("sampler=mclmc", "sampler.thermalization=200"), 50_000, 10_000),
    "cluster": Use(("sampler=cluster",), 100_000, 20_000),
    "swendsen_wang": Use(("sampler=cluster", "sampler.clusters=swendsen_wang"), 100_000, 20_000),
    "flow": Use(("sampler=metropolis", "sampler.replicas=16"), 200_000, 50_000, "moved"),
    "annealed": Use(
        ("sampler=annealed", "sampler.population=64", "sampler.n_steps=50"), 12_800, 3_840
    ),
    "annealed flow": Use(
        ("sampler=annealed", "sampler.population=64", "sampler.n_steps=10"), 5_120, 2_560, "moved"
    ),
    "hybrid": Use(("sampler=hybrid", "sampler.hmc.thermalization=200"), 50_000, 10_000, "moved"),
    "latent HMC": Use(("sampler=latent_hmc",), 50_000, 10_000, "moved"),
}


def cases() -> list[Case]:
    """All of them."""
    return [*free(), *chains(), *table()]


def free() -> list[Case]:
    """The free theory, exact in every dimension. (Annealing from mean field would start at it.)"""
    found, m2 = [], 0.5
    for shape in ((10,), (6, 8), (4, 4, 6), (2, 4, 4, 4)):
        known = chosen(exact.free(m2, Lattice(shape)))
        for name in ("hmc", "mclmc", "cluster", "swendsen_wang", "flow", "annealed flow"):
            use = USES[name]
            # the inverse of a flow at every step of an annealing costs most in high dimensions
            if name == "annealed flow" and len(shape) > 1:
                use = use._replace(quick=0)
            label = f"free {len(shape)}-d, {name}"
            found.append(Case("free", label, shape, m2, 0.0, known, *use))
    return found


def chains() -> list[Case]:
    """Interacting theories in d = 1, solved by the transfer matrix."""
    found = []
    # at lam = 8 no Gaussian is near enough: the flow has to be trained
    strong = USES["flow"]._replace(quick=0, flow="trained")
    without_flow = "hmc", "mclmc", "cluster", "swendsen_wang", "annealed"
    for m2, lam, length, uses in (
        (1.0, 0.5, 8, USES),
        (-4.0, 8.0, 12, {**{name: USES[name] for name in without_flow}, "flow": strong}),
    ):
        known = chosen(exact.transfer_matrix(m2, lam, length))
        for name, use in uses.items():
            label = f"chain lam={lam:g}, {name}"
            found.append(Case("transfer matrix", label, (length,), m2, lam, known, *use))
    return found


def table() -> list[Case]:
    """The published values, by HMC, by clusters, by annealing (log Z), and by a flow trained for
    the purpose."""
    found = []
    nodes: Any = OmegaConf.to_container(OmegaConf.load(Path(__file__).with_name("published.yaml")))
    points = [Point(**node) for node in nodes]
    for point in points:
        name = f"{'x'.join(map(str, point.shape))} lam={point.lam:g}"
        theory = (point.shape, M2, point.lam)
        values = dict(point.values)
        log_z = values.pop("log_z", None)
        length = f"sampler.trajectory_length={point.trajectory}"
        hmc = (*USES["hmc"].overrides, length, "sampler.target_acceptance=0.75")
        sizes = point.hmc, point.quick
        for sampler, options in (("hmc", hmc), ("cluster", USES["cluster"].overrides)):
            found.append(Case("published", f"{name}, {sampler}", *theory, values, options, *sizes))
        if point.annealed and log_z:
            steps, population, n = point.annealed
            options = [f"sampler.population={population}", f"sampler.n_steps={steps}"]
            annealed = ("sampler=annealed", *options)
            known = {"log_z": log_z}
            found.append(Case("published", f"{name}, annealed", *theory, known, annealed, n))
    use = USES["flow"]._replace(n_samples=300_000, quick=0, flow="trained")
    shape, lam, values = points[0][:3]
    found.append(Case("published", f"8x8 lam={lam:g}, flow", shape, M2, lam, values, *use))
    return found


def chosen(known: exact.Known) -> Values:
    """The exact values that are compared, vectors element by element."""
    return flat({name: value for name, value in known.items() if name in EXACT})
