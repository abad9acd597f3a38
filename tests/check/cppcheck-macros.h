/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cppcheck reads no system headers: macros of theirs that it has to know. */
#define G_DEFINE_QUARK(name, function)
#define G_GNUC_PRINTF(format, arguments)
#define G_DEFINE_AUTOPTR_CLEANUP_FUNC(type, function)
#define G_DEFINE_AUTO_CLEANUP_FREE_FUNC(type, function, none)
#define cds_list_for_each_entry(at, list, member) \
    for (at = any_of(list); at; at = any_of(at))
#define cds_hlist_for_each_entry_2(at, list, member) \
    for (at = any_of(list); at; at = any_of(at))
#define cds_hlist_for_each_entry_safe_2(at, next, list, member) \
    for (at = any_of(list), next = any_of(at); at; at = next, next = any_of(at))
#define G_GINT64_FORMAT "li"
#define G_GUINT64_FORMAT "lu"
#define G_GINT64_MODIFIER "l"
#define VPUMP_VERSION "0"
