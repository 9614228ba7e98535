// Ambient state of a thread that is part of every operator's identity: one word.
#pragma once
#include <cstdint>
#include "../runtime/dtype.h"

namespace sinter {

namespace ambient {
inline constexpr uint32_t kGradMode = 1, kInferenceMode = 2, kDefaultDouble = 4, kDeterministic = 8;
inline constexpr uint32_t kAnomalyMode = 16, kNoNanCheck = 32, kSavedTensorHooks = 64;
/// Under these, operators run eager in frames too: something looks at what each of them does.
inline constexpr uint32_t kEager = kAnomalyMode | kSavedTensorHooks;
inline constexpr int kOptionsShift = 8;  // 8 bits of compile() options (fullgraph, ...)
inline constexpr int kMxcsrShift = 16;   // 16 bits in the key of an event: see engine/frame/cpu_mode.h
/// Grad mode is on by default, as in PyTorch.
extern constinit thread_local uint32_t word __attribute__((tls_model("initial-exec")));
}  // namespace ambient

inline bool grad_mode() { return ambient::word & ambient::kGradMode; }
inline bool inference_mode() { return ambient::word & ambient::kInferenceMode; }
inline ScalarType default_dtype() { return ambient::word & ambient::kDefaultDouble ? kDouble : kFloat; }
/// float or double. @throws DtypeError for others.
void set_default_dtype(ScalarType t);

/// Sets bits of the ambient word for a scope; what happens to the others meanwhile stays.
class AmbientGuard {
 public:
  AmbientGuard(uint32_t bits, bool on) : bits_(bits), previous_(ambient::word & bits) {
    ambient::word = on ? ambient::word | bits : ambient::word & ~bits;
  }
  ~AmbientGuard() { ambient::word = (ambient::word & ~bits_) | previous_; }
  AmbientGuard(const AmbientGuard&) = delete;
  AmbientGuard& operator=(const AmbientGuard&) = delete;

 private:
  uint32_t bits_, previous_;
};

/// torch::NoGradGuard, torch::AutoGradMode.
struct NoGradGuard : AmbientGuard {
  NoGradGuard() : AmbientGuard(ambient::kGradMode, false) {}
};
struct AutoGradMode : AmbientGuard {
  explicit AutoGradMode(bool on) : AmbientGuard(ambient::kGradMode, on) {}
};

}  // namespace sinter
