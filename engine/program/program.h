// What a region becomes: kernels and eager steps in order, one arena for temporaries, output slots.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>
#include "../../runtime/storage.h"
#include "../frame/region.h"
#include "../graph/graph.h"
#include "costs.h"
#include "program_slot.h"

namespace sinter {

struct Layout;
struct SymbolicRegion;

/// One kernel or eager call of a program, for explain() and dumps.
struct ProgramStep {
  std::string name;      // "k0_sin_cos_add", "gemm_64x512x784_bias", or "sum (eager kernel)"
  std::string assembly;  // annotated; empty for eager kernels and kernels of an earlier step
};

/// Immutable and shared by threads; all state of a run is in Launch and on the stack.
class Program {
 public:
  virtual ~Program();

  /// Everything a run reads and writes.
  struct Launch {
    void* const* inputs;                 // address of each region input's first element
    const Scalar* scalars;               // the region's value scalars
    Storage* const* outputs;             // one per `output_bytes`, without bytes: get theirs here
    RunCosts* costs = nullptr;           // where explain() listens: filled in
    const Layout* layout = nullptr;      // of a program for many sizes: these inputs'
    Storage* const* storages = nullptr;  // of each region input; null where no weight of the process is frozen
  };
  /// Allocates all outputs and temporaries, then runs. When it throws, outputs are without bytes again.
  /// @throws OutOfMemoryError before the first write, state unchanged (an eager kernel that runs out of scratch memory
  /// later throws the same, with inputs possibly written).
  virtual void run(const Launch& launch) const = 0;
  /// Of a program for many sizes: its layout for the sizes of `region`; null: it is no program of that region. Two programs with
  /// one `shape` have one layout.
  virtual std::unique_ptr<const Layout> lay_out(const Region& region) const;
  /// Names of the dimensions that are symbols, "s0 = input 0 dimension 0", or empty.
  virtual std::vector<std::string> symbols() const { return {}; }

  /// Bytes of each live-out storage, in the order of Region::live. Of a program for many sizes: of the sizes it was planned at.
  std::vector<int64_t> output_bytes;
  int64_t arena_bytes = 0;
  int n_kernels = 0;                // different ones
  int n_products = 0, n_eager = 0;  // steps
  double compile_us = 0;
  uint64_t shape = 0;  // of a program for many sizes
  Graph graph;         // after the passes; kept for explanation

  /// Who keeps it and when it last ran: what eviction looks at.
  struct Use {
    std::atomic<uint64_t> last{0};    // program_clock then
    std::vector<ProgramSlot*> slots;  // guarded by the cache's mutex
  };
  mutable Use use;

  virtual std::string str() const = 0;  // the plan, one step per line
  virtual std::vector<ProgramStep> steps() const = 0;
  /// Annotated assembly of each kernel: graph node and source line in front of its instructions.
  virtual std::vector<std::pair<std::string, std::string>> assembly() const = 0;

  /// Verification found it wrong: whoever holds it interprets the region from now on.
  bool is_withdrawn() const { return withdrawn_.load(std::memory_order_relaxed); }
  void withdraw() const { withdrawn_.store(true, std::memory_order_relaxed); }

 private:
  mutable std::atomic<bool> withdrawn_{false};
};

/// Compiles a region. Null when it cannot be expressed as a program (writes through partial views, overlapping inputs,
/// no executable memory): the caller interprets the events with eager kernels, which is always right.
/// Equal regions (all typed bits, live set, ISA) share one program. `for_now` (may be null): no program because code memory is
/// full or refused, which may pass.
std::shared_ptr<const Program> compile_region(const Region& region, bool* for_now = nullptr);

/// Compiles a region whose sizes are symbols: a program whose runs need a layout. Null: also where the region differs in more
/// than numbers from one assignment of sizes to another.
std::shared_ptr<const Program> compile_region(const SymbolicRegion& region, bool* for_now = nullptr);

/// Programs alive; keys found and not; programs taken away since the start because code memory was full.
struct ProgramCacheStats {
  size_t programs, hits, misses, evicted;
};
ProgramCacheStats program_cache_stats();
/// Forgets every cached program (those in use live on); benchmarks of compile time and tests.
void clear_program_cache();

}  // namespace sinter
