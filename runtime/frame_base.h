// What runtime needs from the frame (engine): the current frame of this thread, and "this storage's bytes are needed".
#pragma once
#include "loc.h"

namespace sinter {

class Storage;

/// Implemented by engine/frame. A storage that is pending names the frame that holds its newest value.
class FrameBase {
 public:
  /// Closes the region so that `storage` has its bytes. Throws ForeignThreadError from any other thread.
  virtual void materialise(Storage& storage, Loc loc) = 0;

 protected:
  ~FrameBase() = default;
};

/// The open frame of this thread, or null: operators run eager then.
extern constinit thread_local FrameBase* current_frame __attribute__((tls_model("initial-exec")));

}  // namespace sinter
