// One stack of the stencil kernel, forward and backward: see parts.h.

#include <cstdlib>
#include <vector>

#include "parts.h"
#include "stencil.cpp"

int main(int, char** argv) {
  const int32_t is_double = argv[1][0] == 'd';
  Parts parts;
  Stack stack = *(Stack*)parts.next();
  Layer* layers = (Layer*)parts.next();
  stack.layers = layers;
  for (int64_t i = 0; i < stack.n_layers; ++i) {
    layers[i].neighbours = (int32_t*)parts.next();
    layers[i].outputs = (int32_t*)parts.next();
  }
  Call call = *(Call*)parts.next();
  std::vector<Part> results{parts.peek(1), parts.peek()};  // y, and the gradient of x
  call.x = parts.next();
  void* const grad_y = parts.next();
  std::vector<const void*> parameters;
  while (parts.left()) {
    results.push_back(parts.peek());
    parameters.push_back(parts.next());
  }
  std::vector<void*> gradients;
  for (size_t i = 2; i < results.size(); ++i) gradients.push_back(results[i].data());
  call.weights = parameters.data();
  call.biases = call.weights + stack.n_layers;

  call.y = results[0].data();
  const int64_t bytes = flowlat_kept_bytes(&stack, call.batch, is_double);
  call.kept = std::aligned_alloc(VECTOR_BYTES, bytes);
  flowlat_forward(&stack, &call, is_double);
  call.y = grad_y;
  call.grad_x = results[1].data();
  call.grad_weights = gradients.data();
  call.grad_biases = call.grad_weights + stack.n_layers;
  flowlat_backward(&stack, &call, is_double);
  return write(results);
}
