// phi^4 on tiles of configurations: S and the sums over neighbours that it is made of.
//
//   S = sum_x { (2 d + m2) phi^2 + lam phi^4 - 2 sum_mu phi(x) phi(x+mu) }

#pragma once

#include <vector>

#include "lanes.h"

// lines beside a line, at most: a tensor has no more axes
constexpr int64_t kMostBeside = 128;

// Lines of sites along the last axis, and the lines beside each of them: forwards, backwards
struct Lines {
  int64_t L, n, beside;
  std::vector<int64_t> first;  // sites with which the lines beside begin, (n, beside)

  Lines(int64_t d, const int64_t* sides, int64_t sites)
      : L(sides[d - 1]), n(sites / L), beside(2 * (d - 1)), first(n * beside) {
    int64_t stride = 1;
    for (int64_t axis = d - 2; axis >= 0; --axis) {
      const int64_t side = sides[axis];
      for (int64_t line = 0; line < n; ++line) {
        const int64_t x = line / stride % side;
        int64_t* const to = &first[line * beside + 2 * axis];
        to[0] = (line + ((x + 1) % side - x) * stride) * L;
        to[1] = (line + ((x + side - 1) % side - x) * stride) * L;
      }
      stride *= side;
    }
  }
};

// visit(x, phi(x), sum of phi over the neighbours of x) for all sites. N: lines beside a line, a
// constant for the compiler where d is at most 4; -1: any number
template <int N, class Visit>
INLINE void sites(const Lines& lines, const V* phi, const Visit& visit) {
  const int64_t L = lines.L, beside = N < 0 ? lines.beside : N;
  const V* near[N < 0 ? kMostBeside : N + 1];
  for (int64_t line = 0; line < lines.n; ++line) {
    const V* const own = phi + line * L;
    for (int64_t i = 0; i < beside; ++i) near[i] = phi + lines.first[line * beside + i];
    V left = own[L - 1], centre = own[0];
    for (int64_t x = 0; x < L; ++x) {
      const V right = own[x + 1 < L ? x + 1 : 0];
      V sum = left + right;
      for (int64_t i = 0; i < beside; ++i) sum += near[i][x];
      visit(line * L + x, centre, sum);
      left = centre;
      centre = right;
    }
  }
}

// S; mass = 2 d + m2
template <int N> INLINE V action_of(const Lines& lines, const V* phi, double mass, double lam) {
  V total = {};
  // every pair of neighbours is seen from both of its ends
  sites<N>(lines, phi, [&](int64_t, V centre, V sum) ALWAYS {
    total += centre * (centre * (mass + lam * (centre * centre)) - sum);
  });
  return total;
}
