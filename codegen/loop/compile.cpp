#include "compile.h"
#include "../../runtime/error.h"
#include "nest.h"

namespace sinter::codegen {

namespace {

/// Stops at the first instruction the assembler does not take.
class ThrowErrors : public asmjit::ErrorHandler {
 public:
  void handleError(asmjit::Error, const char* message, asmjit::BaseEmitter*) override { raise("assembler: {}", message); }
};

void emit(const LoopSpec& spec, Isa isa, CompiledLoop& out) {
  asmjit::CodeHolder code;
  ThrowErrors errors;
  code.init(asmjit::Environment::host());
  code.setErrorHandler(&errors);
  x86::Assembler assembler(&code);
  KernelFrame frame(assembler, spec, isa, tuning_of(spec, isa));
  LoopPlan plan(frame);
  NestEmitter(frame, plan).emit();
  if (code.hasUnresolvedLinks() || code.hasRelocEntries()) raise("unbound label");
  const asmjit::CodeBuffer& buffer = code.textSection()->buffer();
  out.code.assign(buffer.data(), buffer.data() + buffer.size());
  out.ranges = std::move(frame.ranges);
  out.scratch_bytes = plan.scratch_bytes();
}

}  // namespace

bool compile_loop(const LoopSpec& spec, Isa isa, CompiledLoop& out, std::string& why) {
  if (const char* refused = LoopPlan::refuse(spec)) {
    why = refused;
    return false;
  }
  try {
    emit(spec, isa, out);
  } catch (const Error& e) {
    why = e.what();
    return false;
  }
  return true;
}

}  // namespace sinter::codegen
