#include "module.h"
#include <cxxabi.h>
#include <cstdlib>
#include <ostream>
#include <typeinfo>
#include "../../engine/ambient.h"
#include "../../engine/creation.h"
#include "set_data.h"
#include "zero_grad.h"

namespace sinter::nn {

namespace {

void check_name(const char* what, const std::string& name) {
  if (name.empty()) raise<Error>("{} name must not be empty", what);
  if (name.find('.') != std::string::npos) raise<Error>("{} name must not contain a dot (got '{}')", what, name);
}

std::string join(const std::string& prefix, const std::string& name) { return prefix.empty() ? name : prefix + "." + name; }

std::string demangled(const char* mangled) {
  int status = 0;
  std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(mangled, nullptr, nullptr, &status), std::free);
  return status == 0 ? text.get() : mangled;
}

}  // namespace

const std::string& Module::name() const {
  if (!name_) name_ = demangled(typeid(*this).name());
  return *name_;
}

Tensor& Module::register_parameter(std::string name, Tensor tensor, bool requires_grad) try {
  check_name("Parameter", name);
  if (tensor.defined()) tensor.set_requires_grad(requires_grad && tensor.is_floating_point());
  return parameters_.insert(std::move(name), std::move(tensor));
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

Tensor& Module::register_buffer(std::string name, Tensor tensor) try {
  check_name("Buffer", name);
  return buffers_.insert(std::move(name), std::move(tensor));
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

void Module::insert_child(std::string name, std::shared_ptr<Module> module) try {
  check_name("Submodule", name);
  if (!module) raise<Error>("Submodule '{}' of {} is null", name, this->name());
  children_.insert(std::move(name), std::move(module));
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

/// Calls f(prefix, module) for this module and all below, parents first.
template <class Visit>
void Module::visit(const std::string& prefix, Visit&& f) const {
  f(prefix, *this);
  for (const auto& child : children_) child.value()->visit(join(prefix, child.key()), f);
}

OrderedDict<std::string, Tensor> Module::named_parameters(bool recurse) const try {
  OrderedDict<std::string, Tensor> out("Parameter");
  const auto add = [&](const std::string& prefix, const Module& m) {
    for (const auto& item : m.parameters_)
      if (item->defined()) out.insert(join(prefix, item.key()), item.value());
  };
  if (recurse) visit("", add);
  else add("", *this);
  return out;
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

OrderedDict<std::string, Tensor> Module::named_buffers(bool recurse) const try {
  OrderedDict<std::string, Tensor> out("Buffer");
  const auto add = [&](const std::string& prefix, const Module& m) {
    for (const auto& item : m.buffers_)
      if (item->defined()) out.insert(join(prefix, item.key()), item.value());
  };
  if (recurse) visit("", add);
  else add("", *this);
  return out;
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

std::vector<Tensor> Module::parameters(bool recurse) const try {
  std::vector<Tensor> out;
  const auto add = [&](const std::string&, const Module& m) {
    for (const auto& item : m.parameters_)
      if (item->defined()) out.push_back(item.value());
  };
  if (recurse) visit("", add);
  else add("", *this);
  return out;
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

std::vector<Tensor> Module::buffers(bool recurse) const { return named_buffers(recurse).values(); }

OrderedDict<std::string, std::shared_ptr<Module>> Module::named_modules(const std::string& name_prefix, bool include_self) const {
  OrderedDict<std::string, std::shared_ptr<Module>> out("Module");
  visit(name_prefix, [&](const std::string& name, const Module& m) {
    if (&m == this && !include_self) return;
    // A module on the stack has no owner to share.
    auto owner = const_cast<Module&>(m).weak_from_this().lock();
    if (!owner) raise<Error>("{} must be held by a shared_ptr or a ModuleHolder to list it among modules()", m.name());
    out.insert(name, std::move(owner));
  });
  return out;
}

std::vector<std::shared_ptr<Module>> Module::modules(bool include_self) const { return named_modules({}, include_self).values(); }

void Module::apply(const std::function<void(Module&)>& function) {
  for (const auto& child : children_) child.value()->apply(function);
  function(*this);
}

void Module::apply(const std::function<void(const std::string&, Module&)>& function, const std::string& name_prefix) {
  for (const auto& child : children_) child.value()->apply(function, join(name_prefix, child.key()));
  function(name_prefix, *this);
}

void Module::train(bool on) {
  for (const auto& child : children_) child.value()->train(on);
  is_training_ = on;
}

void Module::zero_grad(bool set_to_none) {
  for (const auto& child : children_) child.value()->zero_grad(set_to_none);
  for (auto& item : parameters_)
    if (item->defined()) sinter::detail::zero_grad(item.value(), set_to_none);
}

void Module::to(ScalarType dtype) {
  for (const auto& child : children_) child.value()->to(dtype);
  NoGradGuard no_grad;
  for (auto* dict : {&parameters_, &buffers_})
    for (auto& item : *dict) {
      Tensor& t = item.value();
      if (!t.defined() || t.dtype() == dtype) continue;
      if (t.requires_grad() && !is_floating(dtype)) {
        raise<DtypeError>("{}::to({}): parameter '{}' requires grad and cannot be of an integer type", name(), dtype_name(dtype),
                          item.key());
      }
      if (t.grad().defined()) t.mutable_grad() = t.grad().to(dtype);
      sinter::detail::set_data(t, t.to(dtype));
    }
}

std::shared_ptr<Module> Module::clone() const {
  raise<Error>("clone() is not implemented for {}: derive it from nn::Cloneable<{}> and give it a reset()", name(), name());
}

void Module::clone_from(const Module& other) {
  NoGradGuard no_grad;
  if (parameters_.size() != other.parameters_.size() || buffers_.size() != other.buffers_.size() ||
      children_.size() != other.children_.size()) {
    raise<Error>("clone of {}: reset() registered other parameters, buffers or submodules than the original has", name());
  }
  const auto copy_tensor = [](Tensor& mine, const Tensor& theirs) {
    if (!theirs.defined()) return;
    // The clone's members hold this very tensor, so it is filled rather than replaced.
    if (mine.dtype() != theirs.dtype() || !(mine.sizes() == theirs.sizes())) sinter::detail::set_data(mine, theirs.clone());
    else mine.copy_(theirs);
    mine.set_requires_grad(theirs.requires_grad());
  };
  for (auto& item : parameters_) copy_tensor(item.value(), other.parameters_[item.key()]);
  for (auto& item : buffers_) copy_tensor(item.value(), other.buffers_[item.key()]);
  for (auto& item : children_) item.value()->clone_from(*other.children_[item.key()]);
  is_training_ = other.is_training_;
}

void Module::pretty_print(std::ostream& out) const { out << name(); }

void Module::print_below(std::ostream& out, const std::string& indent) const {
  pretty_print(out);
  if (children_.is_empty()) return;
  const std::string next = indent + "  ";
  out << "(\n";
  for (const auto& child : children_) {
    out << next << "(" << child.key() << "): ";
    child.value()->print_below(out, next);
    out << '\n';
  }
  out << indent << ")";
}

std::ostream& operator<<(std::ostream& out, const Module& module) {
  module.print_below(out, "");
  return out;
}

}  // namespace sinter::nn
