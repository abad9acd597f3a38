# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Sourced after kernel-image.sh: an emulated machine with the test kernel, in
# which tests/host/guest-init runs what a list says. Who sources this sets
# guest_dir, the folder for all that belongs to a run, and guest_seconds, which
# end it; it may set guest_append, of the kernel's command line.
# shellcheck disable=SC2034,SC2154  # used by, and set by, those around it

readonly guest_packages=(qemu-system-x86 busybox-static cpio python3)
readonly guest_root=$guest_dir/rootfs

# guest_install_libraries PROGRAM: what it is linked with, at the same places
guest_install_libraries()
{
    local library

    while read -r library; do
        [[ -e $guest_root$library ]] ||
            install -D -m 755 -- "$library" "$guest_root$library"
    done < <(ldd -- "$1" | grep -o '/[^ ]*')
}

# guest_install BUILD PROGRAM: by its path in build/BUILD, with its libraries
guest_install()
{
    install -D -m 755 -- "$top/build/$1/$2" "$guest_root/programs/$2"
    guest_install_libraries "$top/build/$1/$2"
}

# guest_new: busybox, and what it starts; nothing of an earlier run is left
guest_new()
{
    rm -rf -- "$guest_root"
    mkdir -p -- "$guest_root/bin"
    rm -f -- "$guest_dir"/{testlog.json,{console,output}.log,qemu-status}
    install -m 755 -- /bin/busybox "$guest_root/bin/busybox"
    install -m 755 -- "$top/tests/host/guest-init" "$guest_root/init"
}

# guest_pack: make the initramfs
guest_pack()
{
    (cd -- "$guest_root" && find . | cpio --quiet -o -H newc -R 0:0) |
        gzip -1 >"$guest_dir/initramfs"
    rm -rf -- "$guest_root"
}

# guest_run: the second serial port comes out here
guest_run()
{
    cd -- "$guest_dir" || return
    setpriv --pdeathsig TERM \
        timeout --foreground --kill-after=10 "$guest_seconds" \
        qemu-system-x86_64 -accel tcg,thread=multi -machine q35 -cpu max \
        -smp 2 -m 1024 -nodefaults -no-user-config -display none -no-reboot \
        -device amd-iommu -device edu \
        -chardev file,id=console,path=console.log -serial chardev:console \
        -chardev stdio,id=results,signal=off -serial chardev:results \
        -kernel "$image" -initrd initramfs \
        -append "console=ttyS0 panic=-1 no_timer_check rcupdate.rcu_cpu_stall_suppress=1 ${guest_append-}" \
        </dev/null
}

# guest_results COMMAND: what COMMAND and the guest print, taken apart; and
# what is to be seen if the guest did not end well
guest_results()
{
    local status=0

    {
        "$1"
        guest_run || status=$?
        echo "$status" >"$guest_dir/qemu-status"
    } | tee -- "$guest_dir/output.log" |
        /usr/bin/python3 "$top/scripts/guest-results.py" "$guest_dir"
    status=$(<"$guest_dir/qemu-status")
    ((status == 0)) && grep -q '^GUEST-EXIT' "$guest_dir/output.log" && return
    if ((status == 124 || status == 137)); then
        say "the guest has not ended within $guest_seconds s"
    else
        say "the guest has not ended as it should: QEMU's exit status $status"
    fi
    say "the last of its console, ${guest_dir#"$top/"}/console.log:"
    tail -n 30 -- "$guest_dir/console.log" >&2 || true
    return 1
}
