// ModuleHolder and SINTER_MODULE: modules as values that share, `Linear fc(10, 5); fc(x)`.
#pragma once
#include <memory>
#include <ostream>
#include <type_traits>
#include <utility>
#include "module.h"

namespace sinter::nn {

/// A shared_ptr to `Impl` that constructs it and calls its forward. An empty holder is made from nullptr.
template <class Impl>
class ModuleHolder {
  static_assert(std::is_base_of_v<Module, Impl>, "ModuleHolder holds classes derived from nn::Module");

 public:
  using ContainedType = Impl;

  ModuleHolder() : impl_(make_default()) {}
  ModuleHolder(std::nullptr_t) {}
  ModuleHolder(std::shared_ptr<Impl> module) : impl_(std::move(module)) {}
  template <class First, class... Rest>
  requires((sizeof...(Rest) > 0 || !std::is_base_of_v<ModuleHolder, std::remove_cvref_t<First>>)&&std::is_constructible_v<
           Impl, First, Rest...>) explicit ModuleHolder(First&& first, Rest&&... rest)
      : impl_(memory_gate([&] { return std::make_shared<Impl>(std::forward<First>(first), std::forward<Rest>(rest)...); })) {}

  Impl* operator->() const { return get(); }
  Impl& operator*() const { return *get(); }
  const std::shared_ptr<Impl>& ptr() const {
    check();
    return impl_;
  }
  /// @throws Error when empty.
  Impl* get() const {
    check();
    return impl_.get();
  }
  bool is_empty() const noexcept { return impl_ == nullptr; }
  explicit operator bool() const noexcept { return impl_ != nullptr; }

  /// forward of one or two tensors; `loc` is what explanations name as the operators' place.
  auto operator()(const Tensor& x, Loc loc = Loc::current()) const {
    if constexpr (requires(Impl & m) { m.forward(x, loc); }) return get()->forward(x, loc);
    else return get()->forward(x);
  }
  auto operator()(const Tensor& x, const Tensor& y, Loc loc = Loc::current()) const {
    if constexpr (requires(Impl & m) { m.forward(x, y, loc); }) return get()->forward(x, y, loc);
    else return get()->forward(x, y);
  }
  template <class... Args>
  requires(sizeof...(Args) == 0 || sizeof...(Args) > 2 || !(std::is_convertible_v<Args, const Tensor&> && ...)) decltype(auto)
  operator()(Args&&... args) const {
    return get()->forward(std::forward<Args>(args)...);
  }

 private:
  static std::shared_ptr<Impl> make_default() {
    if constexpr (std::is_default_constructible_v<Impl>) return memory_gate([] { return std::make_shared<Impl>(); });
    else return nullptr;
  }
  void check() const {
    if (!impl_) [[unlikely]]
      raise<Error>("Accessing an empty module holder");
  }

  std::shared_ptr<Impl> impl_;
};

template <class Impl>
std::ostream& operator<<(std::ostream& out, const ModuleHolder<Impl>& module) {
  return out << *module;
}

}  // namespace sinter::nn

/// Defines `Name` as the holder of `ImplType`.
#define SINTER_MODULE_IMPL(Name, ImplType)                    \
  class Name : public ::sinter::nn::ModuleHolder<ImplType> {  \
   public:                                                    \
    using ::sinter::nn::ModuleHolder<ImplType>::ModuleHolder; \
    using Impl = ImplType;                                    \
  }
/// As TORCH_MODULE: SINTER_MODULE(Net) defines `Net` as the holder of `NetImpl`.
#define SINTER_MODULE(Name) SINTER_MODULE_IMPL(Name, Name##Impl)
