// Results that LibTorch 1.13 printed for the same expressions, as text: "### expression", then what was printed.
#pragma once
#include <map>
#include <sstream>
#include <string>

/// An expression as it is looked up: blanks do not count, so that formatting the tests changes nothing.
inline std::string expected_key(std::string expression) {
  std::erase(expression, ' ');
  return expression;
}

/// Expression (see expected_key) -> printed text, without the last newline.
inline std::map<std::string, std::string> parse_expected(const char* text) {
  std::map<std::string, std::string> expected;
  std::istringstream in(text);
  std::string line, *current = nullptr;
  while (std::getline(in, line)) {
    if (line.rfind("### ", 0) == 0) {
      current = &expected[expected_key(line.substr(4))];
    } else if (current) {
      if (!current->empty()) *current += '\n';
      *current += line;
    }
  }
  return expected;
}
