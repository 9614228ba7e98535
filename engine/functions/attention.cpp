// Attention as one operator.
#include "../../runtime/ops/attention.h"
#include <cmath>
#include "../../runtime/mutants.h"
#include "../../runtime/random.h"
#include "common.h"

namespace sinter {

namespace {

/// Leading dimensions of three operands after broadcasting; those of the first where they do not fit, which infer then refuses.
SizeVec leading_sizes(const Tensor& q, const Tensor& k, const Tensor& v) {
  SizeVec lead;
  for (const Tensor* t : {&q, &k, &v}) {
    const IntArrayRef s(t->sizes().data(), static_cast<size_t>(t->dim() - 2));
    if (s.size() > lead.size()) {
      SizeVec longer;
      for (size_t i = 0; i < s.size(); ++i) longer.push_back(i + lead.size() < s.size() ? 1 : lead[i + lead.size() - s.size()]);
      lead = longer;
    }
    for (size_t i = 1; i <= s.size(); ++i)
      if (int64_t& d = lead[lead.size() - i]; d == 1) d = s[s.size() - i];
  }
  return lead;
}

Tensor with_leading(const Tensor& t, const SizeVec& lead, Loc loc) {
  SizeVec sizes = lead;
  sizes.push_back(t.size(-2));
  sizes.push_back(t.size(-1));
  if (t.sizes() == IntArrayRef(sizes)) return t;
  for (size_t i = 1; i <= static_cast<size_t>(t.dim()); ++i)  // what does not broadcast is infer's to refuse
    if (const int64_t d = t.sizes()[t.dim() - static_cast<int64_t>(i)]; d != 1 && d != sizes[sizes.size() - i]) return t;
  return expand(t, sizes, loc);
}

}  // namespace

Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& attn_mask,
                                    double dropout_p, bool is_causal, std::optional<double> scale, Loc loc) {
  if (!(dropout_p >= 0 && dropout_p <= 1))
    raise<ValueError>("scaled_dot_product_attention: dropout probability has to be between 0 and 1, but got {}", dropout_p);
  Tensor q = query, k = key, v = value;
  const bool matrices = q.dim() >= 2 && k.dim() >= 2 && v.dim() >= 2;
  if (matrices) {
    const SizeVec lead = leading_sizes(q, k, v);
    q = with_leading(q, lead, loc), k = with_leading(k, lead, loc), v = with_leading(v, lead, loc);
  }
  TensorImpl* in[] = {q.impl(), k.impl(), v.impl(), attn_mask.impl()};
  OpCall c{.op = Op::scaled_dot_product_attention};
  c.n_in = attn_mask.defined() ? 4 : 3, c.in = in, c.loc = loc;
  c.attr = is_causal ? uint64_t{kAttentionCausal} : 0;
  const int64_t depth = q.dim() > 0 ? q.size(-1) : 0;
  c.scalars[c.n_scalars++] = scale ? *scale : depth > 0 ? 1 / std::sqrt(static_cast<double>(depth)) : 1.0;
  if (dropout_p > 0) {
    (void)infer(c, default_dtype());  // numbers are drawn for calls alone that are right
    const Generator& generator = Generator::get_default();
    c.attr |= kAttentionDropout;
    const auto weights = static_cast<uint64_t>(q.numel() / std::max<int64_t>(depth, 1)) * static_cast<uint64_t>(k.size(-2));
    const uint64_t counter = generator.reserve(random_counters(Op::bernoulli, q.dtype(), static_cast<int64_t>(weights)));
    c.scalars[c.n_scalars++] = dropout_p;
    c.scalars[c.n_scalars++] = static_cast<int64_t>(counter);
    c.scalars[c.n_scalars++] = static_cast<int64_t>(generator.current_seed());
  }
  return call(c);
}

}  // namespace sinter
