#include "size_expr.h"
#include <fmt/format.h>

namespace sinter {

int64_t SizeExpr::value(TensorImpl* const* slots) const {
  const int64_t d = slots[slot]->sizes[static_cast<size_t>(dim)];
  switch (kind) {
    case Kind::Plus:
      return d + c;
    case Kind::Times:
      return d * c;
    case Kind::Over:
      return d / c;
    case Kind::Product:
      return d * slots[slot2]->sizes[static_cast<size_t>(dim2)];
    case Kind::None:
      break;
  }
  return 0;
}

std::string SizeExpr::str() const {
  const std::string d = fmt::format("s{}[{}]", slot, dim);
  switch (kind) {
    case Kind::Plus:
      return c == 0 ? d : fmt::format("{} {} {}", d, c < 0 ? '-' : '+', c < 0 ? -c : c);
    case Kind::Times:
      return fmt::format("{} * {}", d, c);
    case Kind::Over:
      return fmt::format("{} / {}", d, c);
    case Kind::Product:
      return fmt::format("{} * s{}[{}]", d, slot2, dim2);
    case Kind::None:
      break;
  }
  return "*";
}

SizeExpr SizeExpr::explain(int64_t before, int64_t now, const std::vector<VaryingDim>& dims) {
  const auto over_dims = [&](Kind kind, auto&& constant) {
    for (const VaryingDim& d : dims) {
      SizeExpr e{kind, d.slot, d.dim, 0, 0, 0};
      if (constant(d, e.c)) return e;
    }
    return SizeExpr{};
  };
  SizeExpr e = over_dims(Kind::Plus, [&](const VaryingDim& d, int64_t&) { return d.before == before && d.now == now; });
  if (e.kind == Kind::None)
    e = over_dims(Kind::Times, [&](const VaryingDim& d, int64_t& c) {
      if (d.now == 0 || now % d.now != 0) return false;
      c = now / d.now;
      return c > 1 && d.before * c == before;
    });
  if (e.kind == Kind::None)
    e = over_dims(Kind::Over, [&](const VaryingDim& d, int64_t& c) {
      if (now == 0 || d.now % now != 0) return false;
      c = d.now / now;
      return c > 1 && d.before % c == 0 && d.before / c == before;
    });
  if (e.kind == Kind::None)
    e = over_dims(Kind::Plus, [&](const VaryingDim& d, int64_t& c) {
      c = now - d.now;
      return d.before + c == before;
    });
  for (size_t i = 0; e.kind == Kind::None && i < dims.size(); ++i)
    for (size_t j = i; j < dims.size(); ++j)
      if (dims[i].before * dims[j].before == before && dims[i].now * dims[j].now == now) {
        e = {Kind::Product, dims[i].slot, dims[i].dim, dims[j].slot, dims[j].dim, 0};
        break;
      }
  return e;
}

}  // namespace sinter
