/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands: a line of words, by a socket or from the environment, that plays
 * hardware or sets a control of the emulated host (include/host/emul.h).
 */
#include "preload-internal.h"

#include "host/mock-abi.h"

#include <errno.h>
#include <string.h>

enum { MAX_WORDS = 8 };

/* A command under way; without a host its words are checked, and no more. */
typedef struct Command {
    char **words;
    unsigned num;               /* words behind the name */
    PreloadHost *host;
    unsigned *number;           /* of the /dev/iommu that is meant */
    GString *answer;            /* of what follows "ok" */
    char *error;
} Command;

typedef enum CommandNeeds {
    NEEDS_NOTHING,
    NEEDS_HOST,
} CommandNeeds;

typedef struct CommandKind {
    const char *name;
    const char *usage;
    unsigned min;               /* words behind the name */
    unsigned max;
    CommandNeeds needs;
    bool (*run)(Command *cmd);
} CommandKind;

static bool G_GNUC_PRINTF(2, 3) refuse(Command *cmd, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    cmd->error = g_strdup_vprintf(format, ap);
    va_end(ap);
    return false;
}

/* Word @index, from 1, as a number from @min to @max. */
static bool get_number(Command *cmd, unsigned index, const char *name,
                       uint64_t min, uint64_t max, uint64_t *value)
{
    const char *word = cmd->words[index];
    char *end;

    errno = 0;
    *value = g_ascii_strtoull(word, &end, 0);
    if (!g_ascii_isdigit(*word) || *end || errno || *value < min ||
        *value > max) {
        return refuse(cmd, "%s is '%s', but must be a number from %"
                      G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, name, word,
                      min, max);
    }
    return true;
}

static void add_report(Command *cmd, EmulReport report)
{
    static const char *const names[] = {
        [EMUL_REPORT_QUEUED] = "queued",
        [EMUL_REPORT_LOST] = "lost",
        [EMUL_REPORT_REFUSED] = "refused",
    };

    g_string_append_printf(cmd->answer, " %s", names[report]);
}

/* A mock device says no more than whose the event is. */
static bool trigger_mock_event(Command *cmd, uint32_t dev_id)
{
    HostIommu *iommu = cmd->host->iommu;
    struct iommu_test_cmd test = {
        .size = sizeof(test),
        .op = IOMMU_TEST_OP_TRIGGER_VEVENT,
        .trigger_vevent = { .dev_id = dev_id },
    };

    if (iommu->ops->ioctl(iommu, preload_host_fd(cmd->host), IOMMU_TEST_CMD,
                          &test) < 0) {
        return refuse(cmd, "device %u: %s", dev_id, g_strerror(errno));
    }
    return true;
}

static bool run_event(Command *cmd)
{
    uint64_t dev_id;
    uint64_t event[4];

    if (cmd->num != 1 && cmd->num != 5) {
        return refuse(cmd, "takes a device, and four words or none");
    }
    if (!get_number(cmd, 1, "DEV_ID", 1, UINT32_MAX, &dev_id)) {
        return false;
    }
    for (unsigned i = 0; i + 1 < cmd->num; i++) {
        if (!get_number(cmd, i + 2, "WORD", 0, UINT64_MAX, &event[i])) {
            return false;
        }
    }
    if (cmd->num == 1) {
        return !cmd->host || trigger_mock_event(cmd, (uint32_t)dev_id);
    }
    if (cmd->host) {
        add_report(cmd, emul_report_event(cmd->host->iommu, (uint32_t)dev_id,
                                          event));
    }
    return true;
}

static bool run_page(Command *cmd)
{
    EmulPageRequest request;
    uint64_t dev_id, pasid, grpid, perm, addr, last;

    if (!get_number(cmd, 1, "DEV_ID", 1, UINT32_MAX, &dev_id) ||
        !get_number(cmd, 2, "PASID", 0, (1 << 20) - 1, &pasid) ||
        !get_number(cmd, 3, "GRPID", 0, UINT32_MAX, &grpid) ||
        !get_number(cmd, 4, "PERM", 0, UINT32_MAX, &perm) ||
        !get_number(cmd, 5, "ADDR", 0, UINT64_MAX, &addr) ||
        !get_number(cmd, 6, "LAST", 0, 1, &last)) {
        return false;
    }
    request = (EmulPageRequest) {
        .dev_id = (uint32_t)dev_id,
        .pasid = (uint32_t)pasid,
        .grpid = (uint32_t)grpid,
        .perm = (uint32_t)perm,
        .addr = addr,
        .last = last,
    };
    if (cmd->host) {
        add_report(cmd, emul_request_page(cmd->host->iommu, &request));
    }
    return true;
}

static bool get_call(Command *cmd, unsigned index, EmulCall *call)
{
    static const char *const names[] = {
        [EMUL_CALL_ANY] = "any",
        [EMUL_CALL_IOCTL] = "ioctl",
        [EMUL_CALL_READ] = "read",
        [EMUL_CALL_WRITE] = "write",
        [EMUL_CALL_CLOSE] = "close",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(cmd->words[index], names[i])) {
            *call = i;
            return true;
        }
    }
    return refuse(cmd, "CALL is '%s', but must be any, ioctl, read, write or "
                  "close", cmd->words[index]);
}

#define REQUEST(name) { #name, name }

/* By its name in the kernel's header, or as a number; 0 is all of them. */
static bool get_request(Command *cmd, unsigned index, uint64_t *request)
{
    static const struct {
        const char *name;
        unsigned long request;
    } requests[] = {
        REQUEST(IOMMU_DESTROY), REQUEST(IOMMU_IOAS_ALLOC),
        REQUEST(IOMMU_HWPT_ALLOC), REQUEST(IOMMU_GET_HW_INFO),
        REQUEST(IOMMU_HWPT_INVALIDATE), REQUEST(IOMMU_FAULT_QUEUE_ALLOC),
        REQUEST(IOMMU_VIOMMU_ALLOC), REQUEST(IOMMU_VDEVICE_ALLOC),
        REQUEST(IOMMU_VEVENTQ_ALLOC), REQUEST(IOMMU_TEST_CMD),
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(requests); i++) {
        if (!strcmp(cmd->words[index], requests[i].name)) {
            *request = requests[i].request;
            return true;
        }
    }
    return get_number(cmd, index, "REQUEST", 0, UINT32_MAX, request);
}

static bool get_errno(Command *cmd, unsigned index, int *err)
{
    uint64_t value;

    for (int i = 1; i < 134; i++) {
        const char *name = strerrorname_np(i);

        if (name && !strcmp(cmd->words[index], name)) {
            *err = i;
            return true;
        }
    }
    if (!get_number(cmd, index, "ERRNO", 1, 4095, &value)) {
        g_free(cmd->error);
        return refuse(cmd, "ERRNO is '%s', but must be a name like EIO, or a "
                      "number from 1 to 4095", cmd->words[index]);
    }
    *err = (int)value;
    return true;
}

static bool run_fail(Command *cmd)
{
    EmulFailure failure = { 0 };
    uint64_t request;

    if (cmd->num == 1 && !strcmp(cmd->words[1], "off")) {
        goto out_set;
    }
    if (cmd->num != 5) {
        return refuse(cmd, "takes CALL REQUEST NTH TIMES ERRNO, or off");
    }
    if (!get_call(cmd, 1, &failure.call) || !get_request(cmd, 2, &request) ||
        !get_number(cmd, 3, "NTH", 1, UINT64_MAX, &failure.nth) ||
        !get_number(cmd, 4, "TIMES", 0, UINT64_MAX, &failure.times) ||
        !get_errno(cmd, 5, &failure.err)) {
        return false;
    }
    failure.request = request;
out_set:
    if (cmd->host) {
        emul_set_failure(cmd->host->iommu, &failure);
    }
    return true;
}

static bool run_sequence(Command *cmd)
{
    uint64_t value;

    if (!get_number(cmd, 1, "N", 0, INT_MAX, &value)) {
        return false;
    }
    if (cmd->host) {
        emul_set_first_sequence(cmd->host->iommu, (uint32_t)value);
    }
    return true;
}

static bool run_read_limit(Command *cmd)
{
    uint64_t value;

    if (!get_number(cmd, 1, "N", 0, SIZE_MAX, &value)) {
        return false;
    }
    if (cmd->host) {
        emul_set_read_limit(cmd->host->iommu, value);
    }
    return true;
}

static bool run_use(Command *cmd)
{
    uint64_t value;
    PreloadHost *host;

    if (!get_number(cmd, 1, "N", 1, UINT32_MAX, &value)) {
        return false;
    }
    host = preload_host_get((unsigned)value);
    if (!host || host->number != value) {
        if (host) {
            preload_host_put(host);
        }
        return refuse(cmd, "/dev/iommu %s is not open", cmd->words[1]);
    }
    preload_host_put(host);
    *cmd->number = (unsigned)value;
    return true;
}

static bool run_hosts(Command *cmd)
{
    PreloadHost *host;
    unsigned number = 0;

    while ((host = preload_host_get(number + 1))) {
        number = host->number;
        g_string_append_printf(cmd->answer, " %u", number);
        preload_host_put(host);
    }
    return true;
}

static void add_count(Command *cmd, const char *name, uint64_t value)
{
    g_string_append_printf(cmd->answer, " %s=%" G_GUINT64_FORMAT, name, value);
}

static bool run_stats(Command *cmd)
{
    EmulStats stats = emul_get_stats(cmd->host->iommu);
    EmulPageStats pages = emul_get_page_stats(cmd->host->iommu);

    add_count(cmd, "objects", stats.objects);
    add_count(cmd, "generated", stats.generated);
    add_count(cmd, "dropped", stats.dropped);
    add_count(cmd, "invalidations", stats.invalidations);
    add_count(cmd, "busy", stats.busy);
    add_count(cmd, "pages", pages.pages);
    add_count(cmd, "raised", pages.raised);
    add_count(cmd, "answered", pages.answered);
    add_count(cmd, "automatic", pages.automatic);
    add_count(cmd, "open", pages.open);
    /* Relaxed, both: numbers on their own. */
    add_count(cmd, "success", atomic_load_explicit(&cmd->host->success,
                                                   memory_order_relaxed));
    add_count(cmd, "invalid", atomic_load_explicit(&cmd->host->invalid,
                                                   memory_order_relaxed));
    add_count(cmd, "calls", emul_get_calls_counted(cmd->host->iommu));
    return true;
}

static bool run_help(Command *cmd);

static const CommandKind commands[] = {
    { "event", "DEV_ID [WORD0 WORD1 WORD2 WORD3]", 1, 5, NEEDS_HOST,
      run_event },
    { "fail", "CALL REQUEST NTH TIMES ERRNO | off", 1, 5, NEEDS_HOST,
      run_fail },
    { "help", "", 0, 0, NEEDS_NOTHING, run_help },
    { "hosts", "", 0, 0, NEEDS_NOTHING, run_hosts },
    { "page", "DEV_ID PASID GRPID PERM ADDR LAST", 6, 6, NEEDS_HOST,
      run_page },
    { "read-limit", "N", 1, 1, NEEDS_HOST, run_read_limit },
    { "sequence", "N", 1, 1, NEEDS_HOST, run_sequence },
    { "stats", "", 0, 0, NEEDS_HOST, run_stats },
    { "use", "N", 1, 1, NEEDS_NOTHING, run_use },
};

static bool run_help(Command *cmd)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_string_append_printf(cmd->answer, "%s %s%s%s", i ? ";" : "",
                               commands[i].name,
                               *commands[i].usage ? " " : "",
                               commands[i].usage);
    }
    return true;
}

/* Find the command, and see whether it has the words that it takes. */
static const CommandKind *find_command(Command *cmd)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        const CommandKind *kind = &commands[i];

        if (!strcmp(cmd->words[0], kind->name)) {
            if (cmd->num >= kind->min && cmd->num <= kind->max) {
                return kind;
            }
            refuse(cmd, "%s takes %s", kind->name,
                   *kind->usage ? kind->usage : "nothing");
            return NULL;
        }
    }
    refuse(cmd, "no command '%s'; try help", cmd->words[0]);
    return NULL;
}

/* The words of @line, which blanks separate; NULL behind the last. */
static char **split(const char *line, unsigned *num)
{
    GPtrArray *words = g_ptr_array_new();
    char **all = g_strsplit_set(line, " \t\r", -1);

    for (char **word = all; *word; word++) {
        if (**word) {
            g_ptr_array_add(words, *word);
        } else {
            g_free(*word);
        }
    }
    g_free(all);
    *num = words->len;
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

/* The one that "use" named, or the oldest. */
static bool find_host(Command *cmd)
{
    unsigned number = *cmd->number;
    PreloadHost *host = preload_host_get(number);

    if (host && (number == 0 || host->number == number)) {
        cmd->host = host;
        return true;
    }
    if (host) {
        preload_host_put(host);
    }
    return number == 0 ? refuse(cmd, "no /dev/iommu is open")
                       : refuse(cmd, "/dev/iommu %u is not open any more",
                                number);
}

static bool run_line(Command *cmd, bool check)
{
    const CommandKind *kind = find_command(cmd);
    bool ok;

    if (!kind) {
        return false;
    }
    if (kind->needs == NEEDS_HOST && !check && !find_host(cmd)) {
        return false;
    }
    ok = kind->run(cmd);
    if (cmd->host) {
        preload_host_put(cmd->host);
    }
    return ok;
}

char *preload_command(const char *line, unsigned *number)
{
    Command cmd = { .number = number };
    char *answer;

    cmd.words = split(line, &cmd.num);
    cmd.answer = g_string_new("ok");
    if (cmd.num == 0) {
        refuse(&cmd, "an empty line; try help");
    } else {
        cmd.num--;
        run_line(&cmd, false);
    }
    answer = cmd.error ? g_strconcat("error ", cmd.error, NULL)
                       : g_strdup(cmd.answer->str);
    g_string_free(cmd.answer, TRUE);
    g_free(cmd.error);
    g_strfreev(cmd.words);
    return answer;
}

char *preload_command_check(const char *line)
{
    Command cmd = { 0 };

    cmd.words = split(line, &cmd.num);
    cmd.num--;                  /* the name is there */
    run_line(&cmd, true);
    g_strfreev(cmd.words);
    return cmd.error;
}
