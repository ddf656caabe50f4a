// Random numbers that are a function of a key and of a counter, and of nothing else.
//
// Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC11): a bijection of the 128 bits of the counter for
// each key of 64 bits.  The two halves of a block are its two random words.

#pragma once

#include <cstdint>

#include "vectors.h"

// U is uint64_t or a vector of it; the words of the counter are in the lower 32 bits of each.
// Stream is uint64_t, or U: one for each lane.
template <class U> struct Philox {
  U first, second;

  template <class Stream> INLINE Philox(uint64_t key, U counter, Stream stream) {
    const uint64_t low = 0xFFFFFFFF;
    U c0 = counter & low, c1 = counter >> 32, c2 = (counter & 0) + (stream & low);
    U c3 = (counter & 0) + (stream >> 32);
    uint64_t k0 = key & low, k1 = key >> 32;
    UNROLL
    for (int round = 0; round < 10; ++round) {
      const U a = c0 * uint64_t(0xD2511F53), b = c2 * uint64_t(0xCD9E8D57);
      c0 = (b >> 32) ^ c1 ^ k0;
      c1 = b & low;
      c2 = (a >> 32) ^ c3 ^ k1;
      c3 = a & low;
      k0 = (k0 + 0x9E3779B9) & low;
      k1 = (k1 + 0xBB67AE85) & low;
    }
    first = c0 | (c1 << 32);
    second = c2 | (c3 << 32);
  }
};

// [1, 2) from the upper 52 bits of a word
template <class V, class U> INLINE V one_to_two(U word) {
  return (V)((word >> 12) | uint64_t(0x3FF0000000000000));
}
