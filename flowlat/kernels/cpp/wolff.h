// Single clusters of the sign of phi, each grown from a site at random and flipped.

#pragma once

#include <cmath>

#include "cluster.h"
#include "slice_correlators.h"

namespace {

// Bonds from a cluster to sites that may join: as many random numbers and exponentials at once as
// a vector has lanes
struct Bonds {
  static constexpr int kMost = W + 2 * kAxes;
  int n = 0;
  int32_t there[kMost];  // the site beyond
  double product[kMost];
  uint64_t counter[kMost], stream[kMost], odd[kMost];  // of the random number; which of two words
};

// c.single clusters of a lane, one after another; how many sites they have together.
//
// Sites are flipped when they join, so that what has joined is of the other sign than what may.  A
// bond has its own random number, whichever end it is seen from: clusters do not depend on the
// order in which they grow.
//
// correlators, unless null: of the cluster of a site at random those of all clusters, |C| / V of
// which would be this one, are V / |C| times its own on average; the mean over the single clusters
template <int D>
NOINLINE double grow_and_flip(const Tile<D>& tile, int lane, double* correlators) {
  const Cluster& c = tile.c;
  double* const phi = tile.field;
  int32_t* const members = tile.ints;  // of which the first so many have been looked at
  const uint64_t configuration = uint64_t(tile.first + lane);
  for (int64_t x = 0; x < c.sites; ++x) phi[x] = tile.at(x, lane);
  int64_t looked = 0, joined = 0, flipped = 0;
  const auto join = [&](int64_t x) ALWAYS {
    phi[x] = -phi[x];
    members[joined++] = int32_t(x);
  };
  Bonds bonds;
  for (int64_t number = 1; number <= c.single; ++number) {
    const uint64_t streams = uint64_t(number) << kCluster;
    const Philox<U> random(uint64_t(c.key), U{} + configuration, streams + kSweeps);
    const V u = one_to_two<V>(random.first) - 1.0;  // the same in all lanes
    const int64_t seed = int64_t(u[0] * double(c.sites));
    looked = joined = 0;
    join(seed);
    const double sign = std::copysign(1.0, phi[seed]);  // of all that have joined
    while (looked < joined || bonds.n) {
      while (looked < joined && bonds.n < W) {
        const int64_t x = members[looked++];
        const int64_t* const beside = tile.beside(x);
        for (int64_t i = 0; i < 2 * tile.d(); ++i) {
          const int64_t y = beside[i], axis = i / 2;
          const double product = phi[x] * phi[y];
          bonds.there[bonds.n] = int32_t(y);
          bonds.product[bonds.n] = product;
          bonds.counter[bonds.n] = uint64_t(i % 2 ? y : x) * uint64_t(c.batch) + configuration;
          bonds.stream[bonds.n] = streams + uint64_t(axis / 2);
          bonds.odd[bonds.n] = axis % 2 ? ~uint64_t(0) : 0;
          bonds.n += product < 0.0;  // else the next one is written over it
        }
      }
      const int taken = bonds.n < W ? bonds.n : W;
      bonds.n -= taken;
      V product;
      U counter, stream, odd;
      std::memcpy(&product, bonds.product + bonds.n, sizeof(V));
      std::memcpy(&counter, bonds.counter + bonds.n, sizeof(V));
      std::memcpy(&stream, bonds.stream + bonds.n, sizeof(V));
      std::memcpy(&odd, bonds.odd + bonds.n, sizeof(V));
      const Philox<U> random(uint64_t(c.key), counter, stream);
      const U word = (random.first & ~odd) | (random.second & odd);
      unsigned bound = less(exp_of(4.0 * product), against(word)) & ((1u << taken) - 1);
      for (; bound; bound &= bound - 1) {
        const int64_t y = bonds.there[bonds.n + __builtin_ctz(bound)];
        if (phi[y] * sign < 0.0) join(y);  // not by another bond
      }
    }
    flipped += joined;
    const double weight = double(c.sites) / (double(joined) * double(c.single));
    if (correlators) add_cluster(tile, members, joined, weight, correlators);
  }
  for (int64_t x = 0; x < c.sites; ++x) tile.at(x, lane) = phi[x];
  return double(flipped);
}

}  // namespace
