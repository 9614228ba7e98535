#include "compare.h"
#include <cmath>
#include <cstring>
#include <unordered_map>
#include "engine/autograd/autograd.h"

namespace sinter::test {
namespace {

/// Both bytes, when both are row-major; else copies that are.
struct Bytes {
  explicit Bytes(const Tensor& t) : tensor(t.is_contiguous() ? t : t.detach().contiguous()) {
    size = static_cast<size_t>(t.numel()) * t.element_size();
    data = size ? tensor.impl()->data() : nullptr;
  }
  Tensor tensor;
  const void* data;
  size_t size;
};

bool same_number(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

/// NaNs may differ in sign and payload: which operand's survives is not fixed.
template <class T>
std::string first_difference(const Bytes& a, const Bytes& b) {
  const auto* p = static_cast<const T*>(a.data);
  const auto* q = static_cast<const T*>(b.data);
  for (size_t i = 0; i < a.size / sizeof(T); ++i)
    if (!same_number(static_cast<double>(p[i]), static_cast<double>(q[i])))
      return fmt::format("element {}: eager {} compiled {}", i, p[i], q[i]);
  return {};
}

std::string values(const Tensor& a, const Tensor& b) {
  const Bytes x(a), y(b);
  if (x.size == 0 || std::memcmp(x.data, y.data, x.size) == 0) return {};
  switch (a.dtype()) {
    case kFloat:
      return first_difference<float>(x, y);
    case kDouble:
      return first_difference<double>(x, y);
    case kLong:
      return first_difference<int64_t>(x, y);
    default:
      return first_difference<uint8_t>(x, y);
  }
}

std::string tensor_difference(const Tensor& a, const Tensor& b) {
  if (a.defined() != b.defined()) return fmt::format("defined: eager {} compiled {}", a.defined(), b.defined());
  if (!a.defined()) return {};
  if (a.dtype() != b.dtype()) return fmt::format("dtype: eager {} compiled {}", dtype_name(a.dtype()), dtype_name(b.dtype()));
  if (!(a.sizes() == b.sizes())) return "sizes: eager " + to_string(a.sizes()) + " compiled " + to_string(b.sizes());
  if (!(a.strides() == b.strides())) return "strides: eager " + to_string(a.strides()) + " compiled " + to_string(b.strides());
  const auto number = [](const char* what, auto x, auto y) {
    return x == y ? std::string() : fmt::format("{}: eager {} compiled {}", what, x, y);
  };
  std::string d = number("storage offset", a.storage_offset(), b.storage_offset());
  if (d.empty()) d = number("requires_grad", a.requires_grad(), b.requires_grad());
  if (d.empty()) d = number("is_leaf", a.is_leaf(), b.is_leaf());
  if (d.empty()) d = number("version", a._version(), b._version());
  if (d.empty() && a.requires_grad()) d = number("grad_fn", autograd::grad_fn_name(a), autograd::grad_fn_name(b));
  return d.empty() ? values(a, b) : d;
}

/// For each tensor the first one with the same `key`.
template <class F>
std::vector<int> classes(const std::vector<std::pair<std::string, Tensor>>& tensors, F key) {
  std::unordered_map<const void*, int> first;
  std::vector<int> out;
  for (size_t i = 0; i < tensors.size(); ++i)
    out.push_back(tensors[i].second.defined() ? first.emplace(key(tensors[i].second), static_cast<int>(i)).first->second : -1);
  return out;
}

template <class F>
std::string relation(const std::vector<std::pair<std::string, Tensor>>& a, const std::vector<std::pair<std::string, Tensor>>& b,
                     const char* what, F key) {
  const std::vector<int> x = classes(a, key), y = classes(b, key);
  for (size_t i = 0; i < x.size(); ++i)
    if (x[i] != y[i])
      return fmt::format("{} {} {} eager, {} compiled", a[i].first, what, a[static_cast<size_t>(x[i])].first,
                         a[static_cast<size_t>(y[i])].first);
  return {};
}

}  // namespace

std::string difference(const World& eager, const World& compiled) {
  const auto a = eager.tensors(), b = compiled.tensors();
  if (a.size() != b.size()) return fmt::format("number of tensors: eager {} compiled {}", a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].first != b[i].first) return a[i].first + " eager, " + b[i].first + " compiled";
    if (std::string d = tensor_difference(a[i].second, b[i].second); !d.empty()) return a[i].first + ": " + d;
  }
  std::string d =
      relation(a, b, "shares the memory of", [](const Tensor& t) { return static_cast<const void*>(t.impl()->storage); });
  if (d.empty()) d = relation(a, b, "is the same tensor as", [](const Tensor& t) { return static_cast<const void*>(t.impl()); });
  if (!d.empty()) return d;
  if (eager.generator_seed != compiled.generator_seed || eager.generator_counter != compiled.generator_counter)
    return fmt::format("generator: eager {} compiled {}", eager.generator_counter, compiled.generator_counter);
  if (eager.log != compiled.log) return "side effects";
  if (eager.counter != compiled.counter) return "a counter";
  if (eager.deleted != compiled.deleted) return "calls of deleters";
  if (eager.hook_calls != compiled.hook_calls) return "calls of a hook";
  return {};
}

}  // namespace sinter::test
