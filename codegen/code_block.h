// One block of code memory and which of its granules are taken.
#pragma once
#include "code_mapping.h"

namespace sinter::codegen {

inline constexpr size_t kCodeBlockBytes = size_t{1} << 20, kCodeGranule = 64;

/// Bytes `n` bytes of code take.
constexpr size_t granules_bytes(size_t n) { return (n + kCodeGranule - 1) / kCodeGranule * kCodeGranule; }

/// Bytes that hold no code are int3. A sealed block takes no new code and writes nothing: after a fork another process
/// executes the same memory.
class CodeBlock {
 public:
  explicit CodeBlock(const CodeMapping& mapping);
  ~CodeBlock() { unmap_code(mapping_); }
  CodeBlock(const CodeBlock&) = delete;
  CodeBlock& operator=(const CodeBlock&) = delete;

  /// Copies code to the first free place; null when it does not fit.
  void* install(const uint8_t* bytes, size_t n);
  /// `code`, `n` as installed.
  void free(const void* code, size_t n);
  void seal() { seal_code(mapping_); }
  bool sealed() const { return mapping_.rw == nullptr; }
  bool empty() const { return taken_granules_ == 0; }
  bool contains(const void* code) const {
    return static_cast<size_t>(static_cast<const uint8_t*>(code) - mapping_.rx) < mapping_.bytes;
  }

  CodeBlock* next = nullptr;

 private:
  static constexpr size_t kGranules = kCodeBlockBytes / kCodeGranule, kNone = ~size_t{0};
  size_t find_run(size_t granules) const;
  void mark(size_t first, size_t granules, bool taken);

  CodeMapping mapping_;
  size_t taken_granules_ = 0;
  size_t longest_run_ = kGranules;  // no free run is longer
  uint64_t taken_[kGranules / 64] = {};
};

}  // namespace sinter::codegen
