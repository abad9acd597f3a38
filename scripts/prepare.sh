# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Sourced by the scripts beside it: get the Debian packages, configure and
# build. Nothing here writes to standard output, which belongs to the caller.

top=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
readonly top

# The minimum; the names are those of Debian 12 and 13.
# shellcheck disable=SC2034  # used by those who source this
readonly build_packages=(gcc libc6-dev meson ninja-build pkgconf
                         libglib2.0-dev liburcu-dev libjson-glib-dev
                         zlib1g-dev libseccomp-dev)
# llvm-19 has the symbolizer, without which a race report names no line.
# shellcheck disable=SC2034
readonly tsan_packages=(clang-19 libclang-rt-19-dev llvm-19)

say()
{
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die()
{
    say "$@"
    exit 1
}

# Say nothing unless it fails.
quietly()
{
    local log

    log=$("$@" 2>&1) || {
        printf '%s\n' "$log" >&2
        return 1
    }
}

# missing_packages PACKAGE...: print them on one line
missing_packages()
{
    local known package

    known=$(dpkg-query --show --showformat '${Package} ${db:Status-Status}\n' \
                "$@" 2>/dev/null) || true
    for package; do
        grep -qxF -- "$package installed" <<<"$known" || printf '%s ' "$package"
    done
}

# may_sudo: with a password only if there is somebody to type it
may_sudo()
{
    command -v sudo >/dev/null || return 1
    sudo -n true 2>/dev/null || { [[ -t 0 ]] && sudo -v; }
}

# require_packages PACKAGE...
# No network is touched, and no root asked for, unless one is missing.
require_packages()
{
    local -a missing as_root=()
    local apt=(env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
               apt-get -q -y -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0)
    local root_shell='su - -c'

    if ! command -v dpkg-query >/dev/null; then
        say "not a Debian system, so packages are not checked; needed: $*"
        return
    fi
    read -ra missing <<<"$(missing_packages "$@")"
    ((${#missing[@]})) || return 0

    if ((EUID != 0)); then
        if may_sudo; then
            as_root=(sudo)
        else
            if command -v sudo >/dev/null; then
                root_shell='sudo sh -c'
            fi
            say 'packages are missing, and installing them takes root; type:'
            printf '%s "apt-get update && apt-get install -y %s %s"\n' \
                   "$root_shell" --no-install-recommends "${missing[*]}" >&2
            exit 1
        fi
    fi
    say "installing ${missing[*]}"
    "${as_root[@]}" "${apt[@]}" update >&2 ||
        say 'some package lists are not up to date; trying with what is there'
    "${as_root[@]}" "${apt[@]}" install --no-install-recommends \
        "${missing[@]}" >&2 ||
        die "these packages could not be installed: ${missing[*]}"
}

# debian_mirror: print $DEBIAN_MIRROR, or which one serves this machine's own
# release, if it is a Debian.
debian_mirror()
{
    local release uri name

    if [[ ${DEBIAN_MIRROR:-} ]]; then
        echo "$DEBIAN_MIRROR"
        return
    fi
    # shellcheck source=/dev/null
    release=$(. /etc/os-release && echo "$ID ${VERSION_CODENAME:-}") || true
    # shellcheck disable=SC2016  # apt-get expands these, not the shell
    while read -r uri name; do
        if [[ "debian $name" == "$release" ]]; then
            echo "$uri"
            return
        fi
    done < <(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' \
                 'Created-By: Packages' 2>/dev/null)
    echo http://deb.debian.org/debian
}

# Sanitizers' runtimes may not start, or hang, under the address space
# randomisation of some kernels: this goes before the program. Where switching
# it off is forbidden (some containers), it is tried as it is.
fixed_addresses=(setarch --addr-no-randomize)
"${fixed_addresses[@]}" true 2>/dev/null || fixed_addresses=()

# build NAME COMPILER MESON_OPTION... [-- TARGET...]
# Make build/NAME, or what is named of it, what the sources say. It is
# configured afresh when the options, the compiler or the path changed.
build()
{
    local dir=$top/build/$1 compiler=$2 version stamp
    local -a options=()
    local -x CC=$2 LC_ALL=C.UTF-8

    shift 2
    while (($#)) && [[ $1 != -- ]]; do
        options+=("$1")
        shift
    done
    version=$("$compiler" --version) || return
    stamp="${version%%$'\n'*} in $top: ${options[*]}"
    if [[ ! -f $dir/build.ninja ||
          $(cat -- "$dir/configured-as" 2>/dev/null) != "$stamp" ]]; then
        say "configuring and building ${dir#"$top/"}"
        rm -rf -- "$dir"
        quietly meson setup "${options[@]}" -- "$dir" "$top" || return
        printf '%s\n' "$stamp" >"$dir/configured-as"
    fi
    quietly ninja --quiet -C "$dir" "${@:2}"
}
