// Elementary functions of vectors of float or double, to a few units in the last place.

#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "vectors.h"

template <class T, int BYTES = VECTOR_BYTES> struct Functions {
  static constexpr bool SINGLE = sizeof(T) == 4;
  static constexpr int LANES = BYTES / sizeof(T);
  using Integer = std::conditional_t<SINGLE, int32_t, int64_t>;
  typedef T V __attribute__((vector_size(BYTES)));
  typedef Integer I __attribute__((vector_size(BYTES)));

  static constexpr int MANTISSA = SINGLE ? 23 : 52, BIAS = SINGLE ? 127 : 1023;
  static constexpr T LARGEST = std::numeric_limits<T>::max();
  static constexpr T INFINITE = std::numeric_limits<T>::infinity();

  static constexpr double factorial(int n) { return n < 2 ? 1 : n * factorial(n - 1); }

  static INLINE V root(V x) {
    for (int lane = 0; lane < LANES; ++lane) x[lane] = std::sqrt(x[lane]);
    return x;
  }

  // sqrt(1 + x^2), also where the square would overflow
  static INLINE V hypotenuse(V x) {
    constexpr T large = SINGLE ? T(1e15) : T(1e150);
    const V size = x < T(0) ? -x : x;
    return size > large ? size : root(T(1) + x * x);
  }

  // log x, x > 0 and normal: the exponent, and 2 artanh((m - 1) / (m + 1)) of a mantissa m in
  // (0.7, 1.42). Infinity and NaN stay what they are
  static INLINE V log(V x) {
    const I bits = (I)x, one = (I)(V{} + T(1)), mantissa = (Integer(1) << MANTISSA) - 1 + I{};
    V m = (V)((bits & mantissa) | one);
    V e = __builtin_convertvector((bits >> MANTISSA) - Integer(BIAS), V);
    const auto large = m > T(1.4142135623730951);
    m = large ? T(0.5) * m : m;
    e = large ? e + T(1) : e;
    const V s = (m - T(1)) / (m + T(1)), s2 = s * s;
    constexpr int last = SINGLE ? 9 : 21;
    V p = V{} + T(1.0 / last);
    UNROLL for (int n = last - 2; n > 1; n -= 2) p = p * s2 + T(1.0 / n);
    const V found = e * T(0.6931471805599453) + T(2) * (s + s * s2 * p);
    return x <= LARGEST ? found : x;
  }

  // log(1 + x), x >= 0
  static INLINE V log1p(V x) {
    const V u = T(1) + x;
    const V lost = x - (u - T(1));
    const V found = log(u) + lost / u;
    return x <= LARGEST ? found : x;
  }

  // (exp(x) - 1) / 2, x >= 0: 2^n exp(r), |r| < log(2) / 2
  static INLINE V half_expm1(V x) {
    constexpr T to_integer = SINGLE ? T(0x1.8p23) : T(0x1.8p52);  // whose last bit is 1
    constexpr T high = SINGLE ? T(0x1.62e4p-1) : T(0x1.62e42feep-1);
    constexpr T low = T(0.693147180559945309417L - (long double)high);
    constexpr T most = SINGLE ? T(88) : T(709);
    const V shifted = x * T(1.4426950408889634) + to_integer, twos = shifted - to_integer;
    const V r = (x - twos * high) - twos * low;
    constexpr int last = SINGLE ? 7 : 14;
    V p = V{} + T(1 / factorial(last));
    UNROLL for (int n = last - 1; n > 0; --n) p = p * r + T(1 / factorial(n));
    const I exponent = (I)shifted - (I)(V{} + to_integer) + Integer(BIAS - 1);
    const V half = (V)(exponent << MANTISSA);
    const V found = half * (p * r) + (half - T(0.5));
    return x <= most ? found : x * INFINITE;  // NaN stays NaN
  }
};
