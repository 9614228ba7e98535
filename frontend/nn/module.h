// nn::Module: the base of everything with parameters. Names, defaults and semantics are those of torch::nn::Module.
#pragma once
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>
#include "../../engine/tensor.h"
#include "ordered_dict.h"

namespace sinter::nn {

template <class Impl>
class ModuleHolder;

/// Owns named parameters, buffers and submodules. Derive, register in the constructor, write a `forward`.
class Module : public std::enable_shared_from_this<Module> {
 public:
  Module() = default;
  /// Gives the module a name other than its type's.
  explicit Module(std::string name) : name_(std::move(name)) {}
  virtual ~Module() = default;

  /// The given name, else the demangled type.
  const std::string& name() const;

  // -- registration; each returns (a reference to) what it registered
  /// @throws Error for an empty name, one with a dot, or one that is taken.
  Tensor& register_parameter(std::string name, Tensor tensor, bool requires_grad = true);
  Tensor& register_buffer(std::string name, Tensor tensor);
  template <class M>
  std::shared_ptr<M> register_module(std::string name, std::shared_ptr<M> module) {
    insert_child(std::move(name), module);
    return module;
  }
  template <class Impl>
  std::shared_ptr<Impl> register_module(std::string name, ModuleHolder<Impl> holder) {
    return register_module(std::move(name), holder.ptr());
  }
  template <class M>
  std::shared_ptr<M> replace_module(const std::string& name, std::shared_ptr<M> module) {
    children_[name] = module;
    return module;
  }
  template <class Impl>
  std::shared_ptr<Impl> replace_module(const std::string& name, ModuleHolder<Impl> holder) {
    return replace_module(name, holder.ptr());
  }
  void unregister_module(const std::string& name) { children_.erase(name); }

  // -- what is inside; names of nested entries are joined by dots, undefined tensors are left out
  std::vector<Tensor> parameters(bool recurse = true) const;
  OrderedDict<std::string, Tensor> named_parameters(bool recurse = true) const;
  std::vector<Tensor> buffers(bool recurse = true) const;
  OrderedDict<std::string, Tensor> named_buffers(bool recurse = true) const;
  /// This module (unless include_self is off) and all below it, parents first.
  std::vector<std::shared_ptr<Module>> modules(bool include_self = true) const;
  OrderedDict<std::string, std::shared_ptr<Module>> named_modules(const std::string& name_prefix = {},
                                                                  bool include_self = true) const;
  std::vector<std::shared_ptr<Module>> children() const { return children_.values(); }
  const OrderedDict<std::string, std::shared_ptr<Module>>& named_children() const { return children_; }

  /// Calls a function on every module below this one and then on this one.
  void apply(const std::function<void(Module&)>& function);
  void apply(const std::function<void(const std::string&, Module&)>& function, const std::string& name_prefix = {});

  // -- mode
  virtual void train(bool on = true);
  void eval() { train(false); }
  bool is_training() const noexcept { return is_training_; }

  /// Zeroes (or, set_to_none, drops) the gradient of every parameter.
  virtual void zero_grad(bool set_to_none = false);
  /// Converts every parameter and buffer, also integer ones, as LibTorch does. Handles held elsewhere see the change.
  /// Ends the open region when called inside a compiled function.
  virtual void to(ScalarType dtype);
  /// A deep copy. @throws Error for types that do not derive from Cloneable.
  virtual std::shared_ptr<Module> clone() const;
  /// One line without the submodules, as `operator<<` prints it.
  virtual void pretty_print(std::ostream& out) const;

  /// The module as its own type. Null when it is of another type.
  template <class M>
  M* as() noexcept {
    return dynamic_cast<M*>(this);
  }
  template <class M>
  const M* as() const noexcept {
    return dynamic_cast<const M*>(this);
  }

 protected:
  OrderedDict<std::string, Tensor> parameters_{"Parameter"}, buffers_{"Buffer"};
  OrderedDict<std::string, std::shared_ptr<Module>> children_{"Submodule"};

  /// Used by Cloneable: takes over copies of another module's tensors and submodules.
  virtual void clone_from(const Module& other);

 private:
  void insert_child(std::string name, std::shared_ptr<Module> module);
  template <class Visit>
  void visit(const std::string& prefix, Visit&& f) const;
  void print_below(std::ostream& out, const std::string& indent) const;
  friend std::ostream& operator<<(std::ostream& out, const Module& module);

  mutable std::optional<std::string> name_;
  bool is_training_ = true;
};

/// The module tree, one line a module.
std::ostream& operator<<(std::ostream& out, const Module& module);

/// Base of modules that can be cloned: `reset()` must (re)create parameters, buffers and submodules.
template <class Derived>
class Cloneable : public Module {
 public:
  using Module::Module;
  virtual void reset() = 0;

  std::shared_ptr<Module> clone() const override {
    auto copy = std::make_shared<Derived>(static_cast<const Derived&>(*this));
    auto& base = static_cast<Cloneable&>(*copy);
    base.parameters_.clear();
    base.buffers_.clear();
    base.children_.clear();
    base.reset();
    base.clone_from(*this);
    return copy;
  }
};

}  // namespace sinter::nn
