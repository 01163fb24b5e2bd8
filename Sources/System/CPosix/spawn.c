/* Process creation for threaded programs: no fork (Swift runtime, locks), no inherited descriptors, identity set by raw
 * system calls in the child. The child shares our memory until it execs and must not touch anything but its own stack and
 * the request; the parent thread is suspended meanwhile (CLONE_VFORK). */
#define _GNU_SOURCE
#include "CPosix.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STACK_SIZE = 64 * 1024, LOWEST_SAFE_FD = 64, FD_LIMIT = 64, EXEC_SECONDS = 10 };

struct child {
    const struct cposix_spawn *request;
    sigset_t empty;
    pid_t parent;
    int moved[FD_LIMIT];
    volatile int error;
};

static int run_child(void *argument) {
    struct child *child = argument;
    const struct cposix_spawn *request = child->request;
    /* All zero is SIG_DFL. The raw call, because glibc's refuses the two signals that it keeps for itself, and what is
     * ignored stays ignored over an exec. */
    const long action[8] = {0};
    for (int signal = 1; signal <= 64; signal++) syscall(SYS_rt_sigaction, signal, action, NULL, 8);
    /* First out of the way, then into place: a source may be a target of another. */
    for (int i = 0; i < request->fd_count; i++) {
        child->moved[i] = fcntl(request->fds[i], F_DUPFD, LOWEST_SAFE_FD);
        if (child->moved[i] < 0) goto failed;
    }
    for (int i = 0; i < request->fd_count; i++)
        if (dup2(child->moved[i], i) < 0) goto failed;
    if (syscall(SYS_close_range, (unsigned)request->fd_count, ~0U, 0) != 0) goto failed;
    if (request->new_session && setsid() < 0) goto failed;
    if (request->memory_limit) {
        struct rlimit limit = {request->memory_limit, request->memory_limit};
        if (setrlimit(RLIMIT_AS, &limit) != 0) goto failed;
    }
    if (request->cpu_limit) {
        /* The hard limit a little later: who wants to end in order gets SIGXCPU first. */
        struct rlimit limit = {request->cpu_limit, request->cpu_limit + 5};
        if (setrlimit(RLIMIT_CPU, &limit) != 0) goto failed;
    }
    if (request->file_limit) {
        struct rlimit limit = {request->file_limit, request->file_limit};
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0) goto failed;
    }
    if (request->set_identity) {
        if (syscall(SYS_setgroups, 1, &request->gid) != 0 && !(errno == EPERM && geteuid() == request->uid)) goto failed;
        if (syscall(SYS_setresgid, request->gid, request->gid, request->gid) != 0) goto failed;
        if (syscall(SYS_setresuid, request->uid, request->uid, request->uid) != 0) goto failed;
    }
    if (request->directory && chdir(request->directory) != 0) goto failed;
    if (request->parent_death_signal) {
        prctl(PR_SET_PDEATHSIG, request->parent_death_signal);
        /* Killed before the call: the signal would never come. */
        if (syscall(SYS_getppid) != child->parent) _exit(127);
    }
    sigprocmask(SIG_SETMASK, &child->empty, NULL);
    execve(request->path, request->argv, request->envp);
failed:
    child->error = errno ? errno : EIO;
    _exit(127);
}

/* Once the child is somebody else, he may stop it, and our thread stays suspended with it; SIGKILL ends also what is stopped. */
struct watch {
    sem_t over;
    volatile int *pidfd;
};

static void *watch_child(void *argument) {
    struct watch *watch = argument;
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += EXEC_SECONDS;
    int failed;
    while ((failed = sem_clockwait(&watch->over, CLOCK_MONOTONIC, &end)) != 0 && errno == EINTR) {
    }
    if (failed && *watch->pidfd >= 0) {
        syscall(SYS_pidfd_send_signal, *watch->pidfd, SIGKILL, NULL, 0);
        while (sem_wait(&watch->over) != 0 && errno == EINTR) {
        }
    }
    return NULL;
}

int cposix_spawn(const struct cposix_spawn *request, pid_t *pid, int *pidfd) {
    if (request->fd_count < 3 || request->fd_count > FD_LIMIT) return EINVAL;
    char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return errno;
    struct child child = {.request = request, .parent = getpid(), .error = 0};
    sigset_t all, old;
    sigfillset(&all);
    sigemptyset(&child.empty);
    /* No handler of ours may run in the child while it shares our memory. */
    pthread_sigmask(SIG_BLOCK, &all, &old);
    volatile int fd = -1;
    struct watch watch = {.pidfd = &fd};
    pthread_t watcher;
    int is_watched = request->set_identity && request->uid != geteuid();
    if (is_watched) {
        sem_init(&watch.over, 0, 0);
        int failed = pthread_create(&watcher, NULL, watch_child, &watch);
        if (failed) {
            pthread_sigmask(SIG_SETMASK, &old, NULL);
            munmap(stack, STACK_SIZE);
            return failed;
        }
    }
    pid_t result =
        clone(run_child, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &child, (int *)&fd);
    int error = result < 0 ? errno : child.error;
    if (is_watched) {
        sem_post(&watch.over);
        pthread_join(watcher, NULL);
        sem_destroy(&watch.over);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    munmap(stack, STACK_SIZE);
    if (result < 0) return error;
    if (error) {
        while (waitpid(result, NULL, 0) < 0 && errno == EINTR) {
        }
        close(fd);
        return error;
    }
    *pid = result;
    *pidfd = fd;
    return 0;
}

int cposix_reap(int pidfd, int *status) {
    siginfo_t info = {0};
    if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) != 0) return -1;
    if (info.si_pid == 0) return 0;
    *status = info.si_code == CLD_EXITED ? (info.si_status & 255) << 8 : info.si_status & 127;
    return 1;
}

int cposix_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }
int cposix_pidfd_signal(int pidfd, int signal) { return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0); }
