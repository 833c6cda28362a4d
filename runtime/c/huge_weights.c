/* Moves mapped weights onto huge pages while the model is in use.
 *
 * Pages of a file are 4 KB: lookaside buffers miss, and prefetchers stop at each one's end (pages.c). But
 * to read the weights into other memory costs several times what mapping them does, and a program that infers
 * once must not pay for it. So a thread of its own begins a moment after the object was loaded, reads piece
 * by piece into huge pages, and puts each in the mapping's place, at the same address and in one step
 * (mremap): who is reading there sees the same bytes before and after, and no pointer changes. The piece of
 * the file goes from our memory at that moment, so it never counts twice.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

/* Weights below this stay: the last level of lookaside buffers reaches over them (1024 to 2048 entries of
 * 4 KB on the CPUs of these years). */
#ifndef LRE_HUGE_FROM
#define LRE_HUGE_FROM ((uint64_t)4 << 20)
#endif
#define PIECE (2 * LRE_HUGE_PAGE)
#define DELAY_NS 100000000 /* the first inference has begun by then, mostly ended */
#define NICE 10            /* next to threads that infer it gets a tenth of a CPU */

static struct {
  bool running; /* under the object's lock */
  pthread_t thread;
  atomic_int quit;
  int fd;
  char* data;      /* huge-page aligned part of the mapping */
  uint64_t bytes;  /* of it */
  uint64_t offset; /* of it in the file */
} mover;

static bool read_all(char* data, uint64_t bytes, uint64_t offset) {
  while (bytes > 0) {
    ssize_t n = pread(mover.fd, data, bytes, (off_t)offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data += n;
    bytes -= (uint64_t)n;
    offset += (uint64_t)n;
  }
  return true;
}

static bool move_piece(char* from, uint64_t at) {
  uint64_t rest = mover.bytes - at, bytes = rest < PIECE ? rest : PIECE;
  return read_all(from + at, bytes, mover.offset + at) && mprotect(from + at, bytes, PROT_READ) == 0 &&
         mremap(from + at, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, mover.data + at) != MAP_FAILED;
}

static void* move(void* nothing) {
  setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE); /* a thread's own, on Linux */
  struct timespec delay = {.tv_nsec = DELAY_NS};
  if (!atomic_load(&mover.quit)) syscall(SYS_futex, &mover.quit, FUTEX_WAIT_PRIVATE, 0, &delay, NULL, 0);
  char* from = atomic_load(&mover.quit) ? NULL : lre_pages(mover.bytes);
  if (from == NULL) return nothing;
  uint64_t at = 0;
  while (at < mover.bytes && !atomic_load(&mover.quit) && move_piece(from, at)) at += PIECE;
  if (at < mover.bytes) lre_pages_free(from + at, mover.bytes - at); /* the rest stays mapped from the file */
  return nothing;
}

void lre_huge_begin(int fd, char* data, uint64_t bytes, uint64_t offset) {
  uint64_t before = (uint64_t)(-(uintptr_t)data & (LRE_HUGE_PAGE - 1));
  if (bytes < LRE_HUGE_FROM || bytes < before + LRE_HUGE_PAGE || !lre_huge_pages()) return;
  if (bytes > lre_memory_available() / 2) return; /* pages of a file can be dropped and read again, these not */
  mover.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (mover.fd < 0) return;
  mover.data = data + before;
  mover.bytes = (bytes - before) & ~(uint64_t)(LRE_HUGE_PAGE - 1);
  mover.offset = offset + before;
  atomic_store(&mover.quit, 0);
  mover.running = lre_thread_start(&mover.thread, move, NULL);
  if (!mover.running) close(mover.fd);
}

void lre_huge_end(void) {
  if (!mover.running) return;
  atomic_store(&mover.quit, 1);
  syscall(SYS_futex, &mover.quit, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
  pthread_join(mover.thread, NULL);
  close(mover.fd);
  mover.running = false;
}

void lre_huge_forget(void) {
  if (mover.running) close(mover.fd);
  mover.running = false;
}
