// Tensor: the handle users hold. Operators are in functions.h; this file has the object, its metadata and reads.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include "../runtime/error.h"
#include "../runtime/loc.h"
#include "../runtime/scalar.h"
#include "../runtime/tensor_impl.h"

namespace sinter {

class Tensor;

/// The right operand of `a + b`: a tensor or a number, with the place of the call.
struct Arg;

/// A generator or none (runtime/random.h).
class GeneratorArg;

/// Type and gradient options of creation functions, as torch::TensorOptions: `dtype(kDouble).requires_grad(true)`.
struct TensorOptions {
  ScalarType dtype_ = ScalarType::Undefined;  // Undefined: the default dtype
  bool requires_grad_ = false;
  constexpr TensorOptions() = default;
  constexpr TensorOptions(ScalarType t) : dtype_(t) {}
  constexpr TensorOptions dtype(ScalarType t) const {
    auto o = *this;
    o.dtype_ = t;
    return o;
  }
  constexpr TensorOptions requires_grad(bool on = true) const {
    auto o = *this;
    o.requires_grad_ = on;
    return o;
  }
};
constexpr TensorOptions dtype(ScalarType t) { return TensorOptions(t); }

/// A reference-counted handle to a tensor; an empty handle is `undefined`. Copies share the tensor.
class Tensor {
 public:
  Tensor() : impl_(nullptr) {}
  Tensor(const Tensor& o) : impl_(o.impl_) {
    if (impl_) impl_->retain();
  }
  Tensor(Tensor&& o) noexcept : impl_(std::exchange(o.impl_, nullptr)) {}
  Tensor& operator=(const Tensor& o) {
    Tensor(o).swap(*this);
    return *this;
  }
  Tensor& operator=(Tensor&& o) noexcept {
    Tensor(std::move(o)).swap(*this);
    return *this;
  }
  ~Tensor() {
    if (impl_) impl_->release();
  }
  void swap(Tensor& o) noexcept { std::swap(impl_, o.impl_); }

  /// Takes over a reference / adds one.
  static Tensor adopt(TensorImpl* p) {
    Tensor t;
    t.impl_ = p;
    return t;
  }
  static Tensor share(TensorImpl* p) {
    if (p) p->retain();
    return adopt(p);
  }
  TensorImpl* impl() const { return impl_; }
  TensorImpl* release_impl() { return std::exchange(impl_, nullptr); }

  bool defined() const { return impl_ != nullptr; }
  bool is_same(const Tensor& o) const { return impl_ == o.impl_; }
  void reset() { Tensor().swap(*this); }

  // -- metadata; never breaks a graph
  ScalarType scalar_type() const { return get()->dtype(); }
  ScalarType dtype() const { return get()->dtype(); }
  int64_t dim() const { return get()->rank(); }
  int64_t numel() const { return get()->numel; }
  IntArrayRef sizes() const { return get()->sizes; }
  IntArrayRef strides() const { return get()->strides; }
  int64_t size(int64_t d, Loc loc = Loc::current()) const;
  int64_t stride(int64_t d, Loc loc = Loc::current()) const;
  int64_t storage_offset() const { return get()->offset; }
  size_t element_size() const { return sinter::element_size(dtype()); }
  bool is_contiguous() const { return get()->is_contiguous(); }
  bool is_floating_point() const { return is_floating(dtype()); }
  uint32_t _version() const { return get()->storage->version.load(std::memory_order_relaxed); }
  /// True when both share one storage.
  bool is_alias_of(const Tensor& o) const { return get()->storage == o.get()->storage; }

  // -- reads of values; a break inside a frame
  /// The only element as a C++ number. @throws ShapeError unless numel() == 1.
  Scalar item(Loc loc = Loc::current()) const;
  template <class T>
  T item(Loc loc = Loc::current()) const {
    return item(loc).to<T>();
  }
  /// Address of the first element for reading. A break when the value is pending.
  template <class T>
  const T* const_data_ptr(Loc loc = Loc::current()) const {
    return static_cast<const T*>(const_data(CppType<T>::value, loc));
  }
  /// Address of the first element. Always a break inside a frame: what is written through it must be ordered.
  template <class T>
  T* data_ptr(Loc loc = Loc::current()) const {
    return static_cast<T*>(mutable_data(CppType<T>::value, loc));
  }
  void* data_ptr(Loc loc = Loc::current()) const { return mutable_data(ScalarType::Undefined, loc); }

  // -- autograd (engine/autograd)
  bool requires_grad() const {
    const uint64_t h = get()->head.load(std::memory_order_relaxed);
    return h & head::kRequiresGrad || (h & head::kAutograd && view_requires_grad());
  }
  const Tensor& set_requires_grad(bool on, Loc loc = Loc::current()) const;
  const Tensor& requires_grad_(bool on = true, Loc loc = Loc::current()) const { return set_requires_grad(on, loc); }
  bool is_leaf() const;
  Tensor& mutable_grad() const;
  const Tensor& grad() const;
  /// Backward from this tensor; `gradient` undefined: ones for a one-element tensor. @throws AutogradError, ShapeError.
  void backward(const Tensor& gradient = {}, std::optional<bool> retain_graph = std::nullopt, bool create_graph = false,
                Loc loc = Loc::current()) const;

  /// Calls `hook` with each gradient of this tensor as it becomes known; a hook that returns a (defined) tensor replaces it.
  /// Returns the number for remove_hook. @throws AutogradError when the tensor does not require grad.
  template <class F>
  unsigned register_hook(F hook) const {
    if constexpr (std::is_void_v<std::invoke_result_t<F&, const Tensor&>>)
      return add_hook([hook = std::move(hook)](const Tensor& g) mutable {
        hook(g);
        return Tensor();
      });
    else return add_hook([hook = std::move(hook)](const Tensor& g) mutable { return Tensor(hook(g)); });
  }
  void remove_hook(unsigned pos) const;
  /// Keeps the gradient of a tensor that is no leaf in grad().
  void retain_grad() const;
  bool retains_grad() const;
  /// Makes this tensor a leaf that does not require grad. @throws AutogradError for a view.
  const Tensor& detach_() const;

  /// LibTorch's printing: values in columns, then "[ CPUFloatType{2,3} ]".
  std::string str(Loc loc = Loc::current()) const;

#include "tensor_methods.inc"

 private:
  TensorImpl* get() const {
    if (!impl_) [[unlikely]]
      undefined_error();
    return impl_;
  }
  [[noreturn]] static void undefined_error();
  bool view_requires_grad() const;  // a view whose base came to require grad
  unsigned add_hook(std::function<Tensor(const Tensor&)> hook) const;
  const void* const_data(ScalarType t, Loc loc) const;
  void* mutable_data(ScalarType t, Loc loc) const;

  TensorImpl* impl_;
};

struct Arg {
  const Tensor* tensor = nullptr;
  Scalar scalar;
  Loc loc;
  Arg(const Tensor& t, Loc l = Loc::current()) : tensor(&t), loc(l) {}
  template <class T>
  requires std::is_arithmetic_v<T> Arg(T v, Loc l = Loc::current()) : scalar(v), loc(l) {}
  Arg(const Scalar& v, Loc l = Loc::current()) : scalar(v), loc(l) {}
};

std::ostream& operator<<(std::ostream& out, const Tensor& t);

}  // namespace sinter
