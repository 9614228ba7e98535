// What a compiled function has done so far: tries of events, with a leaf where a region was closed.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>
#include "../../runtime/cpu.h"
#include "../../runtime/ops/op_call.h"
#include "../program/program.h"
#include "../program/symbols.h"
#include "breaks.h"
#include "layout_table.h"
#include "root_bits.h"
#include "size_expr.h"

namespace sinter {

struct Event;
struct Leaf;

/// First use of an input by an operand: everything about the tensor that the region relies on.
struct InputGuard {
  int32_t operand = 0, slot = 0;
  uint64_t head = 0;  // head::kGuardMask | kPooled of the tensor
  SizeVec sizes, strides;
  uint64_t free_dims = 0;       // generalised: any size there (strides row-major then)
  std::vector<DimMark> ranges;  // of these, the ones with bounds
  friend bool operator==(const InputGuard&, const InputGuard&) = default;
};

/// InputGuard of an exact size and at most 6 dimensions, laid out for comparing.
struct FastGuard {
  uint64_t head = 0;
  int32_t operand = 0, slot = 0;
  int32_t rank = 0;
  int64_t sizes[SizeVec::kInline] = {}, strides[SizeVec::kInline] = {};
};

struct BackwardTape;

/// The part of an event that a plain replay does not touch.
struct EventInfo {
  EventInfo() = default;
  EventInfo(const EventInfo&) = delete;
  EventInfo& operator=(const EventInfo&) = delete;
  ~EventInfo();
  Loc loc;
  std::vector<int32_t> in;  // operand slots, -1 undefined (also for the few that Event::in holds)
  std::vector<int64_t> ints;
  uint64_t free_ints = 0;             // generalised: another value there, given by the expression, else any
  std::vector<SizeExpr> expressions;  // empty, or one per integer
  std::vector<InputGuard> guards;
  std::vector<FastGuard> fast_guards;  // the same, when the event is kGuardOnly
  TensorMeta meta;                     // of the result as recorded; views: offset relative to operand 0
  int32_t first_scalar = 0, n_scalars = 0;
  ScalarType compute = ScalarType::Undefined;
  int32_t root = -1;  // slot that owns the result's storage
  int32_t n_slots_after = 0, n_scalars_after = 0, n_inputs_after = 0;
  bool view = false, inplace = false, dynamic = false, close_after = false;
  bool inferred = false;  // a view recorded below strides that are not those of the guards: meta's are no other call's
  int32_t depth = 0;      // 1 for a region's first event
  std::atomic<Event*> sibling{nullptr};
  std::atomic<Leaf*> leaf{nullptr};
  std::atomic<const BackwardTape*> tape{nullptr};  // of backward passes that begin after this event; owned
  Event* parent = nullptr;
  struct Entry* entry = nullptr;  // of the region
};

/// One recorded operator call, immutable once published. 64 bytes: a replayed operator touches nothing else of the trie.
struct alignas(64) Event {
  uint64_t key = ~0ull;  // event_key of the call, plus the bits below
  int32_t in[3] = {-1, -1, -1};
  int32_t out = -1;
  uint64_t attr = 0;
  uint64_t head = 0;                  // the result's head word: count 1, pooled, dtype, rank
  std::atomic<Event*> next{nullptr};  // first child
  int32_t id = -1;                    // index of the result in Context::pooled
  int32_t first_scalar = 0;
  EventInfo* info = nullptr;
};
static_assert(sizeof(Event) == 64);

namespace event_key {
inline constexpr uint64_t kOpMask = 0xff;
inline constexpr int kFlagShift = 10, kInShift = 18, kScalarShift = 21;
inline constexpr uint64_t kMany = 7;  // operand count above 6: the real one is in the info
inline constexpr uint64_t kHasInts = 1ull << 29;
// Set in an event only, so that the plain compare fails and the careful path looks:
inline constexpr uint64_t kCareful = 1ull << 30;   // first use of an input, a view, an in-place call, ...
inline constexpr uint64_t kTracked = 1ull << 31;   // builds an autograd node
inline constexpr uint64_t kGuardOnly = 1ull << 9;  // with kCareful: first uses of inputs are all that makes it careful
inline constexpr uint64_t kViewOnly = 1ull << 8;   // with kCareful: a view, and nothing else to be careful about
inline constexpr uint64_t kEventBits = kCareful | kTracked | kGuardOnly | kViewOnly;

constexpr uint64_t scalar_code(ScalarType t) { return t == ScalarType::Bool ? 1 : t == ScalarType::Long ? 2 : 3; }
constexpr uint64_t make(Op op, uint8_t flags, unsigned n_in, uint32_t ambient) {
  return static_cast<uint64_t>(op) | (static_cast<uint64_t>(flags) << kFlagShift) |
         (static_cast<uint64_t>(n_in < kMany ? n_in : kMany) << kInShift) | (static_cast<uint64_t>(ambient) << 32);
}
inline uint64_t of(const OpCall& call, uint32_t ambient) {
  uint64_t key = make(call.op, call.flags, call.n_in, ambient);
  for (int i = 0; i < call.n_scalars; ++i) key |= scalar_code(call.scalars[i].type()) << (kScalarShift + 2 * i);
  return call.ints.empty() ? key : key | kHasInts;
}
static_assert(kOpCount < static_cast<int>(kOpMask));
}  // namespace event_key

inline Op op_of(const Event& e) { return static_cast<Op>(e.key & event_key::kOpMask); }

/// "add", or "add_" for an in-place call.
std::string event_name(const Event& e);

/// Two inputs whose memory overlaps: part of what a leaf relies on when its region writes.
struct AliasRelation {
  int32_t slot = 0, other = 0;
  int64_t byte_offset = 0;
  friend bool operator==(const AliasRelation&, const AliasRelation&) = default;
};

struct Recipe;

/// A program for one live set and instruction set (and, in a generalised region, one assignment of sizes, or those that have a
/// layout).
struct ProgramEntry {
  Isa isa = Isa::None;                           // the level it was compiled under: set_isa_cap may lower it later
  std::vector<int64_t> sizes_key;                // empty unless the region is generalised, and the program of exact sizes
  std::unique_ptr<LayoutTable> layouts;          // set: the program is for many sizes
  std::vector<SymbolDim> symbols;                // which these are
  uint64_t shape = 0;                            // Program::shape of what the layouts belong to
  RootBits live;                                 // bits over Leaf::roots: what the program leaves
  RootBits deferred;                             // likewise: saved for backward, to be computed again there; or empty
  RootBits kept;                                 // likewise: left by the program only for that
  std::shared_ptr<const Recipe> recipe;          // null: nothing is deferred
  std::vector<int32_t> live_roots;               // indices into Leaf::roots, ascending: the program's outputs
  ProgramSlot program;                           // empty: evicted, unless `interpreted`
  mutable std::atomic<bool> interpreted{false};  // the interpreter is its program
  ProgramEntry* next = nullptr;
  bool usable() const { return interpreted.load(std::memory_order_relaxed) || !program.empty(); }
};

/// A close that happened after `end`. Everything here but the atomics is immutable once published.
struct Leaf {
  struct PooledSlot {
    int32_t slot, root_index;
    Event* event;
    bool view;
  };
  int32_t number = 0;  // region number within the Compiled, for names and logs
  Event* end = nullptr;
  std::vector<Event*> path;
  std::vector<PooledSlot> pooled;                      // results made in the region
  std::vector<int32_t> roots;                          // slots that own storage and are not inputs
  std::vector<int32_t> inputs;                         // input number -> slot
  std::vector<std::pair<int32_t, int32_t>> free_dims;  // slots of inputs and their dimensions of any size
  bool free_ints = false;                              // an integer has no expression
  bool writes = false, dynamic = false;
  std::vector<int32_t> written;              // inputs that the region writes
  std::vector<AliasRelation> aliases;        // as they were when the leaf was made; compared only when the region writes
  std::vector<AliasRelation> write_aliases;  // of these, the relations of memory that is written
  Leaf* next_variant = nullptr;              // same end, other aliases
  std::atomic<ProgramEntry*> programs{nullptr};
  std::atomic<int> seen{0};
  int symbolic_programs = 0;                    // tried; guarded by `compiling`
  std::vector<std::vector<int64_t>> seen_once;  // sizes of a generalised region without a program; guarded by `compiling`
  std::atomic<Event*> successor{nullptr};       // first event of the region that came next, the last time
  std::mutex compiling;                         // single flight
  Break reason = Break::frame_end;              // of the first close
  Loc reason_loc;
  std::atomic<double> compile_us{0};
  std::atomic<bool> defers{false};                   // some program has a recipe
  std::vector<std::unique_ptr<ProgramEntry>> owned;  // guarded by `compiling`
};

/// Where regions start: same first operator at the same line. Variants are counted per entry.
struct Entry {
  std::atomic<int> variants{0};
  Loc loc;
  Op op = Op::kCount;
  std::atomic<bool> warned{false};
};

/// All tries of one Compiled. Append only; readers take no lock.
class Tries {
 public:
  Tries();
  ~Tries();
  Event root;  // virtual: its children are the first events of regions

  /// Publishes a recording below `base`, sharing events that another thread published meanwhile. `on_share(draft, existing)` is
  /// called for those and must not throw; `prepare()` is called under the lock before the first. Returns the event that the last
  /// one became.
  template <class P, class F>
  Event* merge(Event* base, const std::vector<Event*>& recording, P&& prepare, F&& on_share);
  Event* new_event();
  const Event& event(int32_t id) const { return chunks_[static_cast<size_t>(id) / kChunk][static_cast<size_t>(id) % kChunk]; }
  Entry* entry_of(uint64_t key, Loc loc);
  /// Finds or publishes the leaf of `end` with these aliases. `made` tells which.
  Leaf* leaf_of(Event* end, const std::vector<AliasRelation>& aliases, Break reason, Loc loc, bool& made);
  int32_t event_count() const { return next_id_.load(std::memory_order_relaxed); }
  std::vector<const Leaf*> leaves() const;
  /// One more variant somewhere: counts against the limit of the process as long as the tries live. Returns the entry's.
  int count_variant(Entry& entry);

  std::mutex mutex;

 private:
  friend class ForkLocks;
  Event* adopt_or_append(Event* at, Event* draft);
  static constexpr int kChunk = 64;
  std::vector<std::unique_ptr<Event[]>> chunks_;
  std::vector<std::unique_ptr<EventInfo>> infos_;
  std::vector<std::unique_ptr<Leaf>> leaves_;
  std::map<std::tuple<uint64_t, const char*, int32_t>, std::unique_ptr<Entry>> entries_;
  std::atomic<int32_t> next_id_{0};
  std::atomic<int64_t> variants_{0};
};

/// Variants that exist in the process, against SINTER_ACCUMULATED_RECOMPILE_LIMIT.
extern std::atomic<int64_t> accumulated_variants;

template <class P, class F>
Event* Tries::merge(Event* base, const std::vector<Event*>& recording, P&& prepare, F&& on_share) {
  std::lock_guard lock(mutex);
  prepare();
  Event* at = base;
  for (Event* draft : recording) {
    Event* e = adopt_or_append(at, draft);
    if (e != draft) on_share(draft, e);
    at = e;
  }
  return at;
}

}  // namespace sinter
