// An AsmJit assembler whose errors are exceptions, and the bytes it has made.
#pragma once
#include <asmjit/x86.h>
#include <cstdint>
#include <vector>
#include "../../runtime/error.h"

namespace sinter::codegen {

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

/// Position-independent code of what `emit(assembler)` emits. @throws Error, OutOfMemoryError
template <class F>
void assemble(std::vector<uint8_t>& bytes, F&& emit) {
  asmjit::CodeHolder code;
  ThrowErrors errors;
  ThrowErrors::check(code.init(asmjit::Environment::host()));
  code.setErrorHandler(&errors);
  asmjit::x86::Assembler assembler;
  ThrowErrors::check(code.attach(&assembler));
  emit(assembler);
  if (code.hasUnresolvedLinks() || code.hasRelocEntries()) raise("unbound label");
  const asmjit::CodeBuffer& buffer = code.textSection()->buffer();
  bytes.assign(buffer.data(), buffer.data() + buffer.size());
}

}  // namespace sinter::codegen
