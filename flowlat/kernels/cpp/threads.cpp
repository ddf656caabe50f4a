// Which threads the kernels run on: PyTorch's, once they are told of.

#include "tiles.h"

extern "C" void flowlat_use_threads(void* parallel, void* thread, void* threads) {
  pool = {(decltype(Pool::parallel))parallel, (decltype(Pool::thread))thread,
          (decltype(Pool::threads))threads};
}
