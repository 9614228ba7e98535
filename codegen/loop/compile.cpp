#include "compile.h"
#include "../../runtime/error.h"
#include "nest.h"

namespace sinter::codegen {

namespace {

/// Stops at the first instruction the assembler does not take.
class ThrowErrors : public asmjit::ErrorHandler {
 public:
  void handleError(asmjit::Error error, const char* message, asmjit::BaseEmitter*) override {
    check(error);
    raise("assembler: {}", message);
  }
  /// Memory that is short now says nothing about the kernel: whoever asked may ask again.
  static void check(asmjit::Error error) {
    if (error == asmjit::kErrorOutOfMemory) throw_out_of_memory();
  }
};

void emit(const LoopSpec& spec, Isa isa, CompiledLoop& out) {
  asmjit::CodeHolder code;
  ThrowErrors errors;
  ThrowErrors::check(code.init(asmjit::Environment::host()));
  code.setErrorHandler(&errors);
  x86::Assembler assembler;
  ThrowErrors::check(code.attach(&assembler));
  KernelFrame frame(assembler, spec, isa, tuning_of(spec, isa));
  LoopPlan plan(frame);
  NestEmitter(frame, plan).emit();
  if (code.hasUnresolvedLinks() || code.hasRelocEntries()) raise("unbound label");
  const asmjit::CodeBuffer& buffer = code.textSection()->buffer();
  out.code.assign(buffer.data(), buffer.data() + buffer.size());
  out.ranges = std::move(frame.ranges);
  out.scratch_bytes = plan.scratch_bytes();
  out.element_flops = plan.element_flops();
  out.row_flops = plan.row_flops();
  out.split_step = frame.split_step;
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
