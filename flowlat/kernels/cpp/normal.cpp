// Gaussian numbers from Philox by the transform of Box and Muller, eight pairs at once.
//
// Block b has numbers 16 b to 16 b + 15: of the counters 8 b to 8 b + 7 first the cosines, then the
// sines.  kernels/noise.py says the same in PyTorch.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "functions.h"
#include "random.h"

namespace {

typedef double V __attribute__((vector_size(64)));
typedef uint64_t U __attribute__((vector_size(64)));

constexpr int kPairs = 8;

// sin and cos of x in [-pi/4, pi/4], by their series
INLINE void sin_cos(V x, V& sin, V& cos) {
  const V x2 = x * x;
  V s = x2 * (-1.0 / 1307674368000) + 1.0 / 6227020800;
  s = s * x2 - 1.0 / 39916800;
  s = s * x2 + 1.0 / 362880;
  s = s * x2 - 1.0 / 5040;
  s = s * x2 + 1.0 / 120;
  s = s * x2 - 1.0 / 6;
  sin = x + x * x2 * s;
  V c = x2 * (1.0 / 20922789888000) - 1.0 / 87178291200;
  c = c * x2 + 1.0 / 479001600;
  c = c * x2 - 1.0 / 3628800;
  c = c * x2 + 1.0 / 40320;
  c = c * x2 - 1.0 / 720;
  c = c * x2 + 1.0 / 24;
  c = c * x2 - 0.5;
  cos = 1.0 + x2 * c;
}

// sixteen normal numbers of eight counters
INLINE void block(uint64_t key, uint64_t b, V* out) {
  const U lanes = {0, 1, 2, 3, 4, 5, 6, 7};
  const Philox<U> words(key, lanes + kPairs * b, uint64_t(0));
  const V u = 2.0 - one_to_two<V>(words.first);  // in (0, 1]
  V r = -2.0 * Functions<double, 64>::log(u);
  for (int lane = 0; lane < kPairs; ++lane) r[lane] = std::sqrt(r[lane]);
  // the quadrant from two lower bits, the angle in it from the upper ones
  V sin, cos;
  sin_cos((one_to_two<V>(words.second) - 1.5) * 1.5707963267948966, sin, cos);
  const auto odd = (words.second & uint64_t(1)) != 0;
  const U sign = (words.second & uint64_t(2)) << 62;
  const V c = odd ? -sin : cos, s = odd ? cos : sin;
  out[0] = r * (V)((U)c ^ sign);
  out[1] = r * (V)((U)s ^ sign);
}

}  // namespace

extern "C" void flowlat_normal(int64_t key, int64_t n, double* out, int32_t) {
  for (int64_t first = 0; first < n; first += 2 * kPairs) {
    V numbers[2];
    block(uint64_t(key), uint64_t(first) / (2 * kPairs), numbers);
    const int64_t left = std::min<int64_t>(n - first, 2 * kPairs);
    std::memcpy(out + first, numbers, left * sizeof(double));
  }
}
