// Sequential: modules called one after the other.
#pragma once
#include <initializer_list>
#include <vector>
#include "any_module.h"

namespace sinter::nn {

/// Each module takes the result of the one before; any type with `Tensor forward(const Tensor&)` fits.
class SequentialImpl : public Module {
 public:
  SequentialImpl() = default;
  template <class... Modules>
  requires(sizeof...(Modules) > 0 &&
           (std::is_constructible_v<AnyModule, Modules&&> && ...)) explicit SequentialImpl(Modules&&... modules) {
    (push_back(AnyModule(std::forward<Modules>(modules))), ...);
  }
  explicit SequentialImpl(std::initializer_list<NamedAnyModule> modules) {
    for (const auto& m : modules) push_back(m.name(), m.module());
  }

  /// @throws Error when there is no module.
  Tensor forward(const Tensor& input, Loc loc = Loc::current());

  /// Appends a module, named by its index unless a name is given.
  void push_back(AnyModule module) { push_back(std::to_string(modules_.size()), std::move(module)); }
  void push_back(std::string name, AnyModule module);
  template <class M>
  requires(!std::is_same_v<std::remove_cvref_t<M>, AnyModule> &&
           std::is_constructible_v<AnyModule, M&&>) void push_back(M&& module) {
    push_back(AnyModule(std::forward<M>(module)));
  }

  size_t size() const noexcept { return modules_.size(); }
  bool is_empty() const noexcept { return modules_.empty(); }
  auto begin() const { return modules_.begin(); }
  auto end() const { return modules_.end(); }
  /// The module at an index. @throws Error beyond the end or for another type.
  std::shared_ptr<Module> ptr(size_t i) const;
  std::shared_ptr<Module> operator[](size_t i) const { return ptr(i); }
  template <class M>
  M& at(size_t i) const {
    return require(i).template get<M>();
  }

  std::shared_ptr<Module> clone() const override;
  void pretty_print(std::ostream& out) const override;

 private:
  const AnyModule& require(size_t i) const;
  std::vector<AnyModule> modules_;
};

class Sequential : public ModuleHolder<SequentialImpl> {
 public:
  using Impl = SequentialImpl;
  using ModuleHolder<SequentialImpl>::ModuleHolder;
  Sequential() = default;
  Sequential(std::initializer_list<NamedAnyModule> modules) : ModuleHolder(std::make_shared<SequentialImpl>(modules)) {}
};

}  // namespace sinter::nn
