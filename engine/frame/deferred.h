// Values that were saved for a backward pass without being kept: computed again, from what is kept, when they are needed.
#pragma once
#include <memory>
#include <utility>
#include <vector>
#include "../../runtime/ops/op_call.h"
#include "../tensor.h"

namespace sinter {

/// How a region's deferred values are computed, as plain data. Values are numbered: the sources, then the result of each step.
struct Recipe {
  struct Step {
    Op op;
    uint8_t flags = 0, n_scalars = 0;
    int32_t first_scalar = 0;  // index into `scalars`
    std::vector<int32_t> in;   // values, -1 undefined
    uint64_t attr = 0;
    std::vector<int64_t> ints;
    Loc loc;
  };
  struct Output {
    int32_t root;   // index into Leaf::roots
    int32_t value;  // its number
    TensorMeta meta;
  };
  std::vector<int32_t> sources;       // slots of the region: inputs, and results that are kept
  std::vector<int32_t> source_roots;  // of these, the region's own results, as indices into Leaf::roots
  std::vector<int32_t> scalars;       // value scalars of the region
  std::vector<Step> steps;
  std::vector<Output> outputs;
  uint32_t ambient = 0;  // word of the calls, less grad mode
  uint32_t mxcsr = 0;    // control bits of the calls
  int64_t bytes = 0;     // of the outputs
};

/// The deferred values of one run of a region. Their storages are pending in it. It holds its sources' memory (not the tensors);
/// whoever is about to write to that has the values computed first.
class Deferred final : public FrameBase {
 public:
  /// Takes hold of the sources, before the region runs. @throws std::bad_alloc.
  static std::unique_ptr<Deferred> prepare(std::shared_ptr<const Recipe> recipe, TensorImpl* const* slots, const Scalar* scalars);
  ~Deferred();
  /// The value of recipe output `i` will be looked for in `s`, which has no bytes. To be called before the region is open to
  /// other threads again; at most once for each output.
  void attach(size_t i, Storage* s);
  /// Gives the object to its outputs (none: it goes).
  static void release(std::unique_ptr<Deferred> d);

  /// Brings a deferred storage's value into being. @throws OutOfMemoryError, nothing is changed then.
  static void settle(Storage& s);
  /// The value of a saved tensor in an open frame: its operators are called again there, once in a backward pass, so that they
  /// become part of the frame's region. The tensor itself, still deferred, where that is not possible.
  static Tensor again(TensorImpl* saved);

 private:
  struct Attached {
    Storage* storage;
    int32_t value;
    const TensorMeta* meta;
  };
  explicit Deferred(std::shared_ptr<const Recipe> recipe);
  /// The values of all steps, each made by `one`.
  static std::vector<Tensor> run(const Recipe& recipe, std::vector<Tensor> values, const std::vector<Scalar>& scalars,
                                 Tensor (*one)(const OpCall&));
  void compute();
  static void settle_dependents(Storage& source);
  static void forget(Storage& s);
  friend struct DeferredHooks;

  const uint64_t id_;
  const std::shared_ptr<const Recipe> recipe_;
  std::vector<Tensor> sources_;
  std::vector<Scalar> scalars_;
  std::vector<Attached> attached_;
};

/// What Deferred::again has called during one backward pass. Dropped with it: in the frame, it would be live at its end.
class DeferredAgain {
 public:
  DeferredAgain() : outer_(std::exchange(current_, this)) {}
  ~DeferredAgain() { current_ = outer_; }
  DeferredAgain(const DeferredAgain&) = delete;
  DeferredAgain& operator=(const DeferredAgain&) = delete;

 private:
  friend class Deferred;
  struct Values {
    uint64_t id;
    std::vector<Tensor> outputs;
  };
  static constinit thread_local DeferredAgain* current_;
  DeferredAgain* outer_;
  std::vector<Values> all_;
};

}  // namespace sinter
