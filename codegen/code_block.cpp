#include "code_block.h"
#include <cstring>

namespace sinter::codegen {

namespace {
constexpr int kInt3 = 0xcc;
}

CodeBlock::CodeBlock(const CodeMapping& mapping) : mapping_(mapping) { std::memset(mapping_.rw, kInt3, mapping_.bytes); }

/// First free run of that many granules; whole words of the map are taken in one step.
size_t CodeBlock::find_run(size_t granules) const {
  size_t run = 0;
  for (size_t g = 0; g < kGranules;) {
    const uint64_t word = taken_[g / 64];
    const bool whole = g % 64 == 0 && (word == 0 || word == ~uint64_t{0});
    const size_t step = whole ? 64 : 1;
    run = word >> g % 64 & 1 ? 0 : run + step;
    g += step;
    if (run >= granules) return g - run;
  }
  return kNone;
}

void CodeBlock::mark(size_t first, size_t granules, bool taken) {
  for (size_t g = first; g < first + granules; ++g) {
    const uint64_t bit = uint64_t{1} << g % 64;
    taken ? taken_[g / 64] |= bit : taken_[g / 64] &= ~bit;
  }
  taken_granules_ = taken ? taken_granules_ + granules : taken_granules_ - granules;
}

void* CodeBlock::install(const uint8_t* bytes, size_t n) {
  const size_t granules = granules_bytes(n) / kCodeGranule;
  if (sealed() || granules > longest_run_) return nullptr;
  const size_t first = find_run(granules);
  if (first == kNone) {
    longest_run_ = granules - 1;
    return nullptr;
  }
  mark(first, granules, true);
  std::memcpy(mapping_.rw + first * kCodeGranule, bytes, n);  // what is left of the last granule still is int3
  return mapping_.rx + first * kCodeGranule;
}

void CodeBlock::free(const void* code, size_t n) {
  const auto at = static_cast<size_t>(static_cast<const uint8_t*>(code) - mapping_.rx);
  mark(at / kCodeGranule, granules_bytes(n) / kCodeGranule, false);
  longest_run_ = kGranules;
  if (!sealed()) std::memset(mapping_.rw + at, kInt3, n);
}

}  // namespace sinter::codegen
