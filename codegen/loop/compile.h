// LoopSpec to bytes.
#pragma once
#include <vector>
#include "../../runtime/cpu.h"
#include "../kernel.h"

namespace sinter::codegen {

struct CompiledLoop {
  std::vector<uint8_t> code;
  std::vector<CodeRange> ranges;
  size_t scratch_bytes = 0;
  double element_flops = 0, row_flops = 0;
  int64_t split_step = 1;
};

/// Emits a spec for an instruction set. Position-independent. Returns false (and why) when it cannot.
bool compile_loop(const LoopSpec& spec, Isa isa, CompiledLoop& out, std::string& why);

}  // namespace sinter::codegen
