/* Stack memory for kernels: one stack a thread, so that a kernel's temporary buffers cost no malloc. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define NO_BLOCK ((size_t)-1)
#define MOST_GAP ((size_t)1 << 20)

/* In front of every block; one line, so that the block is aligned like the header. */
typedef struct Header {
  _Alignas(LRE_LINE) size_t below; /* offset of the header below, NO_BLOCK at the bottom */
  size_t total;                    /* header and block */
  struct Header* next;             /* heap blocks only */
  bool heap;
  bool freed;
} Header;

/* Behind a stack lie as many bytes again that nobody uses (and that cost no memory). A prefetcher that
 * follows a stride runs several of them beyond the end; if another thread's stack stood there, it would
 * take lines away that this thread writes. With two cores of different caches, kernels that keep 200 to
 * 300 KB here took 1.2 to 2.5 times as long. */
static size_t with_gap(size_t bytes) {
  size_t gap = bytes < MOST_GAP ? bytes : MOST_GAP;
  return bytes <= SIZE_MAX - gap ? bytes + gap : bytes;
}

bool lre_workspace_create(LreWorkspace* workspace, size_t bytes) {
  memset(workspace, 0, sizeof *workspace);
  workspace->top = NO_BLOCK;
  workspace->base = lre_pages(with_gap(bytes));
  workspace->capacity = workspace->base != NULL ? bytes : 0;
  return bytes == 0 || workspace->base != NULL;
}

static void free_heap(LreWorkspace* workspace) {
  for (Header* header = workspace->heap; header != NULL;) {
    Header* next = header->next;
    free(header);
    header = next;
  }
  workspace->heap = NULL;
  workspace->heap_bytes = 0;
}

void lre_workspace_destroy(LreWorkspace* workspace) {
  free_heap(workspace);
  lre_pages_free(workspace->base, with_gap(workspace->capacity));
  workspace->base = NULL;
  workspace->capacity = 0;
}

void lre_workspace_reset(LreWorkspace* workspace) {
  size_t peak = workspace->peak;
  if (workspace->heap != NULL) free_heap(workspace);
  workspace->used = 0;
  workspace->top = NO_BLOCK;
  if (peak <= workspace->capacity) return;
  /* The plan promised less than a kernel took. Without memory for it, the heap goes on serving. */
  char* pages = lre_pages(with_gap(peak));
  if (pages == NULL) return;
  lre_pages_free(workspace->base, with_gap(workspace->capacity));
  workspace->base = pages;
  workspace->capacity = peak;
}

static void* push_heap(LreWorkspace* workspace, size_t total) {
  void* memory = NULL;
  if (posix_memalign(&memory, LRE_LINE, total) != 0) return NULL;
  Header* header = memory;
  *header = (Header){.below = NO_BLOCK, .total = total, .next = workspace->heap, .heap = true};
  workspace->heap = header;
  workspace->heap_bytes += total;
  return header + 1;
}

void* lre_workspace_push(LreWorkspace* workspace, uint64_t bytes) {
  if (bytes > (SIZE_MAX >> 1)) return NULL;
  size_t total = sizeof(Header) + (((size_t)bytes + LRE_LINE - 1) & ~(size_t)(LRE_LINE - 1));
  void* block;
  if (total <= workspace->capacity - workspace->used) {
    Header* header = (Header*)(workspace->base + workspace->used);
    *header = (Header){.below = workspace->top, .total = total};
    workspace->top = workspace->used;
    workspace->used += total;
    block = header + 1;
  } else {
    block = push_heap(workspace, total);
  }
  size_t now = workspace->used + workspace->heap_bytes;
  if (now > workspace->peak) workspace->peak = now;
  return block;
}

static void pop_heap(LreWorkspace* workspace, Header* header) {
  for (Header** link = (Header**)&workspace->heap; *link != NULL; link = &(*link)->next) {
    if (*link != header) continue;
    *link = header->next;
    workspace->heap_bytes -= header->total;
    free(header);
    return;
  }
}

void lre_workspace_pop(LreWorkspace* workspace, void* block) {
  Header* header = (Header*)block - 1;
  if (header->heap) {
    pop_heap(workspace, header);
    return;
  }
  /* Kernels free in reverse order; should one not, its block goes when those above it are gone. */
  header->freed = true;
  while (workspace->top != NO_BLOCK) {
    Header* top = (Header*)(workspace->base + workspace->top);
    if (!top->freed) return;
    workspace->used = workspace->top;
    workspace->top = top->below;
  }
}
