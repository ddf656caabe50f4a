// All clusters of the sign of phi, each of which has a coin.

#pragma once

#include <algorithm>

#include "cluster.h"

namespace {

// Bonds between neighbours of one sign, with probability 1 - exp(-4 phi(x) phi(x+mu)), and a coin
// for every site
template <int D> NOINLINE void draw(const Tile<D>& tile) {
  const U one = (U)(V{} + 1.0);
  for (int64_t x = 0; x < tile.c.sites; ++x) {
    Philox<U> random = tile.words(x, 0);
    // the last bit, which the uniform number does not have
    tile.signs[x] = uint8_t(less((V)(random.first << 63 | one), V{}));
    for (int64_t axis = 0; axis < tile.d(); ++axis) {
      if (axis && axis % 2 == 0) random = tile.words(x, axis / 2);
      const V product = -4.0 * tile.phi[x] * tile.phi[tile.beside(x)[2 * axis]];
      const V weight = exp_of(product < 0.0 ? product : V{});
      const V u = against(axis % 2 ? random.second : random.first);
      tile.bonds[x * tile.d() + axis] = uint8_t(less(weight, u));
    }
  }
}

INLINE int32_t root(int32_t* parent, int32_t x) {
  while (parent[x] != x) x = parent[x] = parent[parent[x]];
  return x;
}

// Every cluster of a lane has the coin of its first site, which is the parent of all its sites in
// the end: parent is the first row of the integers
template <int D> NOINLINE void flip_all(const Tile<D>& tile, int lane) {
  const double sign[2] = {1.0, -1.0};  // no branch, which nobody could predict
  int32_t* const parent = tile.ints;
  for (int64_t x = 0; x < tile.c.sites; ++x) parent[x] = int32_t(x);
  for (int64_t x = 0; x < tile.c.sites; ++x) {
    for (int64_t axis = 0; axis < tile.d(); ++axis) {
      if (!(tile.bonds[x * tile.d() + axis] >> lane & 1)) continue;
      const int32_t a = root(parent, int32_t(x));
      const int32_t b = root(parent, int32_t(tile.beside(x)[2 * axis]));
      parent[std::max(a, b)] = std::min(a, b);
    }
  }
  for (int64_t x = 0; x < tile.c.sites; ++x) {
    // what it points to comes before, and points to its root already
    const int32_t r = parent[x] = parent[parent[x]];
    tile.at(x, lane) *= sign[tile.signs[r] >> lane & 1];
  }
}

}  // namespace
