// The two-point function of time slices, averaged over the signs of clusters.

#pragma once

#include <cmath>
#include <cstdlib>

#include "cluster.h"

namespace {

// Adds to C(t), t = 0 .. side - 1, weight times the products of the slices of a cluster,
// A(s) A(s+t) over all s; A is not zero in n slices
INLINE void add_products(
    const double* slice, const int32_t* s, int64_t n, int64_t side, double weight, double* c) {
  for (int64_t i = 0; i < n; ++i) {
    const double a = weight * slice[s[i]];
    c[0] += a * slice[s[i]];
    for (int64_t j = 0; j < i; ++j) {
      const int64_t t = std::abs(s[i] - s[j]);
      const double product = a * slice[s[j]];
      c[t] += product;  // the period round, the distance is side - t
      c[side - t] += product;
    }
  }
}

// Along each axis, sum over s of A(s) A(s+t), A(s) the sum of |phi| over the n sites of a cluster
// in the slice x_mu = s: added to the correlators, times a weight
template <int D>
INLINE void add_cluster(
    const Tile<D>& tile, const int32_t* sites, int64_t n, double weight, double* correlators) {
  const Cluster& c = tile.c;
  int32_t* const occupied = tile.ints + 3 * c.sites;
  double *const slice = tile.slice, *to = correlators;
  for (int64_t mu = 0; mu < c.axes; to += c.sides[mu++]) {
    const int32_t* const position = c.position + mu * c.sites;
    int64_t slices = 0;
    for (int64_t i = 0; i < n; ++i) {
      const int32_t s = position[sites[i]];
      occupied[slices] = s;
      slices += slice[s] == 0.0;  // not zero afterwards: phi = 0 is bound to nothing
      slice[s] += std::fabs(tile.field[sites[i]]);
    }
    add_products(slice, occupied, slices, c.sides[mu], weight, to);
    for (int64_t i = 0; i < slices; ++i) slice[occupied[i]] = 0.0;
  }
}

// For signs that are independent coins of the clusters, the average of
// mean_s P(s) P(s+t), P(s) the mean of phi over the slice x_mu = s, along each axis mu:
//
//   C(t) = (side / V^2) sum over clusters, s: A(s) A(s+t)
//
// The factor comes in the end: see scale.  For clusters as flip_all has left them.
template <int D> NOINLINE void correlate(const Tile<D>& tile, int lane, double* correlators) {
  const int64_t sites = tile.c.sites;
  const int32_t* const parent = tile.ints;  // the first site of the cluster
  int32_t *const next = tile.ints + sites, *const last = next + sites;
  for (int64_t x = 0; x < sites; ++x) {
    const int32_t r = parent[x];
    tile.field[x] = tile.at(x, lane);
    next[x] = -1;
    if (r != x) next[last[r]] = int32_t(x);
    last[r] = int32_t(x);
  }
  int32_t* const members = last;  // which has done its work
  double alone = 0.0;             // phi^2 of clusters of one site
  for (int64_t r = 0; r < sites; ++r) {
    if (parent[r] != r) continue;
    if (next[r] < 0) {
      alone += tile.field[r] * tile.field[r];
      continue;
    }
    int64_t n = 0;
    for (int32_t x = int32_t(r); x >= 0; x = next[x]) members[n++] = x;
    add_cluster(tile, members, n, 1.0, correlators);
  }
  for (int64_t mu = 0; mu < tile.c.axes; correlators += tile.c.sides[mu++]) correlators[0] += alone;
}

inline void scale(const Cluster& c, double* correlators) {
  for (int64_t mu = 0; mu < c.axes; correlators += c.sides[mu++])
    for (int64_t t = 0; t < c.sides[mu]; ++t)
      correlators[t] *= double(c.sides[mu]) / (double(c.sites) * double(c.sites));
}

}  // namespace
