// Trajectories of Hybrid Monte Carlo in phi^4, with momenta of mass 1, and their energies.
//
//   S = sum_x { (2 d + m2) phi^2 + lam phi^4 - 2 sum_mu phi(x) phi(x+mu) },   H = S + sum_x pi^2 / 2
//
// Memory: (sites, batch).  A tile of W configurations, [site][lane], goes through a whole trajectory
// in the caches before the next one is touched.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "lanes.h"
#include "tiles.h"

// The structure that phi4/trajectory.py mirrors -----------------------------------------------

struct Trajectory {
  int64_t d, sites, batch, threads, n_steps, n_drifts;
  double m2, lam, step_size;
  const int64_t* sides;
  const double *kicks, *drifts;  // (n_drifts + 1), (n_drifts), fractions of the step size
  const double *phi, *pi;        // (sites, batch)
  double* out;                   // (sites, batch): phi at the end
  double *action, *kinetic;      // (batch): S at the end, and the change of K
};

namespace {

// Lines of sites along the last axis, and the lines beside each of them: forwards, backwards
struct Lines {
  int64_t L, n, beside;
  std::vector<int64_t> first;  // sites with which the lines beside begin, (n, beside)

  explicit Lines(const Trajectory& t)
      : L(t.sides[t.d - 1]), n(t.sites / L), beside(2 * (t.d - 1)), first(n * beside) {
    int64_t stride = 1;
    for (int64_t axis = t.d - 2; axis >= 0; --axis) {
      const int64_t side = t.sides[axis];
      for (int64_t line = 0; line < n; ++line) {
        const int64_t x = line / stride % side;
        int64_t* const to = &first[line * beside + 2 * axis];
        to[0] = (line + ((x + 1) % side - x) * stride) * L;
        to[1] = (line + ((x + side - 1) % side - x) * stride) * L;
      }
      stride *= side;
    }
  }
};

// visit(x, phi(x), sum of phi over the neighbours of x) for all sites. N: lines beside a line, a
// constant for the compiler where d is at most 4; -1: any number
template <int N, class Visit>
INLINE void sites(const Lines& lines, const V* phi, const Visit& visit) {
  const int64_t L = lines.L, beside = N < 0 ? lines.beside : N;
  const V* near[N < 0 ? 64 : N + 1];
  for (int64_t line = 0; line < lines.n; ++line) {
    const V* const own = phi + line * L;
    for (int64_t i = 0; i < beside; ++i) near[i] = phi + lines.first[line * beside + i];
    V left = own[L - 1], centre = own[0];
    for (int64_t x = 0; x < L; ++x) {
      const V right = own[x + 1 < L ? x + 1 : 0];
      V sum = left + right;
      for (int64_t i = 0; i < beside; ++i) sum += near[i][x];
      visit(line * L + x, centre, sum);
      left = centre;
      centre = right;
    }
  }
}

template <int N> struct Dynamics {
  const Trajectory& t;
  const Lines& lines;

  INLINE void kick(const V* phi, V* pi, double h) const {
    const double mass = -2 * h * (2 * t.d + t.m2), quartic = -4 * h * t.lam, hop = 2 * h;
    sites<N>(lines, phi, [&](int64_t x, V centre, V sum) ALWAYS {
      pi[x] += centre * (mass + quartic * (centre * centre)) + hop * sum;
    });
  }

  INLINE V action(const V* phi) const {
    V total = {};
    const double mass = 2 * t.d + t.m2;
    // every pair of neighbours is seen from both of its ends
    sites<N>(lines, phi, [&](int64_t, V centre, V sum) ALWAYS {
      total += centre * (centre * (mass + t.lam * (centre * centre)) - sum);
    });
    return total;
  }

  NOINLINE void run(V* phi, V* pi, V& action_out, V& kinetic_out) const {
    V before = {}, after = {};
    for (int64_t x = 0; x < t.sites; ++x) before += pi[x] * pi[x];
    kick(phi, pi, t.kicks[0] * t.step_size);
    for (int64_t step = 0; step < t.n_steps; ++step) {
      // the last kick of a step and the first one of the next are one
      const double joint = t.kicks[t.n_drifts] + (step < t.n_steps - 1 ? t.kicks[0] : 0);
      for (int64_t i = 0; i < t.n_drifts; ++i) {
        const double drift = t.drifts[i] * t.step_size;
        for (int64_t x = 0; x < t.sites; ++x) phi[x] += drift * pi[x];
        kick(phi, pi, (i + 1 < t.n_drifts ? t.kicks[i + 1] : joint) * t.step_size);
      }
    }
    for (int64_t x = 0; x < t.sites; ++x) after += pi[x] * pi[x];
    action_out = action(phi);
    kinetic_out = 0.5 * (after - before);
  }
};

template <int N> void run(const Trajectory& t) {
  const Lines lines(t);
  const Dynamics<N> dynamics{t, lines};
  const int64_t tiles = (t.batch + W - 1) / W, per_thread = 2 * t.sites;
  const int64_t threads = std::max<int64_t>(1, std::min(t.threads, tiles));
  V* const memory = scratch<V>(threads * per_thread);
  share(threads, tiles, [&](int64_t thread, int64_t tile) {
    V *phi = memory + thread * per_thread, *pi = phi + t.sites, action, kinetic;
    const int64_t first = tile * W, lanes = std::min<int64_t>(W, t.batch - first);
    load(t.phi + first, t.batch, lanes, t.sites, phi);
    load(t.pi + first, t.batch, lanes, t.sites, pi);
    dynamics.run(phi, pi, action, kinetic);
    store(phi, t.batch, lanes, t.sites, t.out + first);
    store(&action, t.batch, lanes, 1, t.action + first);
    store(&kinetic, t.batch, lanes, 1, t.kinetic + first);
  });
}

}  // namespace

extern "C" void flowlat_trajectory(const Trajectory* t, int32_t) {
  switch (t->d) {
    case 1: return run<0>(*t);
    case 2: return run<2>(*t);
    case 3: return run<4>(*t);
    case 4: return run<6>(*t);
    default: return run<-1>(*t);
  }
}
