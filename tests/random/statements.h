// The statements that random programs are made of (statements.inc), and what their code may use.
#pragma once
#include <span>
#include <stdexcept>
#include "program.h"

namespace sinter::test {

/// Thrown by statements that stand for a host function failing between operators.
struct HostError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Statement {
  Kind kind;
  int weight;
  const char* name;
  const char* code;
  /// out: the result, if any; s: the scalar, scaled for this call.
  void (*run)(Tensor& out, Tensor& x, Tensor& y, Tensor& z, int64_t p, int64_t q, double s);
};

std::span<const Statement> statements();
const char* kind_name(Kind kind);
/// The helpers that statements use, as C++ text for reproducers.
extern const char* const kHelperCode;

}  // namespace sinter::test
