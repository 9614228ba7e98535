// Typed exceptions. Every message names the operator, the operands' shapes and dtypes, and what was expected.
#pragma once
#include <fmt/format.h>
#include <stdexcept>
#include <string>
#include "out_of_memory.h"

namespace sinter {

/// Base of everything sinter throws.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
/// Shapes or ranks do not fit (also size products beyond 2^63).
class ShapeError : public Error {
  using Error::Error;
};
/// The operator does not take this dtype, or two dtypes do not fit.
class DtypeError : public Error {
  using Error::Error;
};
/// A dimension or an index is out of range.
class IndexError : public Error {
  using Error::Error;
};
/// A value is not allowed (negative step, target out of range, integer division by zero, a bad option).
class ValueError : public Error {
  using Error::Error;
};
/// A wrong use of autograd: backward twice, a saved tensor that was changed, no grad_fn.
class AutogradError : public Error {
  using Error::Error;
};
/// Memory could not be had.
class OutOfMemoryError : public Error {
  using Error::Error;
};
/// A value is pending in a frame that cannot be closed from here: in the middle of the engine's own work (a deleter).
class ForeignThreadError : public Error {
  using Error::Error;
};
/// Something outside the frame wrote an input between the operator that read it and the region's close.
class ConcurrentWriteError : public Error {
  using Error::Error;
};
/// compile(): a break under fullgraph, a recompile under fail_on_recompile, the limit under fail_on_recompile_limit.
class CompileError : public Error {
  using Error::Error;
};
class GraphBreakError : public CompileError {
  using CompileError::CompileError;
};
class RecompileError : public CompileError {
  using CompileError::CompileError;
};
/// The result of a region whose program failed was read.
class FailedRegionError : public Error {
  using Error::Error;
};

template <class E = Error, class... Args>
[[noreturn]] void raise(fmt::format_string<Args...> text, Args&&... args) {
  memory_gate([&] { throw E(fmt::format(text, std::forward<Args>(args)...)); });
  __builtin_unreachable();
}

}  // namespace sinter
