// The CPU's floating-point mode (MXCSR), which a user may change at any time, also in the middle of a compiled function.
#pragma once
#include <emmintrin.h>
#include <cstdint>
#include "../ambient.h"

namespace sinter {

/// The mode that a frame's open region was recorded under, and a cheap look whether it still holds.
class CpuMode {
 public:
  static constexpr uint32_t kControl = 0xffc0;  // rounding, flush to zero, denormals are zero, exception masks
  static constexpr uint32_t kResults = 0xe040;  // of these, what results depend on

  /// Takes the mode as it is now.
  void note() {
    control_ = _mm_getcsr() & kControl;
    traps_ = (~control_ & kTraps) != 0;
    if (!traps_) sum_ = sum();
  }
  /// Results are rounded in another way now. Reading MXCSR would wait for all arithmetic in flight (4 ns), so instead one
  /// addition is made whose lanes come out differently under each mode.
  bool changed() const {
    if (traps_) [[unlikely]]
      return ((_mm_getcsr() ^ control_) & kResults) != 0;
    return _mm_movemask_epi8(_mm_cmpeq_epi32(sum(), sum_)) != 0xffff;
  }
  /// For the keys of events.
  uint32_t bits() const { return control_ << ambient::kMxcsrShift; }
  static uint32_t of_key(uint64_t key) { return static_cast<uint32_t>(key >> (32 + ambient::kMxcsrShift)); }

 private:
  static constexpr uint32_t kTraps = 0x1900;  // denormal, underflow, inexact: the addition would spring them

  static __m128i sum() {
    // Lanes 0 and 1: up or down by 3/4 of a unit; lane 2: a subnormal result; lane 3: a subnormal operand.
    alignas(16) static constexpr uint32_t kLeft[] = {0x3f800000, 0xbf800000, 0x00c00000, 0x00600000},
                                          kRight[] = {0x33c00000, 0xb3c00000, 0x80800000, 0x00800000};
    __m128 left = _mm_load_ps(reinterpret_cast<const float*>(kLeft));
    asm volatile("" : "+x"(left));  // computed here and now
    return _mm_castps_si128(_mm_add_ps(left, _mm_load_ps(reinterpret_cast<const float*>(kRight))));
  }
  __m128i sum_ = {};
  uint32_t control_ = 0x1f80;
  bool traps_ = false;
};

/// Computes under another mode for a scope; exception masks stay as they are, sticky flags stay raised.
class UnderMode {
 public:
  explicit UnderMode(uint32_t control) : mine_(_mm_getcsr()), differs_(((mine_ ^ control) & CpuMode::kResults) != 0) {
    if (differs_) set(control);
  }
  ~UnderMode() {
    if (differs_) set(mine_);
  }
  UnderMode(const UnderMode&) = delete;
  UnderMode& operator=(const UnderMode&) = delete;

 private:
  static void set(uint32_t control) { _mm_setcsr((_mm_getcsr() & ~CpuMode::kResults) | (control & CpuMode::kResults)); }
  const uint32_t mine_;
  const bool differs_;
};

}  // namespace sinter
