// Opening and closing a frame on this thread; keeps the template in compiled.h thin.
#pragma once
#include <memory>
#include "../../runtime/loc.h"
#include "compiled_state.h"

namespace sinter {

class Context;
class Tensor;
struct TensorImpl;

/// Owner of a CompiledState on behalf of the user's Compiled objects.
class CompiledHandle {
 public:
  static CompiledHandle make(CompileOptions options, Loc loc);
  CompiledState& get() const { return *state_; }
  const std::shared_ptr<CompiledState>& shared() const { return state_; }

 private:
  struct Retire {  // the last user handle is gone: contexts of other threads let go at their next chance
    std::shared_ptr<CompiledState> state;
    ~Retire();
  };
  std::shared_ptr<Retire> retire_;
  std::shared_ptr<CompiledState> state_;
};

/// A backward pass over calls that were recorded in frames of the compiled function with this id (0: in none).
struct BackwardOf {
  uint64_t id;
};

/// One compiled call, or backward pass. Not open (the function just runs) inside another frame, under force_eager, with
/// SINTER_DISABLE.
class FrameScope {
 public:
  FrameScope(const CompiledHandle& handle, TensorImpl* const* arguments, int n);
  /// Recorded apart from the function's own calls (CompiledState::backward). Not open when the function is gone.
  explicit FrameScope(BackwardOf nodes);
  ~FrameScope();
  FrameScope(const FrameScope&) = delete;
  FrameScope& operator=(const FrameScope&) = delete;
  bool is_open() const { return context_ != nullptr; }
  void finish();  // the function returned
  /// It threw. Writes that came before are applied; @throws, in place of what it threw, when they cannot be: then eager would
  /// have thrown before.
  void abandon();

 private:
  void open(const std::shared_ptr<CompiledState>& state, TensorImpl* const* arguments, int n);

  Context* context_ = nullptr;
};

// -- what other parts of the engine tell the frame
/// A mutable pointer to the tensor's bytes is about to be handed out.
void frame_mutable_pointer(TensorImpl* t, Loc loc);
/// A value is about to be read (const); also where a region that fell back to eager is tried again.
void frame_value_read();
/// A tensor's metadata (requires_grad, storage, sizes, hooks) is about to change: closes the region.
void frame_metadata_change(Loc loc);
/// Foreign memory was wrapped inside the frame.
void frame_borrowed(TensorImpl* t);

}  // namespace sinter
