// Sets of a region's roots.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sinter {

/// One bit for each of Leaf::roots.
using RootBits = std::vector<uint64_t>;

template <class I>
bool has_root(const RootBits& bits, I root) {
  const auto r = static_cast<size_t>(root);
  return bits[r / 64] >> (r % 64) & 1;
}
template <class I>
void add_root(RootBits& bits, I root) {
  const auto r = static_cast<size_t>(root);
  bits[r / 64] |= 1ull << (r % 64);
}
template <class I>
void drop_root(RootBits& bits, I root) {
  const auto r = static_cast<size_t>(root);
  bits[r / 64] &= ~(1ull << (r % 64));
}

}  // namespace sinter
