#include "compile.h"
#include "assembly.h"
#include "nest.h"

namespace sinter::codegen {

namespace {

void emit(const LoopSpec& spec, Isa isa, CompiledLoop& out) {
  assemble(out.code, [&](asmjit::x86::Assembler& assembler) {
    KernelFrame frame(assembler, spec, isa, tuning_of(spec, isa));
    LoopPlan plan(frame);
    NestEmitter(frame, plan).emit();
    out.ranges = std::move(frame.ranges);
    out.scratch_bytes = plan.scratch_bytes();
    out.element_flops = plan.element_flops();
    out.row_flops = plan.row_flops();
    out.split_step = frame.split_step;
  });
}

}  // namespace

bool compile_loop(const LoopSpec& spec, Isa isa, CompiledLoop& out, std::string& why) {
  if (const char* refused = LoopPlan::refuse(spec)) {
    why = refused;
    return false;
  }
  try {
    emit(spec, isa, out);
  } catch (const OutOfMemoryError&) { throw; } catch (const Error& e) {
    why = e.what();
    return false;
  }
  return true;
}

}  // namespace sinter::codegen
