// Numbers of a program (sizes, strides, offsets, counts) as expressions of symbols: sizes that differ from call to call.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace sinter {

inline constexpr int kMaxSymbols = 8;
/// A program of symbols is made by looking at what it would be for as many assignments of large, unrelated sizes.
inline constexpr int kProbes = 3;

using SymbolValues = std::array<int64_t, kMaxSymbols>;

struct Probes {
  int count = 0;  // of symbols
  std::array<SymbolValues, kProbes> values{};
  SymbolValues divisors{};  // each probe of a symbol is a multiple of this
};

/// outer * (constant + factor * inner) / divisor, outer and inner being products of symbols.
struct SizeTerm {
  static constexpr int kDegree = 4;
  int64_t constant = 0, factor = 0, divisor = 1;
  std::array<int8_t, kDegree> outer{-1, -1, -1, -1}, inner{-1, -1, -1, -1};

  /// False when it leaves int64 or the division has a remainder.
  bool value(const SymbolValues& symbols, int64_t& result) const;
  /// "s0 * 512"
  std::string str() const;
  friend bool operator==(const SizeTerm&, const SizeTerm&) = default;
};

/// The term that has these values at the probes. Nothing when there is none of that form.
std::optional<SizeTerm> find_term(const std::array<int64_t, kProbes>& values, const Probes& probes);

}  // namespace sinter
