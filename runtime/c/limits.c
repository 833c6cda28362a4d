/* What may this process use? CPUs: its affinity mask, cut by the quota of its cgroups. Memory: what is
 * free, cut by the limits of its cgroups. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

static uint32_t affinity(void) {
  unsigned char mask[1024]; /* 8192 CPUs */
  memset(mask, 0, sizeof mask);
  if (sched_getaffinity(0, sizeof mask, (cpu_set_t*)(void*)mask) != 0) return 1;
  uint32_t count = 0;
  for (size_t i = 0; i < sizeof mask; ++i) count += (uint32_t)__builtin_popcount(mask[i]);
  return count > 0 ? count : 1;
}

bool lre_read_text(const char* path, char* text, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t n = read(fd, text, size - 1);
  close(fd);
  text[n > 0 ? n : 0] = 0;
  return n > 0;
}

/* The number at *text, which moves past it; -1 when there is none ("max", "-1"). */
static int64_t number(const char** text) {
  while (**text == ' ') ++*text;
  if (**text < '0' || **text > '9') return -1;
  int64_t value = 0;
  for (; **text >= '0' && **text <= '9' && value < INT64_MAX / 16; ++*text) value = value * 10 + (**text - '0');
  return value;
}

/* Called for a cgroup and each one above it, whose limits count too. */
typedef void (*Visit)(void* limit, bool v2, const char* group);

/* Is `name` one of the comma-separated controllers? */
static bool lists(const char* names, size_t length, const char* name) {
  size_t size = strlen(name);
  for (size_t i = 0; i + size <= length; ++i) {
    bool starts = i == 0 || names[i - 1] == ',', ends = i + size == length || names[i + size] == ',';
    if (starts && ends && memcmp(names + i, name, size) == 0) return true;
  }
  return false;
}

static void climb(Visit visit, void* limit, bool v2, char* group) {
  size_t length = strlen(group);
  while (length > 0 && group[length - 1] == '/') group[--length] = 0;
  for (;;) {
    visit(limit, v2, group);
    char* slash = strrchr(group, '/');
    if (slash == NULL) return;
    *slash = 0;
  }
}

static void each_group(const char* controller, Visit visit, void* limit) {
  char text[4096];
  if (!lre_read_text("/proc/self/cgroup", text, sizeof text)) return;
  char* next;
  for (char* line = text; line != NULL && *line != 0; line = next) { /* hierarchy:controllers:/group */
    next = strchr(line, '\n');
    if (next != NULL) *next++ = 0;
    char* names = strchr(line, ':');
    char* group = names != NULL ? strchr(names + 1, ':') : NULL;
    if (group == NULL || strlen(group) > 500) continue;
    size_t length = (size_t)(group - names - 1);
    if (length == 0 || lists(names + 1, length, controller)) climb(visit, limit, length == 0, group + 1);
  }
}

/* --- CPUs ---------------------------------------------------------------------------------------- */

static void cut(uint32_t* count, int64_t quota, int64_t period) {
  if (quota <= 0 || period <= 0) return;
  int64_t whole = (quota + period - 1) / period;
  if (whole < *count) *count = (uint32_t)whole;
}

static void cut_v2(uint32_t* count, const char* root, const char* group) {
  char path[600], text[64];
  snprintf(path, sizeof path, "%s%s/cpu.max", root, group);
  if (!lre_read_text(path, text, sizeof text)) return;
  const char* at = text;
  int64_t quota = number(&at);
  cut(count, quota, number(&at));
}

static void cut_v1(uint32_t* count, const char* root, const char* group) {
  char path[600], text[64];
  snprintf(path, sizeof path, "%s%s/cpu.cfs_quota_us", root, group);
  if (!lre_read_text(path, text, sizeof text)) return;
  const char* at = text;
  int64_t quota = number(&at);
  snprintf(path, sizeof path, "%s%s/cpu.cfs_period_us", root, group);
  if (!lre_read_text(path, text, sizeof text)) return;
  at = text;
  cut(count, quota, number(&at));
}

static void cut_cpus(void* count, bool v2, const char* group) {
  if (v2) {
    cut_v2(count, "/sys/fs/cgroup", group);
    cut_v2(count, "/sys/fs/cgroup/unified", group);
  } else {
    cut_v1(count, "/sys/fs/cgroup/cpu", group);
    cut_v1(count, "/sys/fs/cgroup/cpu,cpuacct", group);
  }
}

uint32_t lre_cpu_count(void) {
  uint32_t count = affinity();
  each_group("cpu", cut_cpus, &count);
  return count;
}

/* --- memory -------------------------------------------------------------------------------------- */

static void cut_memory(void* bytes, bool v2, const char* group) {
  char path[600], text[64];
  snprintf(path, sizeof path, v2 ? "/sys/fs/cgroup%s/memory.max" : "/sys/fs/cgroup/memory%s/memory.limit_in_bytes",
           group);
  if (!lre_read_text(path, text, sizeof text)) return;
  const char* at = text;
  int64_t limit = number(&at);
  if (limit >= 0 && (uint64_t)limit < *(uint64_t*)bytes) *(uint64_t*)bytes = (uint64_t)limit;
}

uint64_t lre_memory_available(void) {
  char text[512]; /* the third line */
  uint64_t bytes = 0;
  const char* at = lre_read_text("/proc/meminfo", text, sizeof text) ? strstr(text, "MemAvailable:") : NULL;
  if (at != NULL) {
    at += sizeof "MemAvailable:" - 1;
    int64_t kilobytes = number(&at);
    if (kilobytes > 0) bytes = (uint64_t)kilobytes * 1024;
  }
  each_group("memory", cut_memory, &bytes);
  return bytes;
}
