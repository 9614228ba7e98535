// The operators users call, with LibTorch's names, argument order and defaults. Methods of Tensor are the same functions
// (tensor_methods.inc). Every function takes the place of the call last, so that graphs and errors can name it.
//
// Shapes broadcast and dtypes promote as in PyTorch. Errors: ShapeError (shapes, ranks), DtypeError, IndexError (dims and
// indices), ValueError; each names the operator with its operands' shapes and dtypes.
#pragma once
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <vector>
#include "dispatch.h"
#include "tensor.h"

namespace sinter {

/// Tensors given by a caller: a list in braces, a vector or an array (LibTorch's TensorList).
class TensorList {
 public:
  TensorList(std::initializer_list<Tensor> l) : items_(l.begin(), l.size()) {}
  TensorList(const std::vector<Tensor>& v) : items_(v) {}
  TensorList(std::span<const Tensor> s) : items_(s) {}
  size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  const Tensor& operator[](size_t i) const { return items_[i]; }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }

 private:
  std::span<const Tensor> items_;
};

/// A tensor as right operand, with the place of the call: `2.0 * a`.
struct TensorArg {
  const Tensor& tensor;
  Loc loc;
  TensorArg(const Tensor& t, Loc l = Loc::current()) : tensor(t), loc(l) {}
};

/// A number as left operand, with the place of the call: `1 == a`.
struct NumberArg {
  Scalar scalar;
  template <class T>
  requires std::is_arithmetic_v<T> NumberArg(T v) : scalar(v) {}
};

/// How a loss is reduced, with PyTorch's numbers.
namespace Reduction {
enum Reduction : int64_t { None = 0, Mean = 1, Sum = 2 };
}

inline bool is_grad_enabled() { return grad_mode(); }
inline ScalarType get_default_dtype() { return default_dtype(); }

// -- pointwise, one operand
#define SINTER_UNARY(name) \
  inline Tensor name(const Tensor& self, Loc loc = Loc::current()) { return call1(Op::name, self, 0, loc); }
SINTER_UNARY(neg)
SINTER_UNARY(abs)
SINTER_UNARY(sign)
SINTER_UNARY(exp)
SINTER_UNARY(log)
SINTER_UNARY(log1p)
SINTER_UNARY(sqrt)
SINTER_UNARY(rsqrt)
SINTER_UNARY(reciprocal)
SINTER_UNARY(sin)
SINTER_UNARY(cos)
SINTER_UNARY(tanh)
SINTER_UNARY(sigmoid)
SINTER_UNARY(erf)
SINTER_UNARY(relu)
SINTER_UNARY(logical_not)
#undef SINTER_UNARY
/// 0.5 * x * (1 + erf(x / sqrt(2))); `approximate` must be "none". Floating only.
Tensor gelu(const Tensor& self, std::string_view approximate = "none", Loc loc = Loc::current());
/// x * x
Tensor square(const Tensor& self, Loc loc = Loc::current());
/// x * sigmoid(x); silu(-inf) = -0, the limit. Floating only.
Tensor silu(const Tensor& self, Loc loc = Loc::current());
Tensor isnan(const Tensor& self, Loc loc = Loc::current());

// -- pointwise, two operands: tensor and tensor, tensor and number
#define SINTER_BINARY(name)                                                               \
  inline Tensor name(const Tensor& self, const Tensor& other, Loc loc = Loc::current()) { \
    return call2(Op::name, self, other, 0, loc);                                          \
  }                                                                                       \
  inline Tensor name(const Tensor& self, Scalar other, Loc loc = Loc::current()) {        \
    return call1s(Op::name, self, other, 0, loc, kScalarRhs);                             \
  }
SINTER_BINARY(add)
SINTER_BINARY(sub)
SINTER_BINARY(mul)
SINTER_BINARY(div)
SINTER_BINARY(floor_divide)
SINTER_BINARY(remainder)
SINTER_BINARY(eq)
SINTER_BINARY(ne)
SINTER_BINARY(lt)
SINTER_BINARY(le)
SINTER_BINARY(gt)
SINTER_BINARY(ge)
#undef SINTER_BINARY
#define SINTER_TENSOR_BINARY(name)                                                        \
  inline Tensor name(const Tensor& self, const Tensor& other, Loc loc = Loc::current()) { \
    return call2(Op::name, self, other, 0, loc);                                          \
  }
SINTER_TENSOR_BINARY(minimum)
SINTER_TENSOR_BINARY(maximum)
SINTER_TENSOR_BINARY(logical_and)
SINTER_TENSOR_BINARY(logical_or)
SINTER_TENSOR_BINARY(logical_xor)
#undef SINTER_TENSOR_BINARY
/// self + alpha * other, self - alpha * other, other - alpha * self.
Tensor add(const Tensor& self, const Tensor& other, Scalar alpha, Loc loc = Loc::current());
Tensor add(const Tensor& self, Scalar other, Scalar alpha, Loc loc = Loc::current());
Tensor sub(const Tensor& self, const Tensor& other, Scalar alpha, Loc loc = Loc::current());
Tensor sub(const Tensor& self, Scalar other, Scalar alpha, Loc loc = Loc::current());
Tensor rsub(const Tensor& self, const Tensor& other, Scalar alpha = 1, Loc loc = Loc::current());
Tensor rsub(const Tensor& self, Scalar other, Scalar alpha = 1, Loc loc = Loc::current());
/// Rounding "trunc" or "floor" keeps integers integer (a zero divisor throws ValueError then); none is true division.
Tensor div(const Tensor& self, const Tensor& other, std::optional<std::string_view> rounding_mode, Loc loc = Loc::current());
Tensor div(const Tensor& self, Scalar other, std::optional<std::string_view> rounding_mode, Loc loc = Loc::current());
Tensor remainder(Scalar self, const Tensor& other, Loc loc = Loc::current());
Tensor pow(const Tensor& self, const Tensor& exponent, Loc loc = Loc::current());
Tensor pow(const Tensor& self, Scalar exponent, Loc loc = Loc::current());
Tensor pow(Scalar self, const Tensor& exponent, Loc loc = Loc::current());
inline Tensor max(const Tensor& self, const Tensor& other, Loc loc = Loc::current()) { return maximum(self, other, loc); }
inline Tensor min(const Tensor& self, const Tensor& other, Loc loc = Loc::current()) { return minimum(self, other, loc); }

// -- pointwise, other
/// condition ? self : other; the condition is bool.
Tensor where(const Tensor& condition, const Tensor& self, const Tensor& other, Loc loc = Loc::current());
Tensor where(const Tensor& condition, Scalar self, const Tensor& other, Loc loc = Loc::current());
Tensor where(const Tensor& condition, const Tensor& self, Scalar other, Loc loc = Loc::current());
Tensor where(const Tensor& condition, Scalar self, Scalar other, Loc loc = Loc::current());
Tensor masked_fill(const Tensor& self, const Tensor& mask, Scalar value, Loc loc = Loc::current());
/// At least one bound must be given. NaN stays NaN.
Tensor clamp(const Tensor& self, std::optional<Scalar> min, std::optional<Scalar> max = std::nullopt, Loc loc = Loc::current());
Tensor clamp_min(const Tensor& self, Scalar min, Loc loc = Loc::current());
Tensor clamp_max(const Tensor& self, Scalar max, Loc loc = Loc::current());
/// self + value * tensor1 * tensor2, self + value * tensor1 / tensor2 (floating only).
Tensor addcmul(const Tensor& self, const Tensor& tensor1, const Tensor& tensor2, Scalar value = 1, Loc loc = Loc::current());
Tensor addcdiv(const Tensor& self, const Tensor& tensor1, const Tensor& tensor2, Scalar value = 1, Loc loc = Loc::current());
/// The same tensor when it already has the type.
Tensor to(const Tensor& self, ScalarType dtype, bool copy = false, Loc loc = Loc::current());

// -- reductions: no or empty `dim` reduces everything
Tensor sum(const Tensor& self, std::optional<ScalarType> dtype = std::nullopt, Loc loc = Loc::current());
Tensor sum(const Tensor& self, IntArrayRef dim, bool keepdim = false, std::optional<ScalarType> dtype = std::nullopt,
           Loc loc = Loc::current());
Tensor mean(const Tensor& self, std::optional<ScalarType> dtype = std::nullopt, Loc loc = Loc::current());
Tensor mean(const Tensor& self, IntArrayRef dim, bool keepdim = false, std::optional<ScalarType> dtype = std::nullopt,
            Loc loc = Loc::current());
Tensor amax(const Tensor& self, IntArrayRef dim = {}, bool keepdim = false, Loc loc = Loc::current());
Tensor amin(const Tensor& self, IntArrayRef dim = {}, bool keepdim = false, Loc loc = Loc::current());
Tensor max(const Tensor& self, Loc loc = Loc::current());
Tensor min(const Tensor& self, Loc loc = Loc::current());
/// Values and int64 indices along `dim`; the first of equals, NaN first.
std::tuple<Tensor, Tensor> max(const Tensor& self, int64_t dim, bool keepdim = false, Loc loc = Loc::current());
std::tuple<Tensor, Tensor> min(const Tensor& self, int64_t dim, bool keepdim = false, Loc loc = Loc::current());
/// Without `dim` the index into the flattened tensor.
Tensor argmax(const Tensor& self, std::optional<int64_t> dim = std::nullopt, bool keepdim = false, Loc loc = Loc::current());
Tensor argmin(const Tensor& self, std::optional<int64_t> dim = std::nullopt, bool keepdim = false, Loc loc = Loc::current());
/// Unbiased divides by n - 1. As in LibTorch a lone number is the flag: var(x, 1) is not var along dimension 1.
Tensor var(const Tensor& self, bool unbiased = true, Loc loc = Loc::current());
Tensor var(const Tensor& self, IntArrayRef dim, bool unbiased, bool keepdim = false, Loc loc = Loc::current());
Tensor std(const Tensor& self, bool unbiased = true, Loc loc = Loc::current());
Tensor std(const Tensor& self, IntArrayRef dim, bool unbiased, bool keepdim = false, Loc loc = Loc::current());
Tensor any(const Tensor& self, Loc loc = Loc::current());
Tensor any(const Tensor& self, int64_t dim, bool keepdim = false, Loc loc = Loc::current());
Tensor all(const Tensor& self, Loc loc = Loc::current());
Tensor all(const Tensor& self, int64_t dim, bool keepdim = false, Loc loc = Loc::current());
/// Reads values (a break inside a frame): same sizes and equal elements; every |a - b| <= atol + rtol * |b|.
bool equal(const Tensor& self, const Tensor& other, Loc loc = Loc::current());
bool allclose(const Tensor& self, const Tensor& other, double rtol = 1e-5, double atol = 1e-8, bool equal_nan = false,
              Loc loc = Loc::current());

// -- softmax and norms
Tensor softmax(const Tensor& self, int64_t dim, std::optional<ScalarType> dtype = std::nullopt, Loc loc = Loc::current());
Tensor log_softmax(const Tensor& self, int64_t dim, std::optional<ScalarType> dtype = std::nullopt, Loc loc = Loc::current());
/// Over the trailing dimensions `normalized_shape`; weight and bias have that shape or are undefined.
Tensor layer_norm(const Tensor& input, IntArrayRef normalized_shape, const Tensor& weight = {}, const Tensor& bias = {},
                  double eps = 1e-5, Loc loc = Loc::current());
/// x / sqrt(mean(x^2) + eps) * weight over the trailing dimensions; without `eps` the type's epsilon (PyTorch 2.4's).
/// @throws ShapeError for another shape of input or weight, DtypeError unless floating.
Tensor rms_norm(const Tensor& input, IntArrayRef normalized_shape, const Tensor& weight = {},
                std::optional<double> eps = std::nullopt, Loc loc = Loc::current());

// -- matrix products
Tensor mm(const Tensor& self, const Tensor& mat2, Loc loc = Loc::current());
Tensor bmm(const Tensor& self, const Tensor& mat2, Loc loc = Loc::current());
/// beta * self + alpha * (mat1 @ mat2)
Tensor addmm(const Tensor& self, const Tensor& mat1, const Tensor& mat2, Scalar beta = 1, Scalar alpha = 1,
             Loc loc = Loc::current());
/// input[*, in] @ weight[out, in].t() + bias[out]
Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias = {}, Loc loc = Loc::current());
/// PyTorch's rank rules: dot, mv, mm, or batches that broadcast.
Tensor matmul(const Tensor& self, const Tensor& other, Loc loc = Loc::current());
/// softmax(query key^T * scale + mask) value over queries [*, L, E], keys [*, S, E] and values [*, S, V]; leading dimensions
/// broadcast. The mask broadcasts to [*, L, S]: bool, true where a key is seen, or of the query's type, added to the scores. With
/// `is_causal` query i sees keys j <= i. `dropout_p` drops weights (always: pass 0 when not training). `scale`: 1 / sqrt(E) if
/// not given. A query that sees no key gives 0. As PyTorch 2's.
/// @throws ShapeError, DtypeError; ValueError for a mask beside is_causal, or dropout_p outside of [0, 1].
Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& attn_mask = {},
                                    double dropout_p = 0.0, bool is_causal = false, std::optional<double> scale = std::nullopt,
                                    Loc loc = Loc::current());
Tensor mv(const Tensor& self, const Tensor& vec, Loc loc = Loc::current());
Tensor dot(const Tensor& self, const Tensor& other, Loc loc = Loc::current());

// -- views and copies
/// Shares memory; one size may be -1. @throws ShapeError when the strides do not allow it.
Tensor view(const Tensor& self, IntArrayRef size, Loc loc = Loc::current());
/// A view when possible, else a copy.
Tensor reshape(const Tensor& self, IntArrayRef shape, Loc loc = Loc::current());
Tensor view_as(const Tensor& self, const Tensor& other, Loc loc = Loc::current());
Tensor reshape_as(const Tensor& self, const Tensor& other, Loc loc = Loc::current());
Tensor t(const Tensor& self, Loc loc = Loc::current());
Tensor transpose(const Tensor& self, int64_t dim0, int64_t dim1, Loc loc = Loc::current());
Tensor permute(const Tensor& self, IntArrayRef dims, Loc loc = Loc::current());
Tensor expand(const Tensor& self, IntArrayRef size, Loc loc = Loc::current());
Tensor expand_as(const Tensor& self, const Tensor& other, Loc loc = Loc::current());
Tensor select(const Tensor& self, int64_t dim, int64_t index, Loc loc = Loc::current());
/// Bounds are clamped to the size; step >= 1.
Tensor slice(const Tensor& self, int64_t dim = 0, std::optional<int64_t> start = std::nullopt,
             std::optional<int64_t> end = std::nullopt, int64_t step = 1, Loc loc = Loc::current());
Tensor narrow(const Tensor& self, int64_t dim, int64_t start, int64_t length, Loc loc = Loc::current());
Tensor squeeze(const Tensor& self, Loc loc = Loc::current());
Tensor squeeze(const Tensor& self, int64_t dim, Loc loc = Loc::current());
Tensor unsqueeze(const Tensor& self, int64_t dim, Loc loc = Loc::current());
Tensor flatten(const Tensor& self, int64_t start_dim = 0, int64_t end_dim = -1, Loc loc = Loc::current());
std::vector<Tensor> split(const Tensor& self, int64_t split_size, int64_t dim = 0, Loc loc = Loc::current());
std::vector<Tensor> chunk(const Tensor& self, int64_t chunks, int64_t dim = 0, Loc loc = Loc::current());
Tensor detach(const Tensor& self, Loc loc = Loc::current());
Tensor cat(TensorList tensors, int64_t dim = 0, Loc loc = Loc::current());
Tensor stack(TensorList tensors, int64_t dim = 0, Loc loc = Loc::current());
/// Keeps the order of dimensions in memory.
Tensor clone(const Tensor& self, Loc loc = Loc::current());
/// The same tensor when it is row-major already.
Tensor contiguous(const Tensor& self, Loc loc = Loc::current());

// -- indexing; indices are int64 and must be in range (IndexError at the call)
Tensor gather(const Tensor& self, int64_t dim, const Tensor& index, Loc loc = Loc::current());
Tensor index_select(const Tensor& self, int64_t dim, const Tensor& index, Loc loc = Loc::current());
/// Rows of `weight`; the row `padding_idx` (-1: none) gets no gradient.
Tensor embedding(const Tensor& weight, const Tensor& indices, int64_t padding_idx = -1, Loc loc = Loc::current());
Tensor scatter_add(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src, Loc loc = Loc::current());
Tensor index_add(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source, Loc loc = Loc::current());

// -- losses
/// self: log-probabilities [N, C, ...] or [C]; target: int64 [N, ...] or rank 0.
Tensor nll_loss(const Tensor& self, const Tensor& target, const Tensor& weight = {}, int64_t reduction = Reduction::Mean,
                int64_t ignore_index = -100, Loc loc = Loc::current());
/// nll_loss of log_softmax along the class dimension; a floating target holds class probabilities.
Tensor cross_entropy_loss(const Tensor& self, const Tensor& target, const Tensor& weight = {},
                          int64_t reduction = Reduction::Mean, int64_t ignore_index = -100, double label_smoothing = 0.0,
                          Loc loc = Loc::current());
inline Tensor cross_entropy(const Tensor& self, const Tensor& target, const Tensor& weight = {},
                            int64_t reduction = Reduction::Mean, int64_t ignore_index = -100, double label_smoothing = 0.0,
                            Loc loc = Loc::current()) {
  return cross_entropy_loss(self, target, weight, reduction, ignore_index, label_smoothing, loc);
}
Tensor mse_loss(const Tensor& self, const Tensor& target, int64_t reduction = Reduction::Mean, Loc loc = Loc::current());
Tensor l1_loss(const Tensor& self, const Tensor& target, int64_t reduction = Reduction::Mean, Loc loc = Loc::current());
/// Training: zeroes elements with probability p and scales the rest by 1 / (1 - p); else returns input itself.
Tensor dropout(const Tensor& input, double p, bool train, Loc loc = Loc::current());

// -- operators
#define SINTER_OPERATOR(symbol, name)                                                                                \
  inline Tensor operator symbol(const Tensor& a, const Arg& b) {                                                     \
    return b.tensor ? call2(Op::name, a, *b.tensor, 0, b.loc) : call1s(Op::name, a, b.scalar, 0, b.loc, kScalarRhs); \
  }
SINTER_OPERATOR(+, add)
SINTER_OPERATOR(-, sub)
SINTER_OPERATOR(*, mul)
SINTER_OPERATOR(/, div)
SINTER_OPERATOR(%, remainder)
SINTER_OPERATOR(<, lt)
SINTER_OPERATOR(<=, le)
SINTER_OPERATOR(>, gt)
SINTER_OPERATOR(>=, ge)
#undef SINTER_OPERATOR
// A number on the left: commuting operators swap, the others carry the number as first operand.
#define SINTER_OPERATOR_LEFT(symbol, name, flag)                                     \
  template <class T>                                                                 \
  requires std::is_arithmetic_v<T> Tensor operator symbol(T a, const TensorArg& b) { \
    return call1s(Op::name, b.tensor, Scalar(a), 0, b.loc, flag);                    \
  }
SINTER_OPERATOR_LEFT(+, add, kScalarRhs)
SINTER_OPERATOR_LEFT(-, sub, kScalarLhs)
SINTER_OPERATOR_LEFT(*, mul, kScalarRhs)
SINTER_OPERATOR_LEFT(/, div, kScalarLhs)
SINTER_OPERATOR_LEFT(%, remainder, kScalarLhs)
SINTER_OPERATOR_LEFT(<, gt, kScalarRhs)
SINTER_OPERATOR_LEFT(<=, ge, kScalarRhs)
SINTER_OPERATOR_LEFT(>, lt, kScalarRhs)
SINTER_OPERATOR_LEFT(>=, le, kScalarRhs)
#undef SINTER_OPERATOR_LEFT
// C++20 also tries == and != with swapped operands: both sides convert, so that the written order wins.
#define SINTER_OPERATOR_EQUAL(symbol, name)                                                                \
  inline Tensor operator symbol(const TensorArg& a, const Arg& b) { return operator_##name(a.tensor, b); } \
  inline Tensor operator symbol(const NumberArg& a, const TensorArg& b) {                                  \
    return call1s(Op::name, b.tensor, a.scalar, 0, b.loc, kScalarRhs);                                     \
  }
inline Tensor operator_eq(const Tensor& a, const Arg& b) {
  return b.tensor ? call2(Op::eq, a, *b.tensor, 0, b.loc) : call1s(Op::eq, a, b.scalar, 0, b.loc, kScalarRhs);
}
inline Tensor operator_ne(const Tensor& a, const Arg& b) {
  return b.tensor ? call2(Op::ne, a, *b.tensor, 0, b.loc) : call1s(Op::ne, a, b.scalar, 0, b.loc, kScalarRhs);
}
SINTER_OPERATOR_EQUAL(==, eq)
SINTER_OPERATOR_EQUAL(!=, ne)
#undef SINTER_OPERATOR_EQUAL
#define SINTER_OPERATOR_ASSIGN(symbol, name)                                    \
  inline Tensor& operator symbol(Tensor& a, const Arg& b) {                     \
    return b.tensor ? a.name##_(*b.tensor, b.loc) : a.name##_(b.scalar, b.loc); \
  }
SINTER_OPERATOR_ASSIGN(+=, add)
SINTER_OPERATOR_ASSIGN(-=, sub)
SINTER_OPERATOR_ASSIGN(*=, mul)
SINTER_OPERATOR_ASSIGN(/=, div)
#undef SINTER_OPERATOR_ASSIGN
inline Tensor operator-(const TensorArg& a) { return call1(Op::neg, a.tensor, 0, a.loc); }
// Bits of bool tensors only. @throws DtypeError otherwise.
Tensor operator&(const Tensor& a, const TensorArg& b);
Tensor operator|(const Tensor& a, const TensorArg& b);
Tensor operator^(const Tensor& a, const TensorArg& b);
Tensor operator~(const TensorArg& a);

}  // namespace sinter
