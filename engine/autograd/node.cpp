#include "node.h"
#include <cctype>
#include "custom_call.h"

namespace sinter::autograd {
namespace {

constexpr uint32_t kMostFreeNodes = 8192;

/// Nodes of this thread that wait for reuse, fully cleared. Trivially destructible: tensors may die after thread_locals.
struct NodeCache {
  Node* free_list;
  uint32_t count;
  bool closed;  // the thread is ending: nothing is kept any more
  Node* dying;  // counts reached 0, not yet cleared
  bool draining;
  uint64_t next_seq;
};
constinit thread_local NodeCache cache{};

struct CacheCloser {
  ~CacheCloser() {
    cache.closed = true;
    while (Node* n = cache.free_list) {
      cache.free_list = n->next_free;
      delete n;
    }
  }
};
thread_local CacheCloser closer;

void drop(Saved& s) noexcept {
  if (s.impl != nullptr) std::exchange(s.impl, nullptr)->release();
}

void clear(Node* n) noexcept {
  const uint32_t inline_edges = n->n_in <= Node::kInlineEdges ? n->n_in : 0;
  for (uint32_t i = 0; i < inline_edges; ++i) n->edges[i] = Edge();
  for (Saved& s : n->saved) drop(s);
  drop(n->saved_result);
  if (n->extra != nullptr) delete std::exchange(n->extra, nullptr);
  n->freed = false;
  n->saved_self = false;
  n->n_in = 0;
}

void recycle(Node* n) noexcept {
  if (cache.closed || cache.count >= kMostFreeNodes) {
    delete n;
    return;
  }
  if (cache.count == 0) (void)&closer;  // perhaps the first use on this thread: registers the clean-up
  n->next_free = cache.free_list;
  cache.free_list = n;
  ++cache.count;
}

}  // namespace

Node* make_node() {
  Node* n = cache.free_list;
  if (n == nullptr) {
    n = new Node;
  } else {
    cache.free_list = n->next_free;
    --cache.count;
    n->refs.store(1, std::memory_order_relaxed);
  }
  n->event = nullptr;
  n->frame_owner = current_frame != nullptr ? current_frame->owner_id : 0;
  return n;
}

NodeRef make_plain_node(IntArrayRef sizes, ScalarType dtype) {
  NodeRef n = NodeRef::adopt(make_node());
  n->op = Op::alias;  // passes its gradient on
  n->flags = n->n_scalars = 0;
  n->attr = 0;
  n->ints.assign({});
  n->loc = {};
  n->dtype = dtype;
  n->sizes.assign(sizes);
  return n;
}

void release_node(Node* n) noexcept {
  // Sole owner: nobody else can take a reference, so no locked instruction.
  if (n->refs.load(std::memory_order_acquire) != 1 && n->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  n->next_free = cache.dying;
  cache.dying = n;
  if (cache.draining) return;  // clearing a node lands here again for the nodes it held: the loop below takes them
  cache.draining = true;
  while (Node* d = cache.dying) {
    cache.dying = d->next_free;
    clear(d);
    recycle(d);
  }
  cache.draining = false;
}

void Node::release_saved() noexcept {
  for (Saved& s : saved) drop(s);
  drop(saved_result);
  freed = true;
  if (extra != nullptr) extra->packed.reset();
  if (is_copy_slices()) extra->inner->release_saved();
  if (is_custom_call()) extra->custom->context.release();
}

uint64_t next_seq(uint64_t above) {
  const uint64_t seq = above >= cache.next_seq ? above + 1 : cache.next_seq;
  cache.next_seq = seq + 1;
  return seq;
}

uint64_t seq_now() { return cache.next_seq; }

std::string Node::name() const {
  if (is_custom_call()) return extra->custom->name();
  if (is_custom_output()) return edges[0].node()->name();
  std::string text;
  bool upper = true;
  for (const char* c = op_info(op).name; *c; ++c) {
    if (*c == '_') upper = true;
    else text += upper ? static_cast<char>(std::toupper(static_cast<unsigned char>(*c))) : *c, upper = false;
  }
  return is_copy_slices() ? "CopySlices" : text;
}

}  // namespace sinter::autograd
