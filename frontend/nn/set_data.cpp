#include "set_data.h"
#include "../../engine/frame/frame.h"

namespace sinter::detail {

void set_data(const Tensor& target, const Tensor& source, Loc loc) {
  TensorImpl* t = target.impl();
  TensorImpl* s = source.impl();
  // A region that has bound the old memory must not see the new one.
  frame_metadata_change(loc);
  s->storage->bytes(loc);
  s->storage->retain();
  Storage* old = std::exchange(t->storage, s->storage);
  t->offset = s->offset;
  t->numel = s->numel;
  t->sizes = s->sizes;
  t->strides = s->strides;
  const uint64_t geometry = (0xffull << head::kDtypeShift) | (0xffull << head::kRankShift);
  const uint64_t wanted = s->head.load(std::memory_order_relaxed) & geometry;
  t->head.fetch_and(~geometry, std::memory_order_relaxed);
  t->head.fetch_or(wanted, std::memory_order_relaxed);
  old->release();
}

}  // namespace sinter::detail
