"""The Triton kernels behind triton_stencil.py; importing this file needs triton.

Fields are (channels, sites, batch), the batch innermost, so that a neighbour is a whole row and
every load is coalesced.  A program owns a tile of BS sites x BB batch entries of CB channels, held
as a (CB, BS, BB) block in registers; CB, BS and BB are powers of two.  Tables are (R, f^k, sites)
int32: the site that each tap of each branch reads.
"""

# Triton would read annotations of the arguments as types of its own.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

SQRT_HALF = tl.constexpr(0.7071067811865476)
GAUSS = tl.constexpr(0.3989422804014327)  # 1/sqrt(2 pi)


@triton.jit
def _tanh(z):
    """Odd rational function below 0.625 (Cephes, Moshier), where 1 - 2/(e^2z + 1) would cancel."""
    u = z * z
    p = (-9.64399179425052238628e-1 * u - 9.92877231001918586564e1) * u - 1.61468768441708447952e3
    q = ((u + 1.12811678491632931402e2) * u + 2.23548839060100448583e3) * u
    small = z + z * u * (p / (q + 4.84406305325125486048e3))
    a = tl.abs(z)
    large = 1.0 - 2.0 / (tl.exp(a + a) + 1.0)
    return tl.where(a < 0.625, small, tl.where(z < 0, -large, large))


@triton.jit
def _act(z, ACT: tl.constexpr):
    if ACT == "relu":
        z = tl.where(z <= 0, 0.0, z)  # this way round NaN stays NaN
    elif ACT == "leaky_relu":
        z = tl.where(z > 0, z, z * 0.01)
    elif ACT == "tanh":
        z = _tanh(z)
    elif ACT == "silu":
        z = z / (1.0 + tl.exp(-z))
    elif ACT == "gelu":
        z = 0.5 * z * (1.0 + tl.erf(z * SQRT_HALF))
    else:
        tl.static_assert(ACT == "identity", "an activation without a kernel")
    return z


@triton.jit
def _pull_back(g, z, ACT: tl.constexpr):
    """g act'(z)"""
    if ACT == "relu":
        g = tl.where(z > 0, g, 0.0)
    elif ACT == "leaky_relu":
        g = tl.where(z > 0, g, g * 0.01)
    elif ACT == "tanh":
        y = _tanh(z)
        g = g * (1.0 - y * y)
    elif ACT == "silu":
        s = 1.0 / (1.0 + tl.exp(-z))
        g = g * (s * (1.0 + z * (1.0 - s)))
    elif ACT == "gelu":
        g = g * (0.5 * (1.0 + tl.erf(z * SQRT_HALF)) + z * GAUSS * tl.exp(-0.5 * z * z))
    else:
        tl.static_assert(ACT == "identity", "an activation without a slope")
    return g


@triton.jit
def _tile(index, sites, n_sites, batch, BS: tl.constexpr, BB: tl.constexpr):
    """Tile number ``index``: sites (1, BS, 1), batch members (1, 1, BB), and which exist.

    Everything is in three dimensions from its load on: a dimension added later would cost an
    exchange between the threads at every load.
    """
    blocks = tl.cdiv(n_sites, BS)
    row = index % blocks * BS + tl.arange(0, BS)[None, :, None]
    member = index // blocks * BB + tl.arange(0, BB)[None, None, :]
    site = tl.load(sites + row, mask=row < n_sites, other=0)
    return site, member, (row < n_sites) & (member < batch)


@triton.jit
def _channels(CB: tl.constexpr):
    """This program's output channels (CB, 1, 1)."""
    return tl.program_id(1) * CB + tl.arange(0, CB)[:, None, None]


@triton.jit
def _at(site, member, batch):
    """Offset in a channel; 64 bits, since fields can be large."""
    return site.to(tl.int64) * batch + member


@triton.jit
def _gather(
    acc, source, channel, weight, table, site, member, exists, batch, out,
    SITES: tl.constexpr, TAPS: tl.constexpr, C_IN: tl.constexpr, C_OUT: tl.constexpr,
    STEP_OUT: tl.constexpr, STEP_IN: tl.constexpr, TRANSPOSE: tl.constexpr, UNROLL: tl.constexpr,
):  # fmt: skip
    """acc (CB, BS, BB) + sum over taps t and channels i of weight[out, i, t] source[i, site + t].

    TRANSPOSE: weight[out, i, -t], the taps in reverse.
    """
    for t in range(TAPS):
        near = _at(tl.load(table + t * SITES + site), member, batch)
        tap = weight + (TAPS - 1 - t if TRANSPOSE else t)
        for first in range(0, C_IN, UNROLL):
            for j in tl.static_range(UNROLL):
                i = first + j
                w = tl.load(tap + out * STEP_OUT + i * STEP_IN, mask=out < C_OUT, other=0.0)
                v = tl.load(source + i * channel + near, mask=exists, other=0.0)
                acc = tl.fma(w, v, acc)
    return acc


@triton.jit
def _preactivation(
    total, h, channel, weight, bias, table, r, site, member, exists, batch, out,
    SITES: tl.constexpr, TAPS: tl.constexpr, C_IN: tl.constexpr, C_OUT: tl.constexpr,
    MERGED: tl.constexpr, UNROLL: tl.constexpr,
):  # fmt: skip
    """z_r = bias_r + conv_r(h) (CB, BS, BB), or total + z_r where MERGED."""
    b = tl.load(bias + r * C_OUT + out, mask=out < C_OUT, other=0.0)
    return _gather(
        total + b if MERGED else tl.zeros_like(total) + b,
        h, channel, weight + r * C_OUT * C_IN * TAPS, table + r * TAPS * SITES,
        site, member, exists, batch, out,
        SITES, TAPS, C_IN, C_OUT, C_IN * TAPS, TAPS, False, UNROLL,
    )  # fmt: skip


@triton.jit
def forward(
    h, weight, bias, table, sites, n_sites, batch, y,
    SITES: tl.constexpr, BRANCHES: tl.constexpr, TAPS: tl.constexpr, C_IN: tl.constexpr,
    C_OUT: tl.constexpr, ACT: tl.constexpr, MERGED: tl.constexpr, UNROLL: tl.constexpr,
    CB: tl.constexpr, BS: tl.constexpr, BB: tl.constexpr,
):  # fmt: skip
    """y[o, s] = (1/R) sum_r act(z_r[o, s]), or act((1/R) sum_r z_r) where MERGED, s in ``sites``.

    h (C_IN, SITES, batch), y (C_OUT, SITES, batch), z_r = bias_r + conv_r(h).
    """
    site, member, exists = _tile(tl.program_id(0), sites, n_sites, batch, BS, BB)
    out = _channels(CB)
    channel = tl.cast(batch, tl.int64) * SITES
    total = tl.zeros((CB, BS, BB), h.dtype.element_ty)
    for r in range(BRANCHES):
        z = _preactivation(
            total, h, channel, weight, bias, table, r, site, member, exists, batch, out,
            SITES, TAPS, C_IN, C_OUT, MERGED, UNROLL,
        )  # fmt: skip
        total = z if MERGED else total + _act(z, ACT)
    total = total / BRANCHES
    if MERGED:
        total = _act(total, ACT)
    to = out * channel + _at(site, member, batch)
    tl.store(y + to, total, mask=(out < C_OUT) & exists)


@triton.jit
def delta(
    h, weight, bias, table, sites, batch, gy, dz,
    SITES: tl.constexpr, BRANCHES: tl.constexpr, TAPS: tl.constexpr, C_IN: tl.constexpr,
    C_OUT: tl.constexpr, ACT: tl.constexpr, MERGED: tl.constexpr, UNROLL: tl.constexpr,
    CB: tl.constexpr, BS: tl.constexpr, BB: tl.constexpr,
):  # fmt: skip
    """dz_r = gy act'(z_r), or dz = gy act'((1/R) sum_r z_r) where MERGED, from z_r anew.

    dz (R, C_OUT, SITES, batch), MERGED: (C_OUT, SITES, batch); the factor 1/R is left to the
    kernels that read it.
    """
    site, member, exists = _tile(tl.program_id(0), sites, SITES, batch, BS, BB)
    out = _channels(CB)
    channel = tl.cast(batch, tl.int64) * SITES
    to = out * channel + _at(site, member, batch)
    mask = (out < C_OUT) & exists
    total = tl.zeros((CB, BS, BB), h.dtype.element_ty)
    for r in range(BRANCHES):
        z = _preactivation(
            total, h, channel, weight, bias, table, r, site, member, exists, batch, out,
            SITES, TAPS, C_IN, C_OUT, MERGED, UNROLL,
        )  # fmt: skip
        if MERGED:
            total = z
        else:
            g = tl.load(gy + to, mask=mask, other=0.0)  # here, not sooner: registers are scarce
            tl.store(dz + r * C_OUT * channel + to, _pull_back(g, z, ACT), mask=mask)
    if MERGED:
        g = tl.load(gy + to, mask=mask, other=0.0)
        tl.store(dz + to, _pull_back(g, total / BRANCHES, ACT), mask=mask)


@triton.jit
def input_grad(
    dz, weight, table, sites, batch, gh,
    SITES: tl.constexpr, BRANCHES: tl.constexpr, TAPS: tl.constexpr, C_IN: tl.constexpr,
    C_OUT: tl.constexpr, MERGED: tl.constexpr, UNROLL: tl.constexpr,
    CB: tl.constexpr, BS: tl.constexpr, BB: tl.constexpr,
):  # fmt: skip
    """gh[i, s] = (1/R) sum over r, o, t of weight_r[o, i, t] dz_r[o, s - t]; a block owns i."""
    site, member, exists = _tile(tl.program_id(0), sites, SITES, batch, BS, BB)
    i = _channels(CB)
    channel = tl.cast(batch, tl.int64) * SITES
    acc = tl.zeros((CB, BS, BB), dz.dtype.element_ty)
    for r in range(BRANCHES):
        acc = _gather(
            acc,
            dz if MERGED else dz + r * C_OUT * channel,
            channel, weight + r * C_OUT * C_IN * TAPS, table + r * TAPS * SITES,
            site, member, exists, batch, i,
            SITES, TAPS, C_OUT, C_IN, TAPS, C_IN * TAPS, True, UNROLL,
        )  # fmt: skip
    to = i * channel + _at(site, member, batch)
    tl.store(gh + to, acc / BRANCHES, mask=(i < C_IN) & exists)


@triton.jit
def weight_grad(
    h, dz, table, sites, n_sites, batch, n_tiles, partial, row, weights_at, biases_at,
    SITES: tl.constexpr, BRANCHES: tl.constexpr, TAPS: tl.constexpr, C_IN: tl.constexpr,
    C_OUT: tl.constexpr, MERGED: tl.constexpr, KB: tl.constexpr,
    CB: tl.constexpr, BS: tl.constexpr, BB: tl.constexpr,
):  # fmt: skip
    """What the tiles of one program add to the gradients of weight_r[o, k] and bias_r[o].

    d weight_r[o, (i, t)] = (1/R) sum over s in ``sites`` and the batch of dz_r[o, s] h[i, s + t].
    A bias counts as one more column k, whose input is 1.  Program (n, r, block of o and k) takes
    tiles n, n + N, n + 2 N, ... and writes row n of ``partial`` (N, ``row``), in which this layer's
    weight and bias begin at ``weights_at`` and ``biases_at``.
    """
    n = tl.program_id(0)
    r = tl.program_id(1)
    K: tl.constexpr = C_IN * TAPS
    column_blocks: tl.constexpr = (K + KB) // KB  # of K + 1 columns
    k = tl.program_id(2) % column_blocks * KB + tl.arange(0, KB)[:, None, None, None]
    out = tl.program_id(2) // column_blocks * CB + tl.arange(0, CB)[None, :, None, None]
    channel = tl.cast(batch, tl.int64) * SITES
    h += k // TAPS * channel
    dz += (out if MERGED else r * C_OUT + out) * channel
    table += (r * TAPS + k % TAPS) * SITES
    acc = tl.zeros((KB, CB, BS, BB), partial.dtype.element_ty)
    for tile in range(n, n_tiles, tl.num_programs(0)):
        site, member, exists = _tile(tile, sites, n_sites, batch, BS, BB)
        site, member, exists = site[None], member[None], exists[None]
        near = tl.load(table + site, mask=k < K, other=0)
        v = tl.load(h + _at(near, member, batch), mask=(k < K) & exists, other=1.0)
        d = tl.load(dz + _at(site, member, batch), mask=(out < C_OUT) & exists, other=0.0)
        acc = tl.fma(v, d, acc)
    total = tl.sum(tl.sum(acc, 3), 2) / BRANCHES
    k, o = tl.reshape(k, (KB, 1)), r * C_OUT + tl.reshape(out, (1, CB))
    to = tl.where(k < K, weights_at + o * K + k, biases_at + o)
    mask = (k <= K) & (o < (r + 1) * C_OUT)
    tl.store(partial + tl.cast(n, tl.int64) * row + to, total, mask=mask)
