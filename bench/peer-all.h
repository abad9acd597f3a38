/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The competitors; what each is like is said in its file.
 */
#ifndef BENCH_PEER_ALL_H
#define BENCH_PEER_ALL_H

#include "peer.h"

extern const PeerOps peer_limit;
extern const PeerOps peer_limit_poll;
extern const PeerOps peer_qemu;
extern const PeerOps peer_cloud_hypervisor;
extern const PeerOps peer_libuv_1;
extern const PeerOps peer_libuv_64;
extern const PeerOps peer_libevent_1;
extern const PeerOps peer_libevent_64;
extern const PeerOps peer_libev_1;
extern const PeerOps peer_libev_64;
extern const PeerOps peer_vpump;
extern const PeerOps peer_vpump_busy;

#endif
