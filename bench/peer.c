/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer.h"

#include "peer-all.h"

#include "hw/iommu/guest-mem.h"

#include <string.h>

const PeerOps *const peers[] = {
    &peer_vpump_busy,
    &peer_limit,
    &peer_vpump,
    &peer_limit_poll,
    &peer_cloud_hypervisor,
    &peer_libevent_64,
    &peer_libuv_64,
    &peer_libev_64,
    &peer_libevent_1,
    &peer_libuv_1,
    &peer_libev_1,
    &peer_qemu,
};
const size_t peers_count = G_N_ELEMENTS(peers);

const PeerOps *peer_find(const char *name)
{
    for (size_t i = 0; i < peers_count; i++) {
        if (!strcmp(peers[i]->name, name)) {
            return peers[i];
        }
    }
    return NULL;
}

int64_t peer_cpu_ns(const Peer *peer)
{
    struct timespec used;

    clock_gettime(peer->cpu_clock, &used);
    return used.tv_sec * INT64_C(1000000000) + used.tv_nsec;
}

uint64_t peer_consume(Peer *peer, PeerEntryFunc *func, void *opaque)
{
    const uint32_t size = UINT32_C(1) << peer->config.log2_ring;
    uint32_t prod = peer->ops->prod(peer);
    uint64_t count = 0;
    uint64_t entry[4];

    while (peer->cons != prod) {
        do {
            guest_words_load(entry, &peer->entries[(peer->cons & (size - 1)) *
                                                   4], 4);
            if (func) {
                func(opaque, entry);
            }
            peer->cons = (peer->cons + 1) & ((size << 1) - 1);
            count++;
        } while (peer->cons != prod);
        peer->ops->set_cons(peer, peer->cons);
        prod = peer->ops->prod(peer);
    }
    return count;
}
