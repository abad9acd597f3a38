/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One row per option. Anything that is wrong ends the parse with a message to
 * which options_parse() adds the option and its argument.
 */
#include "options.h"

#include "option-entry.h"
#include "option-help.h"

#include "base/error.h"

#include <string.h>

/* So that times in ns, and rates times ns, fit into 64 bits. */
#define LOAD_LIMIT 1000000000
#define DURATION_LIMIT_S 1000000000

/* Where the results go: the arguments of options_parse(). */
typedef struct Parse {
    Config *config;
    char **text;
    GError **error;
} Parse;

/*
 * Without dashes. @argument says what is accepted, NULL for an option without
 * argument, whose @apply gets NULL.
 */
typedef struct Option {
    const char *name;
    const char *argument;
    OptionsResult (*apply)(Parse *parse, const char *argument);
} Option;

static OptionsResult fail(Parse *parse, const char *message)
{
    g_set_error_literal(parse->error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                        message);
    return OPTIONS_ERROR;
}

static OptionsResult apply_object(Parse *parse, const char *argument)
{
    return option_entry_apply(parse->config, CONFIG_OBJECTS, argument,
                              parse->text, parse->error);
}

static OptionsResult apply_device(Parse *parse, const char *argument)
{
    return option_entry_apply(parse->config, CONFIG_DEVICES, argument,
                              parse->text, parse->error);
}

/* Names of threads are always applied, so on and off are the same to us. */
static bool apply_debug_threads(const QemuOpt *opt, GError **error)
{
    static const Property property = {
        .name = "debug-threads", .kind = PROPERTY_BOOL, .max = true,
        .accepts = "'on' or 'off'",
    };
    bool ignored;

    return property_set(&property, &ignored, "name", opt, error);
}

/* Never JSON: a name may begin with any character. */
static OptionsResult apply_name(Parse *parse, const char *argument)
{
    g_autoptr(QemuOpts) opts = qemu_opts_parse_keyval(argument, "guest");
    Config *config = parse->config;

    for (unsigned i = 0; i < opts->len; i++) {
        const QemuOpt *opt = opts->pdata[i];

        if (opt->text && strcmp(opt->key, "guest") == 0) {
            g_free(config->name);
            config->name = g_strdup(opt->text);
        } else if (opt->text && strcmp(opt->key, "process") == 0) {
            g_free(config->process);
            config->process = g_strdup(opt->text);
        } else if (opt->text && strcmp(opt->key, "debug-threads") == 0) {
            if (!apply_debug_threads(opt, parse->error)) {
                return OPTIONS_ERROR;
            }
        } else {
            g_set_error(parse->error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                        "Invalid parameter '%s'\naccepted: guest=NAME, "
                        "process=NAME, debug-threads=on|off", opt->key);
            return OPTIONS_ERROR;
        }
    }
    return OPTIONS_RUN;
}

static OptionsResult apply_duration(Parse *parse, const char *argument)
{
    char *end;
    double seconds;

    /* g_ascii_strtod() would also take signs, exponents, "inf" and "nan". */
    if (!argument[0] || argument[strspn(argument, "0123456789.")]) {
        return fail(parse, "Parameter 'duration' expects a number of seconds, "
                           "0 to run until interrupted");
    }
    seconds = g_ascii_strtod(argument, &end);
    if (*end) {
        return fail(parse, "Parameter 'duration' expects a number of seconds, "
                           "0 to run until interrupted");
    }
    if (seconds > DURATION_LIMIT_S) {
        g_set_error(parse->error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "Value '%s' is too large for parameter 'duration'\n"
                    "duration takes at most %d", argument, DURATION_LIMIT_S);
        return OPTIONS_ERROR;
    }
    /* Not 0, which would be for ever, unless it is. */
    parse->config->duration_given = true;
    parse->config->duration_ns = MAX((int64_t)(seconds * 1e9), seconds > 0);
    return OPTIONS_RUN;
}

static OptionsResult apply_load(Parse *parse, const char *argument)
{
    int64_t load = -1;
    int ret;

    if (strcmp(argument, "max") == 0) {
        parse->config->load = CONFIG_LOAD_MAX;
        return OPTIONS_RUN;
    }
    ret = property_parse_number(argument, &load);
    if (ret == -EINVAL || (ret == 0 && load < 0)) {
        return fail(parse, "Parameter 'load' expects a number of events, "
                           "groups of page requests or operations per second, "
                           "or 'max'");
    }
    if (ret < 0 || load > LOAD_LIMIT) {
        g_set_error(parse->error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "Value '%s' is too large for parameter 'load'\n"
                    "load takes at most %d, or 'max'", argument, LOAD_LIMIT);
        return OPTIONS_ERROR;
    }
    parse->config->load = load;
    return OPTIONS_RUN;
}

static OptionsResult apply_report(Parse *parse, const char *argument)
{
    if (!argument[0]) {
        return fail(parse, "Parameter 'report' expects a file name, or '-' "
                           "for stdout");
    }
    g_free(parse->config->report);
    parse->config->report = g_strdup(argument);
    return OPTIONS_RUN;
}

static OptionsResult apply_record(Parse *parse, const char *argument)
{
    if (!argument[0]) {
        return fail(parse, "Parameter 'record' expects a file name");
    }
    g_free(parse->config->record);
    parse->config->record = g_strdup(argument);
    return OPTIONS_RUN;
}

/* QEMU's, of which only what all its users need: on and off. */
static OptionsResult apply_sandbox(Parse *parse, const char *argument)
{
    static const Property property = {
        .name = "enable", .kind = PROPERTY_BOOL, .max = true,
        .accepts = "'on' or 'off'",
    };
    g_autoptr(QemuOpts) opts = qemu_opts_parse_keyval(argument, "enable");

    if (opts->len == 0) {
        return fail(parse, "Parameter 'enable' expects 'on' or 'off'");
    }
    for (unsigned i = 0; i < opts->len; i++) {
        const QemuOpt *opt = opts->pdata[i];

        if (strcmp(opt->key, "enable") != 0) {
            g_set_error(parse->error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                        "Invalid parameter '%s'\naccepted: on, off", opt->key);
            return OPTIONS_ERROR;
        }
        if (!property_set(&property, &parse->config->sandbox, "sandbox", opt,
                          parse->error)) {
            return OPTIONS_ERROR;
        }
    }
    return OPTIONS_RUN;
}

static OptionsResult apply_quiet(Parse *parse, const char *argument)
{
    parse->config->quiet = true;
    return OPTIONS_RUN;
}

static OptionsResult apply_version(Parse *parse, const char *argument)
{
    *parse->text = option_help_version();
    return OPTIONS_PRINT;
}

static OptionsResult apply_help(Parse *parse, const char *argument)
{
    *parse->text = option_help_program();
    return OPTIONS_PRINT;
}

static const Option options[] = {
    { "object", "TYPE,id=ID[,PROPERTY=VALUE]..., or help", apply_object },
    { "device", "DRIVER,id=ID[,PROPERTY=VALUE]..., or help", apply_device },
    { "name", "NAME[,process=NAME]", apply_name },
    { "duration", "SECONDS, 0 until interrupted", apply_duration },
    { "load", "events, groups of page requests or operations "
              "per second, or max", apply_load },
    { "report", "FILE, or - for stdout", apply_report },
    { "record", "FILE", apply_record },
    { "quiet", NULL, apply_quiet },
    { "sandbox", "on or off", apply_sandbox },
    { "version", NULL, apply_version },
    { "help", NULL, apply_help },
    { "h", NULL, apply_help },
    { "?", NULL, apply_help },
};

/* -opt and --opt are the same, as everywhere in QEMU. */
static const Option *find_option(const char *word)
{
    if (word[0] != '-') {
        return NULL;
    }
    word += word[1] == '-' ? 2 : 1;
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        if (strcmp(options[i].name, word) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

#define ACCEPTED                                                          \
    "\naccepted: -object, -device, -name, -duration, -load, -report, "    \
    "-record, -quiet, -sandbox, -version, -help"

/* In quotes, what may be nothing, or a blank. */
static OptionsResult fail_option(Parse *parse, const char *word)
{
    g_set_error(parse->error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                word[0] == '-' ? "%s: invalid option" ACCEPTED
                               : "'%s': unexpected argument" ACCEPTED, word);
    return OPTIONS_ERROR;
}

OptionsResult options_parse(int argc, char **argv, Config *config, char **text,
                            GError **error)
{
    Parse parse = { config, text, error };

    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        const Option *option = find_option(word);
        const char *argument = NULL;
        OptionsResult result;

        if (!option) {
            return fail_option(&parse, word);
        }
        if (option->argument) {
            argument = argv[++i];
            if (i == argc) {
                g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                            "%s: requires an argument: %s", word,
                            option->argument);
                return OPTIONS_ERROR;
            }
        }
        result = option->apply(&parse, argument);
        if (result == OPTIONS_ERROR) {
            g_prefix_error(error, "-%s %s: ", option->name, argument);
        }
        if (result != OPTIONS_RUN) {
            return result;
        }
    }
    return config_complete(config, error) ? OPTIONS_RUN : OPTIONS_ERROR;
}
