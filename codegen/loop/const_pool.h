// Constants of one kernel, placed behind its code and addressed relative to rip.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sinter::codegen {

class ConstPool {
 public:
  explicit ConstPool(bool replicate) : replicate_(replicate) {}
  /// Offset of a constant of `size` 4 or 8 bytes. AVX2: replicated to 32 bytes; AVX-512 broadcasts when loading.
  int32_t scalar(uint64_t bits, int size);
  /// Offset of a table, aligned to 64 bytes; equal tables share.
  int32_t table(const void* data, int bytes);
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  int32_t append(const void* data, size_t n, size_t align);
  struct Entry {
    uint64_t bits;
    int32_t size, offset;
  };
  bool replicate_;
  std::vector<Entry> scalars_;
  std::vector<Entry> tables_;
  std::vector<uint8_t> bytes_;
};

}  // namespace sinter::codegen
