// Option structs in LibTorch's style: `LinearOptions(10, 5).bias(false)`.
#pragma once
#include <utility>

/// A field `name_` with a getter `name()` and a chaining setter `name(value)`.
#define SINTER_ARG(T, name)                          \
 public:                                             \
  auto name(const T& value)->decltype(*this) {       \
    name##_ = value;                                 \
    return *this;                                    \
  }                                                  \
  auto name(T&& value)->decltype(*this) {            \
    name##_ = std::move(value);                      \
    return *this;                                    \
  }                                                  \
  const T& name() const noexcept { return name##_; } \
  T& name() noexcept { return name##_; }             \
                                                     \
 private:                                            \
  T name##_
