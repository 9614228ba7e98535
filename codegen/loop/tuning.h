// Choices of the loop emitter that change a kernel's speed and never its results. Stress tests draw them at random.
#pragma once
#include "../../runtime/cpu.h"
#include "loop_spec.h"

namespace sinter::codegen {

struct Tuning {
  int vectors = 0;          // vector registers to use
  int masks = 6;            // mask registers to use, besides k0 and the tail's k7
  int pointers = 11;        // general registers for operand pointers; the others live on the stack
  int unroll = 0;           // copies of a loop's body, a power of two (blocks of sums are multiples); 0: by its length
  int recompute_limit = 8;  // instructions worth saving a pass through a row buffer
  bool narrow = false;      // half the lanes where vectors could be full
};

Tuning tuning_of(const LoopSpec& spec, Isa isa);

}  // namespace sinter::codegen
