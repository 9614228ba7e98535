// AnyModule: a module of any type that maps a tensor to a tensor, as Sequential holds it.
#pragma once
#include <memory>
#include <string>
#include "module_holder.h"

namespace sinter::nn {

/// Holds a module and a plain function pointer to its `Tensor forward(Tensor)`, so that a call costs one indirect jump.
class AnyModule {
 public:
  AnyModule() = default;
  template <class M>
  requires std::is_base_of_v<Module, M> AnyModule(std::shared_ptr<M> module) : module_(std::move(module)), forward_(&call<M>) {
    static_assert(
        requires(M & m, const Tensor& x) { Tensor(m.forward(x)); }, "the module needs `Tensor forward(const Tensor&)`");
    if (!module_) raise<Error>("AnyModule: the module is null");
  }
  template <class Impl>
  AnyModule(const ModuleHolder<Impl>& holder) : AnyModule(holder.ptr()) {}
  template <class M>
  requires std::is_base_of_v<Module, std::remove_cvref_t<M>>
  explicit AnyModule(M&& module) : AnyModule(std::make_shared<std::remove_cvref_t<M>>(std::forward<M>(module))) {}

  Tensor forward(const Tensor& x, Loc loc = Loc::current()) const { return forward_(*module_, x, loc); }
  const std::shared_ptr<Module>& ptr() const { return module_; }
  bool is_empty() const { return module_ == nullptr; }
  /// The same kind of forward over a clone. @throws Error when the module is not cloneable.
  AnyModule clone() const;
  /// The module as M. @throws Error when it is of another type.
  template <class M>
  M& get() const {
    M* m = module_ ? module_->template as<M>() : nullptr;
    if (!m) raise<Error>("AnyModule::get: the module is {}, not of the type asked for", module_ ? module_->name() : "null");
    return *m;
  }

 private:
  template <class M>
  static Tensor call(Module& m, const Tensor& x, Loc loc) {
    if constexpr (requires { static_cast<M&>(m).forward(x, loc); }) return static_cast<M&>(m).forward(x, loc);
    else return static_cast<M&>(m).forward(x);
  }

  std::shared_ptr<Module> module_;
  Tensor (*forward_)(Module&, const Tensor&, Loc) = nullptr;
};

inline AnyModule AnyModule::clone() const {
  AnyModule copy;
  copy.module_ = module_->clone();
  copy.forward_ = forward_;
  return copy;
}

/// A name and a module, for `Sequential({{"fc1", Linear(10, 5)}, {"relu", ReLU()}})`.
class NamedAnyModule {
 public:
  template <class M>
  NamedAnyModule(std::string name, M&& module) : name_(std::move(name)), module_(std::forward<M>(module)) {}
  const std::string& name() const { return name_; }
  const AnyModule& module() const { return module_; }

 private:
  std::string name_;
  AnyModule module_;
};

}  // namespace sinter::nn
