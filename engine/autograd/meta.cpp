#include "meta.h"
#include <mutex>
#include <new>
#include "../../runtime/at_fork.h"
#include "../../runtime/mutants.h"
#include "../dispatch.h"

namespace sinter::autograd {
namespace {

constexpr uint32_t kMostFreeMetas = 8192;

struct FreeBlock {
  FreeBlock* next;
};
/// As the cache of nodes: memory only, trivially destructible.
struct MetaCache {
  FreeBlock* free_list;
  uint32_t count;
  bool closed;
  int depth;                           // nesting of drop_parent
  std::vector<TensorImpl*>* deferred;  // parents left for the outermost drop_parent
};
constinit thread_local MetaCache cache{};

struct CacheCloser {
  ~CacheCloser() {
    cache.closed = true;
    while (FreeBlock* b = cache.free_list) {
      cache.free_list = b->next;
      ::operator delete(b);
    }
  }
};
thread_local CacheCloser closer;

/// Views of views of views form a chain of owners: bounds the recursion of dropping it.
void drop_parent(TensorImpl* p) {
  constexpr int kDeepest = 64;
  if (cache.depth >= kDeepest) {
    if (cache.deferred == nullptr) cache.deferred = new std::vector<TensorImpl*>;
    cache.deferred->push_back(p);
    return;
  }
  ++cache.depth;
  p->release();
  if (--cache.depth > 0) return;
  while (cache.deferred != nullptr) {
    auto* batch = std::exchange(cache.deferred, nullptr);
    ++cache.depth;
    for (TensorImpl* t : *batch) t->release();
    --cache.depth;
    delete batch;
  }
}

/// A node like `recipe`, whose operand is where `edge` leads.
NodeRef repeat_view(const Node& recipe, Edge edge, const TensorImpl* view) {
  NodeRef n = NodeRef::adopt(make_node());
  n->op = recipe.op;
  n->flags = recipe.flags;
  n->n_scalars = 0;
  n->attr = recipe.attr;
  n->ints.assign(recipe.ints);
  n->loc = recipe.loc;
  n->n_in = 1;
  n->dtype = view->dtype();
  n->sizes.assign(view->sizes);
  n->seq = next_seq(edge.is_leaf() ? 0 : edge.node()->seq);
  n->edges[0] = std::move(edge);
  return n;
}

Edge plain_edge(TensorImpl* t) {
  const AutogradMeta* m = meta_of(t);
  return m != nullptr && m->grad_fn ? Edge::to_node(m->grad_fn.get()) : Edge::to_leaf(t);
}

bool is_stale(TensorImpl* t) {
  const AutogradMeta* m = meta_of(t);
  return m != nullptr && m->is_view() &&
         m->version.load(std::memory_order_acquire) != t->storage->version.load(std::memory_order_relaxed);
}

/// Threads that use one stale view at a time.
std::mutex refresh_mutex;
[[maybe_unused]] const bool watched = at_fork::watch(at_fork::Rank::views, [] { return &refresh_mutex; });

}  // namespace

AutogradMeta::~AutogradMeta() {
  delete extra;
  if (parent.defined()) drop_parent(parent.release_impl());
}

void* AutogradMeta::operator new(size_t n) {
  FreeBlock* b = cache.free_list;
  if (b == nullptr) return ::operator new(n);
  cache.free_list = b->next;
  --cache.count;
  return b;
}

void AutogradMeta::operator delete(void* p) noexcept {
  if (cache.closed || cache.count >= kMostFreeMetas) {
    ::operator delete(p);
    return;
  }
  if (cache.count == 0) (void)&closer;  // perhaps the first use on this thread: registers the clean-up
  auto* b = static_cast<FreeBlock*>(p);
  b->next = cache.free_list;
  cache.free_list = b;
  ++cache.count;
}

AutogradMeta& need_meta(TensorImpl* t) {
  if (t->autograd == nullptr) {
    t->autograd = new AutogradMeta;
    t->set(head::kAutograd, true);
  }
  return *meta_of(t);
}

TensorImpl* root_of(TensorImpl* t) {
  const AutogradMeta* m = meta_of(t);
  return m != nullptr && m->is_view() ? m->root : t;
}

bool base_requires_grad(TensorImpl* view) {
  if (!root_of(view)->has(head::kRequiresGrad)) return false;
  view->set(head::kRequiresGrad, true);
  return true;
}

void refresh_view(TensorImpl* view) {
  struct Link {
    TensorImpl* view;
    NodeRef replaced;
  };
  std::vector<Link> chain;  // from the view towards the base; it outlives the lock, as what hangs on a node may be user code
  std::lock_guard lock(refresh_mutex);
  TensorImpl* top = view;
  while (is_stale(top) && !SINTER_MUTANT(stale_view_keeps_history)) {
    chain.push_back({top, {}});
    top = meta_of(top)->parent.impl();
  }
  for (auto it = chain.rbegin(); it != chain.rend(); ++it) {
    AutogradMeta* m = meta_of(it->view);
    if (requires_grad(m->parent.impl())) {
      NodeRef node = repeat_view(*m->recipe.get(), plain_edge(m->parent.impl()), it->view);
      it->replaced = std::exchange(m->grad_fn, std::move(node));
      it->view->set(head::kRequiresGrad, true);  // a locked instruction, not set_grad_fn: other threads hold the same handle
    }
    m->version.store(it->view->storage->version.load(std::memory_order_relaxed), std::memory_order_release);
  }
}

std::vector<HookEntry>& hooks_of(TensorImpl* t) {
  const Edge edge = gradient_edge(t);
  return edge.node() != nullptr ? edge.node()->need_extra().hooks : need_meta(t).need_extra().hooks;
}

void set_grad_fn(TensorImpl* t, NodeRef node) {
  constexpr uint64_t kFlags = head::kRequiresGrad | head::kAutograd;
  if (t->autograd == nullptr) t->autograd = new AutogradMeta;
  meta_of(t)->grad_fn = std::move(node);
  const uint64_t h = t->head.load(std::memory_order_relaxed);
  if ((h & kFlags) == kFlags) return;
  // One handle: nobody else can be looking, so no locked instruction.
  if (static_cast<uint32_t>(h) == 1) t->head.store(h | kFlags, std::memory_order_relaxed);
  else t->set(kFlags, true);
}

Tensor joined_to(const Edge& edge, const Tensor& t, Loc loc) {
  constexpr uint64_t kJoined = 1;  // detach() has attribute 0
  Tensor joined = call1(Op::detach, t, kJoined, loc);
  if (!edge.is_leaf()) {
    set_grad_fn(joined.impl(), NodeRef::share(edge.node()));
    return joined;
  }
  NodeRef n = make_plain_node(t.sizes(), t.dtype());
  n->loc = loc;
  n->n_in = 1;
  n->seq = next_seq(0);
  n->edges[0] = edge;
  set_grad_fn(joined.impl(), std::move(n));
  return joined;
}

void rebase_view(TensorImpl* view, NodeRef call) {
  TensorImpl* root = root_of(view);
  NodeRef n = NodeRef::adopt(make_node());
  NodeExtra& extra = n->need_extra();
  extra.inner = std::move(call);
  const Node* call_node = extra.inner.get();
  for (TensorImpl* v = view; v != root; v = meta_of(v)->parent.impl()) extra.path.push_back(meta_of(v)->recipe);
  std::reverse(extra.path.begin(), extra.path.end());
  n->op = call_node->op;
  n->loc = call_node->loc;
  n->dtype = root->dtype();
  n->sizes.assign(root->sizes);
  n->n_in = call_node->n_in;
  n->edges[0] = gradient_edge(root);
  for (uint32_t i = 1; i < n->n_in; ++i) n->edges[i] = call_node->edges[i];
  uint64_t above = 0;
  for (const Edge& e : n->edges)
    if (e && !e.is_leaf()) above = std::max(above, e.node()->seq);
  n->seq = next_seq(above);
  set_grad_fn(root, std::move(n));
  // The call raised the version: the view and its siblings derive their grad_fn from the new base when next used.
  view->set(head::kRequiresGrad, true);
}

}  // namespace sinter::autograd
