// Making tensors, with LibTorch's names, defaults and options.
#pragma once
#include <concepts>
#include <functional>
#include <vector>
#include "../runtime/random.h"
#include "functions.h"

namespace sinter {

// Sizes must be >= 0 and their product must fit 63 bits (ShapeError). The dtype defaults to default_dtype() unless said
// otherwise. Random functions draw from the default generator (manual_seed) unless they are given one.
Tensor empty(IntArrayRef size, TensorOptions options = {}, Loc loc = Loc::current());
Tensor empty_strided(IntArrayRef size, IntArrayRef stride, TensorOptions options = {}, Loc loc = Loc::current());
Tensor zeros(IntArrayRef size, TensorOptions options = {}, Loc loc = Loc::current());
Tensor ones(IntArrayRef size, TensorOptions options = {}, Loc loc = Loc::current());
/// The dtype defaults to the number's: bool, int64, or the default dtype for floating numbers.
Tensor full(IntArrayRef size, Scalar fill_value, TensorOptions options = {}, Loc loc = Loc::current());
Tensor scalar_tensor(Scalar value, TensorOptions options = {}, Loc loc = Loc::current());
/// start, start + step, ... below end; int64 when all numbers are integers. @throws ValueError for a step of 0 or of wrong sign.
Tensor arange(Scalar end, TensorOptions options = {}, Loc loc = Loc::current());
Tensor arange(Scalar start, Scalar end, TensorOptions options = {}, Loc loc = Loc::current());
Tensor arange(Scalar start, Scalar end, Scalar step, TensorOptions options = {}, Loc loc = Loc::current());
Tensor linspace(Scalar start, Scalar end, int64_t steps, TensorOptions options = {}, Loc loc = Loc::current());
Tensor eye(int64_t n, TensorOptions options = {}, Loc loc = Loc::current());
Tensor eye(int64_t n, int64_t m, TensorOptions options = {}, Loc loc = Loc::current());
/// Uniform in [0, 1); standard normal; integers in [low, high) (int64 by default); a random order of 0..n-1.
Tensor rand(IntArrayRef size, TensorOptions options = {}, Loc loc = Loc::current());
Tensor rand(IntArrayRef size, GeneratorArg generator, TensorOptions options = {}, Loc loc = Loc::current());
Tensor randn(IntArrayRef size, TensorOptions options = {}, Loc loc = Loc::current());
Tensor randn(IntArrayRef size, GeneratorArg generator, TensorOptions options = {}, Loc loc = Loc::current());
Tensor randint(int64_t high, IntArrayRef size, TensorOptions options = kLong, Loc loc = Loc::current());
Tensor randint(int64_t high, IntArrayRef size, GeneratorArg generator, TensorOptions options = kLong, Loc loc = Loc::current());
Tensor randint(int64_t low, int64_t high, IntArrayRef size, TensorOptions options = kLong, Loc loc = Loc::current());
Tensor randint(int64_t low, int64_t high, IntArrayRef size, GeneratorArg generator, TensorOptions options = kLong,
               Loc loc = Loc::current());
Tensor randperm(int64_t n, TensorOptions options = kLong, Loc loc = Loc::current());
Tensor randperm(int64_t n, GeneratorArg generator, TensorOptions options = kLong, Loc loc = Loc::current());
/// 1 with the probability each element of `p` gives, else 0; a tensor like `self` with one probability for all.
Tensor bernoulli(const Tensor& p, Loc loc = Loc::current());
Tensor bernoulli(const Tensor& p, GeneratorArg generator, Loc loc = Loc::current());
Tensor bernoulli(const Tensor& self, double p, Loc loc = Loc::current());
Tensor bernoulli(const Tensor& self, double p, GeneratorArg generator, Loc loc = Loc::current());

/// Same sizes, order of dimensions in memory and (unless given) dtype.
Tensor empty_like(const Tensor& self, TensorOptions options = {}, Loc loc = Loc::current());
Tensor zeros_like(const Tensor& self, TensorOptions options = {}, Loc loc = Loc::current());
Tensor ones_like(const Tensor& self, TensorOptions options = {}, Loc loc = Loc::current());
Tensor full_like(const Tensor& self, Scalar fill_value, TensorOptions options = {}, Loc loc = Loc::current());
Tensor rand_like(const Tensor& self, TensorOptions options = {}, Loc loc = Loc::current());
Tensor rand_like(const Tensor& self, GeneratorArg generator, TensorOptions options = {}, Loc loc = Loc::current());
Tensor randn_like(const Tensor& self, TensorOptions options = {}, Loc loc = Loc::current());
Tensor randn_like(const Tensor& self, GeneratorArg generator, TensorOptions options = {}, Loc loc = Loc::current());

/// Values for tensor(): a number, a vector of numbers, or lists in braces of any depth (all of one shape).
class TensorData {
 public:
  template <class T>
  requires std::is_arithmetic_v<T> TensorData(T value) : TensorData(Scalar(value)) {}
  TensorData(Scalar value);
  template <class T>
  requires std::is_arithmetic_v<T> TensorData(const std::vector<T>& values) : type_(Scalar(T()).type()) {
    start_list(values.size());
    for (const T v : values) values_.emplace_back(v);
  }
  TensorData(std::initializer_list<TensorData> parts);

  IntArrayRef sizes() const { return sizes_; }
  const std::vector<Scalar>& values() const { return values_; }
  ScalarType type() const { return type_; }  // Bool, Long, Double

 private:
  void start_list(size_t n);
  std::vector<Scalar> values_;
  std::vector<int64_t> sizes_;
  ScalarType type_;
};

/// A tensor of the given values: bool, int64 or the default dtype unless options say otherwise.
Tensor tensor(const TensorData& data, TensorOptions options = {}, Loc loc = Loc::current());

/// Wraps foreign memory, which must outlive every tensor that shares it; `deleter` runs when the last one goes. Strides in
/// elements, not negative; `data` may lie at any address. @throws ShapeError for sizes or strides that no memory has, ValueError
/// when `data` is null (and there are elements).
Tensor from_blob(void* data, IntArrayRef sizes, TensorOptions options = {}, Loc loc = Loc::current());
Tensor from_blob(void* data, IntArrayRef sizes, IntArrayRef strides, TensorOptions options = {}, Loc loc = Loc::current());
Tensor from_blob_with_deleter(void* data, IntArrayRef sizes, IntArrayRef strides, std::function<void(void*)> deleter,
                              TensorOptions options, Loc loc);
template <std::invocable<void*> Deleter>
Tensor from_blob(void* data, IntArrayRef sizes, Deleter deleter, TensorOptions options = {}, Loc loc = Loc::current()) {
  return from_blob_with_deleter(data, sizes, contiguous_strides(sizes), std::move(deleter), options, loc);
}
template <std::invocable<void*> Deleter>
Tensor from_blob(void* data, IntArrayRef sizes, IntArrayRef strides, Deleter deleter, TensorOptions options = {},
                 Loc loc = Loc::current()) {
  return from_blob_with_deleter(data, sizes, strides, std::move(deleter), options, loc);
}

}  // namespace sinter
