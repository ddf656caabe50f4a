// S of phi^4 and its force, -dS/dphi = -2 (2 d + m2) phi - 4 lam phi^3 + 2 sum over the neighbours,
// each in one pass; in double precision whatever the field has, as in phi4.h.

#include <algorithm>
#include <cstdint>

#include "phi4.h"
#include "rows.h"
#include "tiles.h"

// What phi4/action.py mirrors
struct Action {
  int64_t d, sites, batch, threads;
  int64_t step, between;  // from a site to the next, and from a configuration to the next
  double m2, lam;
  const int64_t* sides;
  const void* phi;
  double* action;         // (batch); null: not wanted
  void* force;            // as phi; null: not wanted
};

namespace {

// The fields of a tile: rows, or sites at which the configurations lie side by side
template <class T> struct Tile {
  using Stored = typename Rows<T, W>::V;
  const Action& t;
  const int64_t first;
  const int lanes;

  Tile(const Action& t, int64_t tile)
      : t(t), first(tile * W * t.between), lanes(int(std::min<int64_t>(W, t.batch - tile * W))) {}

  // of lanes without a configuration 0
  void read(V* phi) const {
    const T* const from = (const T*)t.phi + first;
    const auto keep = [=](int64_t x, Stored v) ALWAYS { phi[x] = __builtin_convertvector(v, V); };
    if (t.step == 1) return Rows<T, W>::read(from, t.between, t.sites, lanes, keep);
    for (int64_t x = 0; x < t.sites; ++x) {
      Stored v = {};
      std::memcpy(&v, from + x * t.step, lanes == W ? sizeof(v) : lanes * sizeof(T));
      keep(x, v);
    }
  }

  void write(const V* force) const {
    T* const to = (T*)t.force + first;
    const auto get = [=](int64_t x) ALWAYS { return __builtin_convertvector(force[x], Stored); };
    if (t.step == 1) return Rows<T, W>::write(get, t.between, t.sites, lanes, to);
    for (int64_t x = 0; x < t.sites; ++x) {
      const Stored v = get(x);
      std::memcpy(to + x * t.step, &v, lanes == W ? sizeof(v) : lanes * sizeof(T));
    }
  }
};

template <class T, int N> void run(const Action& t) {
  const Lines lines(t.d, t.sides, t.sites);
  const double mass = 2 * t.d + t.m2;
  const int64_t tiles = (t.batch + W - 1) / W, per_thread = (t.force ? 2 : 1) * t.sites;
  const int64_t threads = std::max<int64_t>(1, std::min(t.threads, tiles));
  V* const memory = scratch<V>(threads * per_thread);
  share(threads, tiles, [&](int64_t thread, int64_t number) {
    const Tile<T> tile(t, number);
    V *const phi = memory + thread * per_thread, *const force = phi + t.sites;
    tile.read(phi);
    if (t.action) {
      const V action = action_of<N>(lines, phi, mass, t.lam);
      std::memcpy(t.action + number * W, &action, tile.lanes * sizeof(double));
    }
    if (t.force) {
      sites<N>(lines, phi, [&](int64_t x, V centre, V sum) ALWAYS {
        force[x] = 2 * sum - centre * (2 * mass + 4 * t.lam * (centre * centre));
      });
      tile.write(force);
    }
  });
}

template <class T> void run(const Action& t) {
  switch (t.d) {
    case 1: return run<T, 0>(t);
    case 2: return run<T, 2>(t);
    case 3: return run<T, 4>(t);
    case 4: return run<T, 6>(t);
    default: return run<T, -1>(t);
  }
}

}  // namespace

extern "C" void flowlat_action(const Action* t, int32_t is_double) {
  (is_double ? run<double> : run<float>)(*t);
}
