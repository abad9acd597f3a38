# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Sourced after prepare.sh: the set-ups that tests run in. docs/testing.md says
# what each is for; their environment is in tests/meson.build.

# Behind whatever symbolizer comes first already.
export PATH=$PATH:/usr/lib/llvm-19/bin

# require_setups SETUP...: their packages
require_setups()
{
    local -a packages=("${build_packages[@]}")

    if [[ " $* " == *' tsan '* ]]; then
        packages+=("${tsan_packages[@]}")
    fi
    require_packages "${packages[@]}"
}

# build_setup SETUP [TARGET...]
build_setup()
{
    local -a targets=(-- "${@:2}")

    case $1 in
    plain) build plain gcc "${targets[@]}" ;;
    asan) build asan gcc -Db_sanitize=address,undefined "${targets[@]}" ;;
    tsan) build tsan clang-19 -Db_sanitize=thread "${targets[@]}" ;;
    esac
}
