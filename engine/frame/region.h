// A closed region as plain data: what happened between two closes, in terms of slots (tensor identities).
#pragma once
#include <vector>
#include "../../runtime/loc.h"
#include "../../runtime/ops/op_call.h"

namespace sinter {

/// One operator of a region. Operands and result are slots; an in-place call's `out` is its operand 0's slot.
struct RegionEvent {
  Op op;
  uint8_t flags = 0;
  std::vector<int32_t> in;  // slots; -1 = undefined operand
  int32_t out = -1;
  uint64_t attr = 0;
  std::vector<int64_t> ints;
  uint8_t n_scalars = 0;
  int32_t first_scalar = 0;  // value scalars are runtime inputs, numbered through the region
  ScalarType scalar_types[kMaxScalars] = {};
  ScalarType compute = ScalarType::Undefined;  // pointwise: compute_dtype at recording
  Loc loc;
};

/// What is known of each slot. Views of a slot share its `root` (the slot that owns the storage; itself if it does).
struct RegionSlot {
  TensorMeta meta;  // offset: relative to the start of the root's storage (inputs: as bound, relative to its first element = 0)
  int32_t root = -1;
  int32_t input = -1;    // number of the input, or -1
  bool wrapped = false;  // a wrapped number
};

/// A region to compile. `live` lists root slots that are not inputs whose bytes somebody may still want after the close;
/// inputs that were written are always written back.
struct Region {
  std::vector<RegionEvent> events;
  std::vector<RegionSlot> slots;
  std::vector<int32_t> inputs;      // input number -> slot
  std::vector<int32_t> live;        // ascending root slots
  std::vector<ScalarType> scalars;  // types of the value scalars: Bool, Long or Double
  /// Inputs that overlap another input's memory in any way, in a region that writes: the builder must not assume
  /// anything about them (the region is then run by the interpreter).
  bool overlapping_writes = false;
  std::string name;  // "train_step#2" for logs and dumps
};

/// Readable listing: one event per line with shapes and source lines.
std::string to_string(const Region& region);

}  // namespace sinter
