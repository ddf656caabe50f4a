// The transforms of all lengths, compiled once.

#include "fourier.h"

template <class T> Transform<T> Rings<T>::transform(int L) {
  switch (L) {
    case 1: return Short<T, 1, Ring<T, 1>>::transform();
    case 2: return Short<T, 2, Ring<T, 2>>::transform();
    case 3: return Short<T, 3, Ring<T, 3>>::transform();
    case 4: return Short<T, 4, Ring<T, 4>>::transform();
    case 5: return Short<T, 5, Ring<T, 5>>::transform();
    case 6: return Short<T, 6, Ring<T, 6>>::transform();
    case 8: return Short<T, 8, Ring<T, 8>>::transform();
    case 10: return Short<T, 10, Ring<T, 10>>::transform();
    case 12: return Short<T, 12, Ring<T, 12>>::transform();
    case 16: return Short<T, 16, Ring<T, 16>>::transform();
    case 32: return Short<T, 32, Ring<T, 32>>::transform();
    case 64: return Short<T, 64, Ring<T, 64>>::transform();
    default: return {modes, sites, add, of(L)};
  }
}

template struct Rings<float>;
template struct Rings<double>;
