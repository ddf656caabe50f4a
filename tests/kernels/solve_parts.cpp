// One problem of the fused solver, forward and backward, where there is no PyTorch: test_aarch64.py
// says what comes in by the standard input and goes out by the standard output.

#include <cstdio>
#include <vector>

#include "continuous.cpp"
#include "fourier.cpp"

int main(int, char** argv) {
  const int32_t is_double = argv[1][0] == 'd';
  std::vector<std::vector<char>> parts;
  for (int64_t size; std::fread(&size, sizeof size, 1, stdin) == 1;) {
    parts.emplace_back(size);
    if (std::fread(parts.back().data(), 1, size, stdin) != size_t(size)) return 1;
  }
  size_t read = 0;
  const auto next = [&]() -> void* { return parts.at(read++).data(); };

  Method method = *(Method*)next();
  method.node = (int32_t*)next();
  method.a = (double*)next();
  method.b = (double*)next();
  System system = *(System*)next();
  system.sides = (int64_t*)next();
  system.shell = (int32_t*)next();
  Task task = *(Task*)next();
  task.phi = next();
  Task back = task;
  back.out = next();
  back.log_det = next();
  Tables tables, grads;
  std::vector<std::vector<char>> results{parts[8], parts[10], parts[8]};
  for (void** table : {&tables.linear, &tables.first, &tables.second, &tables.coefficients,
                       &tables.trace, &tables.weights}) {
    results.push_back(parts[read]);
    *table = next();
  }
  const auto result = [&](int i) -> void* { return results[i].data(); };
  task.out = result(0);
  task.log_det = result(1);
  back.grad_phi = result(2);
  grads = {result(3), result(4), result(5), result(6), result(7), result(8)};
  back.grads = &grads;
  const int64_t bytes = flowlat_solve_kept_bytes(&system, &method, task.batch, is_double);
  task.kept = back.kept = std::aligned_alloc(VECTOR_BYTES, bytes);
  flowlat_solve_forward(&system, &method, &tables, &task, is_double);
  flowlat_solve_backward(&system, &method, &tables, &back, is_double);
  for (const std::vector<char>& part : results)
    std::fwrite(part.data(), 1, part.size(), stdout);
}
