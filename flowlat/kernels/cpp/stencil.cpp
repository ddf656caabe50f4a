// Fused stacks of periodic-stencil layers, forward and backward, vectorised over the batch.
//
// A layer is y = sum_r act(conv_r(x)) / R over R branches; see StencilSpec in spec.py.
//
// Memory: a tile of W configurations at a time, [site][channel][lane], one vector of W lanes for
// each (site, channel), so that every neighbour is a whole aligned vector and a weight a broadcast
// scalar.  All layers run on a tile before the next tile is touched; what lies between them stays
// in the cache where the lattice is small enough.
//
// Merged layers (activation_last, or a linear activation) are one branch with all R f^k taps.
//
// The gradient needs the input of every layer and what its activation did: of a piecewise linear
// one the sign alone, a bit for each channel.  The forward keeps both in a buffer of the caller.
//
// Only GCC/Clang vector extensions are used: the same source serves AVX-512, AVX2 and NEON.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "rows.h"
#include "tiles.h"
#include "vectors.h"

#if defined(__aarch64__)
#define IN_REGISTER(v) asm("" : "+w"(v))
#elif defined(__AVX512F__)
#define IN_REGISTER(v) asm("" : "+v"(v))
#elif defined(__x86_64__)
#define IN_REGISTER(v) asm("" : "+x"(v))
#else
#define IN_REGISTER(v)
#endif

// The structures that cpu.py mirrors ---------------------------------------------------------

enum Activation : int32_t { PIECEWISE_LINEAR = 0, TANH = 1, SILU = 2, GELU = 3 };

struct Layer {
  int32_t c_in, c_out;
  int32_t branches, taps;     // of the kernel: one branch with R f^k taps if merged
  int32_t choices;            // R, the branches of the weight tensor
  int32_t activation;         // an Activation
  double slope;               // PIECEWISE_LINEAR: of the negative half (1: identity)
  const int32_t* neighbours;  // (branches, sites, taps)
  const int32_t* outputs;     // the sites where y is wanted
  int64_t n_outputs;
};

struct Stack {
  int64_t n_layers, n_sites;
  const Layer* layers;
};

struct Call {
  int64_t batch, threads;
  const void* x;         // (batch, c_in, sites)
  void* y;               // (batch, c_out, sites); backward: its gradient, read
  void* kept;            // what the backward needs of the forward; null: none is kept
  void* grad_x;          // null: not wanted
  const void** weights;  // a layer: (R, c_out, c_in, f^k)
  const void** biases;   // a layer: (R, c_out)
  void** grad_weights;   // null: none is wanted
  void** grad_biases;
};

namespace {

constexpr int kChunk = 32;  // sites whose gradients wait in the first cache
constexpr int kBits = 8;    // channels whose signs share a mask vector

bool is_linear(const Layer& l) { return l.activation == PIECEWISE_LINEAR && l.slope == 1; }
int64_t n_weights(const Layer& l) { return int64_t(l.branches) * l.taps * l.c_in * l.c_out; }

template <class T> struct Bits;
template <> struct Bits<float> {
  using Int = int32_t;
  static constexpr float round_magic = 12582912.0f;  // 1.5 * 2^23
  static constexpr float log_min = -87.0f, log_max = 88.0f;
  static constexpr float ln2_hi = 0.693359375f, ln2_lo = -2.12194440e-4f;
  static constexpr int mantissa = 23, bias = 127, exp_degree = 7;
};
template <> struct Bits<double> {
  using Int = int64_t;
  static constexpr double round_magic = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double log_min = -708.0, log_max = 709.0;
  static constexpr double ln2_hi = 6.93145751953125e-1, ln2_lo = 1.42860682030941723212e-6;
  static constexpr int mantissa = 52, bias = 1023, exp_degree = 13;
};

// Everything for one element type and one number of lanes ------------------------------------

template <class T, int W> struct Kernel {
  using I = typename Bits<T>::Int;
  typedef T V __attribute__((vector_size(W * sizeof(T))));
  typedef I M __attribute__((vector_size(W * sizeof(T))));

  // --- activations -------------------------------------------------------------------------

  // a - 0, which the compiler drops; 0 + a it may not, for the sake of a = -0
  static INLINE V splat(T a) { return a - V{}; }

  static INLINE V exp(V z) {  // exp(z) = 2^n exp(r), |r| <= ln(2)/2, Taylor; NaN stays NaN
    using B = Bits<T>;
    z = z > B::log_max ? splat(B::log_max) : z;
    z = z < B::log_min ? splat(B::log_min) : z;
    const V shifted = z * T(1.44269504088896340736) + B::round_magic;
    const V n = shifted - B::round_magic;
    const V r = (z - n * B::ln2_hi) - n * B::ln2_lo;
    T c = 1;
    T coefficient[B::exp_degree + 1];
    UNROLL for (int k = 0; k <= B::exp_degree; ++k) {
      coefficient[k] = c;
      c /= T(k + 1);
    }
    V p = splat(coefficient[B::exp_degree]);
    UNROLL for (int k = B::exp_degree - 1; k >= 0; --k) p = p * r + coefficient[k];
    const M exponent = (M)shifted - (M)splat(B::round_magic) + I(B::bias);
    return p * (V)(exponent << B::mantissa);
  }

  static INLINE V tanh_small(V z) {  // |z| < 0.625; Cephes (Moshier)
    const V u = z * z;
    if (sizeof(T) == 4) {
      V p = splat(T(-5.70498872745e-3));
      p = p * u + T(2.06390887954e-2);
      p = p * u + T(-5.37397155531e-2);
      p = p * u + T(1.33314422036e-1);
      p = p * u + T(-3.33332819422e-1);
      return z + z * u * p;
    }
    V p = splat(T(-9.64399179425052238628e-1));
    p = p * u + T(-9.92877231001918586564e1);
    p = p * u + T(-1.61468768441708447952e3);
    V q = u + T(1.12811678491632931402e2);
    q = q * u + T(2.23548839060100448583e3);
    q = q * u + T(4.84406305325125486048e3);
    return z + z * u * (p / q);
  }

  static INLINE V tanh(V z) {
    const V a = z < T(0) ? -z : z;
    const V large = T(1) - T(2) / (exp(a + a) + T(1));
    return a < T(0.625) ? tanh_small(z) : (z < T(0) ? -large : large);
  }

  // z[i] -> act(z[i]), and its derivative into d where wanted
  static NOINLINE void smooth(int32_t activation, V* z, V* d, int n) {
    if (activation == TANH) {
      for (int i = 0; i < n; ++i) {
        z[i] = tanh(z[i]);
        if (d) d[i] = T(1) - z[i] * z[i];
      }
    } else if (activation == SILU) {
      for (int i = 0; i < n; ++i) {
        const V s = T(1) / (T(1) + exp(-z[i]));
        if (d) d[i] = s * (T(1) + z[i] * (T(1) - s));
        z[i] *= s;
      }
    } else {  // GELU, the exact one
      for (int i = 0; i < n; ++i)
        for (int lane = 0; lane < W; ++lane) {
          const T x = z[i][lane];
          const T cdf = T(0.5) * std::erfc(-x * T(0.70710678118654752440));
          if (d) d[i][lane] = cdf + x * T(0.39894228040143267794) * std::exp(T(-0.5) * x * x);
          z[i][lane] = x * cdf;
        }
    }
  }

  // --- weights ------------------------------------------------------------------------------

  // A piecewise linear activation commutes with the factor 1/R of the mean, and so does the sum of
  // a merged layer: both take it into the weights.  The others apply it to their output.
  static bool scaled(const Layer& l) { return l.activation == PIECEWISE_LINEAR || l.branches == 1; }
  static T output_scale(const Layer& l) { return scaled(l) ? T(1) : T(1) / T(l.choices); }
  static T weight_scale(const Layer& l) { return scaled(l) ? T(1) / T(l.choices) : T(1); }

  struct Packed {
    std::vector<T> w;   // [branch][tap][c_in][c_out]
    std::vector<T> wt;  // [branch][tap][c_out][c_in]
    std::vector<T> b;   // [branch][c_out]
  };

  // Where the weights of (branch r, tap t) of the kernel's layout begin in the weight tensor, whose
  // strides are (c_in * tensor_taps, tensor_taps) in (c_out, c_in)
  static int tensor_taps(const Layer& l) {
    return l.branches == l.choices ? l.taps : l.taps / l.choices;
  }
  static int64_t first_weight(const Layer& l, int r, int t) {
    const int taps = tensor_taps(l);
    const int64_t choice = l.branches == l.choices ? r : t / taps;
    return choice * l.c_out * l.c_in * taps + t % taps;
  }

  static Packed pack_weights(const Layer& l, const T* w, const T* b, bool transposed) {
    Packed p;
    const T scale = weight_scale(l);
    const int64_t of_c = tensor_taps(l), of_o = of_c * l.c_in;
    p.w.resize(n_weights(l));
    if (transposed) p.wt.resize(n_weights(l));
    int64_t i = 0;
    for (int r = 0; r < l.branches; ++r)
      for (int t = 0; t < l.taps; ++t) {
        const T* from = w + first_weight(l, r, t);
        for (int c = 0; c < l.c_in; ++c)
          for (int o = 0; o < l.c_out; ++o) {
            const T value = scale * from[o * of_o + c * of_c];
            p.w[i + c * l.c_out + o] = value;
            if (transposed) p.wt[i + o * l.c_in + c] = value;
          }
        i += l.c_in * l.c_out;
      }
    p.b.assign(l.branches * l.c_out, T(0));
    for (int choice = 0; choice < l.choices; ++choice) {
      T* to = p.b.data() + (l.branches == l.choices ? choice : 0) * l.c_out;
      for (int o = 0; o < l.c_out; ++o) to[o] += scale * b[choice * l.c_out + o];
    }
    return p;
  }

  // --- forward ------------------------------------------------------------------------------

  static int64_t kept_a_site(const Layer& l) {  // vectors, a branch and site
    if (is_linear(l)) return 0;
    return l.activation == PIECEWISE_LINEAR ? (l.c_out + kBits - 1) / kBits : l.c_out;
  }
  static int64_t kept_vectors(const Layer& l) {
    return l.branches * l.n_outputs * kept_a_site(l);
  }

  // acc = b + sum_(tap, channel) w x: a weight is broadcast once for NS sites
  template <int CO, int NS>
  static INLINE void convolve(const Layer& l, const int32_t* const (&rows)[NS], const V* x,
                              const T* w, const T* b, V (&acc)[NS][CO]) {
    UNROLL for (int s = 0; s < NS; ++s)
      UNROLL for (int j = 0; j < CO; ++j) acc[s][j] = splat(b[j]);
    const int taps = l.taps, c_in = l.c_in, c_out = l.c_out;
    for (int t = 0; t < taps; ++t) {
      const V* q[NS];
      UNROLL for (int s = 0; s < NS; ++s) q[s] = x + int64_t(rows[s][t]) * c_in;
      for (int c = 0; c < c_in; ++c, w += c_out) {
        V xs[NS];
        UNROLL for (int s = 0; s < NS; ++s) xs[s] = q[s][c];
        UNROLL for (int j = 0; j < CO; ++j) {
          const V wj = splat(w[j]);
          UNROLL for (int s = 0; s < NS; ++s) acc[s][j] += xs[s] * wj;
        }
      }
    }
  }

  // z[s][j] -> max(z, 0) + slope min(z, 0); the signs to mask[s * per], in bits c0 % kBits + j
  template <int CO, int NS, bool KEEP>
  static INLINE void piecewise_linear(T slope, int c0, V (&z)[NS][CO], M* mask, int64_t per) {
    // of relu alone, for which -infinity * slope would be NaN
    const V least = splat(slope == 0 ? T(0) : -std::numeric_limits<T>::infinity());
    UNROLL for (int s = 0; s < NS; ++s) {
      M signs = M{};
      UNROLL for (int j = 0; j < CO; ++j) {
        const M positive = z[s][j] > T(0);
        if (KEEP) signs |= positive & (I(1) << j);
        z[s][j] = z[s][j] < least ? least : z[s][j];
        z[s][j] = positive ? z[s][j] : z[s][j] * slope;
      }
      if (KEEP) mask[s * per] = c0 % kBits ? mask[s * per] | (signs << I(c0 % kBits)) : signs;
    }
  }

  // z[s][j] -> act(z) / R; the derivative to kept[s * per + j]
  template <int CO, int NS, bool KEEP>
  static INLINE void smooth_sites(const Layer& l, V (&z)[NS][CO], V* kept, int64_t per) {
    const T scale = output_scale(l);
    V a[NS][CO], d[NS][CO];
    UNROLL for (int s = 0; s < NS; ++s)
      UNROLL for (int j = 0; j < CO; ++j) a[s][j] = z[s][j];
    smooth(l.activation, a[0], KEEP ? d[0] : nullptr, NS * CO);
    UNROLL for (int s = 0; s < NS; ++s)
      UNROLL for (int j = 0; j < CO; ++j) {
        z[s][j] = a[s][j] * scale;
        if (KEEP) kept[s * per + j] = d[s][j] * scale;
      }
  }

  // y[s][c0 .. c0+CO] += act(conv_r(x)) at NS of the output sites
  template <int CO, int NS, bool SMOOTH, bool KEEP>
  static INLINE void forward_sites(const Layer& l, int r, int64_t i, int c0, int64_t n_sites,
                                   const V* x, const Packed& p, V* y, V* kept) {
    const int32_t* rows[NS];
    UNROLL for (int s = 0; s < NS; ++s)
      rows[s] = l.neighbours + (int64_t(r) * n_sites + l.outputs[i + s]) * l.taps;
    const T* w = p.w.data() + int64_t(r) * l.taps * l.c_in * l.c_out + c0;
    V acc[NS][CO];
    convolve<CO, NS>(l, rows, x, w, p.b.data() + r * l.c_out + c0, acc);
    const int64_t per = kept_a_site(l);
    V* k = KEEP ? kept + (r * l.n_outputs + i) * per : nullptr;
    if (SMOOTH)
      smooth_sites<CO, NS, KEEP>(l, acc, k + c0, per);
    else if (!is_linear(l))
      piecewise_linear<CO, NS, KEEP>(T(l.slope), c0, acc, (M*)k + c0 / kBits, per);
    V* ys[NS];
    UNROLL for (int s = 0; s < NS; ++s) ys[s] = y + int64_t(l.outputs[i + s]) * l.c_out + c0;
    if (r > 0) {
      UNROLL for (int s = 0; s < NS; ++s)
        UNROLL for (int j = 0; j < CO; ++j) acc[s][j] += ys[s][j];
    }
    UNROLL for (int s = 0; s < NS; ++s)
      UNROLL for (int j = 0; j < CO; ++j) ys[s][j] = acc[s][j];
  }

  template <int CO, int NS, bool SMOOTH, bool KEEP>
  static NOINLINE void forward_channels(const Layer& l, int c0, int64_t n_sites, const V* x,
                                        const Packed& p, V* y, V* kept) {
    // all branches on a few sites before the next few: the sums stay in the first cache
    for (int64_t start = 0; start < l.n_outputs; start += 8 * NS) {
      const int64_t end = std::min<int64_t>(start + 8 * NS, l.n_outputs);
      for (int r = 0; r < l.branches; ++r) {
        int64_t i = start;
        for (; i + NS <= end; i += NS)
          forward_sites<CO, NS, SMOOTH, KEEP>(l, r, i, c0, n_sites, x, p, y, kept);
        for (; i < end; ++i)
          forward_sites<CO, 1, SMOOTH, KEEP>(l, r, i, c0, n_sites, x, p, y, kept);
      }
    }
  }

  template <bool SMOOTH, bool KEEP>
  static void forward_layer(const Layer& l, int64_t n_sites, const V* x, const Packed& p, V* y,
                            V* kept) {
    constexpr bool many = REGISTERS == 32;
    int c = 0;
    for (; c + 8 <= l.c_out; c += 8)
      forward_channels<8, many ? 3 : 1, SMOOTH, KEEP>(l, c, n_sites, x, p, y, kept);
    for (; c + 4 <= l.c_out; c += 4)
      forward_channels<4, many ? 4 : 2, SMOOTH, KEEP>(l, c, n_sites, x, p, y, kept);
    for (; c + 2 <= l.c_out; c += 2)
      forward_channels<2, many ? 8 : 4, SMOOTH, KEEP>(l, c, n_sites, x, p, y, kept);
    for (; c < l.c_out; ++c)
      forward_channels<1, 8, SMOOTH, KEEP>(l, c, n_sites, x, p, y, kept);
  }

  // --- backward -----------------------------------------------------------------------------

  // g = gy act'(z) at n sites of branch r, channels c0 .. c0+CO; gb += sum_s g unless null
  template <int CO>
  static NOINLINE void through_channels(const Layer& l, int r, int64_t i, int n, int c0,
                                        const V* gy, const V* kept, V* g, V* gb) {
    const int64_t per = kept_a_site(l);
    const bool linear = is_linear(l), smooth = l.activation != PIECEWISE_LINEAR;
    const T slope = T(l.slope);
    V sum[CO] = {};
    for (int s = 0; s < n; ++s) {
      const V* from = gy + int64_t(l.outputs[i + s]) * l.c_out + c0;
      const V* k = kept + (r * l.n_outputs + i + s) * per;
      V to[CO];
      UNROLL for (int j = 0; j < CO; ++j) to[j] = from[j];
      if (smooth) {
        UNROLL for (int j = 0; j < CO; ++j) to[j] *= k[c0 + j];
      } else if (!linear) {
        const M signs = ((const M*)k)[c0 / kBits] >> I(c0 % kBits);
        UNROLL for (int j = 0; j < CO; ++j)
          to[j] = (signs & (I(1) << j)) != I(0) ? to[j] : to[j] * slope;
      }
      UNROLL for (int j = 0; j < CO; ++j) {
        g[s * l.c_out + c0 + j] = to[j];
        sum[j] += to[j];
      }
    }
    if (gb) {
      UNROLL for (int j = 0; j < CO; ++j) gb[c0 + j] += sum[j];
    }
  }

  static void through_activation(const Layer& l, int r, int64_t i, int n, const V* gy,
                                 const V* kept, V* g, V* gb) {
    int c = 0;
    for (; c + 8 <= l.c_out; c += 8) through_channels<8>(l, r, i, n, c, gy, kept, g, gb);
    for (; c + 4 <= l.c_out; c += 4) through_channels<4>(l, r, i, n, c, gy, kept, g, gb);
    for (; c + 2 <= l.c_out; c += 2) through_channels<2>(l, r, i, n, c, gy, kept, g, gb);
    for (; c < l.c_out; ++c) through_channels<1>(l, r, i, n, c, gy, kept, g, gb);
  }

  // gw[(t, c)][c0 .. c0+CO] += sum_s x(tap t, channel c) g[s], for NB of the pairs (t, c) in order
  template <int CO, int NB>
  static INLINE void weight_block(const Layer& l, const int32_t* const* rows, int n, int t, int c,
                                  int c0, const V* x, const V* g, V* gw) {
    const int c_in = l.c_in, c_out = l.c_out;
    gw += (t * c_in + c) * c_out + c0;
    V acc[NB][CO];
    int tap[NB];
    const V* xc[NB];
    UNROLL for (int b = 0; b < NB; ++b) {
      tap[b] = t;
      xc[b] = x + c;
      if (++c == c_in) c = 0, ++t;
      UNROLL for (int j = 0; j < CO; ++j) acc[b][j] = gw[b * c_out + j];
    }
    g += c0;
    for (int s = 0; s < n; ++s, g += c_out) {
      const int32_t* row = rows[s];
      V xs[NB];
      UNROLL for (int b = 0; b < NB; ++b) xs[b] = xc[b][int64_t(row[tap[b]]) * c_in];
      UNROLL for (int j = 0; j < CO; ++j) {
        V gj = g[j];
        IN_REGISTER(gj);  // or it is read again for every product
        UNROLL for (int b = 0; b < NB; ++b) acc[b][j] += xs[b] * gj;
      }
    }
    UNROLL for (int b = 0; b < NB; ++b)
      UNROLL for (int j = 0; j < CO; ++j) gw[b * c_out + j] = acc[b][j];
  }

  template <int CO, int NB>
  static NOINLINE void weight_channels(const Layer& l, const int32_t* const* rows, int n, int c0,
                                       const V* x, const V* g, V* gw) {
    const int indices = l.taps * l.c_in;
    int t = 0, c = 0, i = 0;
    const auto advance = [&](int by) {
      for (c += by; c >= l.c_in; c -= l.c_in) ++t;
    };
    for (; i + NB <= indices; i += NB, advance(NB))
      weight_block<CO, NB>(l, rows, n, t, c, c0, x, g, gw);
    for (; i < indices; ++i, advance(1)) weight_block<CO, 1>(l, rows, n, t, c, c0, x, g, gw);
  }

  static void weight_gradient(const Layer& l, const int32_t* const* rows, int n, const V* x,
                              const V* g, V* gw) {
    constexpr bool many = REGISTERS == 32;
    int c = 0;
    for (; c + 8 <= l.c_out; c += 8) weight_channels<8, many ? 3 : 1>(l, rows, n, c, x, g, gw);
    for (; c + 4 <= l.c_out; c += 4) weight_channels<4, many ? 4 : 2>(l, rows, n, c, x, g, gw);
    for (; c + 2 <= l.c_out; c += 2) weight_channels<2, many ? 8 : 4>(l, rows, n, c, x, g, gw);
    for (; c < l.c_out; ++c) weight_channels<1, 8>(l, rows, n, c, x, g, gw);
  }

  // gx[tap of s][c0 .. c0+CI] += sum_o w[tap][o] g[s][o] at NS sites.  One tap after the other: the
  // same tap of different sites is never the same site, different taps may be.
  template <int CI, int NS>
  static INLINE void input_sites(const Layer& l, const int32_t* const* rows, int c0, const T* wt,
                                 const V* g, V* gx) {
    const int c_in = l.c_in, c_out = l.c_out, taps = l.taps;
    const T* w = wt + c0;
    for (int t = 0; t < taps; ++t) {
      V* q[NS];
      V acc[NS][CI];
      UNROLL for (int s = 0; s < NS; ++s) {
        q[s] = gx + int64_t(rows[s][t]) * c_in + c0;
        UNROLL for (int c = 0; c < CI; ++c) acc[s][c] = q[s][c];
      }
      for (int o = 0; o < c_out; ++o, w += c_in) {
        V gs[NS];
        UNROLL for (int s = 0; s < NS; ++s) gs[s] = g[s * c_out + o];
        UNROLL for (int c = 0; c < CI; ++c) {
          const V wc = splat(w[c]);
          UNROLL for (int s = 0; s < NS; ++s) acc[s][c] += gs[s] * wc;
        }
      }
      UNROLL for (int s = 0; s < NS; ++s)
        UNROLL for (int c = 0; c < CI; ++c) q[s][c] = acc[s][c];
    }
  }

  template <int CI, int NS>
  static NOINLINE void input_channels(const Layer& l, const int32_t* const* rows, int n, int c0,
                                      const T* wt, const V* g, V* gx) {
    int s = 0;
    for (; s + NS <= n; s += NS) input_sites<CI, NS>(l, rows + s, c0, wt, g + s * l.c_out, gx);
    for (; s < n; ++s) input_sites<CI, 1>(l, rows + s, c0, wt, g + s * l.c_out, gx);
  }

  static void input_gradient(const Layer& l, const int32_t* const* rows, int n, const T* wt,
                             const V* g, V* gx) {
    constexpr bool many = REGISTERS == 32;
    int c = 0;
    for (; c + 8 <= l.c_in; c += 8) input_channels<8, many ? 3 : 1>(l, rows, n, c, wt, g, gx);
    for (; c + 4 <= l.c_in; c += 4) input_channels<4, many ? 4 : 2>(l, rows, n, c, wt, g, gx);
    for (; c + 2 <= l.c_in; c += 2) input_channels<2, many ? 8 : 4>(l, rows, n, c, wt, g, gx);
    for (; c < l.c_in; ++c) input_channels<1, 8>(l, rows, n, c, wt, g, gx);
  }

  // gw, gb, gx may be null
  static void backward_layer(const Layer& l, int64_t n_sites, const V* x, const Packed& p,
                             const V* gy, const V* kept, V* gw, V* gb, V* gx, V* g) {
    if (gx) std::memset((void*)gx, 0, n_sites * l.c_in * sizeof(V));
    const int64_t per_branch = int64_t(l.taps) * l.c_in * l.c_out;
    const int32_t* rows[kChunk];
    for (int r = 0; r < l.branches; ++r)
      for (int64_t i = 0; i < l.n_outputs; i += kChunk) {
        const int n = int(std::min<int64_t>(kChunk, l.n_outputs - i));
        for (int s = 0; s < n; ++s)
          rows[s] = l.neighbours + (int64_t(r) * n_sites + l.outputs[i + s]) * l.taps;
        through_activation(l, r, i, n, gy, kept, g, gb ? gb + r * l.c_out : nullptr);
        if (gw) weight_gradient(l, rows, n, x, g, gw + r * per_branch);
        if (gx) input_gradient(l, rows, n, p.wt.data() + r * per_branch, g, gx);
      }
  }

  // --- tiles --------------------------------------------------------------------------------

  // (batch, channels, sites) -> [site][channel][lane]; lanes beyond the batch are zero
  static void pack(const T* from, int64_t channels, int64_t n_sites, int lanes, V* to) {
    for (int64_t c = 0; c < channels; ++c)
      Rows<T, W>::read(from + c * n_sites, channels * n_sites, n_sites, lanes,
                       [=](int64_t s, V v) ALWAYS { to[s * channels + c] = v; });
  }

  static void unpack(const V* from, int64_t channels, int64_t n_sites, int lanes, T* to) {
    for (int64_t c = 0; c < channels; ++c)
      Rows<T, W>::write([=](int64_t s) ALWAYS { return from[s * channels + c]; },
                        channels * n_sites, n_sites, lanes, to + c * n_sites);
  }

  // The input of every layer, then what its activation did
  static int64_t tile_vectors(const Stack& stack) {
    int64_t total = 0;
    for (int64_t i = 0; i < stack.n_layers; ++i)
      total += stack.n_sites * stack.layers[i].c_in + kept_vectors(stack.layers[i]);
    return total;
  }

  struct Place {
    V* input;
    V* kept;
  };
  static std::vector<Place> places(const Stack& stack, V* memory) {
    std::vector<Place> all;
    for (int64_t i = 0; i < stack.n_layers; ++i) {
      V* kept = memory + stack.n_sites * stack.layers[i].c_in;
      all.push_back({memory, kept});
      memory = kept + kept_vectors(stack.layers[i]);
    }
    return all;
  }

  static int64_t n_tiles(const Call& call) { return (call.batch + W - 1) / W; }

  static std::vector<Packed> pack_all(const Stack& stack, const Call& call, bool transposed) {
    std::vector<Packed> packed;
    for (int64_t i = 0; i < stack.n_layers; ++i)
      packed.push_back(pack_weights(stack.layers[i], (const T*)call.weights[i],
                                    (const T*)call.biases[i], transposed));
    return packed;
  }

  static int64_t n_threads(const Call& call) {
    return std::max<int64_t>(1, std::min(call.threads, n_tiles(call)));
  }

  static void forward(const Stack& stack, const Call& call) {
    const std::vector<Packed> packed = pack_all(stack, call, false);
    const Layer& first = stack.layers[0];
    const Layer& last = stack.layers[stack.n_layers - 1];
    const int64_t n_sites = stack.n_sites, per_tile = tile_vectors(stack);
    const int64_t out_vectors = n_sites * last.c_out;
    const int64_t per_thread = out_vectors + (call.kept ? 0 : per_tile);
    const int64_t threads = n_threads(call);
    V* const all = scratch<V>(per_thread * threads);
    share(threads, n_tiles(call), [&](int64_t thread, int64_t tile) {
      const int lanes = int(std::min<int64_t>(W, call.batch - tile * W));
      V* y = all + thread * per_thread;
      const std::vector<Place> at =
          places(stack, call.kept ? (V*)call.kept + tile * per_tile : y + out_vectors);
      const int64_t x_stride = first.c_in * n_sites, y_stride = last.c_out * n_sites;
      pack((const T*)call.x + tile * W * x_stride, first.c_in, n_sites, lanes, at[0].input);
      if (last.n_outputs < n_sites) std::memset((void*)y, 0, out_vectors * sizeof(V));
      for (int64_t i = 0; i < stack.n_layers; ++i) {
        V* out = i + 1 < stack.n_layers ? at[i + 1].input : y;
        const Layer& l = stack.layers[i];
        const bool keep = call.kept != nullptr;
        const auto run = l.activation == PIECEWISE_LINEAR
                             ? (keep ? forward_layer<false, true> : forward_layer<false, false>)
                             : (keep ? forward_layer<true, true> : forward_layer<true, false>);
        run(l, n_sites, at[i].input, packed[i], out, keep ? at[i].kept : nullptr);
      }
      unpack(y, last.c_out, n_sites, lanes, (T*)call.y + tile * W * y_stride);
    });
  }

  struct alignas(V) Lanes {
    T lane[W] = {};
  };

  struct Gradients {  // of the weights and biases, a lane each; one for every thread
    std::vector<int64_t> at_w, at_b;
    int64_t total = 0;
    explicit Gradients(const Stack& stack) {
      for (int64_t i = 0; i < stack.n_layers; ++i) {
        const Layer& l = stack.layers[i];
        at_w.push_back(total);
        at_b.push_back(total + n_weights(l));
        total = at_b.back() + l.branches * l.c_out;
      }
    }
  };

  // Sums over threads and lanes of n vectors, W of them at a time by a transpose
  static std::vector<T> sum_lanes(const V* first, int64_t n, int64_t stride, int64_t threads) {
    std::vector<T> sums(n + W);
    for (int64_t i = 0; i < n; i += W) {
      V rows[W] = {};
      for (int64_t e = 0; e < std::min<int64_t>(W, n - i); ++e)
        for (int64_t thread = 0; thread < threads; ++thread)
          rows[e] += first[thread * stride + i + e];
      Rows<T, W>::template transpose<1>(rows);
      V total = rows[0];
      UNROLL for (int e = 1; e < W; ++e) total += rows[e];
      std::memcpy(&sums[i], &total, sizeof(V));
    }
    return sums;
  }

  static void write_gradients(const Layer& l, const V* gw, const V* gb, int64_t stride,
                              int64_t threads, T* to_w, T* to_b) {
    const T scale = weight_scale(l);
    const int64_t of_c = tensor_taps(l), of_o = of_c * l.c_in;
    const std::vector<T> sums_w = sum_lanes(gw, n_weights(l), stride, threads);
    const std::vector<T> sums_b = sum_lanes(gb, l.branches * l.c_out, stride, threads);
    const T* from = sums_w.data();
    for (int r = 0; r < l.branches; ++r)
      for (int t = 0; t < l.taps; ++t) {
        T* to = to_w + first_weight(l, r, t);
        for (int c = 0; c < l.c_in; ++c)
          for (int o = 0; o < l.c_out; ++o) to[o * of_o + c * of_c] = scale * *from++;
      }
    for (int choice = 0; choice < l.choices; ++choice)
      for (int o = 0; o < l.c_out; ++o)
        to_b[choice * l.c_out + o] =
            scale * sums_b[(l.branches == l.choices ? choice : 0) * l.c_out + o];
  }

  static void backward(const Stack& stack, const Call& call) {
    const std::vector<Packed> packed = pack_all(stack, call, true);
    const Layer& last = stack.layers[stack.n_layers - 1];
    const int64_t n_sites = stack.n_sites, per_tile = tile_vectors(stack);
    const int64_t threads = n_threads(call);
    int64_t widest = last.c_out;
    for (int64_t i = 0; i < stack.n_layers; ++i)
      widest = std::max<int64_t>(widest, stack.layers[i].c_in);
    const Gradients sums(stack);
    const bool weights = call.grad_weights != nullptr;
    std::vector<Lanes> total(weights ? sums.total * threads : 0);
    const int64_t per_thread = (2 * n_sites + kChunk) * widest;
    V* const all = scratch<V>(per_thread * threads);
    deal(threads, n_tiles(call), [&](int64_t thread, int64_t tile) {
      const int lanes = int(std::min<int64_t>(W, call.batch - tile * W));
      V* gy = all + thread * per_thread;
      V* gx = gy + n_sites * widest;
      V* chunk = gx + n_sites * widest;
      V* sum = (V*)total.data() + thread * sums.total;
      const std::vector<Place> at = places(stack, (V*)call.kept + tile * per_tile);
      pack((const T*)call.y + tile * W * last.c_out * n_sites, last.c_out, n_sites, lanes, gy);
      for (int64_t i = stack.n_layers - 1; i >= 0; --i) {
        const bool wanted = i > 0 || call.grad_x;
        backward_layer(stack.layers[i], n_sites, at[i].input, packed[i], gy, at[i].kept,
                       weights ? sum + sums.at_w[i] : nullptr,
                       weights ? sum + sums.at_b[i] : nullptr, wanted ? gx : nullptr, chunk);
        std::swap(gy, gx);
      }
      const int64_t c_in = stack.layers[0].c_in;
      if (call.grad_x)
        unpack(gy, c_in, n_sites, lanes, (T*)call.grad_x + tile * W * c_in * n_sites);
    });
    if (!weights) return;
    const V* first = (const V*)total.data();
    for (int64_t i = 0; i < stack.n_layers; ++i)
      write_gradients(stack.layers[i], first + sums.at_w[i], first + sums.at_b[i], sums.total,
                      threads, (T*)call.grad_weights[i], (T*)call.grad_biases[i]);
  }

  // --- the affine coupling ------------------------------------------------------------------

  // y = x exp(s) + t, log_det = sum of s, with (s, t) = params (batch, 2, sites).  The exponent is
  // computed again in the backward: cheaper than keeping it.
  static INLINE V load(const T* from, int64_t n) {
    V v = {};
    std::memcpy(&v, from, n * sizeof(T));
    return v;
  }
  static INLINE void store(T* to, const V& v, int64_t n) { std::memcpy(to, &v, n * sizeof(T)); }

  // work(first, count) on whole vectors, then on what is left; a constant count makes plain moves
  template <class Work> static INLINE void over_row(int64_t sites, const Work& work) {
    int64_t i = 0;
    for (; i + W <= sites; i += W) work(i, std::integral_constant<int64_t, W>());
    if (i < sites) work(i, sites - i);
  }

  static void affine_forward(int64_t batch, int64_t sites, const T* x, const T* params, T* y,
                             T* log_det) {
    for (int64_t b = 0; b < batch; ++b, x += sites, y += sites, params += 2 * sites) {
      V sum = {};
      over_row(sites, [&](int64_t i, auto n) {
        const V s = load(params + i, n);
        store(y + i, load(x + i, n) * exp(s) + load(params + sites + i, n), n);
        sum += s;
      });
      log_det[b] = 0;
      for (int lane = 0; lane < W; ++lane) log_det[b] += sum[lane];
    }
  }

  static void affine_backward(int64_t batch, int64_t sites, const T* x, const T* params,
                              const T* grad_y, const T* grad_log_det, T* grad_x, T* grad_params) {
    for (int64_t b = 0; b < batch; ++b) {
      const V gl = splat(grad_log_det[b]);
      over_row(sites, [&](int64_t i, auto n) {
        const int64_t at = b * sites + i, of_s = 2 * b * sites + i;
        const V gy = load(grad_y + at, n);
        const V gx = gy * exp(load(params + of_s, n));
        store(grad_x + at, gx, n);
        store(grad_params + of_s, gx * load(x + at, n) + gl, n);
        store(grad_params + of_s + sites, gy, n);
      });
    }
  }

  // --- the machine --------------------------------------------------------------------------

  static double peak_gflops() {
    constexpr int kChains = 12;
    V acc[kChains];
    for (int i = 0; i < kChains; ++i) acc[i] = splat(T(i));
    V factor = splat(T(0.999999)), term = splat(T(1e-6));
    const int64_t rounds = 4000000;
    const auto start = std::chrono::steady_clock::now();
    for (int64_t n = 0; n < rounds; ++n) {
      UNROLL for (int i = 0; i < kChains; ++i) acc[i] = acc[i] * factor + term;
      IN_REGISTER(factor);
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    V sum = V{};
    for (int i = 0; i < kChains; ++i) sum += acc[i];
    volatile T sink = sum[0];
    (void)sink;
    return 1e-9 * 2.0 * kChains * W * double(rounds) / seconds.count();
  }
};

using Float = Kernel<float, VECTOR_BYTES / 4>;
using Double = Kernel<double, VECTOR_BYTES / 8>;

}  // namespace

// The interface of cpu.py ---------------------------------------------------------------------

extern "C" {

// Bytes that the forward keeps for the backward
int64_t flowlat_kept_bytes(const Stack* stack, int64_t batch, int32_t is_double) {
  const int64_t lanes = is_double ? VECTOR_BYTES / 8 : VECTOR_BYTES / 4;
  const int64_t vectors = is_double ? Double::tile_vectors(*stack) : Float::tile_vectors(*stack);
  return (batch + lanes - 1) / lanes * vectors * VECTOR_BYTES;
}

void flowlat_forward(const Stack* stack, const Call* call, int32_t is_double) {
  is_double ? Double::forward(*stack, *call) : Float::forward(*stack, *call);
}

void flowlat_backward(const Stack* stack, const Call* call, int32_t is_double) {
  is_double ? Double::backward(*stack, *call) : Float::backward(*stack, *call);
}

void flowlat_affine_forward(int64_t batch, int64_t sites, const void* x, const void* params,
                            void* y, void* log_det, int32_t is_double) {
  is_double ? Double::affine_forward(batch, sites, (const double*)x, (const double*)params,
                                     (double*)y, (double*)log_det)
            : Float::affine_forward(batch, sites, (const float*)x, (const float*)params, (float*)y,
                                    (float*)log_det);
}

void flowlat_affine_backward(int64_t batch, int64_t sites, const void* x, const void* params,
                             const void* grad_y, const void* grad_log_det, void* grad_x,
                             void* grad_params, int32_t is_double) {
  is_double
      ? Double::affine_backward(batch, sites, (const double*)x, (const double*)params,
                                (const double*)grad_y, (const double*)grad_log_det,
                                (double*)grad_x, (double*)grad_params)
      : Float::affine_backward(batch, sites, (const float*)x, (const float*)params,
                               (const float*)grad_y, (const float*)grad_log_det, (float*)grad_x,
                               (float*)grad_params);
}

double flowlat_peak_gflops(int32_t is_double) {
  return is_double ? Double::peak_gflops() : Float::peak_gflops();
}
}
