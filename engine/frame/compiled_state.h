// What all copies of one Compiled share: options, tries, counters.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>
#include "../../runtime/loc.h"
#include "trie.h"

namespace sinter {

inline constexpr const char* kDefaultName = "compiled";

/// compile() options, PyTorch's names.
struct CompileOptions {
  std::string name = {};                    // in logs; default: "compiled" and the line of compile()
  bool fullgraph = false;                   // a break throws GraphBreakError
  std::vector<std::string> arg_names = {};  // names of the tensor arguments in messages
  bool recompute = true;  // false: all that autograd saves for a later backward is kept, nothing is computed again there
  /// true: sizes above 1 of row-major inputs are symbols from the first compile on. false: never, each size is compiled (up to
  /// the recompile limit). Unset: sizes that turn out to vary become symbols.
  std::optional<bool> dynamic = {};
};

/// How compiled calls behave, as torch.compiler.set_stance.
enum class Stance { Default, ForceEager, EagerOnRecompile, FailOnRecompile };
void set_stance(Stance stance);
/// "default", "force_eager", "eager_on_recompile", "fail_on_recompile". @throws ValueError for others.
void set_stance(const std::string& stance);
Stance stance();

/// Counters of one Compiled since it was made or reset; of all threads.
struct CompileStats {
  int64_t regions_compiled = 0;  // programs compiled
  int64_t recompiles = 0;        // of these, not the first at their entry
  int64_t replays = 0;           // closes that ran an existing program
  int64_t interpreted = 0;       // closes run by the interpreter
  int64_t eager_fallbacks = 0;   // times a limit or stance sent the rest of a region to eager
  int64_t backwards_taped = 0;   // backward passes inside regions that were replayed without walking the graph
  int64_t layouts = 0;           // sizes for which a program of any size was laid out, without compiling
  int64_t verified = 0;          // programs compared with eager kernels (SINTER_VERIFY)
  int64_t verify_failures = 0;   // of these, found to differ
};

class CompiledState : public std::enable_shared_from_this<CompiledState> {
 public:
  CompiledState(CompileOptions options, Loc loc);

  std::shared_ptr<Tries> tries() const;
  /// Forgets everything recorded; frames that are open finish with what they have.
  void reset();
  /// The last Compiled is gone: everything recorded is freed, in the contexts of all threads.
  void retire();
  bool retired() const { return retired_.load(std::memory_order_relaxed); }
  uint64_t generation() const { return generation_.load(std::memory_order_acquire); }
  std::string where() const;  // "train_step (model.cpp:41)"

  const CompileOptions options;
  const Loc loc;
  const uint64_t id;  // never reused: contexts are found by it
  CompileStats stats() const;
  /// The counts of a context that is going away.
  void add_stats(const CompileStats& s, uint64_t generation);
  /// What belongs to backward passes outside of any frame, through nodes made in this one's frames: recordings, programs,
  /// counters of their own. Null once retired.
  std::shared_ptr<CompiledState> backward();
  CompileStats backward_stats() const;

 private:
  friend class ForkLocks;
  void replace_tries(std::shared_ptr<Tries> fresh);
  mutable std::mutex mutex_;
  std::shared_ptr<Tries> tries_;
  CompileStats past_;  // of contexts that are gone
  std::atomic<uint64_t> generation_{1};
  std::atomic<bool> retired_{false};
  std::shared_ptr<CompiledState> backward_;  // written once, before the flag
  std::atomic<bool> backward_is_made_{false};
};

}  // namespace sinter
