// Local and cluster updates of phi^4, many configurations at once: sweeps of Metropolis, sweeps of
// overrelaxation, then clusters of the sign.
//
// Memory: (sites, batch).  phi4/cluster_plain.py says the same in PyTorch.

#include "cluster.h"

#include <algorithm>

#include "local_updates.h"
#include "slice_correlators.h"
#include "swendsen_wang.h"
#include "tiles.h"
#include "wolff.h"

namespace {

template <int D> void run(const Cluster& c) {
  int64_t largest = 1, total = 0;
  for (int64_t mu = 0; mu < c.axes; ++mu) {
    largest = std::max(largest, c.sides[mu]);
    total += c.sides[mu];
  }
  const int64_t tiles = (c.batch + W - 1) / W;
  const int64_t threads = std::max<int64_t>(1, std::min(c.threads, tiles));
  const int64_t bytes = largest * sizeof(double) +
                        c.sites * (sizeof(double) + 4 * sizeof(int32_t) + c.d + 1) +
                        sizeof(int32_t);
  const int64_t per_thread = c.sites + (bytes + sizeof(V) - 1) / sizeof(V);
  V* const memory = scratch<V>(threads * per_thread);
  share(threads, tiles, [&](int64_t thread, int64_t number) {
    V* const phi = memory + thread * per_thread;
    double* const slice = (double*)(phi + c.sites);
    double* const field = slice + largest;
    int32_t* const ints = (int32_t*)(field + c.sites);
    uint8_t* const bonds = (uint8_t*)(ints + 4 * c.sites + 1);
    const int64_t first = number * W, lanes = std::min<int64_t>(W, c.batch - first);
    const Tile<D> tile{c, first, lanes, phi, field, ints, slice, bonds, bonds + c.d * c.sites};
    load(c.phi + first, c.batch, lanes, c.sites, phi);
    std::fill(slice, slice + largest, 0.0);
    V accepted = {}, flipped = {};
    for (int64_t i = 0; i < c.metropolis; ++i) accepted += metropolis(tile, kSweeps + i);
    for (int64_t i = 0; i < c.overrelaxation; ++i) overrelax(tile, kSweeps + c.metropolis + i);
    if (!c.single) draw(tile);
    for (int lane = 0; lane < lanes; ++lane) {
      double* const correlators = c.correlators ? c.correlators + (first + lane) * total : nullptr;
      if (correlators) std::fill(correlators, correlators + total, 0.0);
      if (c.single) {
        flipped[lane] = grow_and_flip(tile, lane, correlators);
      } else {
        flip_all(tile, lane);
        if (correlators) correlate(tile, lane, correlators);
      }
      if (correlators) scale(c, correlators);
    }
    const V action = tile.action();
    store(phi, c.batch, lanes, c.sites, c.out + first);
    store(&action, c.batch, lanes, 1, c.action + first);
    store(&accepted, c.batch, lanes, 1, c.accepted + first);
    store(&flipped, c.batch, lanes, 1, c.flipped + first);
  });
}

}  // namespace

extern "C" void flowlat_cluster(const Cluster* c, int32_t) {
  switch (c->d) {
    case 1: return run<1>(*c);
    case 2: return run<2>(*c);
    case 3: return run<3>(*c);
    case 4: return run<4>(*c);
    default: return run<-1>(*c);
  }
}
