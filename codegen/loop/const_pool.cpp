#include "const_pool.h"
#include <cstring>

namespace sinter::codegen {

int32_t ConstPool::append(const void* data, size_t n, size_t align) {
  const size_t at = (bytes_.size() + align - 1) / align * align;
  bytes_.resize(at + n);
  std::memcpy(bytes_.data() + at, data, n);
  return static_cast<int32_t>(at);
}

int32_t ConstPool::scalar(uint64_t bits, int size) {
  if (size == 4) bits &= 0xffffffffu;
  for (const Entry& e : scalars_)
    if (e.bits == bits && e.size == size) return e.offset;
  uint8_t buffer[32];
  for (int i = 0; i < 32; i += size) std::memcpy(buffer + i, &bits, static_cast<size_t>(size));
  const size_t n = replicate_ ? 32 : static_cast<size_t>(size);
  const int32_t offset = append(buffer, n, n);
  scalars_.push_back({bits, size, offset});
  return offset;
}

int32_t ConstPool::table(const void* data, int bytes) {
  for (const Entry& e : tables_)
    if (e.size == bytes && std::memcmp(bytes_.data() + e.offset, data, static_cast<size_t>(bytes)) == 0) return e.offset;
  const int32_t offset = append(data, static_cast<size_t>(bytes), 64);
  tables_.push_back({0, bytes, offset});
  return offset;
}

}  // namespace sinter::codegen
