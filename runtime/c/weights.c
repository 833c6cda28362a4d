/* Where the weights are: given by the caller, linked in, or the tail of the object's file.
 *
 * The tail (written by runtime/tail.py) is, after the ELF image and zeros up to a multiple of 65536:
 * the weights, zeros up to a multiple of 64, and the 128-byte LreTail, with which the file ends.
 * It is mapped: processes share it and only pages that are read take memory. What every inference reads of
 * big weights moves to huge pages later (huge_weights.c).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#define TAIL_MAGIC "LRETAIL\1"

typedef struct LreTail {
  char magic[8];
  uint32_t version;
  uint32_t has_crc;
  uint64_t file_bytes;
  uint64_t elf_bytes;
  uint64_t weights_offset;
  uint64_t weights_bytes;
  uint32_t crc;
  uint32_t code_crc; /* of the ELF image, for whoever loads it (lre.py); 0 = none */
  uint32_t reserved[2];
  char build_id[64]; /* zero-padded */
} LreTail;

_Static_assert(sizeof(LreTail) == 128, "the tail's layout is a file format");

static struct {
  char* data;
  uint64_t bytes;
  uint32_t references;
} shared;

/* The name under which the dynamic linker knows the object that this code is in. */
static int find_self(struct dl_phdr_info* info, size_t size, void* result) {
  (void)size;
  uintptr_t here = (uintptr_t)&shared;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)* header = &info->dlpi_phdr[i];
    uintptr_t start = (uintptr_t)(info->dlpi_addr + header->p_vaddr);
    if (header->p_type != PT_LOAD || here < start || here - start >= header->p_memsz) continue;
    const char* name = info->dlpi_name;
    *(const char**)result = name != NULL && name[0] != 0 ? name : "/proc/self/exe"; /* linked statically */
    return 1;
  }
  return 0;
}

static lre_status read_tail(int fd, const char* name, LreTail* tail) {
  off_t size = lseek(fd, 0, SEEK_END); /* not fstat: its symbol is newer than the systems we run on */
  if (size < 0) return lre_fail(NULL, LRE_ERROR_OBJECT, "cannot read %s for its weights: %s", name, strerror(errno));
  if (size < (off_t)sizeof *tail || pread(fd, tail, sizeof *tail, size - (off_t)sizeof *tail) != sizeof *tail ||
      memcmp(tail->magic, TAIL_MAGIC, sizeof tail->magic) != 0)
    return lre_fail(NULL, LRE_ERROR_OBJECT, "%s: the weights at the end of the file are missing: it was stripped or "
                    "truncated; copy it again, and do not run strip on it", name);
  const LreWeights* weights = &lre_object.weights;
  if (strncmp(tail->build_id, lre_object.build_id, sizeof tail->build_id) != 0)
    return lre_fail(NULL, LRE_ERROR_OBJECT, "%s: the weights belong to another build (%.64s) than the loaded code (%s): "
                    "the file was replaced meanwhile", name, tail->build_id, lre_object.build_id);
  if (tail->version != 1 || tail->file_bytes != (uint64_t)size || tail->weights_bytes != weights->bytes ||
      tail->weights_offset % 65536 != 0 || tail->weights_offset > (uint64_t)size ||
      tail->weights_bytes > (uint64_t)size - tail->weights_offset)
    return lre_fail(NULL, LRE_ERROR_OBJECT, "%s: the file is damaged: it has %llu bytes and should have %llu", name,
                    (unsigned long long)size, (unsigned long long)tail->file_bytes);
  return LRE_OK;
}

static lre_status map_tail(const lre_options* options) {
  const char* name = options->path;
  if (name == NULL) dl_iterate_phdr(find_self, &name);
  if (name == NULL) name = "the object's file";
  int fd = options->fd;
  if (fd <= 0) fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return lre_fail(NULL, LRE_ERROR_OBJECT, "cannot open %s for its weights: %s", name, strerror(errno));
  LreTail tail;
  lre_status status = read_tail(fd, name, &tail);
  if (status == LRE_OK) {
    void* data = mmap(NULL, tail.weights_bytes, PROT_READ, MAP_PRIVATE, fd, (off_t)tail.weights_offset);
    if (data == MAP_FAILED) {
      status = lre_fail(NULL, LRE_ERROR_MEMORY, "cannot map the weights of %s: %s", name, strerror(errno));
    } else {
      shared.data = data;
      shared.bytes = tail.weights_bytes;
      if (!(options->flags & LRE_MAP_WEIGHTS)) lre_huge_begin(fd, data, lre_object.weights.dense_bytes, tail.weights_offset);
    }
  }
  if (fd != options->fd) close(fd);
  return status;
}

static lre_status check_crc(const char* data) {
  const LreWeights* weights = &lre_object.weights;
  if (!weights->has_crc)
    return lre_fail(NULL, LRE_ERROR_OBJECT, "the object has no checksum to compare with; compile with --crc_check");
  uint32_t crc = lre_crc32(data, weights->bytes);
  if (crc == weights->crc) return LRE_OK;
  return lre_fail(NULL, LRE_ERROR_OBJECT, "the weights are damaged: their CRC-32 is %08x and should be %08x", crc,
                  weights->crc);
}

lre_status lre_weights_open(const lre_options* options, const char** result, bool* is_shared) {
  const LreWeights* weights = &lre_object.weights;
  lre_status status = LRE_OK;
  *is_shared = false;
  *result = NULL;
  if (weights->bytes == 0) return LRE_OK;
  if (options->weights != NULL) {
    if (options->weights_bytes < weights->bytes)
      return lre_fail(NULL, LRE_ERROR_ARGUMENT, "the weights given have %llu bytes; %llu are needed",
                      (unsigned long long)options->weights_bytes, (unsigned long long)weights->bytes);
    *result = options->weights;
  } else if (weights->pointer != NULL) {
    *result = weights->pointer;
  } else {
    if (shared.references == 0) status = map_tail(options);
    if (status != LRE_OK) return status;
    ++shared.references;
    *is_shared = true;
    *result = shared.data;
  }
  if ((uintptr_t)*result % (weights->alignment > 0 ? weights->alignment : 1) != 0)
    status = lre_fail(NULL, LRE_ERROR_ARGUMENT, "the weights must stand at a multiple of %u bytes", weights->alignment);
  if (status == LRE_OK && (options->flags & LRE_CHECK_CRC)) status = check_crc(*result);
  if (status != LRE_OK && *is_shared) {
    lre_weights_close();
    *is_shared = false; /* nothing is left to close for the caller */
  }
  return status;
}

void lre_weights_close(void) {
  if (--shared.references > 0) return;
  lre_huge_end();
  munmap(shared.data, shared.bytes);
  shared.data = NULL;
}
