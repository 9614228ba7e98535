// Where a random program's choices come from: a seed, or the bytes of a fuzzer.
#pragma once
#include <cstddef>
#include <cstdint>
#include <random>

namespace sinter::test {

class Choices {
 public:
  virtual ~Choices() = default;
  /// A number below `n` (n >= 1).
  virtual uint64_t pick(uint64_t n) = 0;
  /// No choices left: the program ends here.
  virtual bool exhausted() const { return false; }
  bool one_in(uint64_t n) { return pick(n) == n - 1; }
};

class SeedChoices final : public Choices {
 public:
  explicit SeedChoices(uint64_t seed) : engine_(seed) {}
  uint64_t pick(uint64_t n) override { return engine_() % n; }

 private:
  std::mt19937_64 engine_;
};

/// One byte a choice (two where there are more than 256), so that a changed byte changes one choice. Zeros at the end.
class ByteChoices final : public Choices {
 public:
  ByteChoices(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
  uint64_t pick(uint64_t n) override {
    const uint64_t low = next();
    return (n > 256 ? low | next() << 8 : low) % n;
  }
  bool exhausted() const override { return at_ == end_; }

 private:
  uint64_t next() { return at_ == end_ ? 0 : *at_++; }
  const uint8_t *at_, *end_;
};

}  // namespace sinter::test
