/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libiommufd-emul.so, between its own files. A descriptor of ours is a real one
 * (/dev/null for /dev/iommu and VFIO devices, the emulated host's pipe or
 * socket for a queue), and its number leads to a PreloadFile, which stands for
 * the kernel's open file: copies of a descriptor share it.
 *
 * Threads: any, the program's.
 * Locks:   files_lock (rank LOCK_RANK_FILES) for changes of the table; look-ups
 *          take none. The emulated host's leaves come after it.
 */
#ifndef PRELOAD_INTERNAL_H
#define PRELOAD_INTERNAL_H

#include "base/lock.h"
#include "host/emul.h"

#include <stdatomic.h>

enum {
    PRELOAD_FDS = 1 << 20,      /* numbers that the table has room for */
};

extern Lock files_lock;

/**
 * struct PreloadHost - what one open() of /dev/iommu made
 * @number: counts the opens, from 1: what a control socket names it by
 * @success: page request groups answered so
 * @invalid: page request groups answered so, by the program or by the host
 *
 * It lives as long as any file of it: as the kernel's, a queue or a device
 * outlives the descriptor that it came from.
 */
typedef struct PreloadHost {
    HostIommu *iommu;           /* [const] */
    unsigned number;            /* [const] */
    unsigned refs GUARDED_BY(files_lock);
    atomic_ullong success;      /* [atomic] */
    atomic_ullong invalid;      /* [atomic] */
    struct PreloadHost *next GUARDED_BY(files_lock); /* opened after this one */
} PreloadHost;

typedef enum PreloadKind {
    PRELOAD_IOMMUFD,
    PRELOAD_DEVICE,
    PRELOAD_QUEUE,              /* vEVENTQ or fault queue */
    PRELOAD_HIDDEN,             /* not there for the program */
} PreloadKind;

/* A VFIO device that the environment asks for. */
typedef struct PreloadDevice {
    char *name;                 /* [const] below /dev/vfio/devices */
    EmulIommu iommu;            /* [const] */
    bool bound GUARDED_BY(files_lock);
} PreloadDevice;

/**
 * struct PreloadFile - an open file
 *
 * Type-stable: whoever finds one by its number without a lock may always look
 * at its reference count, and then whether the number still leads there.
 */
typedef struct PreloadFile {
    PreloadKind kind;           /* [const] while referenced */
    PreloadDevice *device;      /* [const] likewise; of a VFIO device */
    atomic_uint refs;           /* [atomic] its numbers, and calls under way */
    _Atomic(PreloadHost *) host;    /* [atomic] NULL: a device not bound yet */
    atomic_int fd;              /* [atomic] what the emulated host calls it */
    atomic_uint moves;          /* [atomic] counts the changes of @fd */
    atomic_int status;          /* [atomic] F_SETFL's flags, of a queue */
    GArray *numbers GUARDED_BY(files_lock); /* int: all that lead here */
    struct PreloadFile *next_free GUARDED_BY(files_lock);
} PreloadFile;

/* ---- preload-file.c: numbers and files ---- */

/* Whether @fd is one of ours; one load. */
bool preload_is_ours(int fd);

/**
 * preload_file_get() - the file that @fd leads to
 *
 * Return: a reference, for preload_file_put(); NULL if it is not one of ours.
 */
PreloadFile *preload_file_get(int fd);
void preload_file_put(PreloadFile *file);

/**
 * preload_file_add() - @fd, which is open, leads to a new file
 * @host: one reference to it, given; NULL for a device
 */
void preload_file_add(int fd, PreloadKind kind, PreloadHost *host,
                      PreloadDevice *device);

/* This library's own @fd: the program neither uses nor closes it. */
void preload_hide(int fd);

/* Close @fd of preload_hide(). */
void preload_close_hidden(int fd);

/**
 * preload_copied() - @copy is a copy of a descriptor of @file's
 *
 * Return: @copy; or -1 with errno EBADF and @copy closed, if @file has lost its
 * last number meanwhile.
 */
int preload_copied(PreloadFile *file, int copy);

/* close() of a number that was ours when the caller looked. */
int preload_close(int fd);

/**
 * preload_change() - dup2() is going to replace @fd, ours, somebody's or none
 *
 * Who looks it up waits, until preload_changed().
 *
 * Return: false if it is this library's own.
 */
bool preload_change(int fd);

/**
 * preload_changed() - dup2() has returned @ret
 * @file: what @fd leads to now, if that is a success; NULL: not one of ours
 *
 * Return: @ret; or -1 with errno EBADF, if @file has lost its last number.
 */
int preload_changed(PreloadFile *file, int fd, int ret);

/**
 * preload_bind() - device @file is what the emulated @host knows by @from
 * @host: a reference, given if this succeeds
 *
 * Return: false if the file has no number any more.
 */
bool preload_bind(PreloadFile *file, PreloadHost *host, int from);

/* The open numbers of ours in a range, in turn; -1 behind the last one. */
int preload_find_number(unsigned first, unsigned last);

/* What the emulated host calls @host itself, or -1. */
int preload_host_fd(PreloadHost *host) EXCLUDES(files_lock);

/* ---- preload-host.c: /dev/iommu and VFIO devices ---- */

/**
 * preload_open() - open() of a path, if it is one of ours
 * @fd: out: the result, and errno set, as open()'s
 */
bool preload_open(const char *path, int flags, int *fd);

/* Calls on a file of ours. */
int preload_ioctl(PreloadFile *file, unsigned long request, void *arg);
ssize_t preload_read(PreloadFile *file, void *buf, size_t count);
ssize_t preload_write(PreloadFile *file, const void *buf, size_t count);

/* The next open one whose number is at least @number, with a reference. */
PreloadHost *preload_host_get(unsigned number);
void preload_host_put(PreloadHost *host);

/* ---- preload-config.c: the environment ---- */

typedef struct PreloadConfig {
    GPtrArray *devices;         /* PreloadDevice */
    GPtrArray *commands;        /* char: for each /dev/iommu that is opened */
    const char *socket;         /* or NULL */
    bool valid;                 /* or the operator has been told what is not */
} PreloadConfig;

/* Read on the first call. */
const PreloadConfig *preload_config(void);

/* ---- preload-command.c: lines of text ---- */

/**
 * preload_command() - do what @line says
 * @number: in and out: the /dev/iommu that is meant; 0: the oldest
 *
 * Return: "ok", "ok TEXT" or "error TEXT", to be freed.
 */
char *preload_command(const char *line, unsigned *number);

/* Check the spelling of @line, which needs no /dev/iommu: NULL, or an error. */
char *preload_command_check(const char *line);

/* ---- preload-control.c: the socket ---- */

/* Serve IOMMUFD_EMUL_SOCKET in this process, unless it is served already. */
void preload_control_start(void);

/* In a child of fork(), which has no such thread. */
void preload_control_forget(void);

#endif
