#include "anomaly.h"
#include <typeinfo>
#include "../../runtime/log.h"
#include "../frame/report.h"
#include "../functions.h"
#include "node.h"

namespace sinter::autograd {
namespace {

std::string forward_call(const Node& node) {
  if (node.is_custom_call()) return fmt::format("The forward call was {}.", node.name());  // a template: its caller has no line
  const Node& call = node.is_copy_slices() ? *node.extra->inner.get() : node;
  std::string op = op_info(call.op).name;
  if (call.flags & kInplace && op.back() != '_') op += '_';
  return fmt::format("The forward call was {} at {}.", op, place(call.loc));
}

/// Throws E(text) when `e` is an E, and not of a type derived from it.
template <class E>
void throw_same(const Error& e, const std::string& text) {
  if (typeid(e) == typeid(E)) throw E(text);
}

}  // namespace

void rethrow_with_forward_call(const Node& node) {
  const std::string where = fmt::format("Error detected in {}. {}", node.name(), forward_call(node));
  try {
    throw;
  } catch (const Error& e) {
    const std::string text = fmt::format("{} {}", e.what(), where);
    throw_same<AutogradError>(e, text);
    throw_same<ShapeError>(e, text);
    throw_same<DtypeError>(e, text);
    throw_same<IndexError>(e, text);
    throw_same<ValueError>(e, text);
    throw_same<Error>(e, text);
  } catch (...) {}
  warn(where);
  throw;
}

void check_nan(const Node& node, size_t i, const Tensor& grad) {
  const NoGradGuard no_grad;
  if (sum(ne(grad, grad)).item<int64_t>() == 0) return;
  raise<AutogradError>("Function '{}' returned nan values in its {}th output. {}", node.name(), i, forward_call(node));
}

}  // namespace sinter::autograd
