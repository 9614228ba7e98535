// The interpreter: a region's events in order with eager kernels. Slow, and always right.
#pragma once
#include <span>
#include "trie.h"

namespace sinter {

/// The call an event stands for, on these operands. `scalars`: the region's.
OpCall call_of(const Event& e, std::span<TensorImpl* const> operands, IntArrayRef ints, const Scalar* scalars);

/// Gives every result of the path its bytes (all before the first kernel runs), then runs the operators in order. Operands,
/// results and value scalars are those of the slot tables. @throws OutOfMemoryError with nothing written.
/// `free_ints`: the arguments of generalised events in order (Context::free_ints_). `wanted`: by slot, the results that are to
/// have bytes afterwards; the others share memory, each as long as it is used. Null: all are.
void interpret(Event* const* path, size_t n, TensorImpl* const* slots, const Scalar* scalars, const int64_t* free_ints,
               const std::vector<bool>* wanted = nullptr);

}  // namespace sinter
