// A matrix product whose geometry has been looked at: what is left at run time is the arithmetic.
#pragma once
#include "kernel.h"

namespace sinter {

struct SettledProduct {
  int64_t m = 0, n = 0, k = 0;
  int64_t a_row = 0, a_col = 0, b_row = 0, b_col = 0;  // strides in elements
  /// c = a b, or a b + bias where there is one; the kernels of the ISA level at settling.
  void (*run)(const SettledProduct& p, const void* a, const void* b, const void* bias, void* c) = nullptr;
};

/// Settles an mm or linear call; `args` needs no data, but a bias that is there must have some address. False for what the eager
/// kernel does more for: copies of operands, other types, empty results. Computes what run_kernel does, to the bit.
bool settle_product(const KernelArgs& args, SettledProduct& p);

}  // namespace sinter
