// Sweeps of local updates, each site in turn with a Metropolis test.

#pragma once

#include "cluster.h"

namespace {

// propose(phi, b, word) for every site in turn, of which the action is
// mass phi^2 + lam phi^4 - b phi; accepted with min(1, exp(-change)), and counted
template <int D, class Propose>
INLINE V sweep(const Tile<D>& tile, uint64_t stream, const Propose& propose) {
  const Cluster& c = tile.c;
  V accepted = {};
  for (int64_t x = 0; x < c.sites; ++x) {
    const Philox<U> random = tile.words(x, stream);
    const V old = tile.phi[x], b = 2.0 * tile.sum_beside(x), now = propose(old, b, random.first);
    const V change = (now - old) * ((now + old) * (c.mass + c.lam * (now * now + old * old)) - b);
    const V weight = exp_of(change > 0.0 ? -change : V{});
    const auto taken = one_to_two<V>(random.second) - 1.0 < weight;
    tile.phi[x] = taken ? now : old;
    accepted += taken ? V{} + 1.0 : V{};
  }
  return accepted;
}

template <int D> NOINLINE V metropolis(const Tile<D>& tile, uint64_t stream) {
  const double width = tile.c.width;
  return sweep(tile, stream, [&](V old, V, U word) ALWAYS {
    return old + width * (2.0 * one_to_two<V>(word) - 3.0);
  });
}

template <int D> NOINLINE void overrelax(const Tile<D>& tile, uint64_t stream) {
  const double reflection = tile.c.reflection;
  sweep(tile, stream, [&](V old, V b, U) ALWAYS { return reflection * b - old; });
}

}  // namespace
