// Trajectories of Hybrid Monte Carlo in phi^4, with momenta of mass 1, and their energies.
//
//   H = S + sum_x pi^2 / 2,   S as in phi4.h
//
// Memory: (sites, batch).  A tile of W configurations, [site][lane], goes through a whole trajectory
// in the caches before the next one is touched.

#include <algorithm>
#include <cstdint>

#include "phi4.h"
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

template <int N> struct Dynamics {
  const Trajectory& t;
  const Lines& lines;

  INLINE void kick(const V* phi, V* pi, double h) const {
    const double mass = -2 * h * (2 * t.d + t.m2), quartic = -4 * h * t.lam, hop = 2 * h;
    sites<N>(lines, phi, [&](int64_t x, V centre, V sum) ALWAYS {
      pi[x] += centre * (mass + quartic * (centre * centre)) + hop * sum;
    });
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
    action_out = action_of<N>(lines, phi, 2 * t.d + t.m2, t.lam);
    kinetic_out = 0.5 * (after - before);
  }
};

template <int N> void run(const Trajectory& t) {
  const Lines lines(t.d, t.sides, t.sites);
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
