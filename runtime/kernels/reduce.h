// Reductions: how a call's dimensions become the steps of reduce_order.h.
#pragma once
#include "run_kernel.h"

namespace sinter {

/// The dimensions of an operand, outermost first: those of size 1 dropped, neighbours of one kind merged where their
/// strides allow.
struct ReduceSpace {
  int rank = 0;
  int64_t size[kMaxRank], stride[kMaxRank];
  bool reduced[kMaxRank];
  void push(int64_t n, int64_t st, bool red);
};

/// `dims`: mask of the reduced dimensions, 0 = all.
ReduceSpace reduce_space(IntArrayRef sizes, IntArrayRef strides, uint32_t dims);

enum class ReduceKind : uint8_t { Sum, Max, Min };

/// Reduces `in` (first element of the operand) to `out`, dense over the kept dimensions. T: float, double, int64_t,
/// uint8_t (bytes 0 and 1; Max = any, Min = all). No dimension has size 0. Inputs whose strides no kernel takes are copied.
template <class T>
void reduce_to(const ReduceSpace& space, const T* in, ReduceKind kind, T* out);

void run_argreduce(const KernelArgs& args);  // argmax, argmin: argreduce.cpp

}  // namespace sinter
