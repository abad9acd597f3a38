/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmdq-fixture.h"

void cmdq_put(Fixture *f, uint64_t word0, unsigned count)
{
    while (count-- > 0) {
        guest_command(f, word0, 0);
    }
}

void cmdq_run(Fixture *f, uint64_t word0)
{
    guest_command(f, word0, 0);
    guest_kick(f);
}

void cmdq_cfgi_ste(Fixture *f, uint32_t sid)
{
    guest_command(f, OP(0x03, sid), 1);
    guest_kick(f);
    g_assert_cmphex(guest_read(f, A_CMDQ_CONS), ==, f->cmdq_prod);
}

void cmdq_set_ste(Fixture *f, uint32_t sid, uint64_t word0, uint64_t word1)
{
    guest_set_ste(f, sid, word0, word1);
    cmdq_cfgi_ste(f, sid);
}

bool cmdq_error_is_active(Fixture *f)
{
    return (guest_read(f, A_GERROR) ^ guest_read(f, A_GERRORN)) & CMDQ_ERR;
}

void cmdq_acknowledge(Fixture *f)
{
    guest_write(f, A_GERRORN, guest_read(f, A_GERROR));
}

void cmdq_assert_done(Fixture *f)
{
    g_assert_cmphex(guest_read(f, A_CMDQ_CONS), ==, f->cmdq_prod);
    g_assert_false(cmdq_error_is_active(f));
}

void cmdq_assert_error(Fixture *f, uint32_t rd, unsigned err)
{
    g_assert_true(cmdq_error_is_active(f));
    g_assert_cmphex(guest_read(f, A_CMDQ_CONS), ==, err << 24 | rd);
}

void cmdq_overwrite(Fixture *f, uint32_t rd, uint64_t word0)
{
    uint32_t index = rd & ((1u << f->log2_cmdq) - 1);

    guest_words_store(guest_words(f, GUEST_CMDQ + 16 * index),
                      (uint64_t[]){ word0, 0 }, 2);
}

uint64_t cmdq_invalidations(Fixture *f)
{
    return emul_get_stats(f->host).invalidations;
}
