// Views and copies.
#include "common.h"

namespace sinter {

namespace {

/// The shape with its -1 replaced so that the number of elements is that of `self`.
SizeVec resolve_sizes(const Tensor& self, IntArrayRef shape) {
  SizeVec sizes(shape);
  int64_t known = 1, unknown = -1;
  bool overflow = false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == -1) {
      if (unknown >= 0) fail<ValueError>(NamedCall(Op::view, self).call, "only one dimension can be inferred");
      unknown = static_cast<int64_t>(i);
    } else if (shape[i] < 0) {
      fail<ShapeError>(NamedCall(Op::view, self).call, "invalid shape dimension {}", shape[i]);
    } else {
      overflow |= __builtin_mul_overflow(known, shape[i], &known);
    }
  }
  const int64_t n = self.numel();
  if (!overflow && unknown >= 0 && known > 0 && n % known == 0) {
    sizes[static_cast<size_t>(unknown)] = n / known;
  } else if (!overflow && unknown >= 0 && known == 0 && n == 0) {
    fail<ShapeError>(NamedCall(Op::view, self).call,
                     "cannot reshape tensor of 0 elements into shape {} because the "
                     "unspecified dimension size -1 can be any value and is ambiguous",
                     to_string(shape));
  } else if (overflow || unknown >= 0 || known != n) {
    fail<ShapeError>(NamedCall(Op::view, self).call, "shape '{}' is invalid for input of size {}", to_string(shape), n);
  }
  return sizes;
}

int64_t wrap_dimensioned(Op op, const Tensor& self, int64_t dim) {
  if (self.dim() == 0) fail<IndexError>(NamedCall(op, self).call, "{} cannot be applied to a 0-dim tensor.", op_info(op).name);
  return wrap(op, self, dim);
}

}  // namespace

Tensor view(const Tensor& self, IntArrayRef size, Loc loc) {
  return call_ints(Op::view, self, resolve_sizes(self, size), 0, loc);
}

Tensor reshape(const Tensor& self, IntArrayRef shape, Loc loc) {
  const SizeVec sizes = resolve_sizes(self, shape);
  if (self.is_contiguous() || view_strides(self.sizes(), self.strides(), sizes)) return call_ints(Op::view, self, sizes, 0, loc);
  return call_ints(Op::view, call1(Op::clone, self, 1, loc), sizes, 0, loc);
}

Tensor view_as(const Tensor& self, const Tensor& other, Loc loc) { return view(self, other.sizes(), loc); }
Tensor reshape_as(const Tensor& self, const Tensor& other, Loc loc) { return reshape(self, other.sizes(), loc); }
Tensor t(const Tensor& self, Loc loc) { return call1(Op::t, self, 0, loc); }

Tensor transpose(const Tensor& self, int64_t dim0, int64_t dim1, Loc loc) {
  const int64_t a = wrap(Op::transpose, self, dim0), b = wrap(Op::transpose, self, dim1);
  return call1(Op::transpose, self, static_cast<uint64_t>(a | b << 8), loc);
}

Tensor permute(const Tensor& self, IntArrayRef dims, Loc loc) {
  SizeVec wrapped(dims);
  if (static_cast<int64_t>(dims.size()) == self.dim())
    for (auto& d : wrapped) d = wrap(Op::permute, self, d);
  return call_ints(Op::permute, self, wrapped, 0, loc);
}

Tensor expand(const Tensor& self, IntArrayRef size, Loc loc) {
  SizeVec sizes(size);
  const size_t own = static_cast<size_t>(self.dim());
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] != -1) continue;
    if (i + own < sizes.size())
      fail<ShapeError>(NamedCall(Op::expand, self, size).call,
                       "The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {}", i);
    if (sizes.size() >= own) sizes[i] = self.sizes()[i + own - sizes.size()];
  }
  return call_ints(Op::expand, self, sizes, 0, loc);
}
Tensor expand_as(const Tensor& self, const Tensor& other, Loc loc) { return call_ints(Op::expand, self, other.sizes(), 0, loc); }

Tensor select(const Tensor& self, int64_t dim, int64_t index, Loc loc) {
  const int64_t d = wrap_dimensioned(Op::select, self, dim), n = self.sizes()[static_cast<size_t>(d)];
  const int64_t i = index < 0 && index >= -n ? index + n : index;
  return call_ints(Op::select, self, i, static_cast<uint64_t>(d), loc);
}

Tensor slice(const Tensor& self, int64_t dim, std::optional<int64_t> start, std::optional<int64_t> end, int64_t step, Loc loc) {
  const int64_t d = wrap_dimensioned(Op::slice, self, dim), n = self.sizes()[static_cast<size_t>(d)];
  const auto bound = [n](int64_t v) { return std::clamp<int64_t>(v < 0 ? v + n : v, 0, n); };
  const int64_t from = bound(start.value_or(0)), to = std::max(from, bound(end.value_or(n)));
  return call_ints(Op::slice, self, {from, to, step}, static_cast<uint64_t>(d), loc);
}

Tensor narrow(const Tensor& self, int64_t dim, int64_t start, int64_t length, Loc loc) {
  const int64_t d = wrap_dimensioned(Op::slice, self, dim), n = self.sizes()[static_cast<size_t>(d)];
  if (length < 0) fail<ValueError>(NamedCall(Op::slice, self).call, "narrow(): length must be non-negative.");
  if (start < -n || start > n)
    fail<IndexError>(NamedCall(Op::slice, self).call, "Dimension out of range (expected to be in range of [{}, {}], but got {})",
                     -n, n, start);
  const int64_t from = start < 0 ? start + n : start;
  if (length > n - from)
    fail<IndexError>(NamedCall(Op::slice, self).call, "start ({}) + length ({}) exceeds dimension size ({}).", from, length, n);
  return call_ints(Op::slice, self, {from, from + length, 1}, static_cast<uint64_t>(d), loc);
}

Tensor squeeze(const Tensor& self, Loc loc) {
  uint64_t mask = 0;
  const IntArrayRef sizes = self.sizes();
  for (size_t i = 0; i < sizes.size(); ++i) mask |= static_cast<uint64_t>(sizes[i] == 1) << i;
  return call1(Op::squeeze, self, mask, loc);
}
Tensor squeeze(const Tensor& self, int64_t dim, Loc loc) {
  const auto d = static_cast<size_t>(wrap(Op::squeeze, self, dim));
  return call1(Op::squeeze, self, self.dim() > 0 && self.sizes()[d] == 1 ? 1ull << d : 0, loc);
}
Tensor unsqueeze(const Tensor& self, int64_t dim, Loc loc) {
  return call1(Op::unsqueeze, self, static_cast<uint64_t>(wrap(Op::unsqueeze, self, dim, self.dim() + 1)), loc);
}

Tensor flatten(const Tensor& self, int64_t start_dim, int64_t end_dim, Loc loc) {
  const auto first = static_cast<size_t>(wrap(Op::view, self, start_dim)),
             last = static_cast<size_t>(wrap(Op::view, self, end_dim));
  if (first > last)
    fail<ValueError>(NamedCall(Op::view, self).call, "flatten() has invalid args: start_dim cannot come after end_dim");
  if (self.dim() == 0) return reshape(self, 1, loc);
  if (first == last) return self;
  SizeVec sizes;
  const IntArrayRef old = self.sizes();
  for (size_t i = 0; i < old.size(); ++i) {
    if (i > first && i <= last) sizes[first] *= old[i];
    else sizes.push_back(old[i]);
  }
  return reshape(self, sizes, loc);
}

std::vector<Tensor> split(const Tensor& self, int64_t split_size, int64_t dim, Loc loc) try {
  const int64_t d = wrap_dimensioned(Op::slice, self, dim), n = self.sizes()[static_cast<size_t>(d)];
  if (split_size < 0 || (split_size == 0 && n != 0))
    fail<ValueError>(NamedCall(Op::slice, self).call,
                     "split expects split_size be non-negative, but got split_size={} for a "
                     "dimension of size {}",
                     split_size, n);
  std::vector<Tensor> parts;
  for (int64_t at = 0; at < n; at += split_size) parts.push_back(narrow(self, d, at, std::min(split_size, n - at), loc));
  if (n == 0) parts.push_back(narrow(self, d, 0, 0, loc));
  return parts;
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

std::vector<Tensor> chunk(const Tensor& self, int64_t chunks, int64_t dim, Loc loc) {
  const int64_t d = wrap_dimensioned(Op::slice, self, dim), n = self.sizes()[static_cast<size_t>(d)];
  if (chunks <= 0)
    fail<ValueError>(NamedCall(Op::slice, self).call, "chunk expects `chunks` to be greater than 0, got: {}", chunks);
  return split(self, n == 0 ? 1 : (n - 1) / chunks + 1, d, loc);
}

Tensor detach(const Tensor& self, Loc loc) { return call1(Op::detach, self, 0, loc); }
Tensor clone(const Tensor& self, Loc loc) { return call1(Op::clone, self, 0, loc); }
Tensor contiguous(const Tensor& self, Loc loc) { return self.is_contiguous() ? self : call1(Op::clone, self, 1, loc); }

namespace {

Tensor call_cat(TensorList tensors, int64_t dim, Loc loc) {
  constexpr size_t kInline = 16;
  TensorImpl* few[kInline];
  std::vector<TensorImpl*> many;
  TensorImpl** in = few;
  if (tensors.size() > kInline) {
    many.resize(tensors.size());
    in = many.data();
  }
  for (size_t i = 0; i < tensors.size(); ++i) in[i] = tensors[i].impl();
  OpCall c{.op = Op::cat};
  c.n_in = static_cast<uint16_t>(tensors.size()), c.in = in, c.attr = static_cast<uint64_t>(dim), c.loc = loc;
  return call(c);
}

}  // namespace

Tensor cat(TensorList tensors, int64_t dim, Loc loc) try {
  if (tensors.empty()) raise<ValueError>("cat: expected a non-empty list of Tensors");
  if (tensors.size() > op_info(Op::cat).max_in)
    raise<ValueError>("cat: {} tensors are more than the {} that one call takes", tensors.size(), op_info(Op::cat).max_in);
  int64_t rank = 1;
  ScalarType common = ScalarType::Undefined;
  bool mixed = false;
  for (const Tensor& x : tensors) {
    if (x.dim() != 1 || x.numel() != 0) rank = std::max(rank, x.dim());
    mixed |= common != ScalarType::Undefined && x.dtype() != common;
    common = promote_types(common, x.dtype());
  }
  const int64_t d = wrap(Op::cat, tensors[0], dim, rank);
  if (!mixed) return call_cat(tensors, d, loc);
  std::vector<Tensor> converted;
  for (const Tensor& x : tensors) converted.push_back(to(x, common, false, loc));
  return call_cat(converted, d, loc);
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

Tensor stack(TensorList tensors, int64_t dim, Loc loc) try {
  if (tensors.empty()) raise<ValueError>("stack: expected a non-empty list of Tensors");
  const Tensor& first = tensors[0];
  const int64_t d = wrap(Op::cat, first, dim, first.dim() + 1);
  std::vector<Tensor> parts;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!(tensors[i].sizes() == first.sizes()))
      raise<ShapeError>("stack expects each tensor to be equal size, but got {} at entry 0 and {} at entry {}",
                        to_string(first.sizes()), to_string(tensors[i].sizes()), i);
    parts.push_back(unsqueeze(tensors[i], d, loc));
  }
  return cat(parts, d, loc);
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

}  // namespace sinter
