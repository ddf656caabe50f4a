// Configurations of a batch in the lanes of vectors, in double precision.

#pragma once

#include <cstdint>
#include <cstring>

#include "vectors.h"

constexpr int W = VECTOR_BYTES / sizeof(double);
typedef double V __attribute__((vector_size(VECTOR_BYTES)));

// a tile of W configurations, or of fewer at the end of the batch: the other lanes are 0
inline void load(const double* from, int64_t batch, int64_t lanes, int64_t sites, V* to) {
  for (int64_t x = 0; x < sites; ++x) {
    if (lanes == W) {
      std::memcpy(to + x, from + x * batch, sizeof(V));
    } else {
      to[x] = V{};
      std::memcpy(to + x, from + x * batch, lanes * sizeof(double));
    }
  }
}

inline void store(const V* from, int64_t batch, int64_t lanes, int64_t sites, double* to) {
  for (int64_t x = 0; x < sites; ++x) {
    if (lanes == W)
      std::memcpy(to + x * batch, from + x, sizeof(V));
    else
      std::memcpy(to + x * batch, from + x, lanes * sizeof(double));
  }
}
