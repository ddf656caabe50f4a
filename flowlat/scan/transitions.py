"""Where the theory changes along a line: peaks of chi_c, crossings of U4, with errors."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from flowlat.flows.domain import Point
from flowlat.scan.grid import volume, volume_name
from flowlat.scan.reweighting import FEWEST_EFFECTIVE, Curve

#: share of the bootstrap samples that have to show what the samples show
MOST = 0.9


def transitions(curves: Sequence[Curve]) -> dict[str, list[dict[str, Any]]]:
    """``peaks`` of each curve, and ``crossings`` of each two of several volumes.

    An entry has ``note`` and no figures where there is nothing to be found, or not with certainty.
    """
    other = "m2" if curves[0].along == "lam" else "lam"
    peaks = [{**name(curve, other), **peak(curve)} for curve in curves]
    crossings = []
    for a, b in combinations(sorted(curves, key=lambda curve: volume(curve.line[0])), 2):
        if getattr(a.line[0], other) == getattr(b.line[0], other):
            shapes = [volume_name(c.line[0].shape) for c in (a, b)]
            crossings.append({**name(a, other), "shapes": shapes, **crossing(a, b)})
            del crossings[-1]["shape"]
    return {"peaks": peaks, "crossings": crossings}


def name(curve: Curve, other: str) -> dict[str, Any]:
    """Lattice and the coupling that does not vary."""
    point: Point = curve.line[0]
    return {"shape": volume_name(point.shape), other: getattr(point, other), "along": curve.along}


def peak(curve: Curve) -> dict[str, Any]:
    """The maximum of chi_c along a curve: where, and how high.

    The parabola through the three highest values of the fine grid; the errors are the spread of
    what the bootstrap samples give.
    """
    if note := untrusted(curve):
        return {"note": note}
    chi = curve.values["connected_susceptibility"]
    top = chi.argmax(1)
    inside = (top > 0) & (top < chi.shape[1] - 1)
    if not inside[0]:
        return {"note": f"chi_c is largest at the end, {curve.along}={curve.at[top[0]]:g}"}
    if inside.mean() < MOST:
        return {"note": "the errors do not show whether there is a peak"}
    rows, top = np.flatnonzero(inside), top[inside]
    left, height, right = (chi[rows, top + shift] for shift in (-1, 0, 1))
    bend = left - 2 * height + right
    shift = np.divide(left - right, 2 * bend, out=np.zeros_like(bend), where=bend < 0)
    at = np.interp(top + shift, np.arange(len(curve.at)), curve.at)
    highest = height - (left - right) * shift / 4
    return {curve.along: estimate(at), "connected_susceptibility": estimate(highest)}


def crossing(small: Curve, large: Curve) -> dict[str, Any]:
    """Where U4 of two volumes is the same: the larger one's is higher in the ordered phase, at
    small couplings, and lower in the symmetric one.

    Far from the transition both have the same U4, 2/3 or 0, and noise makes them cross: what is
    sought is where the integral of the difference has its maximum, which noise moves little.
    """
    for curve in (small, large):
        if note := untrusted(curve):
            return {"note": note}
    low, high = small.values["binder"], large.values["binder"]
    difference = high - low
    area = np.cumsum(difference[:, 1:] + difference[:, :-1], 1)
    # the last interval of the rising area ends at the first fine coupling beyond the crossing
    rising = np.where(area.max(1) > 0, area.argmax(1) + 1, 0)
    before = np.where(
        np.take_along_axis(difference, rising[:, None], 1)[:, 0] > 0, rising, rising - 1
    )
    inside = (rising > 0) & (before >= 0) & (before < difference.shape[1] - 1)
    inside &= rising < difference.shape[1] - 1
    if not inside[0]:
        which = "ordered" if difference[0].sum() > 0 else "symmetric"
        return {"note": f"U4 does not cross: the scan seems to lie in the {which} phase"}
    if inside.mean() < MOST:
        return {"note": "the errors of U4 do not show whether it crosses"}
    rows, left = np.flatnonzero(inside), before[inside]
    a, b = difference[rows, left], difference[rows, left + 1]
    share = np.clip(np.divide(a, a - b, out=np.full_like(a, 0.5), where=a != b), 0, 1)
    at = np.interp(left + share, np.arange(len(small.at)), small.at)
    u4 = (1 - share) * low[rows, left] + share * low[rows, left + 1]
    return {small.along: estimate(at), "binder": estimate(u4)}


def estimate(values: np.ndarray) -> dict[str, float]:
    """Of the samples (first), with the spread of the bootstrap samples."""
    return {"value": float(values[0]), "error": float(values[1:].std(ddof=1))}


def untrusted(curve: Curve) -> str:
    """Why a curve shows nothing between its points; nothing where it does."""
    if curve.trusted:
        return ""
    return (
        f"{curve.effective:.0f} effective samples halfway between two points of "
        f"{volume_name(curve.line[0].shape)}, at least {FEWEST_EFFECTIVE} are needed: a smaller "
        "step, or more samples"
    )
