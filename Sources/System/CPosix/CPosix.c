#define _GNU_SOURCE
#include "CPosix.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/fs.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <sys/xattr.h>
#include <unistd.h>

int cposix_tmpfile(const char *directory, mode_t mode) {
    return open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
}

const char *cposix_secure_getenv(const char *name) {
    return secure_getenv(name);
}

int cposix_link_fd(int fd, const char *path) {
    char name[40];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, name, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

int cposix_rename_new(const char *from, const char *to) {
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

int cposix_memory_file(const char *name, size_t size) {
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -1;
    if (ftruncate(fd, (off_t)size) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}
int cposix_open(const char *path, int flags, mode_t mode) { return open(path, flags | O_CLOEXEC, mode); }

int cposix_openat(int directory, const char *path, int flags, mode_t mode) {
    return openat(directory, path, flags | O_CLOEXEC, mode);
}

void cposix_start_writing(int fd) { (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); }

int cposix_rename_noreplace(const char *from, const char *to) {
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

int cposix_syncfs(int descriptor) { return syncfs(descriptor); }

int cposix_free_space(const char *path, uint64_t *free_bytes, uint64_t *free_inodes) {
    struct statvfs fs;
    if (statvfs(path, &fs) != 0) return -1;
    *free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    /* File systems without a fixed inode table report 0 inodes in all. */
    *free_inodes = fs.f_files == 0 ? UINT64_MAX : fs.f_favail;
    return 0;
}

int cposix_lock(int fd) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0) return 0;
    if (errno == EACCES) errno = EAGAIN;
    return -1;
}

int cposix_is_locked(int fd) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
    if (fcntl(fd, F_OFD_GETLK, &lock) != 0) return -1;
    return lock.l_type != F_UNLCK;
}

static int set_flag(int fd, int get, int set, int flag, int on) {
    int flags = fcntl(fd, get);
    if (flags < 0) return -1;
    return fcntl(fd, set, on ? flags | flag : flags & ~flag);
}
int cposix_set_attribute(int fd, const char *name, const void *value, size_t size) {
    return fsetxattr(fd, name, value, size, 0);
}

ssize_t cposix_get_attribute(int fd, const char *name, void *value, size_t size) {
    return fgetxattr(fd, name, value, size);
}

int cposix_remove_attribute(int fd, const char *name) { return fremovexattr(fd, name); }

int cposix_set_nonblocking(int fd, int on) { return set_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on); }
int cposix_set_cloexec(int fd, int on) { return set_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on); }

/* A path that does not fit into sun_path is reached through its open directory: *directory is that descriptor, to be closed
   after bind or connect, or -1. */
static int unix_address(const char *path, struct sockaddr_un *address, int *directory) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    *directory = -1;
    if (strlen(path) < sizeof address->sun_path) {
        strcpy(address->sun_path, path);
        return 0;
    }
    const char *base = strrchr(path, '/');
    if (!base || base == path || (size_t)(base - path) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    char folder[PATH_MAX];
    memcpy(folder, path, (size_t)(base - path));
    folder[base - path] = 0;
    *directory = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*directory < 0) return -1;
    int length = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d%s", *directory, base);
    if (length < (int)sizeof address->sun_path) return 0;
    close(*directory);
    errno = ENAMETOOLONG;
    return -1;
}

static void close_directory(int directory) {
    int saved = errno;
    if (directory >= 0) close(directory);
    errno = saved;
}

static int close_with_errno(int fd) {
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

int cposix_unix_listen(const char *path, int kind, mode_t mode, int backlog) {
    struct sockaddr_un address;
    int directory;
    int fd = socket(AF_UNIX, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    if (unix_address(path, &address, &directory) != 0) return close_with_errno(fd);
    unlink(path);
    /* fchmod before bind sets the mode of the name that bind makes, so there is no moment with a wider one. (The umask can only
       narrow it; chmod by name could be led elsewhere by a link.) */
    int bound = fchmod(fd, mode) == 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close_directory(directory);
    if (!bound) return close_with_errno(fd);
    if (kind == SOCK_STREAM && listen(fd, backlog) != 0) return close_with_errno(fd);
    return fd;
}

int cposix_unix_connect(const char *path, int kind, int nonblocking) {
    struct sockaddr_un address;
    int directory;
    int fd = socket(AF_UNIX, kind | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);
    if (fd < 0) return -1;
    if (unix_address(path, &address, &directory) != 0) return close_with_errno(fd);
    int result = connect(fd, (struct sockaddr *)&address, sizeof address);
    close_directory(directory);
    if (result != 0) return close_with_errno(fd);
    return fd;
}

int cposix_peer_credentials(int fd, uid_t *uid, pid_t *pid) {
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return -1;
    *uid = peer.uid;
    *pid = peer.pid;
    return 0;
}

int cposix_socketpair(int fds[2]) { return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds); }
int cposix_pipe(int fds[2]) { return pipe2(fds, O_CLOEXEC); }

int cposix_signalfd(const int *signals, int count) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int cposix_signalfd_read(int fd) {
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}

int cposix_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

_Static_assert(CPOSIX_ADD == EPOLL_CTL_ADD && CPOSIX_REMOVE == EPOLL_CTL_DEL && CPOSIX_CHANGE == EPOLL_CTL_MOD, "epoll");

int cposix_epoll_set(int epoll, int operation, int fd, int interest) {
    struct epoll_event event = {.events = (interest & CPOSIX_READ ? EPOLLIN : 0) | (interest & CPOSIX_WRITE ? EPOLLOUT : 0),
                                .data.fd = fd};
    return epoll_ctl(epoll, operation, fd, &event);
}

int cposix_epoll_wait(int epoll, struct cposix_event *events, int limit, int timeout_ms) {
    struct epoll_event raw[128];
    if (limit > 128) limit = 128;
    int count = epoll_wait(epoll, raw, limit, timeout_ms);
    for (int i = 0; i < count; i++) {
        unsigned both = raw[i].events & (EPOLLHUP | EPOLLERR);
        events[i].fd = raw[i].data.fd;
        events[i].ready = (raw[i].events & EPOLLIN || both ? CPOSIX_READ : 0) |
                          (raw[i].events & EPOLLOUT || both ? CPOSIX_WRITE : 0);
    }
    return count;
}

int cposix_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int cposix_thread_identity(uid_t uid, gid_t gid) {
    /* glibc's wrappers change all threads; the raw calls change this one. The real and saved ids stay root's: kill(2) looks at
       them, and by a thread's number a user could end the whole process. Files are opened with the effective ids. */
    if (syscall(SYS_setgroups, 1, &gid) != 0 || syscall(SYS_setresgid, -1, gid, -1) != 0 ||
        syscall(SYS_setresuid, -1, uid, -1) != 0)
        return errno;
    return 0;
}

int cposix_drop_privileges(uid_t uid, gid_t gid) {
    /* Nothing to drop: an instance that runs as one ordinary user. */
    if (uid != 0 && getuid() == uid && geteuid() == uid && getgid() == gid && getegid() == gid) return 0;
    if (setgroups(1, &gid) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0) return errno;
    return 0;
}

int cposix_no_dump(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

static int64_t milliseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
int64_t cposix_milliseconds(void) { return milliseconds(CLOCK_REALTIME); }
int64_t cposix_monotonic_milliseconds(void) { return milliseconds(CLOCK_MONOTONIC); }

int cposix_account(const char *name, uid_t *uid, gid_t *gid, char *home, size_t home_size) {
    struct passwd entry, *found = NULL;
    char *buffer = NULL;
    int error = ERANGE;
    for (size_t size = 1024; error == ERANGE && size <= 1 << 20; size *= 4) {
        char *larger = realloc(buffer, size);
        if (!larger) {
            free(buffer);
            return ENOMEM;
        }
        buffer = larger;
        error = getpwnam_r(name, &entry, buffer, size, &found);
    }
    /* Some name services say ESRCH for a name that they do not know. */
    if ((error == 0 && !found) || error == ESRCH) error = ENOENT;
    if (error == 0) {
        *uid = entry.pw_uid;
        *gid = entry.pw_gid;
        /* A shortened path would be another directory. */
        if (home_size > 0 && (size_t)snprintf(home, home_size, "%s", entry.pw_dir) >= home_size) error = ENAMETOOLONG;
    }
    free(buffer);
    return error;
}

int cposix_group(const char *name, gid_t *gid) {
    struct group entry, *found = NULL;
    char *buffer = NULL;
    int error = ERANGE;
    for (size_t size = 1024; error == ERANGE && size <= 1 << 20; size *= 4) {
        char *larger = realloc(buffer, size);
        if (!larger) {
            free(buffer);
            return ENOMEM;
        }
        buffer = larger;
        error = getgrnam_r(name, &entry, buffer, size, &found);
    }
    /* Some name services say ESRCH for a name that they do not know. */
    if ((error == 0 && !found) || error == ESRCH) error = ENOENT;
    if (error == 0) *gid = entry.gr_gid;
    free(buffer);
    return error;
}
