// Anomaly mode: finds the forward call whose derivative fails or makes a NaN. Names as in LibTorch.
#pragma once
#include <cstddef>
#include "../ambient.h"

namespace sinter {
class Tensor;
}

namespace sinter::autograd {

struct Node;

/// While it is on, a backward pass throws AutogradError where a derivative returns NaN, naming the operator and the line of its
/// forward call; errors that a derivative throws name them too. Of the thread, like grad mode. Operators run eager meanwhile,
/// also in compiled functions (break anomaly_mode), so that nothing recorded is used and each value can be looked at.
class AnomalyMode {
 public:
  static bool is_enabled() { return ambient::word & ambient::kAnomalyMode; }
  /// False: only errors are explained.
  static bool should_check_nan() { return !(ambient::word & ambient::kNoNanCheck); }
  static void set_enabled(bool enabled, bool check_nan = true) {
    constexpr uint32_t kBoth = ambient::kAnomalyMode | ambient::kNoNanCheck;
    ambient::word = (ambient::word & ~kBoth) | (enabled ? ambient::kAnomalyMode : 0) | (check_nan ? 0 : ambient::kNoNanCheck);
  }
};

/// Anomaly mode for a scope.
class DetectAnomalyGuard {
 public:
  explicit DetectAnomalyGuard(bool check_nan = true)
      : was_enabled_(AnomalyMode::is_enabled()), checked_nan_(AnomalyMode::should_check_nan()) {
    AnomalyMode::set_enabled(true, check_nan);
  }
  ~DetectAnomalyGuard() { AnomalyMode::set_enabled(was_enabled_, checked_nan_); }
  DetectAnomalyGuard(const DetectAnomalyGuard&) = delete;
  DetectAnomalyGuard& operator=(const DetectAnomalyGuard&) = delete;

 private:
  bool was_enabled_, checked_nan_;
};

/// Throws the exception being handled again. An error of sinter's gets the forward call into its text; any other is left as it is
/// and the call named in a warning.
[[noreturn]] void rethrow_with_forward_call(const Node& node);
/// @throws AutogradError when gradient `i`, which the derivative of `node` returned, has a NaN.
void check_nan(const Node& node, size_t i, const Tensor& grad);

}  // namespace sinter::autograd
