/* CRC-32 (zlib's), eight bytes a step; only run on request. */
#include <string.h>

#include "internal.h"

uint32_t lre_crc32(const void* data, size_t bytes) {
  uint32_t table[8][256];
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (0xEDB88320u & (0u - (value & 1)));
    table[0][i] = value;
  }
  for (int k = 1; k < 8; ++k)
    for (uint32_t i = 0; i < 256; ++i) table[k][i] = (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 255];

  const unsigned char* at = data;
  uint32_t crc = 0xFFFFFFFFu;
  for (; bytes >= 8; bytes -= 8, at += 8) {
    uint32_t low, high;
    memcpy(&low, at, 4); /* little-endian, as every target of ours */
    memcpy(&high, at + 4, 4);
    low ^= crc;
    crc = table[7][low & 255] ^ table[6][(low >> 8) & 255] ^ table[5][(low >> 16) & 255] ^ table[4][low >> 24] ^
          table[3][high & 255] ^ table[2][(high >> 8) & 255] ^ table[1][(high >> 16) & 255] ^ table[0][high >> 24];
  }
  for (; bytes > 0; --bytes) crc = (crc >> 8) ^ table[0][(crc ^ *at++) & 255];
  return ~crc;
}
