/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket: one thread that takes lines from up to CLIENTS
 * connections and answers each with a line. Its descriptors are hidden from the
 * program, which may close all that it knows of.
 */
#include "preload-internal.h"
#include "preload-next.h"

#include "base/report.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    CLIENTS = 8,
    LINE_BYTES = 512,
    HIGH_FD = 200,              /* out of the program's way, if it can be */
    ANSWER_SECONDS = 1,         /* longest wait for an answer under way */
};

typedef struct Client {
    int fd;                     /* -1: none */
    unsigned number;            /* of the /dev/iommu that its commands mean */
    size_t used;
    char line[LINE_BYTES];
} Client;

/* The thread's, once it runs; a child of fork() only closes. */
static struct {
    int listener;
    char *path;
    Client clients[CLIENTS];
} control = { .listener = -1 };

/*
 * From a command to its answer. What it does may be what the program waits for
 * to end. No Lock: those have no wait with an end.
 */
static pthread_mutex_t answering = PTHREAD_MUTEX_INITIALIZER;

/* The process that serves; 0 is none. */
static _Atomic(pid_t) control_pid;

static int hide_high(int fd)
{
    int high = next_fcntl(fd, F_DUPFD_CLOEXEC, (void *)HIGH_FD);

    if (high >= 0) {
        next_close(fd);
        fd = high;
    }
    preload_hide(fd);
    return fd;
}

static void client_close(Client *client)
{
    preload_close_hidden(client->fd);
    client->fd = -1;
}

static void client_answer(Client *client, const char *answer)
{
    g_autofree char *line = g_strconcat(answer, "\n", NULL);

    /* A client that does not read its answers is not waited for. */
    if (send(client->fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        client_close(client);
    }
}

/* All complete lines; what is left waits for the rest of its line. */
static void client_run_lines(Client *client)
{
    char *end;

    while (client->fd >= 0 &&
           (end = memchr(client->line, '\n', client->used))) {
        g_autofree char *answer = NULL;

        *end = '\0';
        pthread_mutex_lock(&answering);
        answer = preload_command(client->line, &client->number);
        client->used -= end + 1 - client->line;
        memmove(client->line, end + 1, client->used);
        client_answer(client, answer);
        pthread_mutex_unlock(&answering);
    }
    if (client->fd >= 0 && client->used == LINE_BYTES) {
        client_answer(client, "error a line of more than 511 bytes");
        if (client->fd >= 0) {
            client_close(client);
        }
    }
}

static void client_ready(Client *client)
{
    ssize_t ret = recv(client->fd, client->line + client->used,
                       LINE_BYTES - client->used, MSG_DONTWAIT);

    if (ret > 0) {
        client->used += (size_t)ret;
        client_run_lines(client);
    } else if (ret == 0 || (errno != EAGAIN && errno != EINTR)) {
        client_close(client);
    }
}

static void take_client(void)
{
    int fd = accept4(control.listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0) {
        return;
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (control.clients[i].fd < 0) {
            control.clients[i] = (Client) { .fd = hide_high(fd) };
            return;
        }
    }
    send(fd, "error too many connections\n", 27, MSG_NOSIGNAL | MSG_DONTWAIT);
    next_close(fd);
}

static void *control_run(void *opaque)
{
    thread_set_name("iommufd-emul");
    for (;;) {
        struct pollfd fds[CLIENTS + 1];

        fds[CLIENTS] = (struct pollfd) { control.listener, POLLIN, 0 };
        for (unsigned i = 0; i < CLIENTS; i++) {
            /* A negative one is passed over. */
            fds[i] = (struct pollfd) { control.clients[i].fd, POLLIN, 0 };
        }
        if (poll(fds, CLIENTS + 1, -1) < 0) {
            continue;
        }
        for (unsigned i = 0; i < CLIENTS; i++) {
            if (fds[i].revents) {
                client_ready(&control.clients[i]);
            }
        }
        if (fds[CLIENTS].revents) {
            take_client();
        }
    }
    return NULL;
}

/* "%p" stands for the process. NULL if it is too long for a socket. */
static char *socket_path(const char *text)
{
    g_autofree char *pid = g_strdup_printf("%d", (int)getpid());
    g_auto(GStrv) parts = g_strsplit(text, "%p", -1);
    char *path = g_strjoinv(pid, parts);

    if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
        g_free(path);
        return NULL;
    }
    return path;
}

/* Whether somebody listens there; else it is what a process left behind. */
static bool is_served(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool served = fd >= 0 && connect(fd, (const struct sockaddr *)address,
                                     sizeof(*address)) == 0;

    if (fd >= 0) {
        next_close(fd);
    }
    return served;
}

static bool bind_to(int fd, const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const struct sockaddr *any = (const struct sockaddr *)&address;
    struct stat st;

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    fchmod(fd, 0600);           /* before it has a name */
    if (bind(fd, any, sizeof(address)) == 0) {
        return true;
    }
    if (errno != EADDRINUSE || lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode) ||
        is_served(&address)) {
        errno = EADDRINUSE;
        return false;
    }
    unlink(path);
    return bind(fd, any, sizeof(address)) == 0;
}

/* Return: NULL; or what went wrong, and nothing is left of it. */
static const char *control_open(const char *path)
{
    pthread_t thread;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int err;

    if (fd < 0) {
        return g_strerror(errno);
    }
    if (!bind_to(fd, path)) {
        err = errno;
        next_close(fd);
        return g_strerror(err);
    }
    if (listen(fd, CLIENTS) < 0) {
        err = errno;
        goto out_unlink;
    }
    control.listener = hide_high(fd);
    for (unsigned i = 0; i < CLIENTS; i++) {
        control.clients[i].fd = -1;
    }
    err = thread_create(&thread, control_run, NULL);
    if (!err) {
        pthread_detach(thread);
        return NULL;
    }
    preload_close_hidden(control.listener);
    fd = -1;
out_unlink:
    if (fd >= 0) {
        next_close(fd);
    }
    unlink(path);
    return g_strerror(err);
}

void preload_control_start(void)
{
    const char *text = preload_config()->socket;
    g_autofree char *path = NULL;
    const char *error;
    pid_t none = 0;

    if (!text || !*text ||
        /* Relaxed: of two threads one starts it. */
        !atomic_compare_exchange_strong_explicit(
            &control_pid, &none, getpid(), memory_order_relaxed,
            memory_order_relaxed)) {
        return;
    }
    path = socket_path(text);
    error = path ? control_open(path) : "the path is too long for a socket";
    if (error) {
        error_report("IOMMUFD_EMUL_SOCKET=%s: %s; there is no control socket",
                     text, error);
    } else {
        control.path = g_steal_pointer(&path);
    }
}

/* Alone in a child: the parent's thread and path stay the parent's. */
void preload_control_forget(void)
{
    if (control.listener < 0) {
        return;
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (control.clients[i].fd >= 0) {
            client_close(&control.clients[i]);
        }
    }
    preload_close_hidden(control.listener);
    control.listener = -1;
    control.path = NULL;        /* not freed: the parent's thread may have it */
    atomic_store_explicit(&control_pid, 0, memory_order_relaxed);
}

__attribute__((destructor)) static void control_end(void)
{
    struct timespec until;

    if (!control.path) {
        return;
    }
    unlink(control.path);
    /* A command that the program has seen the effect of gets its answer; but
       an exit() from a signal handler may be what the thread waits for. */
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ANSWER_SECONDS;
    pthread_mutex_timedlock(&answering, &until);
}
