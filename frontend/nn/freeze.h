// sinter::freeze: weights packed once for the matrix products of compiled functions.
#pragma once
#include "module_holder.h"

namespace sinter {

/// Freezes the weights of `model` and its submodules, for inference: a matrix product of a compiled function then keeps a packed
/// copy of a weight that is its right operand, made at its first run, in place of packing it at each call. Answers stay the same
/// to the bit. The copy takes about as many bytes as the weight, per way it is used.
///
/// A weight that is written afterwards (by an optimizer, copy_, loading, or because data_ptr() handed out a mutable pointer to
/// it) is read as it lies from then on; freezing again packs it anew. Parameters of two and more dimensions are frozen, of
/// float32 or float64, contiguous and alone in their memory; not memory from from_blob, nor what data_ptr() ever handed out.
/// Eager code, compiled functions for many sizes, products of a few rows that are summed along both operands, and batches of
/// different right operands do not use it.
///
/// Counts as a write to the parameters: no other thread may be running the model meanwhile. Ends the open region when called
/// inside a compiled function.
/// @returns how many parameters are frozen now, one that is registered twice (tied weights) once.
/// @throws OutOfMemoryError; nothing has changed then.
int64_t freeze(const nn::Module& model, Loc loc = Loc::current());
template <class Impl>
int64_t freeze(const nn::ModuleHolder<Impl>& model, Loc loc = Loc::current()) {
  return freeze(*model, loc);
}

/// Takes freeze() back and frees the packed copies. The same holds for other threads.
/// @returns how many parameters were frozen.
int64_t unfreeze(const nn::Module& model, Loc loc = Loc::current());
template <class Impl>
int64_t unfreeze(const nn::ModuleHolder<Impl>& model, Loc loc = Loc::current()) {
  return unfreeze(*model, loc);
}

/// Bytes that packed copies of all frozen weights of the process take now.
int64_t frozen_bytes();

}  // namespace sinter
