// Configurations as rows of sites in memory, and their sites as vectors of W configurations.

#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "vectors.h"

template <class T, int W> struct Rows {
  using I = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  typedef T V __attribute__((vector_size(W * sizeof(T))));
  typedef I M __attribute__((vector_size(W * sizeof(T))));

  // use(site, vector) for all sites of rows that are ``stride`` apart; lanes without a row are 0
  template <class Use>
  static INLINE void read(const T* from, int64_t stride, int64_t sites, int lanes,
                          const Use& use) {
    int64_t x = 0;
    for (; x + W <= sites; x += W) {
      V rows[W];
      UNROLL for (int lane = 0; lane < W; ++lane) {
        rows[lane] = V{};
        if (lane < lanes) std::memcpy(&rows[lane], from + lane * stride + x, sizeof(V));
      }
      transpose<1>(rows);
      UNROLL for (int e = 0; e < W; ++e) use(x + e, rows[e]);
    }
    for (; x < sites; ++x) {
      V v = {};
      for (int lane = 0; lane < lanes; ++lane) v[lane] = from[lane * stride + x];
      use(x, v);
    }
  }

  // and back, of get(site)
  template <class Get>
  static INLINE void write(const Get& get, int64_t stride, int64_t sites, int lanes, T* to) {
    int64_t x = 0;
    for (; x + W <= sites; x += W) {
      V rows[W];
      UNROLL for (int e = 0; e < W; ++e) rows[e] = get(x + e);
      transpose<1>(rows);
      UNROLL for (int lane = 0; lane < W; ++lane)
        if (lane < lanes) std::memcpy(to + lane * stride + x, &rows[lane], sizeof(V));
    }
    for (; x < sites; ++x) {
      const V v = get(x);
      for (int lane = 0; lane < lanes; ++lane) to[lane * stride + x] = v[lane];
    }
  }

  // W vectors in log2(W) rounds
  template <int H> static INLINE void transpose(V (&rows)[W]) {
    if constexpr (H < W) {
      UNROLL for (int i = 0; i < W; ++i)
        if (!(i & H)) exchange<H>(rows[i], rows[i + H], std::make_index_sequence<W>());
      transpose<2 * H>(rows);
    }
  }

 private:
  // a's blocks of H lanes at odd places with b's at even places
  template <int H, size_t... E>
  static INLINE void exchange(V& a, V& b, std::index_sequence<E...>) {
    const V before = a;
#if defined(__clang__)
    a = __builtin_shufflevector(before, b, (int(E & H ? W + E - H : E))...);
    b = __builtin_shufflevector(before, b, (int(E & H ? W + E : E + H))...);
#else
    a = __builtin_shuffle(before, b, M{I(E & H ? W + E - H : E)...});
    b = __builtin_shuffle(before, b, M{I(E & H ? W + E : E + H)...});
#endif
  }
};
