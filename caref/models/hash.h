// The hash by which dropout decides, wherever it is computed: masks.py has its definition.

#pragma once

#include <cstdint>

namespace {

constexpr uint32_t kGolden = 0x9E3779B9u;

// MurmurHash3's finaliser of N numbers, or vectors of them, one step of all after the other.
template <int N, class Number>
inline void mix(Number (&h)[N]) {
  for (int k = 0; k < N; ++k) h[k] ^= h[k] >> 16;
  for (int k = 0; k < N; ++k) h[k] *= 0x85EBCA6Bu;
  for (int k = 0; k < N; ++k) h[k] ^= h[k] >> 13;
  for (int k = 0; k < N; ++k) h[k] *= 0xC2B2AE35u;
  for (int k = 0; k < N; ++k) h[k] ^= h[k] >> 16;
}

inline uint32_t mixed(uint32_t h) {
  uint32_t own[] = {h};
  mix(own);
  return own[0];
}

}  // namespace
