#include "private_region.h"
#include <algorithm>
#include <cstring>
#include <new>
#include "element_runs.h"
#include "verify.h"

namespace sinter {
namespace {

constexpr uintptr_t kLine = 64;

/// Spans that touch become one, so that what overlaps is copied once.
std::vector<ByteSpan> merged(std::vector<ByteSpan> spans) {
  std::sort(spans.begin(), spans.end(), [](const ByteSpan& a, const ByteSpan& b) { return a.lo < b.lo; });
  std::vector<ByteSpan> out;
  for (const ByteSpan& s : spans) {
    if (s.lo == s.hi) continue;
    if (!out.empty() && s.lo < out.back().hi) out.back().hi = std::max(out.back().hi, s.hi);
    else out.push_back(s);
  }
  return out;
}

std::string dense_bytes(const TensorImpl& t) {
  const size_t element = element_size(t.dtype());
  std::string out;
  out.reserve(static_cast<size_t>(t.numel) * element);
  for_each_element(t, [&](int64_t at, const std::vector<int64_t>&) { out.append(t.address() + at, element); });
  return out;
}

/// Throws when copies and results would be too many bytes.
void check_size(const Leaf& leaf, TensorImpl* const* slots) {
  int64_t left = kMostVerifiedBytes;
  const auto take = [&](const TensorImpl& t) {
    const auto element = static_cast<int64_t>(element_size(t.dtype()));
    if (t.numel > left / element) throw std::bad_alloc();
    left -= t.numel * element;
  };
  for (int32_t s : leaf.inputs) take(*slots[s]);
  for (const Leaf::PooledSlot& p : leaf.pooled)
    if (!p.view) take(*slots[p.slot]);
  for (int32_t s : leaf.inputs) {
    const ByteSpan span = byte_span(*slots[s]);
    if (span.hi - span.lo > kMostVerifiedBytes) throw std::bad_alloc();
  }
}

}  // namespace

void copy_elements(const TensorImpl& from, const TensorImpl& to) {
  const char* a = from.address();
  char* b = to.address();
  for_each_run(from, [&](int64_t at, int64_t bytes) { std::memcpy(b + at, a + at, static_cast<size_t>(bytes)); });
}

PrivateRegion::PrivateRegion(const Leaf& leaf, TensorImpl* const* slots, bool keep_inputs) {
  check_size(leaf, slots);
  const auto n = static_cast<size_t>(leaf.end->info->n_slots_after);
  slots_.assign(n, nullptr);
  roots_.assign(n, -1);
  try {
    copy_inputs(leaf, slots);
    make_results(leaf, slots);
    if (keep_inputs)
      for (int32_t s : leaf.inputs) kept_.push_back(dense_bytes(*slots[s]));
  } catch (...) {
    free_all();
    throw;
  }
}

PrivateRegion::~PrivateRegion() { free_all(); }

void PrivateRegion::free_all() {
  for (size_t s = slots_.size(); s-- > 0;)
    if (slots_[s] != nullptr) slots_[s]->release();
  for (const Block& b : blocks_) ::operator delete(b.data, std::align_val_t(kLine));
}

void PrivateRegion::add_block(char* lo, char* hi) {
  blocks_.reserve(blocks_.size() + 1);
  Block b{};
  b.original = lo;
  // Not from the allocator of tensors: a region's budget of bytes must not depend on whether it is verified.
  b.data = static_cast<char*>(::operator new(static_cast<size_t>(hi - lo) + kLine, std::align_val_t(kLine)));
  b.copy = b.data + reinterpret_cast<uintptr_t>(lo) % kLine;
  blocks_.push_back(b);
}

void PrivateRegion::copy_inputs(const Leaf& leaf, TensorImpl* const* slots) {
  std::vector<ByteSpan> spans;
  for (int32_t s : leaf.inputs) spans.push_back(byte_span(*slots[s]));
  for (const ByteSpan& s : merged(spans)) add_block(s.lo, s.hi);
  for (size_t i = 0; i < leaf.inputs.size(); ++i) {
    const TensorImpl& t = *slots[leaf.inputs[i]];
    const auto block = std::upper_bound(blocks_.begin(), blocks_.end(), spans[i].lo,
                                        [](const char* p, const Block& b) { return p < b.original; });
    const bool empty = spans[i].lo == spans[i].hi;  // belongs to no block
    char* at = empty ? nullptr : (block - 1)->copy + (spans[i].lo - (block - 1)->original);
    Storage* storage = Storage::borrow(at, static_cast<size_t>(spans[i].hi - spans[i].lo), nullptr);
    auto* copy = TensorImpl::make(t.dtype(), t.sizes, t.strides, 0, storage);
    copy->set(head::kWrapped, t.has(head::kWrapped));
    slots_[static_cast<size_t>(leaf.inputs[i])] = copy;
    roots_[static_cast<size_t>(leaf.inputs[i])] = leaf.inputs[i];
    writes_.push_back(t.storage->writes.load(std::memory_order_relaxed));
    copy_elements(t, *copy);
  }
}

bool PrivateRegion::inputs_unwritten(const Leaf& leaf, TensorImpl* const* slots) const {
  for (size_t i = 0; i < leaf.inputs.size(); ++i)
    if (slots[leaf.inputs[i]]->storage->writes.load(std::memory_order_relaxed) != writes_[i]) return false;
  return true;
}

void PrivateRegion::make_results(const Leaf& leaf, TensorImpl* const* slots) {
  for (const Event* e : leaf.path) {
    const EventInfo& info = *e->info;
    if (info.inplace) continue;
    const auto out = static_cast<size_t>(e->out);
    const TensorImpl& t = *slots[out];
    roots_[out] = info.view ? info.root : e->out;
    Storage* storage = nullptr;
    if (info.view) {
      storage = slots_[static_cast<size_t>(info.root)]->storage;
      storage->retain();
    } else {
      storage = Storage::empty();
    }
    const int64_t offset = info.view ? t.offset - slots[info.root]->offset : 0;
    slots_[out] = TensorImpl::make(t.dtype(), t.sizes, t.strides, offset, storage);
    slots_[out]->set(head::kWrapped, t.has(head::kWrapped));
  }
}

}  // namespace sinter
