// S of phi^4 and its force, -dS/dphi = -2 (2 d + m2) phi - 4 lam phi^3 + 2 sum over the neighbours,
// each in one pass; in double precision whatever the field has, as in phi4.h.

#include <algorithm>
#include <cstdint>

#include "phi4.h"
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

// W configurations as the field has them
template <class T> struct Stored {
  typedef T V __attribute__((vector_size(W * sizeof(T))));
};

// One site of a tile: its lanes are side by side, or as far apart as configurations are
template <class T> INLINE V get(const T* from, int64_t between, int64_t lanes) {
  typename Stored<T>::V v = {};
  if (between == 1 && lanes == W)
    std::memcpy(&v, from, sizeof(v));
  else
    for (int64_t lane = 0; lane < lanes; ++lane) v[lane] = from[lane * between];
  return __builtin_convertvector(v, V);
}
template <class T> INLINE void put(V value, T* to, int64_t between, int64_t lanes) {
  using Narrow = typename Stored<T>::V;
  const Narrow v = __builtin_convertvector(value, Narrow);
  if (between == 1 && lanes == W)
    std::memcpy(to, &v, sizeof(v));
  else
    for (int64_t lane = 0; lane < lanes; ++lane) to[lane * between] = v[lane];
}

template <class T, int N> void run(const Action& t) {
  const Lines lines(t.d, t.sides, t.sites);
  const double mass = 2 * t.d + t.m2;
  const int64_t tiles = (t.batch + W - 1) / W;
  const int64_t threads = std::max<int64_t>(1, std::min(t.threads, tiles));
  V* const memory = scratch<V>(threads * t.sites);
  share(threads, tiles, [&](int64_t thread, int64_t tile) {
    V* const phi = memory + thread * t.sites;
    const int64_t first = tile * W * t.between, lanes = std::min<int64_t>(W, t.batch - tile * W);
    const auto with = [&](int64_t lanes) ALWAYS {  // a constant for the compiler, if it is W
      const T* const from = (const T*)t.phi + first;
      for (int64_t x = 0; x < t.sites; ++x) phi[x] = get(from + x * t.step, t.between, lanes);
      if (t.action) {
        const V action = action_of<N>(lines, phi, mass, t.lam);
        put(action, t.action + tile * W, 1, lanes);
      }
      if (t.force) {
        T* const to = (T*)t.force + first;
        sites<N>(lines, phi, [&](int64_t x, V centre, V sum) ALWAYS {
          const V force = 2 * sum - centre * (2 * mass + 4 * t.lam * (centre * centre));
          put(force, to + x * t.step, t.between, lanes);
        });
      }
    };
    lanes == W ? with(W) : with(lanes);
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
