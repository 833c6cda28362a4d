/* Prints how far the stacks of two threads, and what nobody uses behind each, are apart at least. */
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

int main(int count, char** words) {
  size_t bytes = count > 1 ? (size_t)atol(words[1]) : 0;
  LreWorkspace one, other;
  if (!lre_workspace_create(&one, bytes) || !lre_workspace_create(&other, bytes)) return 1;
  char* low = one.base < other.base ? one.base : other.base;
  char* high = one.base < other.base ? other.base : one.base;
  printf("%zu %zu\n", one.capacity, (size_t)(high - low) - bytes);
  for (size_t i = 0; i < 2 * bytes; ++i) low[i] = 1; /* both are ours, to the last byte */
  lre_workspace_destroy(&one);
  lre_workspace_destroy(&other);
  return 0;
}
