// What cluster and local updates of phi^4 have in common: a tile of W configurations,
//
//   S = sum_x { mass phi^2 + lam phi^4 - 2 sum_mu phi(x) phi(x+mu) },   mass = 2 d + m2,
//
// over the axes of more than one site; along the others phi(x+mu) is phi(x) and belongs to the mass.

#pragma once

#include <cstdint>

#include "lanes.h"
#include "random.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

// The structure that phi4/cluster.py mirrors
struct Cluster {
  int64_t d, sites, batch, threads, metropolis, overrelaxation, single, axes, key;
  double mass, lam, width, reflection;
  const int64_t* neighbours;  // (sites, d, 2): forwards, backwards
  const int64_t* sides;       // (axes): those of the lattice, also of one site
  const int32_t* position;    // (axes, sites)
  const double* phi;          // (sites, batch)
  double* out;                // (sites, batch)
  double *action, *accepted;  // (batch): S at the end; proposals of Metropolis that were accepted
  double* flipped;            // (batch): sites of single clusters, all of them together
  double* correlators;        // (batch, sum of sides), or null
};

namespace {

typedef uint64_t U __attribute__((vector_size(VECTOR_BYTES)));

// Streams of random numbers of an update.  Bonds of axes 2 i and 2 i + 1 are those of stream
// c 2^32 + i, of the single cluster c = 1, 2, ... or, c = 0, of all clusters; sweep i has
// 2^16 + i, and the first site of single cluster c has c 2^32 + 2^16.
constexpr uint64_t kSweeps = 1 << 16;
constexpr int kCluster = 32;
// axes of a lattice, at the most: flowlat/utils/limits.py
constexpr int kAxes = 7;

// exp(x) of x <= 0, to a few units in the last place; below -700 that of -700
INLINE V exp_of(V x) {
  x = x < -700.0 ? x - x - 700.0 : x;
  const double magic = 6755399441055744.0;  // 1.5 2^52: an integer in the lower bits of a sum
  const V shifted = x * 1.4426950408889634 + magic, k = shifted - magic;
  const V r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10;
  V p = r * (1.0 / 6227020800) + 1.0 / 479001600;
  p = p * r + 1.0 / 39916800;
  p = p * r + 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  return p * (V)(((U)shifted + uint64_t(1023)) << 52);
}

// a bit of each lane in which a < b
INLINE unsigned less(V a, V b) {
#if defined(__AVX512F__)
  return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LT_OQ);
#else
  unsigned bits = 0;
  for (int lane = 0; lane < W; ++lane) bits |= unsigned(a[lane] < b[lane]) << lane;
  return bits;
#endif
}

INLINE U lanes_in_turn() {
  U number = {};
  for (int lane = 0; lane < W; ++lane) number[lane] = lane;
  return number;
}

// (0, 1], against which the weight of an open bond is held: less(weight, u) binds
INLINE V against(U word) { return 2.0 - one_to_two<V>(word); }

// D: axes of more than one site, a constant for the compiler; -1: any number.
// phi [site][lane] stays in the caches for a whole update; clusters are looked for lane by lane.
template <int D> struct Tile {
  const Cluster& c;
  const int64_t first, lanes;  // of its configurations, and how many they are
  V* const phi;                // (sites)
  double* const field;         // (sites): of one lane, and so are
  int32_t* const ints;         // (4, sites) and one more: clusters and their sites
  double* const slice;         // (largest side) zeros
  uint8_t *const bonds, *const signs;  // (sites, d), (sites): a bit of each lane

  INLINE int64_t d() const { return D < 0 ? c.d : D; }
  INLINE const int64_t* beside(int64_t x) const { return c.neighbours + 2 * d() * x; }
  // phi(x) of a lane, to read and to write: a vector may be aliased by its elements
  INLINE double& at(int64_t x, int lane) const { return ((double*)(phi + x))[lane]; }

  INLINE V sum_beside(int64_t x) const {
    V sum = {};
    for (int64_t i = 0; i < 2 * d(); ++i) sum += phi[beside(x)[i]];
    return sum;
  }

  INLINE Philox<U> words(int64_t x, uint64_t stream) const {
    return {uint64_t(c.key), lanes_in_turn() + uint64_t(x * c.batch + first), stream};
  }

  INLINE V action() const {
    V total = {};
    for (int64_t x = 0; x < c.sites; ++x)
      total += phi[x] * (phi[x] * (c.mass + c.lam * (phi[x] * phi[x])) - sum_beside(x));
    return total;
  }
};

}  // namespace
