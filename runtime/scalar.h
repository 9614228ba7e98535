// A C++ number with its category, as passed to operators.
#pragma once
#include <bit>
#include <cstdint>
#include <type_traits>
#include "dtype.h"

namespace sinter {

/// Out-of-range and NaN give INT64_MIN as the x86 conversion does.
constexpr int64_t truncate_to_int64(double d) {
  return d >= -9223372036854775808.0 && d < 9223372036854775808.0 ? static_cast<int64_t>(d) : INT64_MIN;
}

/// A number given by the user: bool, int64 or double (float is widened). Compared by bits and type, never by value.
class Scalar {
 public:
  constexpr Scalar() : Scalar(int64_t{0}) {}
  template <class T>
  requires std::is_arithmetic_v<T>
  constexpr Scalar(T v) {  // implicit, as c10::Scalar
    if constexpr (std::is_same_v<T, bool>) {
      type_ = ScalarType::Bool;
      bits_ = v;
    } else if constexpr (std::is_integral_v<T>) {
      type_ = ScalarType::Long;
      bits_ = static_cast<uint64_t>(static_cast<int64_t>(v));
    } else {
      type_ = ScalarType::Double;
      bits_ = std::bit_cast<uint64_t>(static_cast<double>(v));
    }
  }
  static constexpr Scalar from_bits(ScalarType t, uint64_t bits) {
    Scalar s;
    s.type_ = t;
    s.bits_ = bits;
    return s;
  }

  constexpr ScalarType type() const { return type_; }  // Bool, Long or Double
  constexpr uint64_t bits() const { return bits_; }
  constexpr bool is_floating_point() const { return type_ == ScalarType::Double; }
  constexpr double to_double() const {
    return is_floating_point() ? std::bit_cast<double>(bits_) : static_cast<double>(static_cast<int64_t>(bits_));
  }
  constexpr int64_t to_int64() const {
    return is_floating_point() ? truncate_to_int64(std::bit_cast<double>(bits_)) : static_cast<int64_t>(bits_);
  }
  constexpr bool to_bool() const { return is_floating_point() ? to_double() != 0 : bits_ != 0; }
  template <class T>
  constexpr T to() const {
    if constexpr (std::is_same_v<T, bool>) return to_bool();
    else if constexpr (std::is_integral_v<T>) return static_cast<T>(to_int64());
    else return static_cast<T>(to_double());
  }
  friend constexpr bool operator==(const Scalar&, const Scalar&) = default;

 private:
  uint64_t bits_ = 0;
  ScalarType type_ = ScalarType::Long;
};

}  // namespace sinter
