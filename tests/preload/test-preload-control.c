/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket and the environment: commands, what they answer when they
 * are wrong, failures on demand; and the example session of docs/preload.md.
 */
#include "preload-machine.h"

#include <stdio.h>
#include <sys/wait.h>

typedef struct ControlTest {
    Machine m;
    int control;
} ControlTest;

static void setup(ControlTest *t)
{
    preload_machine_init(&t->m);
    t->control = control_connect();
}

static void teardown(ControlTest *t)
{
    close(t->control);
    preload_machine_cleanup(&t->m);
}

static void test_malformed(void)
{
    static const struct {
        const char *command;
        const char *answer;
    } cases[] = {
        { "", "error an empty line; try help" },
        { "  ", "error an empty line; try help" },
        { "frob", "error no command 'frob'; try help" },
        { "event", "error event takes DEV_ID [WORD0 WORD1 WORD2 WORD3]" },
        { "event 1 2", "error takes a device, and four words or none" },
        { "event x", "error DEV_ID is 'x', but must be a number from 1 to "
                     "4294967295" },
        { "event -1", "error DEV_ID is '-1', but must be a number from 1 to "
                      "4294967295" },
        { "event 1 0x 0 0 0", "error WORD is '0x', but must be a number from "
                              "0 to 18446744073709551615" },
        { "page 1 2 3", "error page takes DEV_ID PASID GRPID PERM ADDR LAST" },
        { "page 1 0 0 1 0x1000 2", "error LAST is '2', but must be a number "
                                   "from 0 to 1" },
        { "fail", "error fail takes CALL REQUEST NTH TIMES ERRNO | off" },
        { "fail on", "error takes CALL REQUEST NTH TIMES ERRNO, or off" },
        { "fail open 0 1 1 EIO", "error CALL is 'open', but must be any, "
                                 "ioctl, read, write or close" },
        { "fail ioctl IOMMU_FROB 1 1 EIO",
          "error REQUEST is 'IOMMU_FROB', but must be a number from 0 to "
          "4294967295" },
        { "fail any 0 0 1 EIO", "error NTH is '0', but must be a number from "
                                "1 to 18446744073709551615" },
        { "fail any 0 1 1 EFROB", "error ERRNO is 'EFROB', but must be a name "
                                  "like EIO, or a number from 1 to 4095" },
        { "sequence 2147483648", "error N is '2147483648', but must be a "
                                 "number from 0 to 2147483647" },
        { "stats now", "error stats takes nothing" },
        { "use 99999", "error /dev/iommu 99999 is not open" },
    };
    ControlTest t;

    setup(&t);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        control_expect(t.control, cases[i].command, cases[i].answer);
    }
    /* None of them has done anything, and the connection is as good as ever. */
    control_expect(t.control, "event 1 0x10 0 0 0", "ok refused");
    teardown(&t);
}

static void test_long_line(void)
{
    g_autofree char *line = g_strnfill(600, 'x');
    ControlTest t;
    char byte;

    setup(&t);
    control_expect(t.control, line, "error a line of more than 511 bytes");
    g_assert_cmpint(recv(t.control, &byte, 1, 0), <=, 0);
    close(t.control);
    t.control = control_connect();
    control_expect(t.control, "fail off", "ok");
    teardown(&t);
}

static void test_lines_in_pieces(void)
{
    ControlTest t;
    char buf[8] = "";

    setup(&t);
    send(t.control, "fail o", 6, 0);
    send(t.control, "ff\nfail off\r\nfai", 16, 0);
    g_assert_cmpint(recv(t.control, buf, 6, MSG_WAITALL), ==, 6);
    g_assert_cmpstr(buf, ==, "ok\nok\n");
    send(t.control, "l off\n", 6, 0);
    g_assert_cmpint(recv(t.control, buf, 3, MSG_WAITALL), ==, 3);
    teardown(&t);
}

static void test_failures(void)
{
    ControlTest t;
    uint32_t id;

    setup(&t);
    control_expect(t.control, "fail ioctl IOMMU_IOAS_ALLOC 2 1 ENOMEM", "ok");
    g_assert_cmpint(ioas_alloc(t.m.host, &id), ==, 0);
    g_assert_cmpint(destroy(t.m.host, id), ==, 0);
    g_assert_cmpint(ioas_alloc(t.m.host, &id), ==, -ENOMEM);
    g_assert_cmpint(ioas_alloc(t.m.host, &id), ==, 0);
    g_assert_cmpint(destroy(t.m.host, id), ==, 0);
    machine_open_queue(&t.m, 4);
    control_expect(t.control, "fail read 0 1 0 5", "ok");
    g_assert_cmpint(host_read(t.m.host, t.m.fd, &id, 8), ==, -EIO);
    g_assert_cmpint(host_read(t.m.host, t.m.fd, &id, 8), ==, -EIO);
    control_expect(t.control, "fail off", "ok");
    control_expect(t.control, "read-limit 8", "ok");
    control_event(t.control, &t.m, 1);
    g_assert_cmpint(host_read(t.m.host, t.m.fd, &id, 4), ==, -EINVAL);
    control_expect(t.control, "read-limit 0", "ok");
    teardown(&t);
}

static void test_first_sequence(void)
{
    struct iommufd_vevent_header *header;
    char buf[EVENT_SIZE];
    ControlTest t;

    setup(&t);
    control_expect(t.control, "sequence 0x7fffffff", "ok");
    machine_open_queue(&t.m, 4);
    control_event(t.control, &t.m, 1);
    g_assert_cmpint(read(t.m.fd, buf, sizeof(buf)), ==, sizeof(buf));
    header = (struct iommufd_vevent_header *)buf;
    g_assert_cmpuint(header->sequence, ==, INT_MAX);
    teardown(&t);
}

/* Without "use" the oldest is meant, and what is set stays with each. */
static void test_several_hosts(void)
{
    HostIommu *second;
    g_autofree char *hosts = NULL;
    g_autofree char *use = NULL;
    ControlTest t;
    uint32_t id;

    setup(&t);
    second = preload_machine_open();
    hosts = control_ask(t.control, "hosts");
    g_assert_nonnull(strrchr(hosts, ' '));
    use = g_strconcat("use", strrchr(hosts, ' '), NULL);
    control_expect(t.control, use, "ok");
    control_expect(t.control, "fail ioctl 0 1 0 EPERM", "ok");
    g_assert_cmpint(ioas_alloc(second, &id), ==, -EPERM);
    g_assert_cmpint(ioas_alloc(t.m.host, &id), ==, 0);
    g_assert_cmpint(destroy(t.m.host, id), ==, 0);
    host_iommu_free(second);
    g_free(use);
    use = control_ask(t.control, "stats");
    g_assert_true(g_str_has_suffix(use, "is not open any more"));
    teardown(&t);
}

/* ---- Other processes: what the environment says ---- */

typedef struct Child {
    GPid pid;
    FILE *out;
    FILE *err;
} Child;

static Child child_start(const char *variable, const char *value)
{
    char *argv[] = { (char *)g_getenv("PRELOAD_EXAMPLE"),
                     (char *)SMMUV3_PATH, NULL };
    g_auto(GStrv) env = g_get_environ();
    GError *error = NULL;
    Child child;
    int out, err;

    env = g_environ_setenv(env, variable, value, TRUE);
    g_spawn_async_with_pipes(NULL, argv, env, G_SPAWN_DO_NOT_REAP_CHILD, NULL,
                             NULL, &child.pid, NULL, &out, &err, &error);
    g_assert_no_error(error);
    child.out = fdopen(out, "r");
    child.err = fdopen(err, "r");
    return child;
}

static void expect_line(FILE *file, const char *expected)
{
    char line[512] = "";

    if (!fgets(line, sizeof(line), file)) {
        g_error("no line, but '%s' expected", expected);
    }
    g_strchomp(line);
    g_assert_cmpstr(line, ==, expected);
}

static void child_end(Child *child, int expected)
{
    int status;

    g_assert_cmpint(waitpid(child->pid, &status, 0), ==, child->pid);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, expected);
    g_spawn_close_pid(child->pid);
    fclose(child->out);
    fclose(child->err);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)),
                    ==, 0);
    return fd;
}

/* docs/preload.md: "An example". */
static void test_example_session(void)
{
    g_autofree char *folder = g_dir_make_tmp(NULL, NULL);
    g_autofree char *path = g_build_filename(folder, "socket", NULL);
    Child child = child_start("IOMMUFD_EMUL_SOCKET", path);
    int control;

    expect_line(child.out, "device 1 waits for an event");
    control = connect_to(path);
    control_expect(control, "event 1 0x10 0 0x1234000 0", "ok queued");
    expect_line(child.out, "event 0: 0000004200000010 0000000000000000 "
                           "0000000001234000 0000000000000000");
    child_end(&child, 0);
    close(control);
    /* The socket is gone with the process. */
    g_assert_cmpint(access(path, F_OK), ==, -1);
    g_assert_cmpint(rmdir(folder), ==, 0);
}

static void test_environment(void)
{
    Child child = child_start("IOMMUFD_EMUL_FAIL",
                              "ioctl IOMMU_VEVENTQ_ALLOC 1 1 ENOMEM");

    expect_line(child.err, "IOMMU_VEVENTQ_ALLOC: Cannot allocate memory");
    child_end(&child, 1);
    child = child_start("IOMMUFD_EMUL_FAIL", "ioctl 0 one 1 ENOMEM");
    expect_line(child.err, "libiommufd-emul: IOMMUFD_EMUL_FAIL=ioctl 0 one 1 "
                           "ENOMEM: NTH is 'one', but must be a number from 1 "
                           "to 18446744073709551615; /dev/iommu cannot be "
                           "opened");
    expect_line(child.err, "/dev/iommu: Invalid argument");
    child_end(&child, 1);
    child = child_start("IOMMUFD_EMUL_VFIO", "vfio0=smmuv9");
    expect_line(child.err, "libiommufd-emul: IOMMUFD_EMUL_VFIO=vfio0=smmuv9: "
                           "'vfio0=smmuv9' is not NAME=smmuv3 or NAME=vtd; "
                           "/dev/iommu cannot be opened");
    child_end(&child, 1);
}

/* A socket that somebody serves is not taken away from him; what else is there
   is no socket. The program goes on without one. */
static void test_socket_is_taken(void)
{
    g_autofree char *folder = g_path_get_dirname(
        g_getenv("IOMMUFD_EMUL_SOCKET"));
    g_autofree char *path = g_strdup_printf("%s/%d", folder, (int)getpid());
    g_autofree char *message = g_strdup_printf(
        "libiommufd-emul: IOMMUFD_EMUL_SOCKET=%s: Address already in use; "
        "there is no control socket", path);
    ControlTest t;
    Child child;

    setup(&t);
    child = child_start("IOMMUFD_EMUL_SOCKET", path);
    expect_line(child.err, message);
    expect_line(child.out, "device 1 waits for an event");
    kill(child.pid, SIGKILL);
    waitpid(child.pid, NULL, 0);
    fclose(child.out);
    fclose(child.err);
    control_expect(t.control, "fail off", "ok");
    teardown(&t);
}

int main(int argc, char **argv)
{
    preload_test_init(&argc, &argv);
    g_test_add_func("/preload/control/malformed-commands-are-told-why",
                    test_malformed);
    g_test_add_func("/preload/control/long-line-ends-the-connection",
                    test_long_line);
    g_test_add_func("/preload/control/lines-come-in-pieces",
                    test_lines_in_pieces);
    g_test_add_func("/preload/control/calls-fail-on-demand", test_failures);
    g_test_add_func("/preload/control/sequence-starts-where-told",
                    test_first_sequence);
    g_test_add_func("/preload/control/each-iommufd-is-its-own",
                    test_several_hosts);
    g_test_add_func("/preload/control/example-session", test_example_session);
    g_test_add_func("/preload/control/environment-sets-or-refuses",
                    test_environment);
    g_test_add_func("/preload/control/taken-socket-is-left-alone",
                    test_socket_is_taken);
    return g_test_run();
}
