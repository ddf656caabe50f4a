// Cluster and local updates of phi^4, many configurations at once.
//
//   S = sum_x { mass phi^2 + lam phi^4 - 2 sum_mu phi(x) phi(x+mu) },   mass = 2 d + m2,
//
// over the axes of more than one site; along the others phi(x+mu) is phi(x) and belongs to the mass.
//
// Memory: (sites, batch).  A tile of W configurations, [site][lane], stays in the caches for whole
// updates; clusters are looked for lane by lane.  phi4/cluster_plain.py says the same in PyTorch.

#include <algorithm>
#include <cstdint>

#include "lanes.h"
#include "random.h"
#include "tiles.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

// The structure that phi4/cluster.py mirrors --------------------------------------------------

struct Cluster {
  int64_t d, sites, batch, threads, metropolis, overrelaxation, key;
  double mass, lam, width, reflection;
  const int64_t* neighbours;  // (sites, d, 2): forwards, backwards
  const double* phi;          // (sites, batch)
  double* out;                // (sites, batch)
  double *action, *accepted;  // (batch): S at the end; proposals of Metropolis that were accepted
};

namespace {

typedef uint64_t U __attribute__((vector_size(VECTOR_BYTES)));

// streams of random numbers of an update: bonds of axes 2 i and 2 i + 1 are from stream i
constexpr uint64_t kSweeps = 1 << 16;

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

// D: axes, a constant for the compiler; -1: any number
template <int D> struct Tile {
  const Cluster& c;
  const int64_t first;  // of its configurations
  V* const phi;
  int32_t* const parent;   // (sites)
  uint8_t *const bonds, *const signs;  // (sites, d), (sites): a bit of each lane

  INLINE int64_t axes() const { return D < 0 ? c.d : D; }
  INLINE const int64_t* beside(int64_t x) const { return c.neighbours + 2 * axes() * x; }

  INLINE V sum_beside(int64_t x) const {
    V sum = {};
    for (int64_t i = 0; i < 2 * axes(); ++i) sum += phi[beside(x)[i]];
    return sum;
  }

  INLINE Philox<U> words(int64_t x, uint64_t stream) const {
    U counter = {};
    for (int lane = 0; lane < W; ++lane) counter[lane] = lane;
    return Philox<U>(uint64_t(c.key), counter + uint64_t(x * c.batch + first), stream);
  }

  // propose(phi, b, word) for every site in turn, of which the action is
  // mass phi^2 + lam phi^4 - b phi; accepted with min(1, exp(-change))
  template <class Propose> INLINE V sweep(uint64_t stream, const Propose& propose) const {
    V accepted = {};
    for (int64_t x = 0; x < c.sites; ++x) {
      const Philox<U> random = words(x, stream);
      const V old = phi[x], b = 2.0 * sum_beside(x), now = propose(old, b, random.first);
      const V change =
          (now - old) * ((now + old) * (c.mass + c.lam * (now * now + old * old)) - b);
      const V weight = exp_of(change > 0.0 ? -change : V{});
      const auto taken = one_to_two<V>(random.second) - 1.0 < weight;
      phi[x] = taken ? now : old;
      accepted += taken ? V{} + 1.0 : V{};
    }
    return accepted;
  }

  NOINLINE V metropolis(uint64_t stream) const {
    return sweep(stream, [&](V old, V, U word) ALWAYS {
      return old + c.width * (2.0 * one_to_two<V>(word) - 3.0);
    });
  }

  NOINLINE void overrelax(uint64_t stream) const {
    sweep(stream, [&](V old, V b, U) ALWAYS { return c.reflection * b - old; });
  }

  // Bonds between neighbours of one sign, with probability 1 - exp(-4 phi(x) phi(x+mu)), and a
  // coin for every site
  NOINLINE void draw() const {
    const U one = (U)(V{} + 1.0);
    for (int64_t x = 0; x < c.sites; ++x) {
      Philox<U> random = words(x, 0);
      // the last bit, which the uniform number does not have
      signs[x] = uint8_t(less((V)(random.first << 63 | one), V{}));
      for (int64_t axis = 0; axis < axes(); ++axis) {
        if (axis && axis % 2 == 0) random = words(x, axis / 2);
        const V product = -4.0 * phi[x] * phi[beside(x)[2 * axis]];
        const V weight = exp_of(product < 0.0 ? product : V{});
        const V u = 2.0 - one_to_two<V>(axis % 2 ? random.second : random.first);
        bonds[x * axes() + axis] = uint8_t(less(weight, u));
      }
    }
  }

  INLINE int32_t root(int32_t x) const {
    while (parent[x] != x) x = parent[x] = parent[parent[x]];
    return x;
  }

  // Every cluster of a lane has the coin of its first site
  NOINLINE void flip(int lane) const {
    for (int64_t x = 0; x < c.sites; ++x) parent[x] = int32_t(x);
    for (int64_t x = 0; x < c.sites; ++x) {
      for (int64_t axis = 0; axis < axes(); ++axis) {
        if (!(bonds[x * axes() + axis] >> lane & 1)) continue;
        const int32_t a = root(int32_t(x)), b = root(int32_t(beside(x)[2 * axis]));
        parent[std::max(a, b)] = std::min(a, b);
      }
    }
    for (int64_t x = 0; x < c.sites; ++x) {
      // what it points to comes before, and points to its root already
      const int32_t r = parent[x] = parent[parent[x]];
      uint64_t* const bits = (uint64_t*)(phi + x) + lane;
      *bits ^= uint64_t(signs[r] >> lane & 1) << 63;
    }
  }

  INLINE V action() const {
    V total = {};
    for (int64_t x = 0; x < c.sites; ++x)
      total += phi[x] * (phi[x] * (c.mass + c.lam * (phi[x] * phi[x])) - sum_beside(x));
    return total;
  }
};

template <int D> void run(const Cluster& c) {
  const int64_t tiles = (c.batch + W - 1) / W;
  const int64_t threads = std::max<int64_t>(1, std::min(c.threads, tiles));
  const int64_t bytes = c.sites * (sizeof(int32_t) + c.d + 1);
  const int64_t per_thread = c.sites + (bytes + sizeof(V) - 1) / sizeof(V);
  V* const memory = scratch<V>(threads * per_thread);
  share(threads, tiles, [&](int64_t thread, int64_t number) {
    V* const phi = memory + thread * per_thread;
    int32_t* const parent = (int32_t*)(phi + c.sites);
    uint8_t* const bonds = (uint8_t*)(parent + c.sites);
    const int64_t first = number * W, lanes = std::min<int64_t>(W, c.batch - first);
    const Tile<D> tile{c, first, phi, parent, bonds, bonds + c.d * c.sites};
    load(c.phi + first, c.batch, lanes, c.sites, phi);
    tile.draw();
    for (int lane = 0; lane < lanes; ++lane) tile.flip(lane);
    V accepted = {};
    for (int64_t i = 0; i < c.metropolis; ++i) accepted += tile.metropolis(kSweeps + i);
    for (int64_t i = 0; i < c.overrelaxation; ++i) tile.overrelax(kSweeps + c.metropolis + i);
    const V action = tile.action();
    store(phi, c.batch, lanes, c.sites, c.out + first);
    store(&action, c.batch, lanes, 1, c.action + first);
    store(&accepted, c.batch, lanes, 1, c.accepted + first);
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
