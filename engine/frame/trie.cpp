#include "trie.h"
#include <algorithm>
#include <numeric>
#include "../../runtime/mutants.h"
#include "backward_tape.h"

namespace sinter {

EventInfo::~EventInfo() { delete tape.load(std::memory_order_relaxed); }

std::string event_name(const Event& e) {
  std::string name = op_info(op_of(e)).name;
  if (e.info->inplace && name.back() != '_') name += '_';
  return name;
}

Tries::Tries() { root.info = new EventInfo(); }
Tries::~Tries() {
  accumulated_variants.fetch_sub(variants_.load());
  delete root.info;
}

std::atomic<int64_t> accumulated_variants{0};

int Tries::count_variant(Entry& entry) {
  variants_.fetch_add(1);
  accumulated_variants.fetch_add(1);
  return entry.variants.fetch_add(1) + 1;
}

Event* Tries::new_event() {
  std::lock_guard lock(mutex);
  const int32_t id = next_id_.load(std::memory_order_relaxed);
  if (chunks_.size() * kChunk == static_cast<size_t>(id)) chunks_.push_back(std::make_unique<Event[]>(kChunk));
  infos_.push_back(std::make_unique<EventInfo>());
  Event* e = &chunks_.back()[static_cast<size_t>(id % kChunk)];
  e->info = infos_.back().get();
  e->id = id;
  next_id_.store(id + 1, std::memory_order_relaxed);
  return e;
}

namespace {
bool same_event(const Event& a, const Event& b) {
  const EventInfo &x = *a.info, &y = *b.info;
  return a.key == b.key && a.attr == b.attr && a.out == b.out && x.in == y.in && x.ints == y.ints && x.free_ints == y.free_ints &&
         x.expressions == y.expressions && x.guards == y.guards && x.dynamic == y.dynamic && x.close_after == y.close_after &&
         x.root == y.root && (x.dynamic || x.meta == y.meta);
}
}  // namespace

Event* Tries::adopt_or_append(Event* at, Event* draft) {
  std::atomic<Event*>* link = &at->next;
  for (Event* e = link->load(std::memory_order_acquire); e != nullptr; e = link->load(std::memory_order_acquire)) {
    if (same_event(*e, *draft)) return e;
    link = &e->info->sibling;
  }
  draft->info->parent = at;
  link->store(draft, std::memory_order_release);
  return draft;
}

Entry* Tries::entry_of(uint64_t key, Loc loc) {
  std::lock_guard lock(mutex);
  auto& slot = entries_[{key, loc.file, loc.line}];
  if (!slot) {
    slot = std::make_unique<Entry>();
    slot->loc = loc;
    slot->op = static_cast<Op>(key & event_key::kOpMask);
  }
  return slot.get();
}

namespace {
void describe_path(Leaf& leaf, const Event* root) {
  for (Event* e = leaf.end; e != root; e = e->info->parent) leaf.path.push_back(e);
  std::reverse(leaf.path.begin(), leaf.path.end());
  std::vector<int32_t> root_index(static_cast<size_t>(leaf.end->info->n_slots_after), -1);
  leaf.inputs.resize(static_cast<size_t>(leaf.end->info->n_inputs_after));
  size_t next_input = 0;
  for (Event* e : leaf.path) {
    const EventInfo& info = *e->info;
    for (const InputGuard& g : info.guards) {
      leaf.inputs[next_input++] = g.slot;
      for (int32_t d = 0; d < static_cast<int32_t>(g.sizes.size()); ++d)
        if (g.free_dims >> d & 1) leaf.free_dims.emplace_back(g.slot, d);
    }
    for (size_t i = 0; i < info.expressions.size(); ++i)
      leaf.free_ints |= (info.free_ints >> i & 1) && info.expressions[i].kind == SizeExpr::Kind::None;
    leaf.writes |= info.inplace && !SINTER_MUTANT(region_writes_forgotten);
    leaf.dynamic |= info.dynamic;
    if (info.inplace) {
      if (root_index[static_cast<size_t>(info.root)] < 0) leaf.written.push_back(info.root);
      continue;
    }
    const auto out = static_cast<size_t>(e->out);
    if (!info.view) {
      root_index[out] = static_cast<int32_t>(leaf.roots.size());
      leaf.roots.push_back(e->out);
    } else {
      root_index[out] = root_index[static_cast<size_t>(info.root)];  // -1 for a view of an input
    }
    leaf.pooled.push_back({e->out, root_index[out], e, info.view});
  }
}

/// Of the relations those of memory that the region writes. What is only read, batches of one data set say, may lie as it likes.
std::vector<AliasRelation> write_relations(const Leaf& leaf, const std::vector<AliasRelation>& all) {
  std::vector<int32_t> group(static_cast<size_t>(leaf.end->info->n_slots_after));
  std::iota(group.begin(), group.end(), 0);
  const auto group_of = [&](int32_t slot) {
    while (group[static_cast<size_t>(slot)] != slot) slot = group[static_cast<size_t>(slot)];
    return slot;
  };
  for (const AliasRelation& r : all) group[static_cast<size_t>(group_of(r.slot))] = group_of(r.other);
  std::vector<bool> written(group.size(), false);
  for (const int32_t slot : leaf.written) written[static_cast<size_t>(group_of(slot))] = true;
  std::vector<AliasRelation> kept;
  for (const AliasRelation& r : all)
    if (written[static_cast<size_t>(group_of(r.slot))]) kept.push_back(r);
  return kept;
}
}  // namespace

Leaf* Tries::leaf_of(Event* end, const std::vector<AliasRelation>& aliases, Break reason, Loc loc, bool& made) {
  made = false;
  auto find = [&]() -> Leaf* {
    Leaf* const first = end->info->leaf.load(std::memory_order_acquire);
    for (Leaf* l = first; l != nullptr; l = l->next_variant)
      if (!l->writes || l->aliases == aliases || SINTER_MUTANT(aliases_not_compared)) return l;
    if (first == nullptr) return nullptr;
    const std::vector<AliasRelation> relations = write_relations(*first, aliases);
    for (Leaf* l = first; l != nullptr; l = l->next_variant)
      if (l->write_aliases == relations) return l;
    return nullptr;
  };
  if (Leaf* l = find()) return l;
  std::lock_guard lock(mutex);
  if (Leaf* l = find()) return l;
  auto leaf = std::make_unique<Leaf>();
  leaf->number = static_cast<int32_t>(leaves_.size());
  leaf->end = end;
  leaf->aliases = aliases;
  leaf->reason = reason;
  leaf->reason_loc = loc;
  describe_path(*leaf, &root);
  if (leaf->writes) leaf->write_aliases = write_relations(*leaf, aliases);
  leaf->next_variant = end->info->leaf.load(std::memory_order_relaxed);
  Leaf* l = leaf.get();
  leaves_.push_back(std::move(leaf));
  end->info->leaf.store(l, std::memory_order_release);
  made = true;
  return l;
}

std::vector<const Leaf*> Tries::leaves() const {
  auto* self = const_cast<Tries*>(this);
  std::lock_guard lock(self->mutex);
  std::vector<const Leaf*> out;
  for (const auto& l : leaves_) out.push_back(l.get());
  return out;
}

}  // namespace sinter
