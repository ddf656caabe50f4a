// What a program of test_aarch64.py reads and writes, where there is no PyTorch: parts by the
// standard input, each after its size in bytes, and results by the standard output.

#pragma once

#include <cstdint>
#include <cstdio>
#include <vector>

using Part = std::vector<char>;

class Parts {
  std::vector<Part> all;
  size_t read = 0;

 public:
  Parts() {
    for (int64_t size; std::fread(&size, sizeof size, 1, stdin) == 1;) {
      all.emplace_back(size);
      if (std::fread(all.back().data(), 1, size, stdin) != size_t(size)) all.pop_back();
    }
  }
  size_t left() const { return all.size() - read; }
  Part& peek(size_t ahead = 0) { return all.at(read + ahead); }
  void* next() { return all.at(read++).data(); }
};

inline int write(const std::vector<Part>& results) {
  for (const Part& part : results)
    if (std::fwrite(part.data(), 1, part.size(), stdout) != part.size()) return 1;
  return 0;
}
