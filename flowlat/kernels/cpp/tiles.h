// Memory and threads for work on tiles of configurations.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <thread>
#include <vector>

// Tiles or configurations are added up in so many groups, whatever the number of threads
constexpr int64_t kGroups = 8;

// Scratch that the calling thread keeps from call to call, and shares out among its helpers: fresh
// pages are slow
template <class V> V* scratch(int64_t vectors) {
  struct Memory {
    V* data = nullptr;
    int64_t size = 0;
    ~Memory() { std::free(data); }
  };
  static thread_local Memory memory;
  if (memory.size < vectors) {
    std::free(memory.data);
    memory.data = (V*)std::aligned_alloc(sizeof(V), vectors * sizeof(V));
    memory.size = vectors;
  }
  return memory.data;
}

// PyTorch's threads, by what its OpenMP runtime exports. Threads of our own would share the
// processor with those, which go on spinning for milliseconds after every operation of PyTorch.
struct Pool {
  void (*parallel)(void (*run)(void*), void* data, unsigned threads, unsigned flags) = nullptr;
  int (*thread)() = nullptr;
  int (*threads)() = nullptr;
};
inline Pool pool;

// part(thread, of how many) by each of so many threads
template <class Part> void on_threads(int64_t threads, const Part& part) {
  if (threads == 1) return part(0, 1);
  if (pool.parallel) {
    const auto run = [](void* data) { (*(const Part*)data)(pool.thread(), pool.threads()); };
    return pool.parallel(run, (void*)&part, unsigned(threads), 0);
  }
  std::vector<std::thread> others;
  for (int64_t thread = 1; thread < threads; ++thread) others.emplace_back(part, thread, threads);
  part(0, threads);
  for (std::thread& other : others) other.join();
}

// work(thread, i) for all i < n, by whichever thread is free: another process may hold one up
template <class Work> void share(int64_t threads, int64_t n, const Work& work) {
  const int64_t chunk = std::max<int64_t>(1, n / (32 * threads));
  std::atomic<int64_t> next{0};
  on_threads(threads, [&](int64_t thread, int64_t) {
    for (int64_t i; (i = next.fetch_add(chunk, std::memory_order_relaxed)) < n;)
      for (const int64_t end = std::min(n, i + chunk); i < end; ++i) work(thread, i);
  });
}

// The same in turn: which thread has which i depends on their number alone
template <class Work> void deal(int64_t threads, int64_t n, const Work& work) {
  on_threads(threads, [&](int64_t thread, int64_t of) {
    for (int64_t i = thread; i < n; i += of) work(thread, i);
  });
}
