/* Preloaded before libc: notes how threads other than the first change their CPU masks. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int left_out; /* the CPUs that the masks of the first call miss, among 0-30 */
static atomic_int n_calls;

int masks_n_calls(void);
int masks_left_out(int cpu);
void masks_reset(void);

int masks_n_calls(void) { return atomic_load(&n_calls); }
int masks_left_out(int cpu) { return cpu < 31 && (atomic_load(&left_out) >> cpu & 1); }
void masks_reset(void) {
  atomic_store(&left_out, 0);
  atomic_store(&n_calls, 0);
}

int sched_setaffinity(pid_t thread, size_t size, const cpu_set_t* mask) {
  if (syscall(SYS_gettid) != getpid() && atomic_fetch_add(&n_calls, 1) == 0) {
    int missing = 0;
    for (int cpu = 0; cpu < 31; ++cpu)
      if (!CPU_ISSET(cpu, mask)) missing |= 1 << cpu;
    atomic_store(&left_out, missing);
  }
  return (int)syscall(SYS_sched_setaffinity, thread, size, mask);
}
