/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * INSTRUMENTED: does this build have a runtime that makes system calls of its
 * own, a sanitizer's or that of coverage?
 */
#ifndef VPUMP_INSTRUMENTED_H
#define VPUMP_INSTRUMENTED_H

#ifndef __has_feature
#define __has_feature(feature) 0
#endif

/* WITH_RUNTIME is from meson.build; the others from flags that it was given. */
#if defined(WITH_RUNTIME) || defined(__SANITIZE_ADDRESS__) ||                 \
    defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) ||       \
    __has_feature(thread_sanitizer)
#define INSTRUMENTED 1
#else
#define INSTRUMENTED 0
#endif

#endif
