// Vectors of as many lanes as a register of this processor, by GCC/Clang vector extensions: the
// same source serves AVX-512, AVX2 and NEON.

#pragma once

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define REGISTERS 32
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#define REGISTERS 16
#elif defined(__aarch64__)
#define VECTOR_BYTES 16
#define REGISTERS 32
#else
#define VECTOR_BYTES 16
#define REGISTERS 16
#endif

#define UNROLL _Pragma("GCC unroll 32")
#define INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
// of a lambda, after its parameters
#define ALWAYS __attribute__((always_inline))
