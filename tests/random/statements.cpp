#include "statements.h"
#include "engine/autograd/autograd.h"
#include "frontend/nn/set_data.h"

namespace sinter::test {

#define SINTER_HELPERS                                                                                                          \
  inline int64_t dim_of(const Tensor& x, int64_t p) { return x.dim() == 0 ? 0 : p % x.dim(); }                                  \
  inline int64_t index_of(const Tensor& x, int64_t d, int64_t q) { return x.dim() == 0 || x.size(d) == 0 ? 0 : q % x.size(d); } \
  inline std::vector<int64_t> sizes_of(const Tensor& x) { return {x.sizes().begin(), x.sizes().end()}; }                        \
  inline std::vector<int64_t> one_more(const Tensor& x, int64_t n) {                                                            \
    std::vector<int64_t> sizes = sizes_of(x);                                                                                   \
    sizes.insert(sizes.begin(), n);                                                                                             \
    return sizes;                                                                                                               \
  }                                                                                                                             \
  inline std::vector<int64_t> reversed_dims(const Tensor& x) {                                                                  \
    std::vector<int64_t> dims;                                                                                                  \
    for (int64_t d = x.dim(); d-- > 0;) dims.push_back(d);                                                                      \
    return dims;                                                                                                                \
  }                                                                                                                             \
  inline Tensor index_for(const Tensor& x, int64_t d, int64_t p) {                                                              \
    const int64_t n = std::max<int64_t>(x.size(d), 1);                                                                          \
    return tensor({p % n, (p + 1) % n, int64_t{0}});                                                                            \
  }

SINTER_HELPERS

#define SINTER_TEXT_OF(...) #__VA_ARGS__
#define SINTER_TEXT(...) SINTER_TEXT_OF(__VA_ARGS__)
const char* const kHelperCode = SINTER_TEXT(SINTER_HELPERS);

namespace {

#define RESULT(t) out = (t)
#define STEP(kind, weight, name, ...)                                                                                   \
  {Kind::kind, weight, name, #__VA_ARGS__,                                                                              \
   []([[maybe_unused]] Tensor& out, [[maybe_unused]] Tensor& x, [[maybe_unused]] Tensor& y, [[maybe_unused]] Tensor& z, \
      [[maybe_unused]] int64_t p, [[maybe_unused]] int64_t q, [[maybe_unused]] double s) { __VA_ARGS__; }},
constexpr Statement kStatements[] = {
#include "statements.inc"
};
#undef STEP
#undef RESULT

}  // namespace

std::span<const Statement> statements() { return kStatements; }

const char* kind_name(Kind kind) {
  static const char* const names[] = {"compute", "view", "in-place", "in-place through views", "other", "refused"};
  return names[static_cast<size_t>(kind)];
}

}  // namespace sinter::test
