#include "infer.h"

namespace sinter {

TensorMeta infer(const OpCall& call, ScalarType default_dtype) {
  const OpInfo& info = op_info(call.op);
  if (call.n_in < info.min_in || call.n_in > info.max_in)
    fail<Error>(call, "takes {} to {} tensors, got {}", info.min_in, info.max_in, call.n_in);
  for (int i = 0; i < info.min_in; ++i)
    if (!call.in[i]) fail<Error>(call, "Expected a proper Tensor but got an undefined one for argument #{}", i);
  switch (info.kind) {
    case OpKind::Pointwise:
    case OpKind::Cast:
    case OpKind::Fill:
      return infer_pointwise(call, default_dtype);
    case OpKind::Reduce:
      return infer_reduce(call);
    case OpKind::Softmax:
    case OpKind::Norm:
      return infer_norm(call);
    case OpKind::Gemm:
      return infer_gemm(call);
    case OpKind::Attention:
      return infer_attention(call);
    case OpKind::View:
      return infer_view(call);
    case OpKind::Copy:
      return infer_copy(call);
    case OpKind::Index:
      return infer_index(call);
    case OpKind::Loss:
      return infer_loss(call);
    case OpKind::Random:
    case OpKind::Creation:
      return infer_creation(call);
  }
  fail<Error>(call, "unknown kind of operator");
}

TensorMeta meta_of(const TensorImpl* t) {
  TensorMeta m;
  m.dtype = t->dtype();
  m.sizes = t->sizes;
  m.strides = t->strides;
  m.offset = t->offset;
  return m;
}

TensorMeta contiguous_meta(const OpCall& call, ScalarType dtype, IntArrayRef sizes) {
  check_bytes(call, dtype, sizes);
  TensorMeta m;
  m.dtype = dtype;
  m.sizes = sizes;
  m.strides = contiguous_strides(sizes);
  return m;
}

void check_bytes(const OpCall& call, ScalarType dtype, IntArrayRef sizes) {
  if (sizes.size() > kMaxRank) fail<ShapeError>(call, "a rank of {} is above the limit of {}", sizes.size(), kMaxRank);
  int64_t bytes = static_cast<int64_t>(element_size(dtype));
  bool overflow = false;
  for (int64_t d : sizes) {
    if (d < 0) fail<ShapeError>(call, "Trying to create tensor with negative dimension {}: {}", d, to_string(sizes));
    overflow |= __builtin_mul_overflow(bytes, std::max<int64_t>(d, 1), &bytes);
  }
  if (overflow) fail<ShapeError>(call, "Storage size calculation overflowed with sizes={}", to_string(sizes));
}

int64_t wrap_dim(int64_t dim, int64_t rank, const OpCall& call) {
  const int64_t n = std::max<int64_t>(rank, 1);
  if (dim < -n || dim >= n)
    fail<IndexError>(call, "Dimension out of range (expected to be in range of [{}, {}], but got {})", -n, n - 1, dim);
  return dim < 0 ? dim + n : dim;
}

namespace {
std::string describe_tensor(const TensorImpl* t) {
  return t ? dtype_name(t->dtype()) + to_string(t->sizes) : std::string("undefined");
}
std::string describe_scalar(const Scalar& s) {
  if (s.type() == kBool) return s.to_bool() ? "true" : "false";
  return s.is_floating_point() ? fmt::format("{}", s.to_double()) : fmt::format("{}", s.to_int64());
}
}  // namespace

std::string describe(const OpCall& call) {
  std::string s = op_info(call.op).name;
  if (call.has(kInplace) && s.back() != '_') s += '_';
  s += '(';
  const char* comma = "";
  const auto put = [&](const std::string& part) { s += comma + part, comma = ", "; };
  if (call.has(kScalarLhs)) put(describe_scalar(call.scalars[0]));
  constexpr int kShown = 8;  // cat may have thousands
  for (int i = 0; i < call.n_in && i < kShown; ++i) put(describe_tensor(call.in[i]));
  if (call.n_in > kShown) put(fmt::format("{} more", call.n_in - kShown));
  for (int i = call.has(kScalarLhs) ? 1 : 0; i < call.n_scalars; ++i) put(describe_scalar(call.scalars[i]));
  if (call.has(kAttrExponent)) put(fmt::format("{}", std::bit_cast<double>(call.attr)));
  if (!call.ints.empty()) put(to_string(call.ints));
  return s + ")";
}

}  // namespace sinter
