#include "difference.h"
#include <fmt/format.h>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include "element_runs.h"

namespace sinter {
namespace {

/// Bits as an integer that grows with the number: neighbours are 1 apart, -0 and +0 as well.
int64_t ordered(double v) {
  const auto bits = std::bit_cast<int64_t>(v);
  return bits < 0 ? INT64_MIN - bits - 1 : bits;
}
int64_t ordered(float v) {
  const auto bits = std::bit_cast<int32_t>(v);
  return bits < 0 ? int64_t{INT32_MIN} - bits - 1 : bits;
}
int64_t ordered(int64_t v) { return v; }
int64_t ordered(uint8_t v) { return v; }

template <class T>
uint64_t ulps_apart(T a, T b) {
  const int64_t x = ordered(a), y = ordered(b);
  return x > y ? static_cast<uint64_t>(x) - static_cast<uint64_t>(y) : static_cast<uint64_t>(y) - static_cast<uint64_t>(x);
}

template <class T>
std::string text_of(T v) {
  if constexpr (std::is_same_v<T, float>) return fmt::format("{:.9g} ({:#010x})", v, std::bit_cast<uint32_t>(v));
  else if constexpr (std::is_same_v<T, double>) return fmt::format("{:.17g} ({:#018x})", v, std::bit_cast<uint64_t>(v));
  else return fmt::format("{}", v);
}

template <class T>
class Comparison {
 public:
  Comparison(const TensorImpl& compiled, const TensorImpl& eager, int64_t ulp_bound)
      : compiled_(compiled), eager_(eager), a_(compiled.address()), b_(eager.address()) {
    if constexpr (std::is_floating_point_v<T>)
      if (ulp_bound > 0) slack_ = largest() * std::numeric_limits<T>::epsilon() * static_cast<T>(ulp_bound);
  }

  bool equal() const {
    bool same = true;
    for_each_run(compiled_, [&](int64_t at, int64_t bytes) {
      if (!same || std::memcmp(a_ + at, b_ + at, static_cast<size_t>(bytes)) == 0) return;
      for (int64_t i = 0; i < bytes; i += sizeof(T)) same &= fits(load(a_ + at + i), load(b_ + at + i));
    });
    return same;
  }

  /// Element by element in logical order: slow, and only done for a report.
  Difference describe() const {
    Difference d;
    for_each_element(compiled_,
                     [&](int64_t at, const std::vector<int64_t>& index) { note(load(a_ + at), load(b_ + at), index, d); });
    return d;
  }

 private:
  static T load(const char* p) {
    T v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  bool fits(T a, T b) const {
    if (std::memcmp(&a, &b, sizeof a) == 0) return true;
    if constexpr (std::is_floating_point_v<T>)
      return (std::isnan(a) && std::isnan(b)) || (slack_ > 0 && std::abs(a - b) <= slack_);
    return false;
  }
  void note(T a, T b, const std::vector<int64_t>& index, Difference& d) const {
    if (fits(a, b)) return;
    const uint64_t ulps = ulps_apart(a, b);
    if (d.count++ == 0) d.first = index, d.ulps = ulps, d.compiled = text_of(a), d.eager = text_of(b);
    d.most_ulps = std::max(d.most_ulps, ulps);
  }
  T largest() const {
    T most = 0;
    for_each_run(eager_, [&](int64_t at, int64_t bytes) {
      for (int64_t i = 0; i < bytes; i += sizeof(T))
        if (const T v = std::abs(load(b_ + at + i)); std::isfinite(v)) most = std::max(most, v);
    });
    return most;
  }

  const TensorImpl &compiled_, &eager_;
  const char *a_, *b_;
  T slack_ = 0;
};

template <class T>
std::optional<Difference> compare(const TensorImpl& compiled, const TensorImpl& eager, int64_t ulp_bound) {
  const Comparison<T> c(compiled, eager, ulp_bound);
  if (c.equal()) return std::nullopt;
  return c.describe();
}

}  // namespace

std::optional<Difference> find_difference(const TensorImpl& compiled, const TensorImpl& eager, int64_t ulp_bound) {
  switch (compiled.dtype()) {
    case ScalarType::Float:
      return compare<float>(compiled, eager, ulp_bound);
    case ScalarType::Double:
      return compare<double>(compiled, eager, ulp_bound);
    case ScalarType::Long:
      return compare<int64_t>(compiled, eager, 0);
    default:
      return compare<uint8_t>(compiled, eager, 0);
  }
}

}  // namespace sinter
