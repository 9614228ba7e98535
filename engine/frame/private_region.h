// A region's inputs and results a second time, in memory that nobody else sees.
#pragma once
#include <string>
#include <vector>
#include "trie.h"

namespace sinter {

/// Slots for interpreting a region's events on copies. Inputs that overlap also do so here, and every copy lies as far from a
/// multiple of 64 bytes as its original.
class PrivateRegion {
 public:
  /// Copies the inputs as they are now. `slots` are the region's own; `keep_inputs`: dense copies are kept as well.
  /// @throws std::bad_alloc.
  PrivateRegion(const Leaf& leaf, TensorImpl* const* slots, bool keep_inputs);
  ~PrivateRegion();
  PrivateRegion(const PrivateRegion&) = delete;
  PrivateRegion& operator=(const PrivateRegion&) = delete;

  TensorImpl* const* slots() const { return slots_.data(); }
  /// Slot that owns the storage of `slot`.
  int32_t root(int32_t slot) const { return roots_[static_cast<size_t>(slot)]; }
  /// Whether no operator has written an input since it was copied.
  bool inputs_unwritten(const Leaf& leaf, TensorImpl* const* slots) const;
  /// Elements of an input in logical order, as copied; empty unless kept.
  const std::string& input_bytes(size_t input) const { return kept_[input]; }

 private:
  struct Block {
    char *data, *copy, *original;  // as allocated; of the first byte
  };
  void copy_inputs(const Leaf& leaf, TensorImpl* const* slots);
  void make_results(const Leaf& leaf, TensorImpl* const* slots);
  void add_block(char* lo, char* hi);
  void free_all();
  std::vector<TensorImpl*> slots_;
  std::vector<int32_t> roots_;
  std::vector<uint32_t> writes_;  // counters of the inputs' storages
  std::vector<Block> blocks_;
  std::vector<std::string> kept_;
};

/// Copies every element; both have the same sizes, strides and dtype.
void copy_elements(const TensorImpl& from, const TensorImpl& to);

}  // namespace sinter
