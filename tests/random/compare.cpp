#include "compare.h"
#include <cmath>
#include <cstring>
#include <map>

namespace sinter::test {

namespace {

bool same_element(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

const void* address(const Tensor& t) {
  switch (t.dtype()) {
    case kBool:
      return t.const_data_ptr<bool>();
    case kLong:
      return t.const_data_ptr<int64_t>();
    case kFloat:
      return t.const_data_ptr<float>();
    default:
      return t.const_data_ptr<double>();
  }
}

std::string value_difference(const Tensor& a, const Tensor& b, const std::string& name) {
  const Tensor ca = a.detach().contiguous(), cb = b.detach().contiguous();
  if (a.numel() == 0) return {};
  if (std::memcmp(address(ca), address(cb), static_cast<size_t>(a.numel()) * a.element_size()) == 0) return {};
  const Tensor da = ca.to(kDouble), db = cb.to(kDouble);
  for (int64_t i = 0; i < da.numel(); ++i) {
    const double x = da.const_data_ptr<double>()[i], y = db.const_data_ptr<double>()[i];
    if (!same_element(x, y)) return fmt::format("{}[{}]: {} {}", name, i, x, y);
  }
  return {};  // NaNs of other bits
}

std::string error_difference(const Run& a, const Run& b) {
  for (size_t i = 0; i < std::max(a.errors.size(), b.errors.size()); ++i) {
    const std::string x = i < a.errors.size() ? a.errors[i] : "none", y = i < b.errors.size() ? b.errors[i] : "none";
    if (x != y) return "errors differ:\n  eager    " + x + "\n  compiled " + y;
  }
  return {};
}

/// Everything that can be reached: values, inputs, gradients.
std::vector<Tensor> reachable(const Run& run, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> all(run.values);
  all.insert(all.end(), inputs.begin(), inputs.end());
  for (size_t i = 0, n = all.size(); i < n; ++i) all.push_back(all[i].defined() ? all[i].grad() : Tensor());
  return all;
}

/// For each tensor the first one with the same storage (or the same object).
template <class Key>
std::vector<size_t> first_alike(const std::vector<Tensor>& all, Key key) {
  std::map<const void*, size_t> first;
  std::vector<size_t> out;
  for (size_t i = 0; i < all.size(); ++i) out.push_back(all[i].defined() ? first.try_emplace(key(all[i]), i).first->second : i);
  return out;
}

std::string identity_difference(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  const auto storage = [](const Tensor& t) -> const void* { return t.impl()->storage; };
  const auto object = [](const Tensor& t) -> const void* { return t.impl(); };
  const auto sa = first_alike(a, storage), sb = first_alike(b, storage), oa = first_alike(a, object), ob = first_alike(b, object);
  for (size_t i = 0; i < a.size(); ++i) {
    if (sa[i] != sb[i]) return fmt::format("tensor {} shares memory with {} in eager, with {} compiled", i, sa[i], sb[i]);
    if (oa[i] != ob[i]) return fmt::format("tensor {} is the same object as {} in eager, as {} compiled", i, oa[i], ob[i]);
  }
  return {};
}

}  // namespace

std::string difference(const Tensor& a, const Tensor& b, const std::string& name) {
  if (a.defined() != b.defined()) return name + (a.defined() ? ": undefined when compiled" : ": undefined in eager");
  if (!a.defined()) return {};
  if (a.dtype() != b.dtype()) return fmt::format("{}: dtype {} {}", name, dtype_name(a.dtype()), dtype_name(b.dtype()));
  if (!(a.sizes() == b.sizes())) return name + ": sizes " + to_string(a.sizes()) + " " + to_string(b.sizes());
  if (!(a.strides() == b.strides())) return name + ": strides " + to_string(a.strides()) + " " + to_string(b.strides());
  if (a.storage_offset() != b.storage_offset() && a.numel() > 0)
    return fmt::format("{}: offset {} {}", name, a.storage_offset(), b.storage_offset());
  if (a.requires_grad() != b.requires_grad()) return name + ": requires_grad";
  if (a.is_leaf() != b.is_leaf()) return name + ": is_leaf";
  if (a._version() != b._version()) return fmt::format("{}: version {} {}", name, a._version(), b._version());
  if (std::string d = value_difference(a, b, name); !d.empty()) return d;
  return difference(a.grad(), b.grad(), "gradient of " + name);
}

std::string difference(const Run& a, const std::vector<Tensor>& a_inputs, const Run& b, const std::vector<Tensor>& b_inputs) {
  if (std::string d = error_difference(a, b); !d.empty()) return d;
  for (size_t i = 0; i < a.values.size(); ++i)
    if (std::string d = difference(a.values[i], b.values[i], fmt::format("v[{}]", i)); !d.empty()) return d;
  for (size_t i = 0; i < a_inputs.size(); ++i)
    if (std::string d = difference(a_inputs[i], b_inputs[i], fmt::format("input {}", i)); !d.empty()) return d;
  return identity_difference(reachable(a, a_inputs), reachable(b, b_inputs));
}

}  // namespace sinter::test
