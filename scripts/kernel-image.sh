# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Sourced after prepare.sh: where to get a Linux that has iommufd and the
# driver that mocks an IOMMU for it. No distribution's kernel has that driver,
# so it is built from Debian's source package, once.
# shellcheck disable=SC2034,SC2154  # used by, and set by, those around it

readonly kernel_dir=$top/build/kernel
readonly kernel_config=$top/tests/host/kernel.config
readonly kernel_packages=(build-essential bc bison flex libelf-dev libssl-dev
                          python3 xz-utils)
# The first Linux whose iommufd has all that is tested.
readonly kernel_oldest=7.3

# kernel_apt SUITE COMMAND...: apt with lists and cache below build/kernel; of
# the system it uses the keys and the proxy, and changes nothing.
kernel_apt()
{
    local apt=$kernel_dir/apt-$1
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg

    mkdir -p -- "$apt/lists/partial" "$apt/cache/archives/partial" || return
    printf 'deb [signed-by=%s] %s %s main\n' \
           "$keyring" "$(debian_mirror)" "$1" >"$apt/sources.list"
    "$2" -q -o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt/cache" \
        -o Dir::Etc::SourceList="$apt/sources.list" \
        -o Dir::Etc::SourceParts=/dev/null -o Dir::State::status=/dev/null \
        -o APT::Sandbox::User="$(id -un)" -o APT::Architecture=amd64 "${@:3}"
}

# newest_source SUITE: print the newest linux-source-7.* that will do
newest_source()
{
    local version

    quietly kernel_apt "$1" apt-get update || return
    version=$(kernel_apt "$1" apt-cache pkgnames linux-source-7. |
              sed -n 's/^linux-source-\(7\.[0-9]*\)$/\1/p' | sort -V | tail -n 1)
    [[ $version && $(printf '%s\n' "$kernel_oldest" "$version" | sort -V |
                     head -n 1) == "$kernel_oldest" ]] &&
        echo "linux-source-$version"
}

# fetch_source FOLDER: the package's archive of the source, unpacked into it
# Of the stable release's backports, or where those have moved on to.
fetch_source()
{
    local suite package=

    for suite in trixie-backports forky sid; do
        if package=$(newest_source "$suite"); then
            break
        fi
    done
    [[ $package ]] || {
        say "no linux-source-7.* from $kernel_oldest on at $(debian_mirror):" \
            "name a mirror by DEBIAN_MIRROR, or an image by VPUMP_TEST_KERNEL"
        return 1
    }
    say "fetching $package of $suite: some 160 MB"
    (cd -- "$1" && quietly kernel_apt "$suite" apt-get download "$package") &&
        kernel_source=$(basename -- "$1"/linux-source-*.deb .deb) &&
        dpkg-deb --fsys-tarfile "$1"/linux-source-*.deb |
            tar --extract --directory="$1" --wildcards '*/linux-source-*.tar.xz' &&
        tar --extract --directory="$1" --strip-components=1 \
            --file "$1"/usr/src/linux-source-*.tar.xz
}

# kernel_make FOLDER ARGUMENT...: in an environment that is not the user's
kernel_make()
{
    env -i PATH="$PATH" HOME=/nonexistent LC_ALL=C \
        make -C "$1" ARCH=x86_64 "${@:2}" >>"$kernel_dir/build.log" 2>&1
}

# What an image was built from; the first line is for people.
kernel_stamp()
{
    printf '%s\n' "$1"
    sha256sum <"$kernel_config"
}

# compile_source FOLDER: its bzImage
compile_source()
{
    cp -- "$kernel_config" "$1/tests.config"
    : >"$kernel_dir/build.log"
    kernel_make "$1" KCONFIG_ALLCONFIG="$1/tests.config" allnoconfig &&
        kernel_make "$1" -j"$(nproc)" bzImage && return
    tail -n 30 -- "$kernel_dir/build.log" >&2
    say "the kernel does not build: see $kernel_dir/build.log"
    return 1
}

# build_image: make build/kernel/bzImage
# Elsewhere than below build/: Linux does not build where a path has a space.
build_image()
{
    local start=$SECONDS kernel_source

    require_packages "${kernel_packages[@]}"
    mkdir -p -- "$kernel_dir"
    kernel_work=$(mktemp -d /var/tmp/vpump-kernel.XXXXXX)
    trap 'rm -rf -- "$kernel_work"' EXIT
    fetch_source "$kernel_work" || return
    say "building $kernel_source for the tests, once: some 10 to 15 minutes"
    compile_source "$kernel_work" || return
    mv -- "$kernel_work/arch/x86/boot/bzImage" "$kernel_dir/bzImage"
    kernel_stamp "$kernel_source" >"$kernel_dir/built-from"
    rm -rf -- "$kernel_work" "$kernel_dir"/apt-*
    trap - EXIT
    say "built in $((SECONDS - start)) s"
}

# image_is_built: is there one, of this configuration?
image_is_built()
{
    local name

    [[ -f $kernel_dir/bzImage && -f $kernel_dir/built-from ]] &&
        read -r name <"$kernel_dir/built-from" &&
        [[ $(kernel_stamp "$name") == "$(<"$kernel_dir/built-from")" ]]
}

# find_image: set image and image_name, if one is at hand without building
find_image()
{
    local offered

    if [[ ${VPUMP_TEST_KERNEL:-} ]]; then
        [[ -f $VPUMP_TEST_KERNEL && -r $VPUMP_TEST_KERNEL ]] ||
            die "VPUMP_TEST_KERNEL: no bzImage at '$VPUMP_TEST_KERNEL'"
        image=$VPUMP_TEST_KERNEL image_name=$VPUMP_TEST_KERNEL
        return
    fi
    for offered in "$top"/../shared/kernel/bzImage-*-iommufd; do
        if [[ -r $offered ]]; then
            image=$offered image_name=${offered#"$top"/}
            return
        fi
    done
    image_is_built || return
    image=$kernel_dir/bzImage
    image_name="build/kernel/bzImage of $(head -n 1 "$kernel_dir/built-from")"
}

# require_image: the same, and build one if there is none
require_image()
{
    find_image && return
    case $(uname -m) in
    x86_64) ;;
    *) die "the test kernel is one for x86_64, this machine is $(uname -m)" ;;
    esac
    build_image && find_image
}
