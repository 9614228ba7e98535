// A map that keeps insertion order, as torch::OrderedDict: parameters, buffers and children by name.
#pragma once
#include <string>
#include <utility>
#include <vector>
#include "../../runtime/error.h"

namespace sinter {

/// Keys are looked up by a scan: modules have few entries, and order matters more than speed.
template <class Key, class Value>
class OrderedDict {
 public:
  class Item {
   public:
    Item(Key key, Value value) : pair_(std::move(key), std::move(value)) {}
    Value& operator*() { return pair_.second; }
    const Value& operator*() const { return pair_.second; }
    Value* operator->() { return &pair_.second; }
    const Value* operator->() const { return &pair_.second; }
    const Key& key() const noexcept { return pair_.first; }
    Value& value() noexcept { return pair_.second; }
    const Value& value() const noexcept { return pair_.second; }
    const std::pair<Key, Value>& pair() const noexcept { return pair_; }

   private:
    std::pair<Key, Value> pair_;
  };

  explicit OrderedDict(std::string key_description = "Key") : description_(std::move(key_description)) {}

  /// Appends an entry. @throws Error when the key is there already. The reference is good until the next insert.
  Value& insert(Key key, Value value) {
    if (find(key)) raise<Error>("{} '{}' already defined", description_, key);
    items_.emplace_back(std::move(key), std::move(value));
    return items_.back().value();
  }
  /// Appends every entry of `other`.
  void update(const OrderedDict& other) {
    for (const Item& item : other) insert(item.key(), item.value());
  }
  void reserve(size_t n) { items_.reserve(n); }
  void clear() { items_.clear(); }
  /// @throws Error when the key is not there.
  void erase(const Key& key) { items_.erase(items_.begin() + (require(key) - items_.data())); }

  /// Null when the key is not there.
  Value* find(const Key& key) {
    for (Item& item : items_)
      if (item.key() == key) return &item.value();
    return nullptr;
  }
  const Value* find(const Key& key) const { return const_cast<OrderedDict*>(this)->find(key); }
  bool contains(const Key& key) const { return find(key) != nullptr; }
  /// The value of a key. @throws Error when it is not there.
  Value& operator[](const Key& key) { return require(key)->value(); }
  const Value& operator[](const Key& key) const { return const_cast<OrderedDict*>(this)->require(key)->value(); }
  Item& operator[](size_t i) { return items_.at(i); }
  const Item& operator[](size_t i) const { return items_.at(i); }

  auto begin() { return items_.begin(); }
  auto end() { return items_.end(); }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }
  size_t size() const noexcept { return items_.size(); }
  bool is_empty() const noexcept { return items_.empty(); }
  std::vector<Key> keys() const {
    std::vector<Key> out;
    for (const Item& item : items_) out.push_back(item.key());
    return out;
  }
  std::vector<Value> values() const {
    std::vector<Value> out;
    for (const Item& item : items_) out.push_back(item.value());
    return out;
  }

 private:
  Item* require(const Key& key) {
    for (Item& item : items_)
      if (item.key() == key) return &item;
    raise<Error>("{} '{}' is not defined", description_, key);
  }

  std::vector<Item> items_;
  std::string description_;
};

}  // namespace sinter
