// What runtime needs from the frame (engine): the current frame of this thread, and "this storage's bytes are needed".
#pragma once
#include "loc.h"

namespace sinter {

class Storage;

/// Implemented by engine/frame. A storage that is pending names the frame that holds its newest value, or, deferred, what it is
/// computed from.
class FrameBase {
 public:
  const uint64_t owner_id;  // of the compiled function: autograd nodes made in the frame remember it

 protected:
  explicit FrameBase(uint64_t owner) : owner_id(owner) {}
  ~FrameBase() = default;
};

/// The open frame of this thread, or null: operators run eager then.
extern constinit thread_local FrameBase* current_frame __attribute__((tls_model("initial-exec")));

/// Set by the engine: closes the region in which `storage` is pending, whichever thread it belongs to. The frame may end at any
/// moment, so only the engine, which knows the frames that exist, follows the pointer.
extern void (*settle_pending)(Storage& storage, Loc loc);

}  // namespace sinter
