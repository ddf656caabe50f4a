// The continuous flow, solved by an explicit Runge-Kutta method, and the gradients of the solution.
//
//   v(x) = A x + sum_j W_j F f_j(F^-1 V_j x),   div v = tr A + sum_j w_j sum over sites f_j'(u_j)
//
// in the modes x of the field; F is the orthonormal real Fourier transform, A, V_j and W_j are
// tables, of a value for every shell of modes with the same khat^2, at every node of time.
//
// Memory as in modes.h; a whole solution runs on a tile before the next is touched.  The last axis
// goes to the sites, through the nonlinearity and back to modes in one go, and the tables are applied
// where the first axis is read or written, so that d axes take 2 d - 1 passes.  Factors of the
// transform's normalisation are in the tables.
//
// The forward may keep the field at the start of every stage; from it the backward computes
// whatever else it needs.

#include <algorithm>
#include <cstring>

#include "modes.h"
#include "tiles.h"

#if defined(__AVX__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

// The structures that fused.py mirrors --------------------------------------------------------

struct Method {
  int64_t n_steps, n_stages, nodes_per_step;
  double h;               // negative: backwards from the last node
  const int32_t* node;    // a stage
  const double *a, *b;    // (stages, stages), (stages)
};

struct System {
  int64_t d, sites, n_shells, channels, terms, n_nodes;
  int64_t odd;            // f_j(u) = sum_m c_jm s^(2 m + 1); else s^m
  const int64_t* sides;
  const int32_t* shell;   // of every mode, in the order of fourier.h
};

struct Tables {
  void* linear;           // (nodes, shells)
  void *first, *second;   // (nodes, shells, channels)
  void* coefficients;     // (nodes, channels, terms)
  void* trace;            // (nodes)
  void* weights;          // (nodes, channels)
};

struct Task {
  int64_t batch, threads;
  const void* phi;        // (batch, sites)
  const void* score;      // (batch, sites), of the density of phi; null: not wanted
  void *out, *log_det;    // (batch, sites), (batch); backward: their gradients, read
  void* score_out;        // (batch, sites), of the density of out
  void* kept;             // the field at every stage; null: it is not kept
  void* grad_phi;         // (batch, sites)
  const Tables* grads;    // null: none is wanted
};

namespace {

constexpr int kTerms = 8;

// What is wanted beside the adjoint of the field: nothing, the gradients of the tables, or the
// velocity and its divergence
enum Want { ADJOINT, GRADIENTS, VELOCITY };

template <class T> struct Solver {
  static constexpr int W = VECTOR_BYTES / sizeof(T);
  typedef T V __attribute__((vector_size(VECTOR_BYTES)));
  struct alignas(VECTOR_BYTES) Lanes { double lane[W] = {}; };

  // a - 0, which the compiler drops; 0 + a it may not, for the sake of a = -0
  static INLINE V splat(T a) { return a - V{}; }

  // 1 / sqrt(v), from an estimate of at least 8, 12 or 14 bits by Newton's method
  static INLINE V rsqrt(V v) {
    V r;
    const auto improve = [&]() ALWAYS { r += (T(0.5) * r) * (T(1) - (v * r) * r); };
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) {
      r = (V)_mm512_rsqrt14_ps((__m512)v);
    } else {
      r = (V)_mm512_rsqrt14_pd((__m512d)v);
      improve();
    }
    improve();
#else
    if constexpr (sizeof(T) == 4) {
#if defined(__AVX__)
      r = (V)_mm256_rsqrt_ps((__m256)v);
      improve();
      return r;
#elif defined(__aarch64__)
      r = (V)vrsqrteq_f32((float32x4_t)v);
      improve();
      improve();
      return r;
#endif
    }
    for (int lane = 0; lane < W; ++lane) r[lane] = 1 / std::sqrt(v[lane]);
#endif
    return r;
  }

  // --- the nonlinearity --------------------------------------------------------------------

  // f(u) = s Q(t) or P(s), s = u / sqrt(1 + u^2), t = s^2
  template <bool ODD> struct Squashed {
    static constexpr int M = ODD ? kTerms / 2 : kTerms;
    V c[M], c1[M], c2[M];  // of f, and of its first and second derivative in s

    Squashed(const T* given, int64_t terms) {
      for (int m = 0; m < M; ++m) {
        const T value = m < terms ? given[m] : T(0);
        const int power = ODD ? 2 * m + 1 : m;
        c[m] = splat(value);
        c1[m] = splat(value * T(power));
        c2[m] = splat(value * T(power * (power - 1)));
      }
    }

    // sum_m c_m z^(m - from), m = from ... M - 1
    static INLINE V horner(const V* c, int from, V z) {
      V p = c[M - 1];
      UNROLL for (int m = M - 2; m >= from; --m) p = p * z + c[m];
      return p;
    }

    // f(u); f'(u) is added to slope
    INLINE V value(V u, V& slope) const {
      const V r = rsqrt(T(1) + u * u), s = u * r, z = ODD ? s * s : s;
      slope += horner(c1, ODD ? 0 : 1, z) * (r * (r * r));
      return ODD ? s * horner(c, 0, z) : horner(c, 0, z);
    }

    // Sums over sites: of z^m times the adjoint of f, of z^m ds/du, and of f'(u)
    struct Sums {
      V of_f[M] = {}, of_slope[M] = {}, slope = {};
    };

    // The adjoint of u, where f has the adjoint gf and f' has gd; f itself unless ADJOINT
    template <Want WANT> INLINE V adjoint(V u, V gf, V gd, V& f, Sums& sums) const {
      const V r = rsqrt(T(1) + u * u), s = u * r, z = ODD ? s * s : s, r3 = r * (r * r);
      const V p1 = horner(c1, ODD ? 0 : 1, z);
      const V p2 = ODD ? s * horner(c2, 1, z) : horner(c2, 2, z);  // P''
      if (WANT != ADJOINT) f = ODD ? s * horner(c, 0, z) : horner(c, 0, z);
      if (WANT == VELOCITY) sums.slope += p1 * r3;
      if (WANT == GRADIENTS) {
        const V g = ODD ? gf * s : gf;
        V power = z;
        sums.of_f[0] += g;
        sums.of_slope[0] += r3;
        UNROLL for (int m = 1; m < M; ++m) {
          sums.of_f[m] += power * g;
          sums.of_slope[m] += power * r3;
          if (m + 1 < M) power *= z;
        }
      }
      // d2s/du2 = -3 s r^4
      return r3 * (gf * p1 + gd * (p2 * r3 - T(3) * (s * r) * p1));
    }
  };

  // --- the last axis ------------------------------------------------------------------------

  // the last axis to sites, f, and back to modes; returns the sum of f'
  template <bool ODD>
  static V through(const Axis<T>& axis, V* memory, V* work, const T* c, int64_t terms) {
    const auto made = [=]() ALWAYS { return Squashed<ODD>(c, terms); };
    V total = {};
    if constexpr (sizeof(T) == 4) {  // what most samples are about stays there altogether
      if (axis.square || axis.L == 8) {
        for (int64_t s = 0; s < axis.slabs; ++s) {
          V* at = work + s * axis.slab;
          total += axis.square ? Short<T, 16, Square4<T>>::through(axis.outer, at, made)
                               : Short<T, 8, Ring<T, 8>>::through(axis.outer, at, made);
        }
        return total;
      }
    }
    const Squashed<ODD> f = made();
    const int64_t L = axis.L;
    V *buffer = memory, *free = memory + kBuffer + L;
    axis.each_group([&](int64_t first, int64_t n) ALWAYS {
      V* at = work + first;
      axis.to_sites(n, {at, 1, L}, nullptr, {buffer, 1, L}, free);
      V sum = {};
      for (int64_t x = 0; x < n * L; ++x) buffer[x] = f.value(buffer[x], sum);
      total += sum;
      axis.to_modes(n, {buffer, 1, L}, {at, 1, L}, free);
    });
    return total;
  }

  // the same with adjoints: u -> its adjoint, and gf -> f if WANT is not ADJOINT; adds to total
  template <bool ODD, Want WANT>
  static void through_adjoint(const Axis<T>& axis, V* memory, V* u, V* gf, V gd,
                              const Squashed<ODD>& given, typename Squashed<ODD>::Sums& total) {
    const Squashed<ODD> f = given;
    typename Squashed<ODD>::Sums sums = total;
    const int64_t L = axis.L;
    V *at_sites = memory, *gf_sites = at_sites + kBuffer + L, *free = gf_sites + kBuffer + L;
    axis.each_group([&](int64_t first, int64_t n) ALWAYS {
      V *at = u + first, *at_gf = gf + first;
      axis.to_sites(n, {at, 1, L}, nullptr, {at_sites, 1, L}, free);
      axis.to_sites(n, {at_gf, 1, L}, nullptr, {gf_sites, 1, L}, free);
      for (int64_t x = 0; x < n * L; ++x) {
        V value = {};
        at_sites[x] = f.template adjoint<WANT>(at_sites[x], gf_sites[x], gd, value, sums);
        if (WANT != ADJOINT) gf_sites[x] = value;
      }
      axis.to_modes(n, {at_sites, 1, L}, {at, 1, L}, free);
      if (WANT != ADJOINT) axis.to_modes(n, {gf_sites, 1, L}, {at_gf, 1, L}, free);
    });
    total = sums;
  }

  // --- a call ------------------------------------------------------------------------------

  // What all tiles share: the tables of every mode, times the normalisation of the transform; 0
  // where a field has none
  struct Prepared {
    const System& system;
    const Method& method;
    const Modes<T> modes;
    const int64_t size;  // vectors of a field
    std::vector<int32_t> shell;            // (size)
    std::vector<T> norm;                   // (size)
    std::vector<T> linear, first, second;  // (nodes, size), (nodes, channels, size)
    const T *coefficients, *trace, *weights;
    double rounding;  // log |det| of load and store, one after the other

    Prepared(const System& system, const Method& method, const Tables& tables, int64_t threads)
        : system(system), method(method), modes(system.d, system.sides, system.sites),
          size(modes.size), shell(size), norm(size), linear(system.n_nodes * size),
          first(system.n_nodes * system.channels * size), second(first.size()),
          coefficients((const T*)tables.coefficients), trace((const T*)tables.trace),
          weights((const T*)tables.weights), rounding(modes.rounding) {
      const int64_t S = system.n_shells, C = system.channels;
      const T *a = (const T*)tables.linear, *v = (const T*)tables.first,
              *w = (const T*)tables.second;
      modes.each_site([&](int64_t k, int64_t at) {
        // in double precision: an error of a factor that all modes have does not average out
        const double exact = modes.norm[k];
        norm[at] = T(exact);
        rounding += 2 * (norm[at] - exact) / exact;
        shell[at] = system.shell[k];
      });
      share(threads, system.n_nodes, [&](int64_t, int64_t n) {
        T *to_first = &first[n * C * size], *to_second = &second[n * C * size];
        modes.each_site([&](int64_t k, int64_t at) {
          const int64_t row = n * S + system.shell[k];
          linear[n * size + at] = a[row];
          for (int64_t j = 0; j < C; ++j) {
            to_first[j * size + at] = T(modes.norm[k] * v[row * C + j]);
            to_second[j * size + at] = T(modes.norm[k] * w[row * C + j]);
          }
        });
      });
    }

    int64_t node(int64_t step, int64_t stage) const {
      const int64_t n = step * method.nodes_per_step + method.node[stage];
      return method.h > 0 ? n : system.n_nodes - 1 - n;
    }
    const T* a(int64_t n) const { return &linear[n * size]; }
    const T* v(int64_t n, int64_t j) const { return &first[(n * system.channels + j) * size]; }
    const T* w(int64_t n, int64_t j) const { return &second[(n * system.channels + j) * size]; }
    const T* c(int64_t n, int64_t j) const {
      return coefficients + (n * system.channels + j) * system.terms;
    }
    T weight(int64_t n, int64_t j) const { return weights[n * system.channels + j]; }

    // (batch, sites) -> modes, by ``work``; and back
    void load(const T* phi, int lanes, V* memory, V* work, V* x) const {
      const T* table = norm.data();
      modes.load(phi, lanes, memory, work, [=](int64_t k, V m) ALWAYS { x[k] = table[k] * m; });
    }
    void store(const V* x, int lanes, V* memory, V* work, T* phi) const {
      modes.store(x, norm.data(), lanes, memory, work, phi);
    }
  };

  // out = x + h sum_i a_i k_i, k_i every ``stride`` vectors
  static void combine(const V* x, double h, const double* a, int64_t n, const V* k, int64_t stride,
                      int64_t size, V* out) {
    const V* from[64];
    T factor[64];
    int terms = 0;
    for (int64_t i = 0; i < n; ++i)
      if (a[i] != 0) {
        from[terms] = k + i * stride;
        factor[terms++] = T(h * a[i]);
      }
    constexpr int B = 8;
    int64_t at = 0;
    for (; at + B <= size; at += B) {
      V sum[B];
      UNROLL for (int b = 0; b < B; ++b) sum[b] = x[at + b];
      for (int i = 0; i < terms; ++i)
        UNROLL for (int b = 0; b < B; ++b) sum[b] += factor[i] * from[i][at + b];
      UNROLL for (int b = 0; b < B; ++b) out[at + b] = sum[b];
    }
    for (; at < size; ++at) {
      V sum = x[at];
      for (int i = 0; i < terms; ++i) sum += factor[i] * from[i][at];
      out[at] = sum;
    }
  }

  // v of the modes y at a node, and its divergence
  template <bool ODD>
  static void velocity(const Prepared& p, int64_t n, const V* y, V* k, V* work, V* memory,
                       Lanes& divergence) {
    const Modes<T>& modes = p.modes;
    const Axis<T>& outer = modes.axes[0];
    const T* a = p.a(n);
    for (int64_t m = 0; m < p.size; ++m) k[m] = a[m] * y[m];
    for (int lane = 0; lane < W; ++lane) divergence.lane[lane] = p.trace[n];
    for (int64_t j = 0; j < p.system.channels; ++j) {
      outer.to_sites(memory, y, p.v(n, j), work);
      V slope = {};
      for (V* at = work; at < work + p.size; at += modes.part) {
        modes.to_last(memory, at);
        slope += through<ODD>(modes.inside.back(), memory, at, p.c(n, j), p.system.terms);
        modes.from_last(memory, at);
      }
      for (int lane = 0; lane < W; ++lane)
        divergence.lane[lane] += double(p.weight(n, j)) * slope[lane];
      outer.add_modes(memory, work, p.w(n, j), k);
    }
  }

  // Sums over a tile that become gradients of the tables; a vector each, the last three per node
  struct Gradients {
    int64_t S, C, M, n_nodes;
    V* data;
    static int64_t per_node(const System& s) {
      return s.n_shells * (1 + 2 * s.channels) + s.channels * (s.terms + 1) + 1;
    }
    Gradients(const System& s, V* data)
        : S(s.n_shells), C(s.channels), M(s.terms), n_nodes(s.n_nodes), data(data) {}
    V* linear(int64_t n) const { return data + n * S; }
    V* first(int64_t n, int64_t j) const { return data + (n_nodes + n * C + j) * S; }
    V* second(int64_t n, int64_t j) const { return data + (n_nodes * (1 + C) + n * C + j) * S; }
    V* small(int64_t n) const {
      return data + n_nodes * (1 + 2 * C) * S + n * (C * (M + 1) + 1);
    }
    V* coefficients(int64_t n, int64_t j) const { return small(n) + j * M; }
    V* weight(int64_t n, int64_t j) const { return small(n) + C * M + j; }
    V* trace(int64_t n) const { return small(n) + C * (M + 1); }
  };

  // The adjoint of y, gy, where the velocity has the adjoint gk and its divergence gd
  template <bool ODD, Want WANT>
  static void adjoint(const Prepared& p, int64_t n, const V* y, const V* gk, V gd, V* gy, V* u,
                      V* gf, V* memory, const Gradients* sums, V* k = nullptr,
                      Lanes* divergence = nullptr) {
    const Modes<T>& modes = p.modes;
    const Axis<T>& outer = modes.axes[0];
    const int32_t* shell = p.shell.data();
    const T *a = p.a(n), *norm = p.norm.data();
    for (int64_t m = 0; m < p.size; ++m) gy[m] = a[m] * gk[m];
    if (WANT == VELOCITY) {
      for (int64_t m = 0; m < p.size; ++m) k[m] = a[m] * y[m];
      for (int lane = 0; lane < W; ++lane) divergence->lane[lane] = p.trace[n];
    }
    if (WANT == GRADIENTS) {
      V* to = sums->linear(n);
      for (int64_t m = 0; m < p.size; ++m) to[shell[m]] += y[m] * gk[m];
      *sums->trace(n) += gd;
    }
    for (int64_t j = 0; j < p.system.channels; ++j) {
      const Squashed<ODD> f(p.c(n, j), p.system.terms);
      typename Squashed<ODD>::Sums over_sites;
      const T *v = p.v(n, j), *w = p.w(n, j);
      outer.to_sites(memory, y, v, u);
      outer.to_sites(memory, gk, w, gf);
      const V of_slope = p.weight(n, j) * gd;
      for (int64_t at = 0; at < p.size; at += modes.part) {
        modes.to_last(memory, u + at);
        modes.to_last(memory, gf + at);
        through_adjoint<ODD, WANT>(modes.inside.back(), memory, u + at, gf + at, of_slope, f,
                                   over_sites);
        modes.from_last(memory, u + at);
        if (WANT != ADJOINT) modes.from_last(memory, gf + at);
      }
      if (WANT != GRADIENTS) outer.add_modes(memory, u, v, gy);
      if (WANT == VELOCITY) {
        outer.add_modes(memory, gf, w, k);
        for (int lane = 0; lane < W; ++lane)
          divergence->lane[lane] += double(p.weight(n, j)) * over_sites.slope[lane];
      }
      if (WANT == GRADIENTS) {
        V *of_v = sums->first(n, j), *of_w = sums->second(n, j);
        outer.to_modes(memory, u, [=](int64_t m, V g) ALWAYS {
          gy[m] += v[m] * g;
          of_v[shell[m]] += (norm[m] * y[m]) * g;
        });
        outer.to_modes(memory, gf, [=](int64_t m, V f) ALWAYS {
          of_w[shell[m]] += (norm[m] * gk[m]) * f;
        });
        V slope = {}, *of_c = sums->coefficients(n, j);
        for (int64_t m = 0; m < std::min<int64_t>(p.system.terms, f.M); ++m) {
          const T power = T(ODD ? 2 * m + 1 : m);
          const V z = ODD || m ? over_sites.of_slope[ODD ? m : m - 1] : V{};
          of_c[m] += over_sites.of_f[m] + (power * of_slope) * z;
          slope += (power * p.c(n, j)[m]) * z;
        }
        *sums->weight(n, j) += gd * slope;
      }
    }
  }

  // --- tiles and threads -------------------------------------------------------------------

  static int64_t n_tiles(const Task& task) { return (task.batch + W - 1) / W; }

  // SCORE: s = d log q / d phi along with it, ds/dt = -(dv/dphi)^T s - grad div v
  template <bool ODD, bool SCORE>
  static void forward(const System& system, const Method& method, const Tables& tables,
                      const Task& task) {
    const Prepared p(system, method, tables, task.threads);
    const int64_t size = p.size, stages = method.n_stages, tiles = n_tiles(task);
    const int64_t per_tile = W * system.sites;
    const int64_t threads = std::max<int64_t>(1, std::min(task.threads, tiles));
    const int64_t fields = stages + 3 + (SCORE ? stages + 3 : 0);
    const int64_t per_thread = fields * size + p.modes.pass_memory();
    V* const all = scratch<V>(per_thread * threads);
    share(threads, tiles, [&](int64_t thread, int64_t tile) {
      const int lanes = int(std::min<int64_t>(W, task.batch - tile * W));
      V *x = all + thread * per_thread, *work = x + size, *y = work + size, *k = y + size;
      V *s = k + stages * size, *now_s = s + size, *work_s = now_s + size, *ks = work_s + size;
      V* memory = x + fields * size;
      V* kept = task.kept ? (V*)task.kept + tile * method.n_steps * stages * size : nullptr;
      p.load((const T*)task.phi + tile * per_tile, lanes, memory, work, x);
      if (SCORE) p.load((const T*)task.score + tile * per_tile, lanes, memory, work, s);
      Lanes log_det;
      for (double& lane : log_det.lane) lane = p.rounding;  // of a map without a velocity
      for (int64_t step = 0; step < method.n_steps; ++step) {
        for (int64_t i = 0; i < stages; ++i) {
          const double* a = method.a + i * stages;
          V* now = kept ? kept + (step * stages + i) * size : y;
          combine(x, method.h, a, i, k, size, size, now);
          Lanes divergence;
          const int64_t n = p.node(step, i);
          if (SCORE) {
            combine(s, -method.h, a, i, ks, size, size, now_s);
            adjoint<ODD, VELOCITY>(p, n, now, now_s, splat(1), ks + i * size, work, work_s, memory,
                                   nullptr, k + i * size, &divergence);
          } else {
            velocity<ODD>(p, n, now, k + i * size, work, memory, divergence);
          }
          for (int lane = 0; lane < W; ++lane)
            log_det.lane[lane] += method.h * method.b[i] * divergence.lane[lane];
        }
        combine(x, method.h, method.b, stages, k, size, size, x);
        if (SCORE) combine(s, -method.h, method.b, stages, ks, size, size, s);
      }
      p.store(x, lanes, memory, work, (T*)task.out + tile * per_tile);
      if (SCORE) p.store(s, lanes, memory, work, (T*)task.score_out + tile * per_tile);
      for (int lane = 0; lane < lanes; ++lane)
        ((T*)task.log_det)[tile * W + lane] = T(log_det.lane[lane]);
    });
  }

  template <bool ODD, bool SUMS>
  static void backward(const System& system, const Method& method, const Tables& tables,
                       const Task& task) {
    const Prepared p(system, method, tables, task.threads);
    const int64_t size = p.size, stages = method.n_stages, tiles = n_tiles(task);
    const int64_t per_tile = W * system.sites;
    const int64_t groups = std::min(tiles, kGroups);
    const int64_t threads = std::max<int64_t>(1, std::min(task.threads, groups));
    const int64_t per_thread = (stages + 4) * size + p.modes.pass_memory();
    const int64_t per_group = SUMS ? system.n_nodes * Gradients::per_node(system) : 0;
    V* const all = scratch<V>(per_thread * threads + per_group * groups);
    V* const all_sums = all + per_thread * threads;
    std::memset((void*)all_sums, 0, per_group * groups * sizeof(V));
    share(threads, groups, [&](int64_t thread, int64_t group) {
      V *gx = all + thread * per_thread, *u = gx + size, *gf = u + size, *gk = gf + size;
      V *gy = gk + size, *memory = gy + stages * size;
      const Gradients sums(system, all_sums + group * per_group);
      for (int64_t tile = group; tile < tiles; tile += groups) {
        const int lanes = int(std::min<int64_t>(W, task.batch - tile * W));
        const V* kept = (const V*)task.kept + tile * method.n_steps * stages * size;
        V of_log_det = {};
        for (int lane = 0; lane < lanes; ++lane)
          of_log_det[lane] = ((const T*)task.log_det)[tile * W + lane];
        p.load((const T*)task.out + tile * per_tile, lanes, memory, u, gx);
        for (int64_t step = method.n_steps; step-- > 0;) {
          for (int64_t i = stages; i-- > 0;) {
            double column[64];
            for (int64_t l = i + 1; l < stages; ++l) column[l - i - 1] = method.a[l * stages + i];
            const T b = T(method.h * method.b[i]);
            for (int64_t m = 0; m < size; ++m) gk[m] = b * gx[m];
            combine(gk, method.h, column, stages - i - 1, gy + (i + 1) * size, size, size, gk);
            adjoint<ODD, SUMS ? GRADIENTS : ADJOINT>(
                p, p.node(step, i), kept + (step * stages + i) * size, gk,
                b * of_log_det, gy + i * size, u, gf, memory, &sums);
          }
          const std::vector<double> ones(stages, 1.0);
          combine(gx, 1, ones.data(), stages, gy, size, size, gx);
        }
        p.store(gx, lanes, memory, u, (T*)task.grad_phi + tile * per_tile);
      }
    });
    if (SUMS) collect(system, all_sums, per_group, groups, *task.grads);
  }

  // Sums over groups and lanes into the gradients of the tables
  static void collect(const System& s, V* all, int64_t per_group, int64_t groups,
                      const Tables& grads) {
    const auto total = [&](const V* first) {
      double sum = 0;
      for (int64_t group = 0; group < groups; ++group)
        for (int lane = 0; lane < W; ++lane) sum += first[group * per_group][lane];
      return T(sum);
    };
    const Gradients sums(s, all);
    const int64_t S = s.n_shells, C = s.channels, M = s.terms;
    for (int64_t n = 0; n < s.n_nodes; ++n) {
      for (int64_t k = 0; k < S; ++k) {
        ((T*)grads.linear)[n * S + k] = total(sums.linear(n) + k);
        for (int64_t j = 0; j < C; ++j) {
          ((T*)grads.first)[(n * S + k) * C + j] = total(sums.first(n, j) + k);
          ((T*)grads.second)[(n * S + k) * C + j] = total(sums.second(n, j) + k);
        }
      }
      for (int64_t j = 0; j < C; ++j) {
        for (int64_t m = 0; m < M; ++m)
          ((T*)grads.coefficients)[(n * C + j) * M + m] = total(sums.coefficients(n, j) + m);
        ((T*)grads.weights)[n * C + j] = total(sums.weight(n, j));
      }
      ((T*)grads.trace)[n] = total(sums.trace(n));
    }
  }

  static void run_forward(const System& s, const Method& m, const Tables& tables,
                          const Task& task) {
    const auto run = s.odd ? (task.score ? forward<true, true> : forward<true, false>)
                           : (task.score ? forward<false, true> : forward<false, false>);
    run(s, m, tables, task);
  }
  static void run_backward(const System& s, const Method& m, const Tables& tables,
                           const Task& task) {
    const auto run = s.odd ? (task.grads ? backward<true, true> : backward<true, false>)
                           : (task.grads ? backward<false, true> : backward<false, false>);
    run(s, m, tables, task);
  }
  static int64_t kept_bytes(const System& s, const Method& m, int64_t batch) {
    const int64_t size = Modes<T>(s.d, s.sides, s.sites).size;
    return (batch + W - 1) / W * m.n_steps * m.n_stages * size * sizeof(V);
  }
};

}  // namespace

// The interface of fused.py -------------------------------------------------------------------

extern "C" {

// Bytes that the forward keeps for the backward
int64_t flowlat_solve_kept_bytes(const System* system, const Method* method, int64_t batch,
                                 int32_t is_double) {
  return is_double ? Solver<double>::kept_bytes(*system, *method, batch)
                   : Solver<float>::kept_bytes(*system, *method, batch);
}

void flowlat_solve_forward(const System* system, const Method* method, const Tables* tables,
                           const Task* task, int32_t is_double) {
  (is_double ? Solver<double>::run_forward : Solver<float>::run_forward)(*system, *method, *tables,
                                                                         *task);
}

void flowlat_solve_backward(const System* system, const Method* method, const Tables* tables,
                            const Task* task, int32_t is_double) {
  (is_double ? Solver<double>::run_backward : Solver<float>::run_backward)(*system, *method, *tables,
                                                                           *task);
}
}
