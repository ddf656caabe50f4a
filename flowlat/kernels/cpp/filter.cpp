// y = F^-1[a(k) F x], a real function of khat^2 for every mode, and its gradients.
//
// The factors of the transform's normalisation are in one table with a, rounded once; by how much
// log |det| of what is computed is off from sum_k log a(k) is known and returned.

#include <cstring>

#include "modes.h"
#include "tiles.h"

// What filter.py mirrors
struct Filter {
  int64_t d, sites, n_shells, batch, threads;
  const int64_t* sides;
  const int32_t* shell;   // of every mode, in the order of fourier.h
  const void *amplitude, *x;  // (shells), (batch, sites)
  void* y;                // (batch, sites); backward: the gradient of it, read
  void *grad_x, *grad_amplitude;  // (batch, sites), (shells); null: not wanted
};

namespace {

template <class T> struct Filtering {
  using M = Modes<T>;
  using V = typename M::V;
  static constexpr int W = M::W;

  const Filter& task;
  const M modes;
  const int64_t size;    // vectors of a field
  std::vector<T> table;  // (size)
  double rounding;

  explicit Filtering(const Filter& task)
      : task(task), modes(task.d, task.sides, task.sites), size(modes.size), table(size),
        rounding(modes.rounding) {
    const T* a = (const T*)task.amplitude;
    modes.each_site([&](int64_t k, int64_t at) {
      const double exact = modes.norm[k] * modes.norm[k] * a[task.shell[k]];
      table[at] = T(exact);
      rounding += (table[at] - exact) / exact;
    });
  }

  int64_t tiles() const { return (task.batch + W - 1) / W; }
  int lanes(int64_t tile) const { return int(std::min<int64_t>(W, task.batch - tile * W)); }
  int64_t at(int64_t tile) const { return tile * W * task.sites; }

  void forward() const {
    const int64_t per_thread = 2 * size + modes.pass_memory();
    const int64_t threads = std::max<int64_t>(1, std::min(task.threads, tiles()));
    V* const all = scratch<V>(per_thread * threads);
    share(threads, tiles(), [&](int64_t thread, int64_t tile) {
      V *x = all + thread * per_thread, *work = x + size, *memory = work + size;
      modes.load((const T*)task.x + at(tile), lanes(tile), memory, work,
                 [=](int64_t k, V m) ALWAYS { x[k] = m; });
      modes.store(x, table.data(), lanes(tile), memory, work, (T*)task.y + at(tile));
    });
  }

  // the map is its own transpose
  void backward() const {
    const int64_t groups = std::min(tiles(), kGroups);
    const int64_t per_thread = 3 * size + modes.pass_memory();
    const int64_t threads = std::max<int64_t>(1, std::min(task.threads, groups));
    const int64_t sums_size = task.grad_amplitude ? size * groups : 0;
    V* const all = scratch<V>(per_thread * threads + sums_size);
    V* const all_sums = all + per_thread * threads;
    std::memset((void*)all_sums, 0, sums_size * sizeof(V));
    share(threads, groups, [&](int64_t thread, int64_t group) {
      V *g = all + thread * per_thread, *x = g + size, *work = x + size, *memory = work + size;
      for (int64_t tile = group; tile < tiles(); tile += groups) {
        modes.load((const T*)task.y + at(tile), lanes(tile), memory, work,
                   [=](int64_t k, V m) ALWAYS { g[k] = m; });
        if (task.grad_amplitude) {
          V* sums = all_sums + group * size;
          modes.load((const T*)task.x + at(tile), lanes(tile), memory, work,
                     [=](int64_t k, V m) ALWAYS { sums[k] += g[k] * m; });
        }
        if (task.grad_x)
          modes.store(g, table.data(), lanes(tile), memory, work, (T*)task.grad_x + at(tile));
      }
    });
    if (!task.grad_amplitude) return;
    std::vector<double> grads(task.n_shells, 0.0);
    modes.each_site([&](int64_t k, int64_t at) {
      double sum = 0;
      for (int64_t group = 0; group < groups; ++group)
        for (int lane = 0; lane < W; ++lane) sum += all_sums[group * size + at][lane];
      grads[task.shell[k]] += modes.norm[k] * modes.norm[k] * sum;
    });
    for (int64_t s = 0; s < task.n_shells; ++s) ((T*)task.grad_amplitude)[s] = T(grads[s]);
  }
};

template <class T> double forward(const Filter& task) {
  const Filtering<T> filtering(task);
  filtering.forward();
  return filtering.rounding;
}

}  // namespace

extern "C" {

// log |det| of what was computed, less sum_k log a(k)
double flowlat_filter_forward(const Filter* task, int32_t is_double) {
  return (is_double ? forward<double> : forward<float>)(*task);
}

void flowlat_filter_backward(const Filter* task, int32_t is_double) {
  is_double ? Filtering<double>(*task).backward() : Filtering<float>(*task).backward();
}
}
