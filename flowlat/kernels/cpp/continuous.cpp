// The nonlinearity of the continuous flow, forward and backward in one pass each.
//
//   f_j(u) = sum_m c_jm s^m,  s = u / sqrt(1 + u^2),  and  D_j = sum over the sites of f_j'(u)
//
// u is (sites, channels, batch), so that the innermost loops run over whole rows of the batch and
// the compiler vectorises them.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace {

struct Shape {
  int64_t sites, channels, batch, terms;
};

// P, P' and P'' / 2 at s, by Horner's rule
template <class T, int M> inline void horner(const T* c, T s, T& p, T& p1, T& p2) {
  p = c[M - 1];
  p1 = p2 = 0;
  for (int m = M - 2; m >= 0; --m) {
    p2 = p2 * s + p1;
    p1 = p1 * s + p;
    p = p * s + c[m];
  }
}

// the coefficients of a channel, with zeros up to M terms
template <class T, int M> inline void pad(const T* from, int64_t terms, T* to) {
  std::fill(std::copy(from, from + terms, to), to + M, T(0));
}

template <class T, int M>
void forward(const Shape& n, const T* u, const T* c, T* f, T* d) {
  std::fill(d, d + n.channels * n.batch, T(0));
  for (int64_t row = 0; row < n.sites * n.channels; ++row) {
    const int64_t j = row % n.channels;
    T coefficients[M];
    pad<T, M>(c + j * n.terms, n.terms, coefficients);
    const T* __restrict u_row = u + row * n.batch;
    T* __restrict f_row = f + row * n.batch;
    T* __restrict d_row = d + j * n.batch;
    for (int64_t b = 0; b < n.batch; ++b) {
      const T r2 = 1 / (1 + u_row[b] * u_row[b]), r = std::sqrt(r2);
      T p, p1, p2;
      horner<T, M>(coefficients, u_row[b] * r, p, p1, p2);
      f_row[b] = p;
      d_row[b] += p1 * r * r2;  // ds/du = (1 + u^2)^(-3/2)
    }
  }
}

template <class T, int M>
void backward(const Shape& n, const T* u, const T* c, const T* grad_f, const T* grad_d,
              T* grad_u, T* grad_c) {
  constexpr int W = 64 / sizeof(T);
  for (int64_t j = 0; j < n.channels; ++j) {
    T coefficients[M], sums[M][W] = {};
    pad<T, M>(c + j * n.terms, n.terms, coefficients);
    for (int64_t x = 0; x < n.sites; ++x)
      for (int64_t first = 0; first < n.batch; first += W) {
        const int64_t count = std::min<int64_t>(W, n.batch - first);
        const int64_t at = (x * n.channels + j) * n.batch + first;
        T v[W] = {}, gf[W] = {}, gd[W] = {}, gu[W], s[W], power[W];
        std::memcpy(v, u + at, count * sizeof(T));
        std::memcpy(gf, grad_f + at, count * sizeof(T));
        std::memcpy(gd, grad_d + j * n.batch + first, count * sizeof(T));
        for (int w = 0; w < W; ++w) {
          const T r2 = 1 / (1 + v[w] * v[w]), r = std::sqrt(r2), r3 = r * r2;
          s[w] = v[w] * r;
          T p, p1, p2;
          horner<T, M>(coefficients, s[w], p, p1, p2);
          // f'' = P'' (ds/du)^2 + P' d2s/du2
          gu[w] = gf[w] * p1 * r3 + gd[w] * (2 * p2 * r3 * r3 - 3 * p1 * s[w] * r2 * r2);
          gd[w] *= r3;
          power[w] = 1;
        }
        std::memcpy(grad_u + at, gu, count * sizeof(T));
        for (int w = 0; w < W; ++w) sums[0][w] += gf[w];
        for (int m = 1; m < M; ++m)
          for (int w = 0; w < W; ++w) {
            sums[m][w] += power[w] * (m * gd[w] + gf[w] * s[w]);
            power[w] *= s[w];
          }
      }
    for (int64_t m = 0; m < n.terms; ++m) {
      T total = 0;
      for (int w = 0; w < W; ++w) total += sums[m][w];
      grad_c[j * n.terms + m] = total;
    }
  }
}

template <class T>
void forward(const Shape& n, const void* u, const void* c, void* f, void* d) {
  const auto run = n.terms <= 8 ? forward<T, 8> : forward<T, 16>;
  run(n, (const T*)u, (const T*)c, (T*)f, (T*)d);
}

template <class T>
void backward(const Shape& n, const void* u, const void* c, const void* grad_f,
              const void* grad_d, void* grad_u, void* grad_c) {
  const auto run = n.terms <= 8 ? backward<T, 8> : backward<T, 16>;
  run(n, (const T*)u, (const T*)c, (const T*)grad_f, (const T*)grad_d, (T*)grad_u, (T*)grad_c);
}

}  // namespace

// The interface of nonlinear.py; at most 16 terms
extern "C" {

void flowlat_nonlinear_forward(int64_t sites, int64_t channels, int64_t batch, int64_t terms,
                               const void* u, const void* c, void* f, void* d, int32_t is_double) {
  is_double ? forward<double>({sites, channels, batch, terms}, u, c, f, d)
            : forward<float>({sites, channels, batch, terms}, u, c, f, d);
}

void flowlat_nonlinear_backward(int64_t sites, int64_t channels, int64_t batch, int64_t terms,
                                const void* u, const void* c, const void* grad_f,
                                const void* grad_d, void* grad_u, void* grad_c,
                                int32_t is_double) {
  is_double ? backward<double>({sites, channels, batch, terms}, u, c, grad_f, grad_d, grad_u, grad_c)
            : backward<float>({sites, channels, batch, terms}, u, c, grad_f, grad_d, grad_u, grad_c);
}
}
