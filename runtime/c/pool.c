/* The thread pool: one per object, as large as its largest engine asks for.
 *
 * Every worker has a mailbox (Slot). A parallel loop is posted into the mailboxes of as many workers as
 * the engine has threads besides its own; the launching thread runs its share, and then takes back what
 * no worker has begun. So a worker that sleeps, was preempted or died with a fork delays nobody.
 * Workers spin while an inference that wants them is under way and 200 us longer, then sleep on a futex.
 * While one engine's loop is in the mailboxes, another engine runs its loop alone: no lock, no deadlock.
 * Linux wakes a worker on the launching thread's CPU as a rule of thumb, and takes up to 8 ms to part two
 * threads that never sleep: a worker that finds itself there moves to another CPU.
 *
 * A message is one increment of Slot.posted. Whoever moves Slot.claimed from posted - 1 to posted runs
 * it; a worker then sets Slot.done to it. The four lines of a slot travel between cores as seldom as
 * can be: `posted` there, `done` back; `claimed` stays with the worker unless its work is taken back.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "denormals.h"
#include "internal.h"

#if defined(__x86_64__)
#define PAUSE() __builtin_ia32_pause()
#else
#define PAUSE() __asm__ volatile("yield" ::: "memory")
#endif

#define IDLE_NS 200000        /* how long a worker spins after its last inference */
#define SPINS_PER_CLOCK 64    /* pauses between looks at the clock */
#define SPINS 500             /* pauses (some 15-35 us) before a waiting thread gives up its CPU ... */
#define SPINS_OVERLOADED 32   /* ... and when there are more threads than CPUs */
#define SPINS_TAKE_BACK 16    /* pauses (some 0.5 us) before work is taken back that was not begun */

/* One parallel loop; lives on the launching thread's stack. */
typedef struct Region {
  int n_tasks;
  bool concurrent; /* all tasks run at the same time, so that they may wait for each other */
  atomic_int next; /* next task, when they are handed out one by one */
  atomic_int error;
  atomic_int arrived, phase; /* TVMBackendParallelBarrier */
} Region;

typedef struct Slot {
  /* Written by the launching thread, while nothing is posted. */
  _Alignas(LRE_LINE) atomic_uint posted;
  int task; /* -1: take tasks from the region's `next` until there are none */
  FTVMParallelLambda fn;
  void* closure;
  lre_engine* engine;
  TVMParallelGroupEnv env; /* sync_handle is the Region */
  _Alignas(LRE_LINE) atomic_uint claimed;
  _Alignas(LRE_LINE) atomic_uint done;
  _Alignas(LRE_LINE) atomic_int wanted; /* inferences under way that may use this worker */
  atomic_int launcher_cpu;              /* where the last of them began */
  atomic_int asleep;
  atomic_int quit;
  uint32_t index;
  pthread_t thread;
} Slot;

static struct Pool {
  Slot* slots[LRE_MAX_THREADS]; /* slots[0] is nobody: thread 0 is the one that infers */
  uint32_t references;
  atomic_uint alive; /* threads 1 .. alive are running */
  atomic_uint cpus;
  _Alignas(LRE_LINE) atomic_int busy; /* somebody's loop is in the mailboxes */
  _Alignas(LRE_LINE) atomic_uint running; /* threads of all inferences under way */
} pool;

static void futex_wait(atomic_int* word, int expected) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

static void futex_wake(atomic_int* word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0); }

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int spin_limit(void) {
  return atomic_load_explicit(&pool.running, memory_order_relaxed) >
                 atomic_load_explicit(&pool.cpus, memory_order_relaxed)
             ? SPINS_OVERLOADED
             : SPINS;
}

/* --- running tasks ------------------------------------------------------------------------------- */

static void run_tasks(Region* region, int task, FTVMParallelLambda fn, TVMParallelGroupEnv* env, void* closure) {
  int error = 0;
  if (task >= 0) {
    error = fn(task, env, closure);
  } else {
    int next;
    while ((next = atomic_fetch_add_explicit(&region->next, 1, memory_order_relaxed)) < region->n_tasks)
      if (fn(next, env, closure) != 0) error = -1;
  }
  if (error != 0) atomic_store_explicit(&region->error, error, memory_order_relaxed);
}

static int run_alone(FTVMParallelLambda fn, void* closure, int n_tasks) {
  /* A kernel that leaves the number to us gets one task: no loop is cut for nothing. */
  Region region = {.n_tasks = n_tasks > 0 ? n_tasks : 1};
  region.concurrent = region.n_tasks == 1;
  TVMParallelGroupEnv env = {&region, region.n_tasks};
  run_tasks(&region, -1, fn, &env, closure);
  return atomic_load_explicit(&region.error, memory_order_relaxed);
}

/* --- workers ------------------------------------------------------------------------------------- */

static void work(Slot* slot, unsigned message) {
  lre_engine* engine = slot->engine;
  lre_thread.engine = engine;
  lre_thread.workspace = &engine->workspaces[slot->index];
  bool flush = (engine->flags & LRE_FLUSH_DENORMALS) != 0;
  LreFloatMode mode = 0;
  if (flush) mode = lre_flush_denormals();
  run_tasks(slot->env.sync_handle, slot->task, slot->fn, &slot->env, slot->closure);
  if (flush) lre_restore_denormals(mode);
  atomic_store_explicit(&slot->done, message, memory_order_release);
}

/* Leaves the CPU that the launching thread runs on, if the worker may run elsewhere. */
static void step_aside(Slot* slot) {
  int cpu = sched_getcpu();
  cpu_set_t allowed, others;
  if (cpu < 0 || cpu >= CPU_SETSIZE || cpu != atomic_load_explicit(&slot->launcher_cpu, memory_order_relaxed)) return;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  others = allowed;
  CPU_CLR(cpu, &others);
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0) return;
  sched_setaffinity(0, sizeof allowed, &allowed); /* moved already: the mask is the application's again */
}

/* Sequentially consistent with wake(): either the sleeper sees `wanted`, or wake() sees it asleep. So no
 * worker of an inference that has begun is asleep, and post() need not look. */
static void fall_asleep(Slot* slot) {
  atomic_store(&slot->asleep, 1);
  while (atomic_load(&slot->asleep) && atomic_load(&slot->wanted) <= 0 && !atomic_load(&slot->quit))
    futex_wait(&slot->asleep, 1);
  atomic_store(&slot->asleep, 0);
  step_aside(slot);
}

static void wake(Slot* slot) {
  if (!atomic_load(&slot->asleep)) return;
  atomic_store(&slot->asleep, 0);
  futex_wake(&slot->asleep);
}

/* One turn of waiting; returns the next value of `spins`. */
static int wait_for_work(Slot* slot, int spins, int64_t* idle_since) {
  PAUSE();
  if (++spins % SPINS_PER_CLOCK != 0) return spins;
  if (atomic_load_explicit(&slot->wanted, memory_order_relaxed) > 0) {
    step_aside(slot);
    *idle_since = 0;
    if (spins < spin_limit()) return spins;
    sched_yield();
    return spins - SPINS_PER_CLOCK;
  }
  int64_t now = now_ns();
  if (*idle_since == 0) *idle_since = now;
  if (now - *idle_since < IDLE_NS) return 0;
  fall_asleep(slot);
  *idle_since = 0;
  return 0;
}

static bool claim(Slot* slot, unsigned message) {
  unsigned before = message - 1;
  return atomic_compare_exchange_strong_explicit(&slot->claimed, &before, message, memory_order_acquire,
                                                 memory_order_relaxed);
}

static void* worker(void* argument) {
  Slot* slot = argument;
  int64_t idle_since = 0;
  int spins = 0;
  step_aside(slot);
  while (!atomic_load_explicit(&slot->quit, memory_order_relaxed)) {
    unsigned message = atomic_load_explicit(&slot->posted, memory_order_acquire);
    if (message == atomic_load_explicit(&slot->claimed, memory_order_relaxed)) {
      spins = wait_for_work(slot, spins, &idle_since);
    } else if (claim(slot, message)) {
      work(slot, message);
      spins = 0;
      idle_since = 0;
    }
  }
  return NULL;
}

/* Signals are the application's business: our threads block them all. */
bool lre_thread_start(pthread_t* thread, void* (*run)(void*), void* argument) {
  sigset_t all, old;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &old);
  int error = pthread_create(thread, NULL, run, argument);
  sigprocmask(SIG_SETMASK, &old, NULL);
  return error == 0;
}

/* --- life: under the object's lock --------------------------------------------------------------- */

static bool grow(uint32_t threads) {
  for (uint32_t i = atomic_load(&pool.alive) + 1; i < threads; ++i) {
    Slot* slot = pool.slots[i];
    if (slot == NULL) {
      void* memory;
      if (posix_memalign(&memory, LRE_LINE, sizeof(Slot)) != 0) return false;
      slot = memset(memory, 0, sizeof(Slot));
      slot->index = i;
      atomic_store(&slot->launcher_cpu, -1);
      pool.slots[i] = slot;
    }
    if (!lre_thread_start(&slot->thread, worker, slot)) return false;
    atomic_store(&pool.alive, i);
  }
  return true;
}

static void stop_all(void) {
  uint32_t alive = atomic_load(&pool.alive);
  for (uint32_t i = 1; i <= alive; ++i) {
    Slot* slot = pool.slots[i];
    atomic_store(&slot->quit, 1);
    wake(slot);
  }
  for (uint32_t i = 1; i <= alive; ++i) pthread_join(pool.slots[i]->thread, NULL);
  for (uint32_t i = 1; i < LRE_MAX_THREADS; ++i) {
    free(pool.slots[i]);
    pool.slots[i] = NULL;
  }
  atomic_store(&pool.alive, 0);
}

bool lre_pool_retain(uint32_t threads) {
  atomic_store(&pool.cpus, lre_cpu_count());
  ++pool.references;
  if (grow(threads)) return true;
  lre_pool_release();
  return false;
}

void lre_pool_release(void) {
  if (--pool.references == 0) stop_all();
}

void lre_pool_forget(void) {
  for (uint32_t i = 1; i < LRE_MAX_THREADS; ++i) {
    Slot* slot = pool.slots[i];
    if (slot == NULL) continue;
    atomic_store(&slot->claimed, atomic_load(&slot->posted));
    atomic_store(&slot->done, atomic_load(&slot->posted));
    atomic_store(&slot->wanted, 0);
    atomic_store(&slot->asleep, 0);
    atomic_store(&slot->quit, 0);
  }
  atomic_store(&pool.alive, 0);
  atomic_store(&pool.busy, 0);
  atomic_store(&pool.running, 0);
}

/* --- inference ----------------------------------------------------------------------------------- */

bool lre_pool_begin(uint32_t threads) {
  if (atomic_load_explicit(&pool.alive, memory_order_acquire) + 1 < threads) { /* a child of fork */
    lre_object_lock();
    bool grown = grow(threads);
    lre_object_unlock();
    if (!grown) return false;
  }
  atomic_fetch_add_explicit(&pool.running, threads, memory_order_relaxed);
  int cpu = sched_getcpu();
  for (uint32_t i = 1; i < threads; ++i) {
    atomic_store_explicit(&pool.slots[i]->launcher_cpu, cpu, memory_order_relaxed);
    atomic_fetch_add(&pool.slots[i]->wanted, 1);
    wake(pool.slots[i]);
  }
  return true;
}

void lre_pool_end(uint32_t threads) {
  for (uint32_t i = 1; i < threads; ++i) atomic_fetch_sub_explicit(&pool.slots[i]->wanted, 1, memory_order_relaxed);
  atomic_fetch_sub_explicit(&pool.running, threads, memory_order_relaxed);
}

static void post(Slot* slot, lre_engine* engine, int task, FTVMParallelLambda fn, void* closure, Region* region) {
  slot->task = task;
  slot->fn = fn;
  slot->closure = closure;
  slot->engine = engine;
  slot->env.sync_handle = region;
  slot->env.num_task = region->n_tasks;
  unsigned message = atomic_load_explicit(&slot->posted, memory_order_relaxed) + 1;
  atomic_store_explicit(&slot->posted, message, memory_order_release);
}

/* Waits until the worker is done, or does its work if it has not begun. */
static void finish(Slot* slot) {
  unsigned message = atomic_load_explicit(&slot->posted, memory_order_relaxed);
  int limit = spin_limit();
  for (int spins = 0; atomic_load_explicit(&slot->done, memory_order_acquire) != message;) {
    PAUSE();
    if (++spins == SPINS_TAKE_BACK && claim(slot, message)) {
      run_tasks(slot->env.sync_handle, slot->task, slot->fn, &slot->env, slot->closure);
      atomic_store_explicit(&slot->done, message, memory_order_relaxed);
      sched_yield(); /* if the worker waits for this CPU, it can step aside now */
      return;
    }
    if (spins >= limit) sched_yield();
  }
}

/* --- the application's own pool ------------------------------------------------------------------ */

typedef struct HostLoop {
  lre_engine* engine;
  FTVMParallelLambda fn;
  void* closure;
  Region* region;
} HostLoop;

static int host_task(int index, void* data) {
  HostLoop* loop = data;
  LreThread before = lre_thread;
  if (index < 0 || (uint32_t)index >= loop->engine->threads) return -1;
  lre_thread = (LreThread){loop->engine, &loop->engine->workspaces[index], true};
  bool flush = (loop->engine->flags & LRE_FLUSH_DENORMALS) != 0;
  LreFloatMode mode = 0;
  if (flush) mode = lre_flush_denormals();
  TVMParallelGroupEnv env = {loop->region, loop->region->n_tasks};
  run_tasks(loop->region, loop->region->n_tasks <= (int)loop->engine->threads ? index : -1, loop->fn, &env,
            loop->closure);
  if (flush) lre_restore_denormals(mode);
  lre_thread = before;
  return atomic_load_explicit(&loop->region->error, memory_order_relaxed);
}

static int launch_on_host(lre_engine* engine, FTVMParallelLambda fn, void* closure, int n_tasks) {
  Region region = {.n_tasks = n_tasks};
  HostLoop loop = {engine, fn, closure, &region};
  int n = n_tasks < (int)engine->threads ? n_tasks : (int)engine->threads;
  int error = engine->parallel(engine->parallel_context, host_task, &loop, n);
  return error != 0 ? error : atomic_load(&region.error);
}

int lre_pool_launch(lre_engine* engine, FTVMParallelLambda fn, void* closure, int n_tasks) {
  int threads = (int)engine->threads;
  int n = n_tasks > 0 ? n_tasks : threads;
  bool alone = n == 1 || engine->serial || lre_thread.in_parallel || (!engine->pool_held && engine->parallel == NULL);
  if (alone || threads == 1) return run_alone(fn, closure, n_tasks);
  if (engine->parallel != NULL) return launch_on_host(engine, fn, closure, n);
  if (atomic_load_explicit(&pool.busy, memory_order_relaxed) ||
      atomic_exchange_explicit(&pool.busy, 1, memory_order_acquire))
    return run_alone(fn, closure, n_tasks);

  /* With a task a thread, thread i always gets task i: it finds its part of the data in its cache. */
  bool fixed = n <= threads;
  int workers = (fixed ? n : threads) - 1;
  Region region = {.n_tasks = n, .concurrent = fixed};
  TVMParallelGroupEnv env = {&region, n};
  for (int i = 1; i <= workers; ++i) post(pool.slots[i], engine, fixed ? i : -1, fn, closure, &region);
  run_tasks(&region, fixed ? 0 : -1, fn, &env, closure);
  for (int i = 1; i <= workers; ++i) finish(pool.slots[i]);
  atomic_store_explicit(&pool.busy, 0, memory_order_release);
  return atomic_load_explicit(&region.error, memory_order_relaxed);
}

int lre_pool_barrier(TVMParallelGroupEnv* env) {
  Region* region = env->sync_handle;
  if (region->n_tasks == 1) return 0;
  if (!region->concurrent) return -1;
  int phase = atomic_load_explicit(&region->phase, memory_order_relaxed);
  if (atomic_fetch_add_explicit(&region->arrived, 1, memory_order_acq_rel) == region->n_tasks - 1) {
    atomic_store_explicit(&region->arrived, 0, memory_order_relaxed);
    atomic_store_explicit(&region->phase, phase + 1, memory_order_release);
    return 0;
  }
  int limit = spin_limit();
  for (int spins = 0; atomic_load_explicit(&region->phase, memory_order_acquire) == phase;) {
    PAUSE();
    if (++spins >= limit) sched_yield();
  }
  return 0;
}
