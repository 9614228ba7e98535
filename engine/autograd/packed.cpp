#include "packed.h"
#include "../dispatch.h"
#include "saved.h"

namespace sinter::autograd {

Packed pack(const Tensor& t, Loc loc) {
  const NoGradGuard no_grad;
  const Tensor bare = call1(Op::detach, t, 0, loc);
  const uint32_t version = bare._version();
  Packed packed;
  packed.hooks = SavedTensorHooksGuard::active();  // the hook may change which are
  packed.value = packed.hooks->pack(bare);
  if (bare._version() != version)
    raise<AutogradError>(
        "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook can not be modified by "
        "in-place operations as this can lead to unexpected side-effects.");
  return packed;
}

Tensor unpack(const Packed& packed, const Edge& edge, Loc loc) {
  Tensor t = packed.hooks->unpack(packed.value);
  if (!t.defined())
    raise<AutogradError>("Output of saved tensor unpack_hook expected to be a Tensor but got an undefined Tensor");
  if (!grad_mode()) return t;
  if (edge) return joined_to(edge, t, loc);
  return t.requires_grad() ? call1(Op::detach, t, 0, loc) : t;
}

void pack_saved(Node& node) {
  const auto pack_one = [&](Saved& s, size_t i) {
    // Of a value that the call itself overwrote only the version is left, for the error in backward.
    if (s.impl == nullptr || !is_unchanged(s)) return;
    Packed packed = pack(Tensor::share(s.impl), node.loc);
    NodeExtra& extra = node.need_extra();
    if (!extra.packed) extra.packed = std::make_shared<PackedTensors>();
    extra.packed->of[i] = std::move(packed);
    std::exchange(s.impl, nullptr)->release();
  };
  for (size_t i = 0; i < Node::kInlineEdges; ++i) pack_one(node.saved[i], i);
  pack_one(node.saved_result, PackedTensors::kResult);
}

}  // namespace sinter::autograd
