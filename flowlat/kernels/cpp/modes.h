// The modes of a periodic lattice, axis by axis: the real Fourier transforms of fourier.h, of tiles.
//
// Memory: a tile of W configurations at a time, [site or mode][lane], one vector for each. What is
// done with the modes is done where the first axis is read or written. The other axes are taken by
// parts of the field, one part through all of them, which stays in the first cache meanwhile.
//
// Where a block of the inner axes is a multiple of 4 kB, a line of an outer axis would have all its
// elements in one set of the first cache, which holds eight or twelve. Such a block is a slab of one
// vector more, which stays 0: 1.2 times as fast on 64^2, with nothing to see on 8^3, 16^3 and 8^4.

#pragma once

#include "fourier.h"
#include "rows.h"

constexpr int64_t kBuffer = 64;    // vectors that lines on the way through the sites take
constexpr int64_t kPart = 256;     // vectors of a part, if that is no less than a block of an axis
constexpr int64_t kAliased = 4096;  // bytes, whose multiples share a set of the first cache

template <class T> struct Axis {
  typedef T V __attribute__((vector_size(VECTOR_BYTES)));
  int64_t L;
  bool square;  // two axes of 4
  Transform<T> transform;
  // lines of elements ``inner`` apart, L * inner of them in a block, ``outer`` blocks in a slab
  int64_t inner = 1, outer = 1, slabs = 1, slab = 0;

  void to_modes(int64_t n, const Source<T>& x, const Target<T>& m, V* free) const {
    transform.modes(transform.ring, n, x, m, free);
  }
  void to_sites(int64_t n, const Source<T>& m, const T* table, const Target<T>& x, V* free) const {
    transform.sites(transform.ring, n, m, table, x, free);
  }
  // lines that are taken together, in a buffer in the first cache
  int64_t group() const { return std::max<int64_t>(1, kBuffer / L); }

  // of the last axis, use(where they start, how many of them)
  template <class Use> INLINE void each_group(const Use& use) const {
    for (int64_t s = 0, most = group(); s < slabs; ++s)
      for (int64_t o = 0; o < outer; o += most) use(s * slab + o * L, std::min(most, outer - o));
  }

  // all lines, in place
  void to_sites(V* memory, V* work) const {
    each_block(work, [&](V* at) {
      to_sites(inner, {at, inner, 1}, nullptr, {at, inner, 1}, memory);
    });
  }
  void to_modes(V* memory, V* work) const {
    each_block(work, [&](V* at) { to_modes(inner, {at, inner, 1}, {at, inner, 1}, memory); });
  }
  template <class Use> INLINE void each_block(V* work, const Use& use) const {
    for (int64_t s = 0; s < slabs; ++s)
      for (int64_t o = 0; o < outer; ++o) use(work + s * slab + o * L * inner);
  }

  // all lines of the first axis: to sites, of table * x; to modes, of which table * value is added,
  // or with use(mode, value)
  void to_sites(V* memory, const V* x, const T* table, V* out) const {
    to_sites(inner, {x, inner, 1}, table, {out, inner, 1}, memory);
  }
  void add_modes(V* memory, const V* work, const T* table, V* out) const {
    transform.add(transform.ring, inner, {work, inner, 1}, table, {out, inner, 1}, memory);
  }
  template <class Use> INLINE void to_modes(V* memory, const V* work, const Use& use) const {
    V *buffer = memory, *free = memory + kBuffer + L;
    for (int64_t i = 0, most = group(); i < inner; i += most) {
      const int64_t n = std::min(most, inner - i);
      to_modes(n, {work + i, inner, 1}, {buffer, n, 1}, free);
      for (int64_t k = 0; k < L; ++k)
        for (int64_t g = 0; g < n; ++g) use(k * inner + i + g, buffer[k * n + g]);
    }
  }
};

template <class T> struct Modes {
  static constexpr int W = VECTOR_BYTES / sizeof(T);
  typedef T V __attribute__((vector_size(VECTOR_BYTES)));

  int64_t sites, longest = 16;  // of two axes of 4
  int64_t block, slab, size;    // sites in a slab, vectors in it, vectors of a field
  std::vector<Axis<T>> axes;    // without those of one site; two at least
  std::vector<Axis<T>> inside;  // those after the first, of a part of the field
  int64_t parts, part;          // how many, and vectors of one
  std::vector<double> norm;     // what makes a mode orthonormal: a factor on either way
  double rounding = 0;          // log |det| of either way after the other, in this precision

  Modes(int64_t d, const int64_t* sides, int64_t sites)
      : sites(sites), block(sites), slab(sites), norm(sites, 1.0) {
    for (int64_t i = 0, inner = sites; i < d; ++i) {
      const int64_t L = sides[i];
      longest = std::max(longest, L);
      inner /= L;
      rounding += 2.0 * sites / L * log_det_of_rounding<T>(L);
      const double low = std::sqrt(1.0 / L), high = std::sqrt(2.0 / L);
      for (int64_t k = 0; k < sites; ++k) {
        const int64_t n = k / inner % L;
        norm[k] *= n == 0 || 2 * n == L ? low : high;
      }
      if (L == 4 && !axes.empty() && axes.back().L == 4)
        axes.back() = {16, true, Short<T, 16, Square4<T>>::transform()};
      else if (L > 1)
        axes.push_back({L, false, Rings<T>::transform(int(L))});
    }
    while (axes.size() < 2) axes.insert(axes.begin(), {1, false, Rings<T>::transform(1)});
    for (int64_t i = axes.size() - 1, inner = 1; i > 0 && block == sites; --i)
      if ((inner *= axes[i].L) * int64_t(sizeof(V)) % kAliased == 0) block = inner;
    if (block < sites) slab = block + 1;
    size = sites / block * slab;
    int64_t inner = 1;  // sites inside an axis
    for (size_t i = axes.size(); i-- > 0; inner *= axes[i].L) {
      const bool inside = inner < block;
      axes[i].inner = inside ? inner : inner / block * slab;
      axes[i].outer = (inside ? block : sites) / (axes[i].L * inner);
      axes[i].slabs = inside ? sites / block : 1;
      axes[i].slab = slab;
    }
    const Axis<T>& first = axes[0];
    int64_t together = axes.size() == 2 ? first.L : std::max<int64_t>(1, kPart / first.inner);
    while (first.L % together) --together;
    parts = first.L / together;
    part = together * first.inner;
    inside.assign(axes.begin() + 1, axes.end());
    for (Axis<T>& axis : inside) (axis.slabs > 1 ? axis.slabs : axis.outer) /= parts;
  }

  // of a part, all axes inside but the last, and back
  INLINE void to_last(V* memory, V* at) const {
    for (size_t i = 0; i + 1 < inside.size(); ++i) inside[i].to_sites(memory, at);
  }
  INLINE void from_last(V* memory, V* at) const {
    for (size_t i = inside.size() - 1; i-- > 0;) inside[i].to_modes(memory, at);
  }

  // use(site or mode, where a field has it)
  template <class Use> INLINE void each_site(const Use& use) const {
    int64_t x = 0;
    for (int64_t first = 0; first < size; first += slab)
      for (int64_t at = first; at < first + block; ++at, ++x) use(x, at);
  }

  // vectors that a pass takes: two buffers, and what a transform wants
  int64_t pass_memory() const { return 2 * (kBuffer + longest) + Rings<T>::scratch(longest); }

  // (batch, sites) to modes without a norm, by ``work``; use(where the mode is, value)
  template <class Use>
  void load(const T* phi, int lanes, V* memory, V* work, const Use& use) const {
    for (int64_t x = 0, first = 0; first < size; first += slab, x += block) {
      V* const to = work + first;
      Rows<T, W>::read(phi + x, sites, block, lanes, [=](int64_t i, V v) ALWAYS { to[i] = v; });
    }
    if (slab > block) for (int64_t at = block; at < size; at += slab) work[at] = V{};
    for (V* at = work; at < work + size; at += part) {
      inside.back().to_modes(memory, at);
      from_last(memory, at);
    }
    axes[0].to_modes(memory, work, use);
  }
  // and back, of table * modes
  void store(const V* modes, const T* table, int lanes, V* memory, V* work, T* phi) const {
    axes[0].to_sites(memory, modes, table, work);
    for (V* at = work; at < work + size; at += part) {
      to_last(memory, at);
      inside.back().to_sites(memory, at);
    }
    for (int64_t x = 0, first = 0; first < size; first += slab, x += block) {
      const V* const from = work + first;
      Rows<T, W>::write([=](int64_t i) ALWAYS { return from[i]; }, sites, block, lanes, phi + x);
    }
  }
};
