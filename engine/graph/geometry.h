// Where a value's elements lie in its buffer, and how a view's dimensions relate to its base's.
#pragma once
#include "graph.h"

namespace sinter {

/// Elements from the first to the last one addressed, 0 for an empty tensor. Strides are never negative.
int64_t extent_of(IntArrayRef sizes, IntArrayRef strides);
/// True when two indices may reach one element (not proven otherwise).
bool may_repeat(IntArrayRef sizes, IntArrayRef strides);
/// Bytes a buffer needs to hold a value of this geometry.
int64_t buffer_bytes(const TensorMeta& meta);

/// Same dtype, sizes, offset and strides; strides of size-1 dimensions do not count, nor any stride of an empty tensor.
bool same_geometry(const TensorMeta& a, const TensorMeta& b);

/// Strides of a value broadcast to `sizes` (aligned at the right, 0 where it repeats).
SizeVec expanded_strides(const TensorMeta& meta, IntArrayRef sizes);

/// How view dimensions walk the dimensions of the base: to_base[d] is the base dimension, -1 where the view repeats or
/// has size 1. False when the view is no plain permutation and broadcast of the whole base (slices, reshapes).
bool view_dims(const TensorMeta& view, const TensorMeta& base, int8_t* to_base);

/// Row-major, no offset: memory order is logical order.
bool is_plain(const TensorMeta& meta);

}  // namespace sinter
