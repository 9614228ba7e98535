// Which in-place calls would read what they write, or write an element twice.
#include "../mutants.h"
#include "infer.h"

namespace sinter {

namespace {

bool writes_twice(const TensorImpl* t) {
  for (size_t i = 0; i < t->sizes.size(); ++i)
    if (t->strides[i] == 0 && t->sizes[i] > 1) return true;
  return false;
}

struct Bytes {
  uintptr_t begin, end;
};

/// Byte range of a dense tensor; relative to its storage when `base` is 0.
Bytes byte_range(const TensorImpl* t, uintptr_t base) {
  const auto item = static_cast<uintptr_t>(element_size(t->dtype()));
  const uintptr_t begin = base + static_cast<uintptr_t>(t->offset) * item;
  return {begin, begin + static_cast<uintptr_t>(t->numel) * item};
}

enum class Overlap { None, Partly, Fully };

/// Partly: the two share some but not all bytes, or all in another order. Tensors with holes are taken as fine, as in
/// PyTorch: telling would cost more than the operator.
Overlap overlap_of(const TensorImpl* a, const TensorImpl* b) {
  if (a->numel == 0 || b->numel == 0) return Overlap::None;
  if (a == b) return Overlap::Fully;
  uintptr_t base_a = 0, base_b = 0;
  if (a->storage != b->storage) {
    if (!a->storage->has(Storage::kBorrowed) || !b->storage->has(Storage::kBorrowed)) return Overlap::None;
    base_a = reinterpret_cast<uintptr_t>(a->storage->data);
    base_b = reinterpret_cast<uintptr_t>(b->storage->data);
  }
  if (!is_non_overlapping_and_dense(a->sizes, a->strides) || !is_non_overlapping_and_dense(b->sizes, b->strides))
    return Overlap::None;
  const Bytes x = byte_range(a, base_a), y = byte_range(b, base_b);
  if (x.end <= y.begin || y.end <= x.begin) return Overlap::None;
  return x.begin == y.begin && x.end == y.end && a->strides == b->strides ? Overlap::Fully : Overlap::Partly;
}

}  // namespace

void check_inplace_overlap(const OpCall& call, bool elementwise) {
  const TensorImpl* self = call.in[0];
  if (writes_twice(self) && !SINTER_MUTANT(write_to_expanded_allowed))
    fail<ValueError>(call,
                     "unsupported operation: more than one element of the written-to tensor refers to a single memory "
                     "location. Please clone() the tensor before performing the operation.");
  for (int i = 1; i < call.n_in; ++i) {
    const Overlap overlap = call.in[i] ? overlap_of(self, call.in[i]) : Overlap::None;
    if ((overlap == Overlap::Partly && !SINTER_MUTANT(partly_overlapping_write_allowed)) ||
        (overlap == Overlap::Fully && !elementwise && !SINTER_MUTANT(write_over_own_source_allowed)))
      fail<ValueError>(call,
                       "unsupported operation: some elements of the input tensor and the written-to tensor refer to a "
                       "single memory location. Please clone() the tensor before performing the operation.");
  }
}

}  // namespace sinter
