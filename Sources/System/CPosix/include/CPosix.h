#pragma once
/* What Swift cannot call or cannot call safely: variadic and Linux-only calls, and process creation. */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- process creation (docs/architecture.md, "Starting programs") ---- */
struct cposix_spawn {
    const char *path;          /* executable, absolute */
    char *const *argv;         /* NULL-terminated */
    char *const *envp;         /* NULL-terminated */
    const char *directory;     /* working directory, or NULL */
    const int *fds;            /* fds[i] becomes descriptor i in the child; all others are closed */
    int fd_count;              /* at least 3 */
    int set_identity;          /* nonzero: drop to uid/gid with only that group */
    uid_t uid;
    gid_t gid;
    int new_session;           /* nonzero: setsid() */
    int parent_death_signal;   /* 0 or the signal sent when the parent dies */
    uint64_t memory_limit;     /* RLIMIT_AS, 0: unchanged */
    uint64_t cpu_limit;        /* RLIMIT_CPU, seconds, 0: unchanged */
    uint64_t file_limit;       /* RLIMIT_FSIZE, bytes, 0: unchanged */
};
/* 0 and *pid, *pidfd (close-on-exec) on success; else errno of the step that failed, and no child remains. */
int cposix_spawn(const struct cposix_spawn *request, pid_t *pid, int *pidfd);

/* Reaps the child behind a pidfd without blocking. 1: ended (*status as wait(2)), 0: still running, -1: errno. */
int cposix_reap(int pidfd, int *status);
int cposix_pidfd_open(pid_t pid);
int cposix_pidfd_signal(int pidfd, int signal);

/* ---- files ---- */
/* An unnamed file in `directory` (O_TMPFILE | O_RDWR | O_CLOEXEC), or -1. */
int cposix_tmpfile(const char *directory, mode_t mode);
/* Gives an unnamed file a name; fails with EEXIST if it is taken. */
int cposix_link_fd(int fd, const char *path);

/* rename(2) that does not replace what has the new name (EEXIST). */
int cposix_rename_new(const char *from, const char *to);
/* Zeroed memory with a descriptor (memfd_create, close-on-exec) whose size nobody can change any more, or -1. */
int cposix_memory_file(const char *name, size_t size);
int cposix_open(const char *path, int flags, mode_t mode);
int cposix_openat(int directory, const char *path, int flags, mode_t mode);
/* Starts writing the file's pages to the disk and does not wait (sync_file_range(2)). Advice: promises nothing. */
void cposix_start_writing(int fd);
/* rename that fails with EEXIST if the new name exists. */
int cposix_rename_noreplace(const char *from, const char *to);

/* syncfs(2): everything on the file system of this descriptor is durable on return. */
int cposix_syncfs(int descriptor);
/* Bytes available to the caller and total, of the file system of `path`; inodes likewise. 0 or -1. */
int cposix_free_space(const char *path, uint64_t *free_bytes, uint64_t *free_inodes);
/* An exclusive whole-file lock (OFD lock), held until the descriptor is closed. 0, or -1 with EAGAIN when it is taken. */
int cposix_lock(int fd);
/* Whether another open file holds that lock; takes nothing. 1, 0 or -1. */
int cposix_is_locked(int fd);
/* Extended attributes of an open file (fsetxattr(2), fgetxattr(2), fremovexattr(2)). 0 or a length, or -1 with errno. */
int cposix_set_attribute(int fd, const char *name, const void *value, size_t size);
ssize_t cposix_get_attribute(int fd, const char *name, void *value, size_t size);
int cposix_remove_attribute(int fd, const char *name);
int cposix_set_nonblocking(int fd, int on);
int cposix_set_cloexec(int fd, int on);

/* ---- sockets ---- */
/* kind: SOCK_STREAM or SOCK_DGRAM. Nonblocking and close-on-exec. -1 with errno. The path may be longer
   than the 107 bytes of an address; only its last component may not. */
int cposix_unix_listen(const char *path, int kind, mode_t mode, int backlog);
int cposix_unix_connect(const char *path, int kind, int nonblocking);
/* uid and pid of the peer of a Unix stream socket. */
int cposix_peer_credentials(int fd, uid_t *uid, pid_t *pid);
int cposix_socketpair(int fds[2]);
int cposix_pipe(int fds[2]);

/* ---- signals, polling, identity ---- */
/* Blocks the given signals in the calling thread (call first in main) and returns a signalfd, nonblocking. */
int cposix_signalfd(const int *signals, int count);
/* The next signal number, or 0 if there is none. */
int cposix_signalfd_read(int fd);
enum { CPOSIX_READ = 1, CPOSIX_WRITE = 2 };      /* errors and hang-ups set both */
enum { CPOSIX_ADD = 1, CPOSIX_REMOVE = 2, CPOSIX_CHANGE = 3 };
int cposix_epoll_create(void);
int cposix_epoll_set(int epoll, int operation, int fd, int interest);
struct cposix_event { int fd; int ready; };
int cposix_epoll_wait(int epoll, struct cposix_event *events, int limit, int timeout_ms);
int cposix_eventfd(void);
/* getenv(3), but NULL in a program that has rights its caller has not (set-user-id and the like, secure_getenv(3)). */
const char *cposix_secure_getenv(const char *name);
/* Changes the identity of the calling thread only (raw system calls): supplementary groups, gid, uid. 0 or errno. */
int cposix_thread_identity(uid_t uid, gid_t gid);
/* Changes the whole process. 0 or errno; 0 without a call when uid (not root's) and gid are those of the process. */
int cposix_drop_privileges(uid_t uid, gid_t gid);
/* Makes the process unreadable to others of its uid and without core files. */
int cposix_no_dump(void);
int64_t cposix_milliseconds(void);            /* wall clock since 1970 */
int64_t cposix_monotonic_milliseconds(void);
/* An account: 0 found, ENOENT unknown, ENAMETOOLONG when `home` is too small, else errno (temporary). */
int cposix_account(const char *name, uid_t *uid, gid_t *gid, char *home, size_t home_size);
/* The gid of a named group: 0, ENOENT, or errno. */
int cposix_group(const char *name, gid_t *gid);

/* ---- getopt_long(3), whose globals Swift 6 refuses. Main thread only. ---- */
struct cposix_option {
    int code;            /* the letter, '?' unknown, ':' missing value, -1 end, 1000 + i for names[i] */
    int unknown;         /* the letter that is unknown or lacks its value, 0 for a long one */
    int next;            /* index of the next element of argv */
    const char *value;   /* or NULL */
};
/* names[i] takes a value if takes_value[i]; `restart` nonzero on the first call for an argv. */
struct cposix_option cposix_getopt(int argc, char *const *argv, const char *letters, const char *const *names,
                                   const int *takes_value, int count, int restart);
