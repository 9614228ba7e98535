#include "compile.h"
#include "../../runtime/error.h"
#include "nest.h"

namespace sinter::codegen {

namespace {

/// Keeps the first error; the emitter goes on and the result is thrown away.
class FirstError : public asmjit::ErrorHandler {
 public:
  void handleError(asmjit::Error, const char* message, asmjit::BaseEmitter*) override {
    if (text.empty()) text = message;
  }
  std::string text;
};

}  // namespace

bool compile_loop(const LoopSpec& spec, Isa isa, CompiledLoop& out, std::string& why) {
  if (const char* refused = LoopPlan::refuse(spec)) {
    why = refused;
    return false;
  }
  asmjit::CodeHolder code;
  FirstError errors;
  code.init(asmjit::Environment::host());
  code.setErrorHandler(&errors);
  x86::Assembler assembler(&code);
  KernelFrame frame(assembler, spec, isa, LoopPlan::lanes_for(spec, isa));
  LoopPlan plan(frame);
  NestEmitter(frame, plan).emit();
  if (!errors.text.empty()) {
    why = errors.text;
    return false;
  }
  if (code.hasUnresolvedLinks() || code.hasRelocEntries()) raise("emitter: unbound label in {}", kernel_name(spec));
  const asmjit::CodeBuffer& buffer = code.textSection()->buffer();
  out.code.assign(buffer.data(), buffer.data() + buffer.size());
  out.ranges = std::move(frame.ranges);
  out.scratch_bytes = plan.scratch_bytes();
  return true;
}

}  // namespace sinter::codegen
