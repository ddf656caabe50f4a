// The two-point function of time slices, averaged over the signs of clusters.

#pragma once

#include <cmath>
#include <cstdlib>

#include "cluster.h"

namespace {

// Adds to C(t), t = 0 .. side - 1, the products of the slices of a cluster, A(s) A(s+t) over all s;
// A is not zero in n slices
INLINE void add_products(const double* slice, const int32_t* s, int64_t n, int64_t side, double* c) {
  for (int64_t i = 0; i < n; ++i) {
    const double a = slice[s[i]];
    c[0] += a * a;
    for (int64_t j = 0; j < i; ++j) {
      const int64_t t = std::abs(s[i] - s[j]);
      const double product = a * slice[s[j]];
      c[t] += product;  // the period round, the distance is side - t
      c[side - t] += product;
    }
  }
}

// For signs that are independent coins of the clusters, the average of
// mean_s P(s) P(s+t), P(s) the mean of phi over the slice x_mu = s, along each axis mu:
//
//   C(t) = (side / V^2) sum over clusters, s: A(s) A(s+t),   A(s) the sum of |phi| over its slice.
//
// For clusters as flip_all has left them.  slice: (largest side) zeros, which it leaves.
template <int D>
NOINLINE void correlate(const Tile<D>& tile, int lane, double* slice, double* correlators) {
  const Cluster& c = tile.c;
  const int32_t* const parent = tile.ints;  // the first site of the cluster
  int32_t *const next = tile.ints + c.sites, *const last = next + c.sites;
  double* const size = tile.field;  // |phi|
  for (int64_t x = 0; x < c.sites; ++x) {
    const int32_t r = parent[x];
    size[x] = std::fabs(tile.at(x, lane));
    next[x] = -1;
    if (r != x) next[last[r]] = int32_t(x);
    last[r] = int32_t(x);
  }
  int64_t total = 0;
  for (int64_t mu = 0; mu < c.axes; ++mu) total += c.sides[mu];
  for (int64_t i = 0; i < total; ++i) correlators[i] = 0.0;
  int32_t* const occupied = last;  // which has done its work
  double alone = 0.0;              // phi^2 of clusters of one site
  for (int64_t r = 0; r < c.sites; ++r) {
    if (parent[r] != r) continue;
    if (next[r] < 0) {
      alone += size[r] * size[r];
      continue;
    }
    double* to = correlators;
    for (int64_t mu = 0; mu < c.axes; to += c.sides[mu++]) {
      const int32_t* const position = c.position + mu * c.sites;
      int64_t n = 0;
      for (int32_t x = int32_t(r); x >= 0; x = next[x]) {
        const int32_t s = position[x];
        occupied[n] = s;
        n += slice[s] == 0.0;  // not zero afterwards: phi = 0 is bound to nothing
        slice[s] += size[x];
      }
      add_products(slice, occupied, n, c.sides[mu], to);
      for (int64_t i = 0; i < n; ++i) slice[occupied[i]] = 0.0;
    }
  }
  double* to = correlators;
  for (int64_t mu = 0; mu < c.axes; to += c.sides[mu++]) {
    to[0] += alone;
    for (int64_t t = 0; t < c.sides[mu]; ++t)
      to[t] *= double(c.sides[mu]) / (double(c.sites) * double(c.sites));
  }
}

}  // namespace
