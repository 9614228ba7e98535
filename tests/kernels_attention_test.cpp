// The attention kernel: against its order of operations in plain code, bit for bit, on every level; sizes of 0 and 1; operands
// flush with pages that fault.
#include <catch2/catch.hpp>
#include "attention_operands.h"
#include "runtime/kernels/attention_order.h"
#include "runtime/random.h"

using namespace sinter;
using namespace sinter::test;

namespace {

/// A chain of attention_order.h; a(i) and b(i) give the factors.
template <class T, class A, class B>
T chain(int64_t n, bool fused, A a, B b) {
  T total = 0;
  for (int64_t at = 0; at < n; at += kAttentionBlock) {
    T sum = 0;
    for (int64_t i = at; i < std::min(n, at + kAttentionBlock); ++i) {
      if (fused) {
        sum = std::fma(a(i), b(i), sum);
      } else {
        const T product = a(i) * b(i);
        sum = product + sum;
      }
    }
    total = at == 0 ? sum : total + sum;
  }
  return total;
}

template <class T>
Buffer reference(const Operands& in, const Problem& p, Mask kind, uint64_t attr, const std::vector<Scalar>& scalars, bool fused) {
  Buffer out(in.q.dtype, {p.heads, p.queries, p.width}), coins(in.q.dtype, {p.heads, p.queries, p.keys});
  if (attr & kAttentionDropout)
    Call{Op::bernoulli, {}, 0, {}, {scalars[2], scalars[3], Scalar(1 - scalars[1].to_double())}}.run(coins);
  const T scale = scalars[0].to<T>();
  for (int64_t h = 0; h < p.heads; ++h)
    for (int64_t i = 0; i < p.queries; ++i) {
      const int64_t row = h * p.queries + i;
      int64_t n = p.keys;
      if (attr & kAttentionCausal) n = std::min({n, (i / kCausalRows + 1) * kCausalRows, p.queries});
      Buffer s(in.q.dtype, {1, n}), w(in.q.dtype, {1, n});
      bool any = attr & kAttentionPlain;
      for (int64_t j = 0; j < n; ++j) {
        T x = chain<T>(
            p.depth, fused, [&](int64_t e) { return in.q.get<T>(row * p.depth + e); },
            [&](int64_t e) { return in.k.get<T>((h * p.keys + j) * p.depth + e); });
        x = attr & kAttentionDivides ? x / scale : x * scale;
        if (kind == Mask::Added) x = x + in.mask.get<T>(row * p.keys + j);
        if (kind == Mask::Kept) x = x + (in.mask.get<bool>(row * p.keys + j) ? T(0) : -std::numeric_limits<T>::infinity());
        if (kind == Mask::Filled && in.mask.get<bool>(row * p.keys + j)) x = scalars[1].to<T>();
        if (attr & kAttentionCausal && j > i) x = -std::numeric_limits<T>::infinity();
        any |= x != -std::numeric_limits<T>::infinity();
        s.put(j, x);
      }
      if (n > 0) Call{Op::_softmax, {s.view()}, 1, {}, {}}.run(w);
      for (int64_t j = 0; j < n; ++j) {
        if (!any) w.put(j, T(0));
        if (attr & kAttentionDropout) {
          const T kept = static_cast<T>(1 - scalars[1].to_double());
          w.put(j, w.get<T>(j) * (coins.get<T>(row * p.keys + j) != 0 ? T(1) / kept : T(0)));
        }
      }
      for (int64_t c = 0; c < p.width; ++c)
        out.put(row * p.width + c, chain<T>(
                                       n, fused, [&](int64_t j) { return w.get<T>(j); },
                                       [&](int64_t j) { return in.v.get<T>((h * p.keys + j) * p.width + c); }));
    }
  return out;
}

Buffer reference(const Operands& in, const Problem& p, Mask kind, const Call& call, bool fused) {
  return in.q.dtype == ScalarType::Float ? reference<float>(in, p, kind, call.attr, call.scalars, fused)
                                         : reference<double>(in, p, kind, call.attr, call.scalars, fused);
}

}  // namespace

TEST_CASE("attention computes exactly its steps, on every level") {
  std::mt19937 rng(1);
  const EachIsa levels;
  for (const ScalarType t : {ScalarType::Float, ScalarType::Double})
    for (const Problem& p : kProblems)
      for (const Layout layout : {Layout::Dense, Layout::Reversed, Layout::Stepped})
        for (const Mask kind : {Mask::None, Mask::Added, Mask::Kept, Mask::Filled})
          for (const uint64_t attr : {uint64_t{0}, uint64_t{kAttentionCausal}, uint64_t{kAttentionDropout},
                                      uint64_t{kAttentionDivides | kAttentionPlain}}) {
            if ((attr & kAttentionCausal && kind != Mask::None) || (attr & kAttentionDropout && kind == Mask::Filled)) continue;
            const Operands in(rng, t, p, layout, kind);
            const Call call = call_of(in, kind, attr, 0.37);
            for (const Isa level : levels) {
              set_isa_cap(level);
              INFO(isa_name(level) << " " << int(t) << ": " << p.heads << " x " << p.queries << " queries, " << p.keys
                                   << " keys, depth " << p.depth << ", width " << p.width << ", layout " << int(layout)
                                   << ", mask " << int(kind) << ", attr " << attr);
              Buffer out(t, {p.heads, p.queries, p.width}, layout);
              call.run(out);
              REQUIRE(out.intact());
              REQUIRE(same_bits(out, reference(in, p, kind, call, level != Isa::None)));
            }
          }
}

TEST_CASE("attention touches no byte beside its operands") {
  std::mt19937 rng(2);
  for (const Isa level : EachIsa()) {
    set_isa_cap(level);
    for (const ScalarType t : {ScalarType::Float, ScalarType::Double})
      for (const Problem& p : kProblems)
        for (const Mask kind : {Mask::None, Mask::Added, Mask::Kept}) {
          const Operands in(rng, t, p, Layout::Dense, kind);
          const Call call = call_of(in, kind, kind == Mask::None ? kAttentionCausal : kAttentionDropout, 1.5);
          Buffer expected(t, {p.heads, p.queries, p.width});
          call.run(expected);
          INFO(isa_name(level) << ": " << p.queries << " queries, " << p.keys << " keys");
          REQUIRE(run_guarded(call, expected, [](const KernelArgs& args) { run_kernel(args); }) == "");
        }
  }
}

TEST_CASE("attention without queries, keys or columns") {
  for (const Isa level : EachIsa()) {
    set_isa_cap(level);
    for (const Problem& p : {Problem{0, 3, 4, 2, 5}, Problem{2, 0, 4, 2, 5}, Problem{2, 3, 4, 2, 0}, Problem{2, 3, 0, 2, 5}}) {
      std::mt19937 rng(3);
      const Operands in(rng, ScalarType::Float, p, Layout::Dense, Mask::Kept);
      Buffer out = random_buffer(rng, ScalarType::Float, {p.heads, p.queries, p.width});
      call_of(in, Mask::Kept, 0, 1).run(out);
      for (int64_t i = 0; i < out.numel(); ++i) CHECK(out.value(i) == 0);  // of no keys
      CHECK(out.intact());
    }
    std::mt19937 rng(4);
    const Problem p{2, 3, 4, 0, 5};  // no depth: all keys alike
    const Operands in(rng, ScalarType::Float, p, Layout::Dense, Mask::None);
    Buffer out(ScalarType::Float, {2, 3, 5});
    call_of(in, Mask::None, 0, 1).run(out);
    CHECK(out.value(0) == Approx((in.v.value(0) + in.v.value(5) + in.v.value(10) + in.v.value(15)) / 4));
  }
}

TEST_CASE("causal attention reads no key behind its block of rows") {
  std::mt19937 rng(5);
  const Problem p{1, 40, 80, 8, 8};
  Operands in(rng, ScalarType::Float, p, Layout::Dense, Mask::None);
  Buffer clean(ScalarType::Float, {1, 40, 8}), out = clean;
  const Call call = call_of(in, Mask::None, kAttentionCausal, 0.3);
  call.run(clean);
  for (int64_t i = 40 * 8; i < 80 * 8; ++i) in.k.put(i, NAN), in.v.put(i, NAN);
  call.run(out);
  CHECK(same_bits(out, clean));
}
