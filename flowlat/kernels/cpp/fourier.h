// The real Fourier transform of a ring of L sites, each a vector of configurations:
//
//   C_k = sum_x cos(2 pi k x / L) f(x), k = 0 ... L / 2,   S_k = sum_x sin(2 pi k x / L) f(x),
//   k = 1 ... (L - 1) / 2, in this order, without a normalisation;
//
// and its transpose, from modes to sites.  With a = f(x) + f(x + L/2) and b = f(x) - f(x + L/2) the
// even modes are those of a, a ring of L / 2, and the odd ones come
//
// - if L is a multiple of 4 from two rings of L / 4, b turned by 2 pi x / L (split radix:
//   Duhamel, Hollmann, Electron. Lett. 20 (1984) 14): B_{4m+1} = F[(b(x) - i b(x + L/4)) w^x]_m;
// - if L / 2 is odd from another ring of L / 2, b with alternating signs.
//
// An odd ring is a pair of matrices, for the even and for the odd part of f.  Ring<L> is written out
// for an L, of which small ones stay in registers; Rings is for any.  Both transform many lines in
// one call, so that few functions have to be compiled, and those in fourier.cpp alone.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "vectors.h"

template <class F, int... I>
INLINE void repeat(const F& f, std::integer_sequence<int, I...>) {
  (f(std::integral_constant<int, I>()), ...);
}
// f(0) ... f(N - 1), with constants
template <int N, class F> INLINE void repeat(const F& f) {
  if constexpr (N > 0) repeat(f, std::make_integer_sequence<int, N>());
}

// cos(2 pi k / n), by its series between 0 and pi / 2
constexpr double cosine(long k, long n) {
  k = (k % n + n) % n;
  if (2 * k > n) k = n - k;
  double sign = 1, turn = double(k) / double(n);
  if (4 * k > n) {
    sign = -1;
    turn = double(n - 2 * k) / double(2 * n);
  }
  const double x = 6.283185307179586476925286766559 * turn;
  double term = 1, sum = 1;
  for (int i = 1; i < 14; ++i) {
    term *= -x * x / ((2 * i - 1) * (2 * i));
    sum += term;
  }
  return sign * (4 * k == n ? 0 : sum);
}
constexpr double sine(long k, long n) { return cosine(4 * k - n, 4 * n); }

// log |det| of the transform of a ring with constants rounded to T, less that of the exact one: a
// turn by (c, s) has the determinant c^2 + s^2, and of an odd ring it is linear in the errors
template <class T> double log_det_of_rounding(long L) {
  double sum = 0;
  if (L % 4 == 0) {
    for (long i = 1; i < L / 4; ++i) {
      const double c = T(cosine(i, L)), s = T(sine(i, L));
      sum += std::log(c * c + s * s);
    }
    return sum + log_det_of_rounding<T>(L / 2) + 2 * log_det_of_rounding<T>(L / 4);
  }
  if (L % 2 == 0) return 2 * log_det_of_rounding<T>(L / 2);
  std::vector<double> errors;
  for (long k = 0; k < L; ++k) {
    const double c = cosine(k, L), s = sine(k, L);
    errors.push_back(c * (T(c) - c) + s * (T(s) - s));
  }
  for (long k = 1; k <= L / 2; ++k)
    for (long i = 1; i <= L / 2; ++i) sum += errors[k * i % L];
  return 4 * sum / L;
}

template <class T, int L> struct Ring {
  typedef T V __attribute__((vector_size(VECTOR_BYTES)));
  static constexpr int H = L / 2, Q = L / 4;
  template <int N> using Smaller = Ring<T, N>;

  static INLINE void modes(const V* x, V* m) {
    if constexpr (L == 1) {
      m[0] = x[0];
    } else if constexpr (L % 4 == 0) {
      V a[H], p[Q], r[Q], ma[H], mp[Q], mr[Q];
      repeat<H>([&](auto i) ALWAYS { a[i] = x[i] + x[i + H]; });
      repeat<Q>([&](auto i) ALWAYS {
        constexpr T c = T(cosine(i, L)), s = T(sine(i, L));
        const V b = x[i] - x[i + H], b1 = x[i + Q] - x[i + Q + H];
        if constexpr (i == 0) {
          p[i] = b;
          r[i] = b1;
        } else {
          p[i] = c * b - s * b1;
          r[i] = c * b1 + s * b;
        }
      });
      Smaller<H>::modes(a, ma);
      Smaller<Q>::modes(p, mp);
      Smaller<Q>::modes(r, mr);
      repeat<H / 2 + 1>([&](auto k) ALWAYS { m[2 * k] = ma[k]; });
      repeat<H / 2 - 1>([&](auto k) ALWAYS { m[H + 2 * (k + 1)] = ma[H / 2 + k + 1]; });
      m[1] = mp[0];
      m[H + 1] = mr[0];
      repeat<(Q - 1) / 2>([&](auto i) ALWAYS {
        constexpr int n = i + 1, k = 4 * n;
        m[k + 1] = mp[n] - mr[Q / 2 + n];
        m[k - 1] = mp[n] + mr[Q / 2 + n];
        m[H + k + 1] = mp[Q / 2 + n] + mr[n];
        m[H + k - 1] = mp[Q / 2 + n] - mr[n];
      });
      if constexpr (Q % 2 == 0) {
        m[H - 1] = mp[Q / 2];
        m[L - 1] = -mr[Q / 2];
      }
    } else if constexpr (L % 2 == 0) {
      V a[H], b[H], ma[H], mb[H];
      repeat<H>([&](auto i) ALWAYS {
        a[i] = x[i] + x[i + H];
        b[i] = i % 2 ? x[i + H] - x[i] : x[i] - x[i + H];
      });
      Smaller<H>::modes(a, ma);
      Smaller<H>::modes(b, mb);
      repeat<H / 2 + 1>([&](auto k) ALWAYS {
        m[2 * k] = ma[k];
        m[H - 2 * k] = mb[k];
      });
      repeat<H / 2>([&](auto i) ALWAYS {
        m[H + 2 * (i + 1)] = ma[H / 2 + i + 1];
        m[L - 2 * (i + 1)] = -mb[H / 2 + i + 1];
      });
    } else {
      V e[H + 1], o[H + 1];
      m[0] = x[0];
      repeat<H>([&](auto i) ALWAYS {
        e[i] = x[i + 1] + x[L - 1 - i];
        o[i] = x[i + 1] - x[L - 1 - i];
        m[0] += e[i];
      });
      repeat<H>([&](auto k) ALWAYS {
        V c = x[0], s = {};
        repeat<H>([&](auto i) ALWAYS {
          constexpr T cs = T(cosine((k + 1) * (i + 1), L)), sn = T(sine((k + 1) * (i + 1), L));
          c += cs * e[i];
          s += sn * o[i];
        });
        m[k + 1] = c;
        m[H + k + 1] = s;
      });
    }
  }

  static INLINE void sites(const V* m, V* x) {
    if constexpr (L == 1) {
      x[0] = m[0];
    } else if constexpr (L % 4 == 0) {
      V a[H], p[Q], r[Q], ma[H], mp[Q], mr[Q];
      repeat<H / 2 + 1>([&](auto k) ALWAYS { ma[k] = m[2 * k]; });
      repeat<H / 2 - 1>([&](auto k) ALWAYS { ma[H / 2 + k + 1] = m[H + 2 * (k + 1)]; });
      mp[0] = m[1];
      mr[0] = m[H + 1];
      repeat<(Q - 1) / 2>([&](auto i) ALWAYS {
        constexpr int n = i + 1, k = 4 * n;
        mp[n] = m[k - 1] + m[k + 1];
        mr[Q / 2 + n] = m[k - 1] - m[k + 1];
        mp[Q / 2 + n] = m[H + k + 1] + m[H + k - 1];
        mr[n] = m[H + k + 1] - m[H + k - 1];
      });
      if constexpr (Q % 2 == 0) {
        mp[Q / 2] = m[H - 1];
        mr[Q / 2] = -m[L - 1];
      }
      Smaller<H>::sites(ma, a);
      Smaller<Q>::sites(mp, p);
      Smaller<Q>::sites(mr, r);
      repeat<Q>([&](auto i) ALWAYS {
        constexpr T c = T(cosine(i, L)), s = T(sine(i, L));
        V b = p[i], b1 = r[i];
        if constexpr (i > 0) {
          b = c * p[i] + s * r[i];
          b1 = c * r[i] - s * p[i];
        }
        x[i] = a[i] + b;
        x[i + H] = a[i] - b;
        x[i + Q] = a[i + Q] + b1;
        x[i + Q + H] = a[i + Q] - b1;
      });
    } else if constexpr (L % 2 == 0) {
      V a[H], b[H], ma[H], mb[H];
      repeat<H / 2 + 1>([&](auto k) ALWAYS {
        ma[k] = m[2 * k];
        mb[k] = m[H - 2 * k];
      });
      repeat<H / 2>([&](auto i) ALWAYS {
        ma[H / 2 + i + 1] = m[H + 2 * (i + 1)];
        mb[H / 2 + i + 1] = -m[L - 2 * (i + 1)];
      });
      Smaller<H>::sites(ma, a);
      Smaller<H>::sites(mb, b);
      repeat<H>([&](auto i) ALWAYS {
        x[i] = i % 2 ? a[i] - b[i] : a[i] + b[i];
        x[i + H] = i % 2 ? a[i] + b[i] : a[i] - b[i];
      });
    } else {
      x[0] = m[0];
      repeat<H>([&](auto k) ALWAYS { x[0] += m[k + 1]; });
      repeat<H>([&](auto i) ALWAYS {
        V e = m[0], o = {};
        repeat<H>([&](auto k) ALWAYS {
          constexpr T cs = T(cosine((k + 1) * (i + 1), L)), sn = T(sine((k + 1) * (i + 1), L));
          e += cs * m[k + 1];
          o += sn * m[H + k + 1];
        });
        x[i + 1] = e + o;
        x[L - 1 - i] = e - o;
      });
    }
  }
};

// Two neighbouring axes of 4 as one of 16, so that they need one pass through memory
template <class T> struct Square4 {
  typedef T V __attribute__((vector_size(VECTOR_BYTES)));
  template <class F> static INLINE void both(const V* from, V* to, const F& ring) {
    V middle[16];
    repeat<4>([&](auto i) ALWAYS { ring(from + 4 * i, middle + 4 * i); });
    repeat<4>([&](auto j) ALWAYS {
      V column[4], turned[4];
      repeat<4>([&](auto i) ALWAYS { column[i] = middle[4 * i + j]; });
      ring(column, turned);
      repeat<4>([&](auto i) ALWAYS { to[4 * i + j] = turned[i]; });
    });
  }
  static INLINE void modes(const V* x, V* m) { both(x, m, Ring<T, 4>::modes); }
  static INLINE void sites(const V* m, V* x) { both(m, x, Ring<T, 4>::sites); }
};

// Where lines of vectors are: element i of line n at data[i * step + n * line]. Functions take them
// by reference: a copy that is written in parts and read at once waits for all stores before it
template <class T> struct Source {
  typedef T V __attribute__((vector_size(VECTOR_BYTES)));
  const V* data;
  int64_t step, line;
};
template <class T> struct Target {
  typedef T V __attribute__((vector_size(VECTOR_BYTES)));
  V* data;
  int64_t step, line;
};

// A transform of the lines of an axis. table, with the steps of the modes: element k of line n is
// multiplied by table[k * step + n * line], on the way to the sites if a table is given; ``add``
// adds modes that are multiplied so
template <class T> struct Transform {
  typedef T V __attribute__((vector_size(VECTOR_BYTES)));
  using From = const Source<T>&;
  using To = const Target<T>&;
  typedef void Modes(const void* ring, int64_t n, From sites, To modes, V* free);
  typedef void Sites(const void* ring, int64_t n, From modes, const T* table, To sites, V* free);
  typedef void Add(const void* ring, int64_t n, From sites, const T* table, To modes, V* free);
  Modes* modes;
  Sites* sites;
  Add* add;
  const void* ring;
};

template <class T, int N, class Kind> struct Short {
  typedef T V __attribute__((vector_size(VECTOR_BYTES)));
  using From = const Source<T>&;
  using To = const Target<T>&;

  static NOINLINE void modes(const void*, int64_t n, From sites, To modes, V*) {
    Source<T> x = sites;
    Target<T> m = modes;
    for (; n > 0; --n, x.data += x.line, m.data += m.line) {
      V in[N], out[N];
      repeat<N>([&](auto i) ALWAYS { in[i] = x.data[i * x.step]; });
      Kind::modes(in, out);
      repeat<N>([&](auto k) ALWAYS { m.data[k * m.step] = out[k]; });
    }
  }

  static NOINLINE void add(const void*, int64_t n, From sites, const T* table, To modes, V*) {
    Source<T> x = sites;
    Target<T> m = modes;
    for (; n > 0; --n, x.data += x.line, m.data += m.line, table += m.line) {
      V in[N], out[N];
      repeat<N>([&](auto i) ALWAYS { in[i] = x.data[i * x.step]; });
      Kind::modes(in, out);
      repeat<N>([&](auto k) ALWAYS { m.data[k * m.step] += table[k * m.step] * out[k]; });
    }
  }

  static NOINLINE void sites(const void*, int64_t n, From modes, const T* table, To sites, V*) {
    Source<T> m = modes;
    Target<T> x = sites;
    for (; n > 0; --n, m.data += m.line, x.data += x.line) {
      V in[N], out[N];
      repeat<N>([&](auto k) ALWAYS { in[k] = m.data[k * m.step]; });
      if (table) {
        repeat<N>([&](auto k) ALWAYS { in[k] *= table[k * m.step]; });
        table += m.line;
      }
      Kind::sites(in, out);
      repeat<N>([&](auto i) ALWAYS { x.data[i * x.step] = out[i]; });
    }
  }

  // to sites, x = f(x) there, and back to modes, of lines one after the other; f as ``made`` makes
  // it, here, so that its constants are in registers
  template <class Made> static NOINLINE V through(int64_t n, V* at, const Made& made) {
    const auto f = made();
    V total = {};
    for (; n > 0; --n, at += N) {
      V in[N], out[N], sum = {};
      repeat<N>([&](auto k) ALWAYS { in[k] = at[k]; });
      Kind::sites(in, out);
      repeat<N>([&](auto i) ALWAYS { out[i] = f.value(out[i], sum); });
      Kind::modes(out, in);
      repeat<N>([&](auto k) ALWAYS { at[k] = in[k]; });
      total += sum;
    }
    return total;
  }

  static Transform<T> transform() { return {modes, sites, add, nullptr}; }
};

// Rings of any L: a description for every L, made once; what lies between stays in the first cache
template <class T> struct Rings {
  typedef T V __attribute__((vector_size(VECTOR_BYTES)));
  using From = const Source<T>&;
  using To = const Target<T>&;
  int L, H, Q;
  Transform<T> half, quarter;
  std::vector<T> c, s;  // of 2 pi x / L; of an odd ring the matrices of the even and odd part

  // scratch that modes and sites want, in vectors
  static int64_t scratch(int64_t L) { return 4 * L + 64; }

  static const Rings* of(int L) {
    static std::recursive_mutex mutex;
    static std::map<int, std::unique_ptr<Rings>> known;
    const std::lock_guard<std::recursive_mutex> lock(mutex);
    std::unique_ptr<Rings>& ring = known[L];
    if (!ring) ring = std::make_unique<Rings>(L);
    return ring.get();
  }

  explicit Rings(int L) : L(L), H(L / 2), Q(L / 4) {
    if (L % 2 == 0) {
      half = transform(H);
      if (L % 4 == 0) quarter = transform(Q);
      for (int i = 0; i < Q; ++i) {
        c.push_back(T(cosine(i, L)));
        s.push_back(T(sine(i, L)));
      }
    } else {
      for (int k = 1; k <= H; ++k)
        for (int i = 1; i <= H; ++i) {
          c.push_back(T(cosine(long(k) * i, L)));
          s.push_back(T(sine(long(k) * i, L)));
        }
    }
  }

  // all f(i) are read before m(k) is told its value
  template <class F, class M> INLINE void to_modes(const F& f, const M& m, V* free) const {
    V *a = free, *b = free + H, *ma = free + L, *mb = ma + H, *rest = mb + H;
    if (L % 4 == 0) {
      V *p = b, *r = b + Q, *mp = mb, *mr = mb + Q;
      for (int i = 0; i < Q; ++i) {
        const V f0 = f(i), f1 = f(i + Q), f2 = f(i + H), f3 = f(i + Q + H);
        const V b0 = f0 - f2, b1 = f1 - f3;
        a[i] = f0 + f2;
        a[i + Q] = f1 + f3;
        p[i] = c[i] * b0 - s[i] * b1;
        r[i] = c[i] * b1 + s[i] * b0;
      }
      half.modes(half.ring, 1, {a, 1, 0}, {ma, 1, 0}, rest);
      quarter.modes(quarter.ring, 1, {p, 1, 0}, {mp, 1, 0}, rest);
      quarter.modes(quarter.ring, 1, {r, 1, 0}, {mr, 1, 0}, rest);
      for (int k = 0; k <= H / 2; ++k) m(2 * k, ma[k]);
      for (int k = 1; k < H / 2; ++k) m(H + 2 * k, ma[H / 2 + k]);
      m(1, mp[0]);
      m(H + 1, mr[0]);
      for (int n = 1; n <= (Q - 1) / 2; ++n) {
        const int k = 4 * n;
        m(k + 1, mp[n] - mr[Q / 2 + n]);
        m(k - 1, mp[n] + mr[Q / 2 + n]);
        m(H + k + 1, mp[Q / 2 + n] + mr[n]);
        m(H + k - 1, mp[Q / 2 + n] - mr[n]);
      }
      if (Q % 2 == 0) {
        m(H - 1, mp[Q / 2]);
        m(L - 1, -mr[Q / 2]);
      }
    } else if (L % 2 == 0) {
      for (int i = 0; i < H; ++i) {
        const V f0 = f(i), f1 = f(i + H);
        a[i] = f0 + f1;
        b[i] = i % 2 ? f1 - f0 : f0 - f1;
      }
      half.modes(half.ring, 1, {a, 1, 0}, {ma, 1, 0}, rest);
      half.modes(half.ring, 1, {b, 1, 0}, {mb, 1, 0}, rest);
      for (int k = 0; k <= H / 2; ++k) {
        m(2 * k, ma[k]);
        m(H - 2 * k, mb[k]);
      }
      for (int k = 1; k <= H / 2; ++k) {
        m(H + 2 * k, ma[H / 2 + k]);
        m(L - 2 * k, -mb[H / 2 + k]);
      }
    } else {
      V *e = a, *o = e + H, *even = o + H, *odd = even + H;
      const V f0 = f(0);
      V sum = f0;
      for (int i = 0; i < H; ++i) {
        const V f1 = f(i + 1), f2 = f(L - 1 - i);
        e[i] = f1 + f2;
        o[i] = f1 - f2;
        sum += e[i];
      }
      multiply(c, e, even);
      multiply(s, o, odd);
      m(0, sum);
      for (int k = 0; k < H; ++k) {
        m(k + 1, f0 + even[k]);
        m(H + k + 1, odd[k]);
      }
    }
  }

  template <class M, class F> INLINE void to_sites(const M& m, const F& f, V* free) const {
    V *a = free, *b = free + H, *ma = free + L, *mb = ma + H, *rest = mb + H;
    if (L % 4 == 0) {
      V *p = b, *r = b + Q, *mp = mb, *mr = mb + Q;
      for (int k = 0; k <= H / 2; ++k) ma[k] = m(2 * k);
      for (int k = 1; k < H / 2; ++k) ma[H / 2 + k] = m(H + 2 * k);
      mp[0] = m(1);
      mr[0] = m(H + 1);
      for (int n = 1; n <= (Q - 1) / 2; ++n) {
        const int k = 4 * n;
        const V c0 = m(k - 1), c1 = m(k + 1), s0 = m(H + k - 1), s1 = m(H + k + 1);
        mp[n] = c0 + c1;
        mr[Q / 2 + n] = c0 - c1;
        mp[Q / 2 + n] = s1 + s0;
        mr[n] = s1 - s0;
      }
      if (Q % 2 == 0) {
        mp[Q / 2] = m(H - 1);
        mr[Q / 2] = -m(L - 1);
      }
      half.sites(half.ring, 1, {ma, 1, 0}, nullptr, {a, 1, 0}, rest);
      quarter.sites(quarter.ring, 1, {mp, 1, 0}, nullptr, {p, 1, 0}, rest);
      quarter.sites(quarter.ring, 1, {mr, 1, 0}, nullptr, {r, 1, 0}, rest);
      for (int i = 0; i < Q; ++i) {
        const V b0 = c[i] * p[i] + s[i] * r[i], b1 = c[i] * r[i] - s[i] * p[i];
        f(i, a[i] + b0);
        f(i + H, a[i] - b0);
        f(i + Q, a[i + Q] + b1);
        f(i + Q + H, a[i + Q] - b1);
      }
    } else if (L % 2 == 0) {
      for (int k = 0; k <= H / 2; ++k) {
        ma[k] = m(2 * k);
        mb[k] = m(H - 2 * k);
      }
      for (int k = 1; k <= H / 2; ++k) {
        ma[H / 2 + k] = m(H + 2 * k);
        mb[H / 2 + k] = -m(L - 2 * k);
      }
      half.sites(half.ring, 1, {ma, 1, 0}, nullptr, {a, 1, 0}, rest);
      half.sites(half.ring, 1, {mb, 1, 0}, nullptr, {b, 1, 0}, rest);
      for (int i = 0; i < H; ++i) {
        f(i, i % 2 ? a[i] - b[i] : a[i] + b[i]);
        f(i + H, i % 2 ? a[i] + b[i] : a[i] - b[i]);
      }
    } else {
      V *e = a, *o = e + H, *even = o + H, *odd = even + H;
      const V m0 = m(0);
      V sum = m0;
      for (int k = 0; k < H; ++k) {
        even[k] = m(k + 1);
        odd[k] = m(H + k + 1);
        sum += even[k];
      }
      multiply(c, even, e);
      multiply(s, odd, o);
      f(0, sum);
      for (int i = 0; i < H; ++i) {
        const V even_part = m0 + e[i];
        f(i + 1, even_part + o[i]);
        f(L - 1 - i, even_part - o[i]);
      }
    }
  }

  // A line of a long axis has every element on another page: the caches have to be told of the
  // line after the next
  static NOINLINE void modes(const void* ring, int64_t n, From sites, To modes, V* free) {
    Source<T> x = sites;
    Target<T> m = modes;
    for (; n > 0; --n, x.data += x.line, m.data += m.line) {
      const auto from = [=](int i) ALWAYS {
        __builtin_prefetch(x.data + i * x.step + 2 * x.line);
        return x.data[i * x.step];
      };
      const auto to = [=](int k, V v) ALWAYS { m.data[k * m.step] = v; };
      ((const Rings*)ring)->to_modes(from, to, free);
    }
  }

  static NOINLINE void add(const void* ring, int64_t n, From sites, const T* table, To modes,
                           V* free) {
    Source<T> x = sites;
    Target<T> m = modes;
    for (; n > 0; --n, x.data += x.line, m.data += m.line, table += m.line) {
      const auto from = [=](int i) ALWAYS {
        __builtin_prefetch(x.data + i * x.step + 2 * x.line);
        return x.data[i * x.step];
      };
      const auto to = [=](int k, V v) ALWAYS { m.data[k * m.step] += table[k * m.step] * v; };
      ((const Rings*)ring)->to_modes(from, to, free);
    }
  }

  static NOINLINE void sites(const void* ring, int64_t n, From modes, const T* table, To sites,
                             V* free) {
    Source<T> m = modes;
    Target<T> x = sites;
    for (; n > 0; --n, m.data += m.line, x.data += x.line) {
      const auto from = [=](int k) ALWAYS {
        __builtin_prefetch(m.data + k * m.step + 2 * m.line);
        return table ? m.data[k * m.step] * table[k * m.step] : m.data[k * m.step];
      };
      const auto to = [=](int i, V v) ALWAYS { x.data[i * x.step] = v; };
      ((const Rings*)ring)->to_sites(from, to, free);
      if (table) table += m.line;
    }
  }

  static Transform<T> transform(int L);  // fourier.cpp

 private:
  // sum_i matrix(k, i) in(i) for all k; the matrices are symmetric
  void multiply(const std::vector<T>& matrix, const V* in, V* out) const {
    constexpr int B = 6;
    for (int k = 0; k < H; k += B) {
      V sum[B] = {};
      const T* rows[B];
      UNROLL for (int b = 0; b < B; ++b) rows[b] = &matrix[std::min(k + b, H - 1) * H];
      for (int i = 0; i < H; ++i) UNROLL for (int b = 0; b < B; ++b) sum[b] += rows[b][i] * in[i];
      for (int b = 0; b < B && k + b < H; ++b) out[k + b] = sum[b];
    }
  }
};
