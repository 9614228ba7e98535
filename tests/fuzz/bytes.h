// A fuzzer's input, read piece by piece; zeros when it is used up.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sinter::test {

class Bytes {
 public:
  Bytes(const uint8_t* p, size_t n) : p_(p), end_(p + n) {}
  bool empty() const { return p_ == end_; }
  uint8_t byte() { return empty() ? 0 : *p_++; }
  /// In [0, n), n <= 256.
  int pick(int n) { return byte() % n; }
  bool flag() { return byte() & 1; }
  uint64_t word() {
    uint64_t v = 0;
    for (int i = 0; i < 8; ++i) v = v << 8 | byte();
    return v;
  }

 private:
  const uint8_t *p_, *end_;
};

}  // namespace sinter::test
