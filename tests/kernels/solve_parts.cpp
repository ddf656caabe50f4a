// One problem of the fused solver, forward and backward: see parts.h.

#include <cstdlib>
#include <vector>

#include "continuous.cpp"
#include "fourier.cpp"
#include "parts.h"

int main(int, char** argv) {
  const int32_t is_double = argv[1][0] == 'd';
  Parts parts;
  Method method = *(Method*)parts.next();
  method.node = (int32_t*)parts.next();
  method.a = (double*)parts.next();
  method.b = (double*)parts.next();
  System system = *(System*)parts.next();
  system.sides = (int64_t*)parts.next();
  system.shell = (int32_t*)parts.next();
  Task task = *(Task*)parts.next();
  // the solution, its log_det, and the gradient of the field
  std::vector<Part> results{parts.peek(), parts.peek(2), parts.peek()};
  task.phi = parts.next();
  Task back = task;
  back.out = parts.next();
  back.log_det = parts.next();
  Tables tables, grads;
  for (void** table : {&tables.linear, &tables.first, &tables.second, &tables.coefficients,
                       &tables.trace, &tables.weights}) {
    results.push_back(parts.peek());
    *table = parts.next();
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
  return write(results);
}
