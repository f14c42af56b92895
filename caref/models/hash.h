// The hash by which dropout decides, wherever it is computed: masks.py has its definition.

#pragma once

#include <cstdint>

namespace {

constexpr uint32_t kGolden = 0x9E3779B9u;

// MurmurHash3's finaliser.
inline uint32_t mixed(uint32_t h) {
  h ^= h >> 16;
  h *= 0x85EBCA6Bu;
  h ^= h >> 13;
  h *= 0xC2B2AE35u;
  return h ^ (h >> 16);
}

}  // namespace
