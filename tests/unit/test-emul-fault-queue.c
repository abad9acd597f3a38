/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading, answering and readiness of a fault queue, as measured on Linux 7.3,
 * written as scripts of blank-separated steps:
 *
 *   +G...         raise a group of one page for each grpid; +G* a page of G
 *                 that is not the last
 *   rC=RESULT     read() of C bytes; RESULT is an errno, 0, or for each record
 *                 cookie/grpid
 *   wC=RESULT     write() of C zero bytes
 *   aLIST=RESULT  write() of answers "cookie" or "cookie:code"
 *   poll=in|none  what poll() says, besides POLLOUT
 *   move, back    to a HWPT without a fault queue; to the one with
 */
#include "test-emul-fault.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct Script {
    const char *path;
    const char *steps;
} Script;

static const Script scripts[] = {
    /* Reading */
    { "read/empty-is-zero-at-once", "r0=0 r40=0 r80=0 poll=none" },
    { "read/not-a-multiple-of-40-is-ESPIPE",
      "r1=ESPIPE r39=ESPIPE r41=ESPIPE r4096=ESPIPE +7 r1=ESPIPE r39=ESPIPE "
      "r41=ESPIPE poll=in r40=1/7" },
    { "read/count-0-with-a-fault-is-EINVAL", "+7 r0=EINVAL poll=in r40=1/7" },
    { "read/as-many-as-fit-in-order",
      "+20,21,22,23,24 r80=1/20,2/21 poll=in r4000=3/22,4/23,5/24 r4000=0 "
      "poll=none" },
    { "read/group-not-visible-before-its-last-page",
      "+5* +5* poll=none r400=0 +6 +5 poll=in r40=1/6 r40=EINVAL r80=EINVAL "
      "poll=in r120=2/5,2/5,2/5 poll=none" },
    { "read/in-order-of-completion", "+5* +6* +6 +5 r400=1/6,1/6,2/5,2/5" },
    { "read/never-half-a-group",
      "+7 +8* +8* +8 +9 r80=1/7 r80=EINVAL r160=2/8,2/8,2/8,3/9" },

    /* Cookies */
    { "cookie/lowest-free-number-from-1",
      "+20,21,22,23,24 r200=1/20,2/21,3/22,4/23,5/24 a3=8 +30 r40=3/30 "
      "a1,5=16 +40,41,42 r120=1/40,5/41,6/42" },
    { "cookie/used-again-right-after-the-answer",
      "+1 r40=1/1 a1=8 +2 r40=1/2 a1=8" },
    { "cookie/0-answered-while-another-is-out-becomes-real",
      "+1 r40=1/1 a0=EINVAL +2,3 r80=0/2,2/3 a0=8 a0=EINVAL +7,8 "
      "r80=0/7,3/8" },
    { "cookie/0-answered-with-none-out-has-no-effect",
      "+1 a0=EINVAL +2,3 r120=1/1,2/2,3/3 a0=EINVAL a0=EINVAL +7,8 "
      "r80=0/7,4/8" },
    { "cookie/0-stays-real-when-all-are-answered",
      "+1 r40=1/1 a0=EINVAL a1=8 +2,3 r80=0/2,1/3 a0,1=16 +4 r40=0/4" },

    /* Answers */
    { "answer/one-ends-a-whole-group",
      "+5* +5* +5 r120=1/5,1/5,1/5 a1=8 a1=EINVAL" },
    { "answer/again-or-unknown-is-EINVAL",
      "+7 r40=1/7 a999=EINVAL a4294967295=EINVAL a1=8 a1=EINVAL" },
    { "answer/unread-group-has-no-cookie", "+7 a1=EINVAL r40=1/7 a1=8" },
    { "answer/other-codes-are-EINVAL-and-the-cookie-stays",
      "+7 r40=1/7 a1:2=EINVAL a1:15=EINVAL a999:2=EINVAL a1=8" },
    { "answer/bad-code-with-cookie-0-has-no-effect",
      "+7 r40=1/7 a0:2=EINVAL +8 r40=2/8" },
    { "answer/good-bad-good-is-8",
      "+1,2,3 r120=1/1,2/2,3/3 a1,999,3=8 a1=EINVAL a3=8" },
    { "answer/good-bad-code-good-is-8",
      "+1,2,3 r120=1/1,2/2,3/3 a1,2:7,3=8 a2,3=16" },
    { "answer/bad-good-does-nothing",
      "+1,2 r80=1/1,2/2 a999,2=EINVAL a2:1=8" },
    { "answer/not-a-multiple-of-8-is-ESPIPE",
      "+1 r40=1/1 w7=ESPIPE w12=ESPIPE w0=0 a1=8 w0=0 w8=EINVAL" },

    /* Readiness */
    { "poll/unanswered-but-read-does-not-count",
      "poll=none +1,2 poll=in poll=in r40=1/1 poll=in r40=2/2 poll=none" },

    /* The host answers itself */
    { "automatic/read-and-unread-when-moved",
      "+1,2,3,4,5 r120=1/1,2/2,3/3 poll=in move poll=none r4000=0 a1=EINVAL "
      "a3=EINVAL" },
    { "automatic/cookies-start-over",
      "+80,81 r80=1/80,2/81 move back +90 r40=1/90" },
    { "automatic/incomplete-groups-are-dropped",
      "+5* +5* move back +5 r400=1/5" },
};

static const struct {
    const char *name;
    int err;
} errno_names[] = { { "EINVAL", EINVAL }, { "ESPIPE", ESPIPE } };

static char *result_text(ssize_t ret)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(errno_names); i++) {
        if (ret == -errno_names[i].err) {
            return g_strdup(errno_names[i].name);
        }
    }
    g_assert_cmpint(ret, >=, 0);
    return g_strdup_printf("%zd", ret);
}

/* "cookie/grpid,...", checking all that the script does not show. */
static char *read_text(FaultMachine *m, size_t count)
{
    g_autofree struct iommu_hwpt_pgfault *buf = g_malloc0(count + 1);
    ssize_t ret = host_read(m->host, m->fd, buf, count);
    GString *text;

    if (ret <= 0) {
        return result_text(ret);
    }
    g_assert_cmpint(ret % FAULT_SIZE, ==, 0);
    text = g_string_new(NULL);
    for (ssize_t i = 0; i < ret / FAULT_SIZE; i++) {
        bool last = i == ret / FAULT_SIZE - 1 ||
                    buf[i + 1].cookie != buf[i].cookie;

        g_string_append_printf(text, "%s%u/%u", i ? "," : "", buf[i].cookie,
                               buf[i].grpid);
        g_assert_cmpuint(buf[i].flags, ==,
                         last ? IOMMU_PGFAULT_FLAGS_LAST_PAGE : 0);
        g_assert_cmpuint(buf[i].dev_id, ==, m->dev_id);
    }
    return g_string_free(text, FALSE);
}

static char *answer_text(FaultMachine *m, const char *list)
{
    g_auto(GStrv) items = g_strsplit(list, ",", -1);
    struct iommu_hwpt_page_response responses[8] = { 0 };
    unsigned num = 0;

    for (; items[num]; num++) {
        char *end;

        responses[num].cookie = (uint32_t)strtoul(items[num], &end, 10);
        responses[num].code = *end == ':'
            ? (uint32_t)strtoul(end + 1, NULL, 10) : SUCCESS;
    }
    return result_text(host_write(m->host, m->fd, responses,
                                  num * RESPONSE_SIZE));
}

static void raise_list(FaultMachine *m, const char *list)
{
    g_auto(GStrv) items = g_strsplit(list, ",", -1);

    for (unsigned i = 0; items[i]; i++) {
        g_assert_cmpint(fault_raise(m, (uint32_t)atoi(items[i]),
                                    !strchr(items[i], '*')), ==,
                        EMUL_REPORT_QUEUED);
    }
}

static void run_step(FaultMachine *m, const char *step)
{
    static const char zeroes[64];
    g_auto(GStrv) sides = g_strsplit(step, "=", 2);
    g_autofree char *got = NULL;

    if (step[0] == '+') {
        raise_list(m, step + 1);
        return;
    }
    if (g_str_equal(step, "move") || g_str_equal(step, "back")) {
        fault_attach(m, step[0] == 'm' ? m->parent_id : m->nested_id);
        return;
    }
    if (g_str_equal(sides[0], "poll")) {
        short want = g_str_equal(sides[1], "in") ? POLLIN | POLLRDNORM : 0;

        g_assert_cmpint(poll_now(m->fd), ==, want | POLLOUT);
        return;
    }
    if (step[0] == 'r') {
        got = read_text(m, strtoul(sides[0] + 1, NULL, 10));
    } else if (step[0] == 'w') {
        got = result_text(host_write(m->host, m->fd, zeroes,
                                     strtoul(sides[0] + 1, NULL, 10)));
    } else {
        got = answer_text(m, sides[0] + 1);
    }
    if (!g_str_equal(got, sides[1])) {
        g_test_message("step %s: got %s", step, got);
        g_test_fail();
    }
}

static void test_script(gconstpointer data)
{
    const Script *script = data;
    g_auto(GStrv) steps = g_strsplit(script->steps, " ", -1);
    FaultMachine m;

    fault_machine_init(&m);
    for (unsigned i = 0; steps[i]; i++) {
        run_step(&m, steps[i]);
    }
    fault_machine_cleanup(&m);
}

/* Each field, with and without a PASID; oldest page first. */
static void test_record(void)
{
    struct iommu_hwpt_pgfault record[3];
    EmulPageRequest request = { .grpid = 9, .perm = 0xf, .addr = 0x1000 };
    FaultMachine m;

    fault_machine_init(&m);
    request.dev_id = m.dev_id;
    g_assert_cmpint(pasid_attach(m.host, m.device_fd, 5, m.nested_id), ==, 0);
    request.pasid = 5;
    g_assert_cmpint(emul_request_page(m.host, &request), ==,
                    EMUL_REPORT_QUEUED);
    request.addr = 0x2000;
    request.last = true;
    g_assert_cmpint(emul_request_page(m.host, &request), ==,
                    EMUL_REPORT_QUEUED);
    request.pasid = 0;
    request.perm = IOMMU_PGFAULT_PERM_WRITE;
    request.addr = UINT64_C(0xfffffffffffff000);
    g_assert_cmpint(emul_request_page(m.host, &request), ==,
                    EMUL_REPORT_QUEUED);
    g_assert_cmpint(host_read(m.host, m.fd, record, sizeof(record)), ==, 120);
    g_assert_cmpuint(record[0].flags, ==, IOMMU_PGFAULT_FLAGS_PASID_VALID);
    g_assert_cmpuint(record[1].flags, ==, IOMMU_PGFAULT_FLAGS_PASID_VALID |
                     IOMMU_PGFAULT_FLAGS_LAST_PAGE);
    g_assert_cmpuint(record[2].flags, ==, IOMMU_PGFAULT_FLAGS_LAST_PAGE);
    g_assert_cmpuint(record[0].pasid, ==, 5);
    g_assert_cmpuint(record[2].pasid, ==, 0);
    g_assert_cmphex(record[0].addr, ==, 0x1000);
    g_assert_cmphex(record[1].addr, ==, 0x2000);
    g_assert_cmphex(record[2].addr, ==, request.addr);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpuint(record[i].dev_id, ==, m.dev_id);
        g_assert_cmpuint(record[i].grpid, ==, 9);
        g_assert_cmpuint(record[i].perm, ==, i < 2 ? 0xf : 2);
        g_assert_cmpuint(record[i].length, ==, 0);
        g_assert_cmpuint(record[i].__reserved, ==, 0);
        g_assert_cmpuint(record[i].cookie, ==, i < 2 ? 1 : 2);
    }
    g_assert_cmpint(pasid_detach(m.host, m.device_fd, 5), ==, 0);
    fault_machine_cleanup(&m);
}

static void test_no_depth_limit_in_one_read(void)
{
    const uint32_t num = 100000;
    const size_t size = (size_t)num * FAULT_SIZE;
    g_autofree struct iommu_hwpt_pgfault *records = g_malloc(size + FAULT_SIZE);
    g_autofree struct iommu_hwpt_page_response *responses =
        g_new0(struct iommu_hwpt_page_response, num);
    FaultMachine m;

    fault_machine_init(&m);
    for (uint32_t i = 0; i < num; i++) {
        g_assert_cmpint(fault_raise(&m, i, true), ==, EMUL_REPORT_QUEUED);
    }
    g_assert_cmpint(host_read(m.host, m.fd, records, size + FAULT_SIZE), ==,
                    size);
    for (uint32_t i = 0; i < num; i++) {
        g_assert_cmpuint(records[i].grpid, ==, i);
        g_assert_cmpuint(records[i].cookie, ==, i + 1);
        responses[i].cookie = num - i;
    }
    g_assert_cmpint(host_write(m.host, m.fd, responses, num * RESPONSE_SIZE),
                    ==, num * RESPONSE_SIZE);
    g_assert_cmpuint(m.answers, ==, num);
    fault_machine_cleanup(&m);
}

/* What is not read or write says the same as the kernel, as far as a socket. */
static void test_descriptor(void)
{
    FaultMachine m;
    int num;

    fault_machine_init(&m);
    g_assert_cmpint(fcntl(m.fd, F_GETFD), ==, FD_CLOEXEC);
    g_assert_cmpint(fcntl(m.fd, F_GETFL) & O_ACCMODE, ==, O_RDWR);
    g_assert_cmpint(lseek(m.fd, 0, SEEK_SET), ==, -1);
    g_assert_cmpint(errno, ==, ESPIPE);
    g_assert_true(mmap(NULL, 4096, PROT_READ, MAP_SHARED, m.fd, 0) ==
                  MAP_FAILED);
    g_assert_cmpint(errno, ==, ENODEV);
    g_assert_cmpint(host_call(m.host, m.fd, FIONREAD, &num), ==, -ENOTTY);
    g_assert_cmpint(host_read(m.host, m.host->fd, &num, 4), ==, -EINVAL);
    g_assert_cmpint(host_write(m.host, m.host->fd, &num, 4), ==, -EINVAL);
    g_assert_cmpint(host_write(m.host, -1, &num, 4), ==, -EBADF);
    fault_machine_cleanup(&m);
}

/* The answer that the hardware gets, and how often. */
static void test_answer_reaches_the_hardware(void)
{
    char buf[FAULT_SIZE];
    FaultMachine m;

    fault_machine_init(&m);
    for (uint32_t code = SUCCESS; code <= INVALID; code++) {
        fault_raise(&m, 70 + code, true);
        g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, 40);
        g_assert_cmpuint(m.answers, ==, code);
        g_assert_cmpint(fault_answer(&m, 1, code), ==, RESPONSE_SIZE);
        g_assert_cmpuint(m.answers, ==, code + 1);
        g_assert_cmpuint(m.answer.code, ==, code);
        g_assert_false(m.answer.automatic);
        g_assert_cmpuint(m.answer.dev_id, ==, m.dev_id);
        g_assert_cmpuint(m.answer.grpid, ==, 70 + code);
        g_assert_cmpuint(m.answer.tag, ==, 70 + code);
    }
    fault_raise(&m, 90, true);
    g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
    g_assert_cmpuint(m.answers, ==, 3);
    g_assert_cmpuint(m.answer.code, ==, INVALID);
    g_assert_true(m.answer.automatic);
    g_assert_cmpuint(m.answer.tag, ==, 90);
    fault_machine_cleanup(&m);
    g_assert_cmpuint(m.answers, ==, 3);
}

/*
 * Why a late answer must never be written: the number is a stranger's by then,
 * and the stranger's page was never mapped.
 */
static void test_late_answer_hits_a_stranger(void)
{
    struct iommu_hwpt_pgfault record;
    FaultMachine m;

    fault_machine_init(&m);
    fault_raise(&m, 1, true);
    g_assert_cmpint(host_read(m.host, m.fd, &record, sizeof(record)), ==, 40);
    g_assert_cmpuint(record.cookie, ==, 1);
    fault_attach(&m, m.parent_id);      /* group 1 is answered INVALID */
    fault_attach(&m, m.nested_id);
    fault_raise(&m, 2, true);
    g_assert_cmpint(host_read(m.host, m.fd, &record, sizeof(record)), ==, 40);
    g_assert_cmpuint(record.cookie, ==, 1);
    g_assert_cmpuint(m.answers, ==, 1);
    /* Meant for group 1. */
    g_assert_cmpint(fault_answer(&m, 1, SUCCESS), ==, RESPONSE_SIZE);
    g_assert_cmpuint(m.answers, ==, 2);
    g_assert_cmpuint(m.answer.tag, ==, 2);
    fault_machine_cleanup(&m);
}

/* Not a test of the machine, so it only says how fast: raise, read, answer. */
static void test_speed(void)
{
    enum { BATCH = 64 };
    const unsigned rounds = g_test_quick() ? 2000 : 100000;
    struct iommu_hwpt_pgfault records[BATCH];
    struct iommu_hwpt_page_response responses[BATCH] = { 0 };
    FaultMachine m;
    double seconds;

    fault_machine_init(&m);
    g_test_timer_start();
    for (unsigned i = 0; i < rounds; i++) {
        for (unsigned k = 0; k < BATCH; k++) {
            fault_raise(&m, k, true);
        }
        g_assert_cmpint(host_read(m.host, m.fd, records, sizeof(records)), ==,
                        sizeof(records));
        for (unsigned k = 0; k < BATCH; k++) {
            responses[k].cookie = records[k].cookie;
        }
        g_assert_cmpint(host_write(m.host, m.fd, responses,
                                   sizeof(responses)), ==, sizeof(responses));
    }
    seconds = g_test_timer_elapsed();
    g_test_message("%.1f million faults raised, read and answered per second",
                   rounds * (double)BATCH / seconds / 1e6);
    g_assert_cmpuint(m.answers, ==, rounds * BATCH);
    fault_machine_cleanup(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(scripts); i++) {
        g_autofree char *path = g_strconcat("/emul/fault/", scripts[i].path,
                                            NULL);

        g_test_add_data_func(path, &scripts[i], test_script);
    }
    g_test_add_func("/emul/fault/read/record", test_record);
    g_test_add_func("/emul/fault/read/no-depth-limit-in-one-read",
                    test_no_depth_limit_in_one_read);
    g_test_add_func("/emul/fault/descriptor", test_descriptor);
    g_test_add_func("/emul/fault/answer/reaches-the-hardware",
                    test_answer_reaches_the_hardware);
    g_test_add_func("/emul/fault/cookie/late-answer-hits-a-stranger",
                    test_late_answer_hits_a_stranger);
    g_test_add_func("/emul/fault/speed", test_speed);
    return g_test_run();
}
