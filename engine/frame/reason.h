// Why a call did not match what was recorded, in words.
#pragma once
#include <string>
#include "context.h"

namespace sinter {

/// The first difference between a call and the recorded alternatives: "input 0 'x' size[0] was 10, now 7" or
/// "expected linear (model.cpp:12), got mul (f.cpp:4)". Empty alternatives: "first call".
std::string explain_miss(const OpCall& c, uint64_t key, const Event* first, const Event* last, const Context& context);
/// Why a leaf without new operators was needed: "the region ended at model.cpp:12: a value was read".
std::string explain_end(const Leaf& leaf);
/// "input 0 'x'": which argument of the compiled call, or which operand of which operator.
std::string name_input(TensorImpl* t, int32_t input_number, const Context& context);
/// What a guard asks for: "input 0 'x': f32[s0, 5], 2 <= s0 <= 128 requires_grad". `symbols`: the sizes that s0, s1, ... had in
/// the recording; those seen first are added.
std::string describe_guard(const InputGuard& g, const std::string& name, std::vector<int64_t>& symbols);

}  // namespace sinter
