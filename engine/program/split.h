// Which kernels are divided over threads, and along which dimension.
#pragma once
#include "../../codegen/loop/loop_spec.h"

namespace sinter {

/// Sets LoopSpec::split where a kernel of this spec takes long enough to be divided (runtime/threads.h). Depends on the spec
/// alone; the parts compute the same bits as the whole, as no reduced dimension is ever divided.
void choose_split(codegen::LoopSpec& spec);
/// A rough time of the whole on one core, in nanoseconds.
int64_t estimated_ns(const codegen::LoopSpec& spec);

}  // namespace sinter
