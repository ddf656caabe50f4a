// Memory and threads for work on tiles of configurations.

#pragma once

#include <cstdint>
#include <cstdlib>
#include <thread>
#include <vector>

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

// work(thread, i) for all i < n; which thread has which i is fixed
template <class Work> void share(int64_t threads, int64_t n, const Work& work) {
  const auto run = [&](int64_t thread) {
    for (int64_t i = thread; i < n; i += threads) work(thread, i);
  };
  std::vector<std::thread> others;
  for (int64_t thread = 1; thread < threads; ++thread) others.emplace_back(run, thread);
  run(0);
  for (std::thread& other : others) other.join();
}
