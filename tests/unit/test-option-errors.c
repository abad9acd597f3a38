/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the command line refuses, to the letter: each message names the option,
 * the value and what is accepted.
 */
#include "command-line.h"

#include "base/error.h"

#define S "arm-smmuv3,id=s0"
#define HOST "-object", "iommufd-emulated,id=h0"
#define KERNEL "-object", "iommufd,id=k0"
#define ID_HINT                                                          \
    "\nIdentifiers consist of letters, digits, '-', '.', '_', starting " \
    "with a letter."
#define OPTION_HINT                                                     \
    "\naccepted: -object, -device, -name, -duration, -load, -report, "  \
    "-record, -quiet, -sandbox, -version, -help"
#define OBJECT_HINT \
    "\naccepted: iommufd, iommufd-emulated, iommufd-replay, iothread"
#define DEVICE_HINT \
    "\naccepted: arm-smmuv3, emulated-pci, intel-iommu, iommufd-mock, "  \
    "sva-device, vfio-pci"
#define V "intel-iommu,id=v0"
#define VTD_HINT                                                         \
    "\naccepted: aw-bits, caching-mode, device-iotlb, fs1gp, fsts, id, " \
    "iothread, pasid-bits, pt, scalable-mode, svm, x-flts, "             \
    "x-pasid-mode, x-scalable-mode"
#define PCI_VIOMMU_HINT \
    "\nviommu takes the id of an arm-smmuv3 or intel-iommu"
#define SVM_HINT                                                  \
    "\nviommu takes an intel-iommu with svm=on: its devices ask " \
    "for pages"
#define NAME_HINT \
    "\naccepted: guest=NAME, process=NAME, debug-threads=on|off"
#define SMMU_HINT                                                        \
    "\naccepted: accel, ats, eventq-log2size, id, iothread, msi, oas, "  \
    "pri, priq-log2size, ril, ssidsize"

static const struct {
    Words words;
    const char *message;
} cases[] = {
    /* options */
    { { { "-foo" } }, "-foo: invalid option" OPTION_HINT },
    { { { "--foo" } }, "--foo: invalid option" OPTION_HINT },
    { { { "---load" } }, "---load: invalid option" OPTION_HINT },
    { { { "-" } }, "-: invalid option" OPTION_HINT },
    { { { "--" } }, "--: invalid option" OPTION_HINT },
    { { { "disk.img" } }, "'disk.img': unexpected argument" OPTION_HINT },
    { { { "" } }, "'': unexpected argument" OPTION_HINT },
    { { { "-load" } },
      "-load: requires an argument: events, groups of page requests or "
      "operations per second, or max" },
    { { { "-quiet", "--device" } },
      "--device: requires an argument: DRIVER,id=ID[,PROPERTY=VALUE]..., or "
      "help" },
    { { { "-object" } },
      "-object: requires an argument: TYPE,id=ID[,PROPERTY=VALUE]..., or "
      "help" },
    { { { "-name" } }, "-name: requires an argument: NAME[,process=NAME]" },
    { { { "-duration" } },
      "-duration: requires an argument: SECONDS, 0 until interrupted" },
    { { { "-report" } },
      "-report: requires an argument: FILE, or - for stdout" },
    { { { "--load=5" } }, "--load=5: invalid option" OPTION_HINT },
    /* types */
    { { { "-object", "foo" } },
      "-object foo: Parameter 'qom-type' does not accept value 'foo'\n"
      "accepted: iommufd, iommufd-emulated, iommufd-replay, iothread" },
    { { { "-object", "arm-smmuv3,id=a" } },
      "-object arm-smmuv3,id=a: Parameter 'qom-type' does not accept "
      "value 'arm-smmuv3'\naccepted: iommufd, iommufd-emulated, "
      "iommufd-replay, iothread" },
    { { { "-device", "foo" } },
      "-device foo: 'foo' is not a valid device model name"
      DEVICE_HINT },
    { { { "--device", "foo,help" } },
      "-device foo,help: 'foo' is not a valid device model name"
      DEVICE_HINT },
    { { { "-device", "" } },
      "-device : Parameter 'driver' is missing" DEVICE_HINT },
    { { { "-device", "id=x" } },
      "-device id=x: Parameter 'driver' is missing" DEVICE_HINT },
    { { { "-object", "id=x" } },
      "-object id=x: Parameter 'qom-type' is missing" OBJECT_HINT },
    { { { "-device", "x,driver" } },
      "-device x,driver: Parameter 'driver' is missing" DEVICE_HINT },
    /* ids */
    { { { "-device", "arm-smmuv3" } },
      "-device arm-smmuv3: Parameter 'id' is missing\naccepted: id=NAME" },
    { { { "-object", "iothread" } },
      "-object iothread: Parameter 'id' is missing\naccepted: id=NAME" },
    { { { "-object", "iothread,id=" } },
      "-object iothread,id=: Parameter 'id' expects an identifier"
      ID_HINT },
    { { { "-object", "iothread,id=1a" } },
      "-object iothread,id=1a: Parameter 'id' expects an identifier"
      ID_HINT },
    { { { "-device", "arm-smmuv3,id=a/b" } },
      "-device arm-smmuv3,id=a/b: Parameter 'id' expects an identifier"
      ID_HINT },
    { { { "-device", "arm-smmuv3,id=a,,b" } },
      "-device arm-smmuv3,id=a,,b: Parameter 'id' expects an identifier"
      ID_HINT },
    { { { "-object", "iothread,id=a", "-object", "iothread,id=a" } },
      "-object iothread,id=a: Duplicate ID 'a' for object" },
    { { { "-object", "iothread,id=a", "-object",
          "iommufd-emulated,id=a" } },
      "-object iommufd-emulated,id=a: Duplicate ID 'a' for object" },
    { { { "-device", S, "-device", S ",ats=on" } },
      "-device " S ",ats=on: Duplicate ID 's0' for device" },
    { { { "-object", "iothread,id=s0-iothread", "-device", S } },
      "-device " S ": Duplicate ID 's0-iothread' for object\n"
      "without iothread= it makes an iothread of that name" },
    { { { "-object", "iothread,id=smmu0-iothread" } },
      "default machine: Duplicate ID 'smmu0-iothread' for object\n"
      "choose another id, or give -device" },
    /* keys */
    { { { "-device", S ",foo=1" } },
      "-device " S ",foo=1: Property 'arm-smmuv3.foo' not found"
      SMMU_HINT },
    { { { "-device", S ",foo" } },
      "-device " S ",foo: Property 'arm-smmuv3.foo' not found" SMMU_HINT },
    { { { "-device", S ",=1" } },
      "-device " S ",=1: Property 'arm-smmuv3.' not found" SMMU_HINT },
    { { { "-object", "iothread,id=a,poll-weight=1" } },
      "-object iothread,id=a,poll-weight=1: Property "
      "'iothread.poll-weight' not found\n"
      "accepted: id, poll-grow, poll-max-ns, poll-shrink" },
    { { { "-object", "iothread,id=a,poll-grow" } },
      "-object iothread,id=a,poll-grow: Expected '=' after parameter "
      "'poll-grow'\n"
      "poll-grow takes a number from 0 to 9223372036854775807" },
    { { { "-object", "iothread,id=a,foo" } },
      "-object iothread,id=a,foo: Expected '=' after parameter 'foo'\n"
      "accepted: id, poll-grow, poll-max-ns, poll-shrink" },
    /* booleans */
    { { { "-device", S ",msi=maybe" } },
      "-device " S ",msi=maybe: Parameter 'msi' expects 'on' or 'off'" },
    { { { "-device", S ",msi=" } },
      "-device " S ",msi=: Parameter 'msi' expects 'on' or 'off'" },
    { { { "-device", S ",msi=auto" } },
      "-device " S ",msi=auto: Parameter 'msi' expects 'on' or 'off'" },
    { { { "-device", S ",msi=ON" } },
      "-device " S ",msi=ON: Parameter 'msi' expects 'on' or 'off'" },
    { { { "-device", S ",ats=1" } },
      "-device " S ",ats=1: Parameter 'ats' expects 'on', 'off' or "
      "'auto'" },
    { { { "-device", S ",accel=off" } },
      "-device " S ",accel=off: Property 'arm-smmuv3.accel' doesn't take "
      "value 'off'\naccel takes 'on': stage 1 is always run by the host" },
    /* numbers */
    { { { "-object", "iothread,id=a,poll-max-ns=x" } },
      "-object iothread,id=a,poll-max-ns=x: Parameter 'poll-max-ns' "
      "expects a number from 0 to 9223372036854775807" },
    { { { "-object", "iothread,id=a,poll-max-ns=-1" } },
      "-object iothread,id=a,poll-max-ns=-1: poll-max-ns value must be in "
      "range [0, 9223372036854775807]" },
    { { { "-object", "iothread,id=a,poll-grow=9223372036854775808" } },
      "-object iothread,id=a,poll-grow=9223372036854775808: Value "
      "'9223372036854775808' is too large for parameter 'poll-grow'\n"
      "poll-grow takes a number from 0 to 9223372036854775807" },
    { { { "-object", "iothread,id=a,poll-shrink=1 " } },
      "-object iothread,id=a,poll-shrink=1 : Parameter 'poll-shrink' "
      "expects a number from 0 to 9223372036854775807" },
    { { { "-device", S ",oas=45" } },
      "-device " S ",oas=45: Property 'arm-smmuv3.oas' doesn't take value "
      "'45'\noas takes 44, 48 or 'auto'" },
    { { { "-device", S ",oas=52" } },
      "-device " S ",oas=52: Property 'arm-smmuv3.oas' doesn't take value "
      "'52'\noas takes 44, 48 or 'auto'" },
    { { { "-device", S ",oas=big" } },
      "-device " S ",oas=big: Parameter 'oas' expects 44, 48 or 'auto'" },
    { { { "-device", S ",ssidsize=21" } },
      "-device " S ",ssidsize=21: ssidsize value must be in range "
      "[0, 20]" },
    { { { "-device", S ",ssidsize=0x" } },
      "-device " S ",ssidsize=0x: Parameter 'ssidsize' expects a number "
      "from 0 to 20, or 'auto'" },
    { { { "-device", S ",eventq-log2size=20" } },
      "-device " S ",eventq-log2size=20: eventq-log2size value must be in "
      "range [0, 19]" },
    { { { "-device", S ",ats=on,pri=on,priq-log2size=20" } },
      "-device " S ",ats=on,pri=on,priq-log2size=20: priq-log2size value must "
      "be in range [0, 19]" },
    { { { "-device", S ",pri=on" } },
      "-device " S ",pri=on: Need to set ats for pri\n"
      "give ats=on, or pri=off" },
    /* links */
    { { { "-device", S ",iothread=io0" } },
      "-device " S ",iothread=io0: Device 'io0' not found\n"
      "iothread takes the id of an iothread" },
    { { { "-device", S ",iothread=" } },
      "-device " S ",iothread=: Device '' not found\n"
      "iothread takes the id of an iothread" },
    { { { "-device", S, "-device", "arm-smmuv3,id=s1,"
          "iothread=s0-iothread" } },
      "-device arm-smmuv3,id=s1,iothread=s0-iothread: Device "
      "'s0-iothread' not found\niothread takes the id of an iothread" },
    { { { HOST, "-device", S ",iothread=h0" } },
      "-device " S ",iothread=h0: Invalid parameter type for 'iothread', "
      "expected: iothread\n'h0' is an iommufd-emulated" },
    { { { HOST, "-device", "emulated-pci,id=d0,iommufd=h0,viommu=s0" } },
      "-device emulated-pci,id=d0,iommufd=h0,viommu=s0: Device 's0' not "
      "found" PCI_VIOMMU_HINT },
    { { { HOST, "-device", "emulated-pci,id=d0,iommufd=h0" } },
      "-device emulated-pci,id=d0,iommufd=h0: Parameter 'viommu' is "
      "missing" PCI_VIOMMU_HINT },
    { { { "-device", S, "-device", "emulated-pci,id=d0,viommu=s0" } },
      "-device emulated-pci,id=d0,viommu=s0: Parameter 'iommufd' is "
      "missing\niommufd takes the id of an iommufd-emulated or "
      "iommufd-replay" },
    { { { "-device", S, "-device",
          "emulated-pci,id=d0,viommu=s0,iommufd=h9" } },
      "-device emulated-pci,id=d0,viommu=s0,iommufd=h9: Device 'h9' not "
      "found\niommufd takes the id of an iommufd-emulated or "
      "iommufd-replay" },
    { { { HOST, "-device", "emulated-pci,id=d0,viommu=d0,iommufd=h0" } },
      "-device emulated-pci,id=d0,viommu=d0,iommufd=h0: Invalid parameter "
      "type for 'viommu', expected: arm-smmuv3 or intel-iommu\n"
      "'d0' is an emulated-pci" },
    { { { HOST, "-object", "iommufd-emulated,id=h1", "-device", S,
          "-device", "emulated-pci,id=d0,viommu=s0,iommufd=h0",
          "-device", "emulated-pci,id=d1,viommu=s0,iommufd=h1" } },
      "-device emulated-pci,id=d1,viommu=s0,iommufd=h1: Property "
      "'emulated-pci.iommufd' doesn't take value 'h1'\n"
      "'d0' behind the same arm-smmuv3 has 'h0'" },
    { { { HOST, "-device", S,
          "-device", "emulated-pci,id=d0,viommu=s0,iommufd=h0,sid=7",
          "-device", "emulated-pci,id=d1,viommu=s0,iommufd=h0,sid=7" } },
      "-device emulated-pci,id=d1,viommu=s0,iommufd=h0,sid=7: Property "
      "'emulated-pci.sid' doesn't take value '7'\n"
      "'d0' behind the same arm-smmuv3 has it" },
    { { { HOST, "-device",
          "emulated-pci,id=d0,viommu=s0,iommufd=h0,sid=65536" } },
      "-device emulated-pci,id=d0,viommu=s0,iommufd=h0,sid=65536: sid "
      "value must be in range [0, 65535]" },
    /* intel-iommu */
    { { { "-device", V ",foo=1" } },
      "-device " V ",foo=1: Property 'intel-iommu.foo' not found" VTD_HINT },
    { { { "-device", V ",scalable-mode=off" } },
      "-device " V ",scalable-mode=off: Property 'intel-iommu.scalable-mode' "
      "doesn't take value 'off'\n"
      "scalable-mode takes 'on': there is no legacy mode" },
    { { { "-device", V ",x-scalable-mode=off" } },
      "-device " V ",x-scalable-mode=off: Property "
      "'intel-iommu.x-scalable-mode' doesn't take value 'off'\n"
      "x-scalable-mode takes 'on': there is no legacy mode" },
    { { { "-device", V ",fsts=no" } },
      "-device " V ",fsts=no: Property 'intel-iommu.fsts' doesn't take value "
      "'off'\nfsts takes 'on': translation is always first-stage" },
    { { { "-device", V ",x-flts=modern" } },
      "-device " V ",x-flts=modern: Parameter 'x-flts' expects 'on': "
      "translation is always first-stage" },
    { { { "-device", V ",aw-bits=39" } },
      "-device " V ",aw-bits=39: Property 'intel-iommu.aw-bits' doesn't take "
      "value '39'\naw-bits takes 48" },
    { { { "-device", V ",pasid-bits=21" } },
      "-device " V ",pasid-bits=21: pasid-bits value must be in range "
      "[0, 20]" },
    { { { "-device", V ",device-iotlb=off" } },
      "-device " V ",device-iotlb=off: Need to set device IOTLB for svm\n"
      "give device-iotlb=on, or svm=off" },
    { { { "-device", V ",svm=on,pasid-bits=0" } },
      "-device " V ",svm=on,pasid-bits=0: Need to set PASID support for svm\n"
      "give pasid-bits=20, or svm=off" },
    { { { "-device", V ",x-pasid-mode=off" } },
      "-device " V ",x-pasid-mode=off: Need to set PASID support for svm\n"
      "give pasid-bits=20, or svm=off" },
    { { { "-device", V ",iothread=io0" } },
      "-device " V ",iothread=io0: Device 'io0' not found\n"
      "iothread takes the id of an iothread" },
    { { { "-object", "iothread,id=v0-iothread", "-device", V } },
      "-device " V ": Duplicate ID 'v0-iothread' for object\n"
      "without iothread= it makes an iothread of that name" },
    { { { HOST, "-device", V ",svm=off",
          "-device", "emulated-pci,id=d0,viommu=v0,iommufd=h0" } },
      "-device emulated-pci,id=d0,viommu=v0,iommufd=h0: Property "
      "'emulated-pci.viommu' doesn't take value 'v0'" SVM_HINT },
    { { { HOST, "-object", "iommufd-emulated,id=h1", "-device", V,
          "-device", "sva-device,id=a,viommu=v0",
          "-device", "emulated-pci,id=d0,viommu=v0,iommufd=h0",
          "-device", "emulated-pci,id=d1,viommu=v0,iommufd=h1" } },
      "-device emulated-pci,id=d1,viommu=v0,iommufd=h1: Property "
      "'emulated-pci.iommufd' doesn't take value 'h1'\n"
      "'d0' behind the same intel-iommu has 'h0'" },
    /* iommufd, iommufd-mock */
    { { { "-object", "iommufd,id=k,fd=net" } },
      "-object iommufd,id=k,fd=net: Property 'iommufd.fd' doesn't take value "
      "'net'\nfd takes the number of a file descriptor" },
    { { { "-object", "iommufd-replay,id=r" } },
      "-object iommufd-replay,id=r: Parameter 'file' is missing\n"
      "file takes the name of a recording, as -record makes it" },
    { { { "-object", "iommufd-replay,id=r,file=f,speed=2" } },
      "-object iommufd-replay,id=r,file=f,speed=2: Property "
      "'iommufd-replay.speed' doesn't take value '2'\n"
      "speed takes 'recorded' or 'max'" },
    { { { "-sandbox", "" } },
      "-sandbox : Parameter 'enable' expects 'on' or 'off'" },
    { { { "-sandbox", "maybe" } },
      "-sandbox maybe: Parameter 'enable' expects 'on' or 'off'" },
    { { { "-sandbox", "on,spawn=deny" } },
      "-sandbox on,spawn=deny: Invalid parameter 'spawn'\naccepted: on, off" },
    { { { "-record", "" } },
      "-record : Parameter 'record' expects a file name" },
    { { { "-record", "a", "-object", "iommufd-replay,id=r,file=f" } },
      "-record a: 'r' plays a recording\n"
      "what it delivers is in a file already: leave -record or the "
      "iommufd-replay out" },
    { { { "-object", "iommufd,id=k,fd=-1" } },
      "-object iommufd,id=k,fd=-1: Property 'iommufd.fd' doesn't take value "
      "'-1'\nfd takes the number of a file descriptor" },
    { { { "-object", "iommufd,id=k,path=" } },
      "-object iommufd,id=k,path=: Property 'iommufd.path' doesn't take value "
      "''\npath takes the path of a character device, as /dev/iommu" },
    { { { "-object", "iommufd,id=k,fd=3,path=/dev/iommu" } },
      "-object iommufd,id=k,fd=3,path=/dev/iommu: 'fd' and 'path' exclude "
      "each other\nfd is a device that is open already: leave path out" },
    { { { "-object", "{\"qom-type\":\"iommufd\",\"id\":\"k\",\"fd\":3}" } },
      "-object {\"qom-type\":\"iommufd\",\"id\":\"k\",\"fd\":3}: Invalid "
      "parameter type for 'fd', expected: string" },
    { { { KERNEL, "-device", S,
          "-device", "emulated-pci,id=d0,viommu=s0,iommufd=k0" } },
      "-device emulated-pci,id=d0,viommu=s0,iommufd=k0: Invalid parameter "
      "type for 'iommufd', expected: iommufd-emulated or iommufd-replay\n"
      "'k0' is an iommufd" },
    { { { "-device", S, "-device", "iommufd-mock,id=d0,viommu=s0" } },
      "-device iommufd-mock,id=d0,viommu=s0: Parameter 'iommufd' is missing\n"
      "iommufd takes the id of an iommufd or iommufd-emulated" },
    { { { KERNEL, "-device", S,
          "-device", "iommufd-mock,id=d0,viommu=s0,iommufd=k0,sid=0" } },
      "-device iommufd-mock,id=d0,viommu=s0,iommufd=k0,sid=0: Property "
      "'iommufd-mock.sid' doesn't take value '0'\n"
      "the kernel's mock driver reports no events of StreamID 0: sid takes a "
      "number from 1 to 65535" },
    { { { HOST, "-device", S, "-device", V,
          "-device", "emulated-pci,id=d0,viommu=s0,iommufd=h0",
          "-device", "iommufd-mock,id=d1,viommu=v0,iommufd=h0" } },
      "-device iommufd-mock,id=d1,viommu=v0,iommufd=h0: Property "
      "'iommufd-mock.iommufd' doesn't take value 'h0'\n"
      "'d0' of the same host is an emulated-pci: give this one a host of its "
      "own" },
    { { { HOST, KERNEL, "-device", S,
          "-device", "emulated-pci,id=d0,viommu=s0,iommufd=h0",
          "-device", "iommufd-mock,id=d1,viommu=s0,iommufd=k0" } },
      "-device iommufd-mock,id=d1,viommu=s0,iommufd=k0: Property "
      "'iommufd-mock.iommufd' doesn't take value 'k0'\n"
      "'d0' behind the same arm-smmuv3 has 'h0'" },
    /* vfio-pci */
    { { { KERNEL, "-device", S, "-device", "vfio-pci,id=d0,viommu=s0,"
                                           "iommufd=k0" } },
      "-device vfio-pci,id=d0,viommu=s0,iommufd=k0: 'fd', 'host' or 'sysfsdev' "
      "is missing\ngive one of them, as host=0000:3b:00.0" },
    { { { KERNEL, "-device", S, "-device", "vfio-pci,id=d0,viommu=s0,"
                                           "iommufd=k0,host=3b:0.0,fd=3" } },
      "-device vfio-pci,id=d0,viommu=s0,iommufd=k0,host=3b:0.0,fd=3: 'fd', "
      "'host' and 'sysfsdev' exclude each other\n"
      "give one of them, as host=0000:3b:00.0" },
    { { { KERNEL, "-device", S, "-device", "vfio-pci,id=d0,viommu=s0,"
                                           "iommufd=k0,host=eth0" } },
      "-device vfio-pci,id=d0,viommu=s0,iommufd=k0,host=eth0: Property "
      "'vfio-pci.host' doesn't take value 'eth0'\n"
      "host takes [DOMAIN:]BUS:DEVICE.FUNCTION, as 0000:3b:00.0" },
    { { { KERNEL, "-device", S, "-device", "vfio-pci,id=d0,viommu=s0,"
                                           "iommufd=k0,fd=x" } },
      "-device vfio-pci,id=d0,viommu=s0,iommufd=k0,fd=x: Property "
      "'vfio-pci.fd' doesn't take value 'x'\n"
      "fd takes the number of a file descriptor" },
    { { { HOST, "-device", S, "-device", "vfio-pci,id=d0,viommu=s0,iommufd=h0,"
                                         "host=3b:0.0" } },
      "-device vfio-pci,id=d0,viommu=s0,iommufd=h0,host=3b:0.0: Invalid "
      "parameter type for 'iommufd', expected: iommufd\n"
      "'h0' is an iommufd-emulated" },
    { { { KERNEL, "-device", S, "-device",
          "iommufd-mock,id=d0,viommu=s0,iommufd=k0",
          "-device", "vfio-pci,id=d1,viommu=s0,iommufd=k0,host=3b:0.0" } },
      "-device vfio-pci,id=d1,viommu=s0,iommufd=k0,host=3b:0.0: Property "
      "'vfio-pci.iommufd' doesn't take value 'k0'\n"
      "'d0' of the same host is an iommufd-mock: give this one a host of its "
      "own" },
    /* sva-device */
    { { { "-device", "sva-device,id=a" } },
      "-device sva-device,id=a: Parameter 'viommu' is missing\n"
      "viommu takes the id of an intel-iommu" },
    { { { "-device", "sva-device,id=a,viommu=v0" } },
      "-device sva-device,id=a,viommu=v0: Device 'v0' not found\n"
      "viommu takes the id of an intel-iommu" },
    { { { "-device", S, "-device", "sva-device,id=a,viommu=s0" } },
      "-device sva-device,id=a,viommu=s0: Invalid parameter type for "
      "'viommu', expected: intel-iommu\n's0' is an arm-smmuv3" },
    { { { "-device", V ",svm=off", "-device", "sva-device,id=a,viommu=v0" } },
      "-device sva-device,id=a,viommu=v0: Property 'sva-device.viommu' "
      "doesn't take value 'v0'" SVM_HINT },
    { { { "-device", "sva-device,id=a,viommu=v0,iommufd=h0" } },
      "-device sva-device,id=a,viommu=v0,iommufd=h0: Property "
      "'sva-device.iommufd' not found\n"
      "accepted: credits, id, pasids, queue-depth, sid, viommu" },
    { { { "-device", "sva-device,id=a,viommu=v0,credits=0" } },
      "-device sva-device,id=a,viommu=v0,credits=0: credits value must be in "
      "range [1, 2048]" },
    { { { "-device", "sva-device,id=a,viommu=v0,queue-depth=513" } },
      "-device sva-device,id=a,viommu=v0,queue-depth=513: queue-depth value "
      "must be in range [1, 512]" },
    { { { "-device", "sva-device,id=a,viommu=v0,pasids=many" } },
      "-device sva-device,id=a,viommu=v0,pasids=many: Parameter 'pasids' "
      "expects a number from 1 to 64" },
    { { { "-device", V ",pasid-bits=3",
          "-device", "sva-device,id=a,viommu=v0,pasids=8" } },
      "-device sva-device,id=a,viommu=v0,pasids=8: Property "
      "'sva-device.pasids' doesn't take value '8'\n"
      "'v0' has pasid-bits=3, for 7 PASIDs" },
    { { { "-device", V ",pasid-bits=1", "-device",
          "sva-device,id=a,viommu=v0,pasids=2" } },
      "-device sva-device,id=a,viommu=v0,pasids=2: Property "
      "'sva-device.pasids' doesn't take value '2'\n"
      "'v0' has pasid-bits=1, for 1 PASID" },
    { { { HOST, "-device", V,
          "-device", "sva-device,id=a,viommu=v0,sid=9",
          "-device", "emulated-pci,id=d0,viommu=v0,iommufd=h0,sid=9" } },
      "-device emulated-pci,id=d0,viommu=v0,iommufd=h0,sid=9: Property "
      "'emulated-pci.sid' doesn't take value '9'\n"
      "'a' behind the same intel-iommu has it" },
    /* settings */
    { { { "-duration", "x" } },
      "-duration x: Parameter 'duration' expects a number of seconds, 0 "
      "to run until interrupted" },
    { { { "-duration", "" } },
      "-duration : Parameter 'duration' expects a number of seconds, 0 to "
      "run until interrupted" },
    { { { "-duration", "-1" } },
      "-duration -1: Parameter 'duration' expects a number of seconds, 0 "
      "to run until interrupted" },
    { { { "-duration", "1.2.3" } },
      "-duration 1.2.3: Parameter 'duration' expects a number of seconds, "
      "0 to run until interrupted" },
    { { { "-duration", "." } },
      "-duration .: Parameter 'duration' expects a number of seconds, 0 to "
      "run until interrupted" },
    { { { "-duration", "1000000001" } },
      "-duration 1000000001: Value '1000000001' is too large for parameter "
      "'duration'\nduration takes at most 1000000000" },
    { { { "-load", "fast" } },
      "-load fast: Parameter 'load' expects a number of events, groups "
      "of page requests or operations per second, or 'max'" },
    { { { "-load", "-5" } },
      "-load -5: Parameter 'load' expects a number of events, groups "
      "of page requests or operations per second, or 'max'" },
    { { { "-load", "1000000001" } },
      "-load 1000000001: Value '1000000001' is too large for parameter "
      "'load'\nload takes at most 1000000000, or 'max'" },
    { { { "-load", "99999999999999999999" } },
      "-load 99999999999999999999: Value '99999999999999999999' is too "
      "large for parameter 'load'\n"
      "load takes at most 1000000000, or 'max'" },
    { { { "-report", "" } },
      "-report : Parameter 'report' expects a file name, or '-' for "
      "stdout" },
    { { { "-name", "a,title=b" } },
      "-name a,title=b: Invalid parameter 'title'" NAME_HINT },
    { { { "-name", "a,process" } },
      "-name a,process: Invalid parameter 'process'" NAME_HINT },
    { { { "-name", "a,debug-threads=maybe" } },
      "-name a,debug-threads=maybe: Parameter 'debug-threads' expects 'on' "
      "or 'off'" },
    /* JSON: types are checked, not converted */
    { { { "-object", "{\"qom-type\":\"iothread\"}" } },
      "-object {\"qom-type\":\"iothread\"}: Parameter 'id' is missing\n"
      "accepted: id=NAME" },
    { { { "-object", "{\"id\":\"a\"}" } },
      "-object {\"id\":\"a\"}: Parameter 'qom-type' is missing"
      OBJECT_HINT },
    { { { "-device", "{\"driver\":1}" } },
      "-device {\"driver\":1}: Invalid parameter type for 'driver', "
      "expected: string" },
    { { { "-device", "{\"driver\":\"help\"}" } },
      "-device {\"driver\":\"help\"}: 'help' is not a valid device model "
      "name" DEVICE_HINT },
    { { { "-object", "{\"qom-type\":\"iothread\",\"id\":7}" } },
      "-object {\"qom-type\":\"iothread\",\"id\":7}: Invalid parameter "
      "type for 'id', expected: string" },
    { { { "-object", "{\"qom-type\":\"iothread\",\"id\":\"a\","
          "\"poll-max-ns\":\"5\"}" } },
      "-object {\"qom-type\":\"iothread\",\"id\":\"a\","
      "\"poll-max-ns\":\"5\"}: Invalid parameter type for 'poll-max-ns', "
      "expected: integer" },
    { { { "-object", "{\"qom-type\":\"iothread\",\"id\":\"a\","
          "\"poll-max-ns\":1.5}" } },
      "-object {\"qom-type\":\"iothread\",\"id\":\"a\","
      "\"poll-max-ns\":1.5}: Invalid parameter type for 'poll-max-ns', "
      "expected: integer" },
    { { { "-object", "{\"qom-type\":\"iothread\",\"id\":\"a\","
          "\"poll-max-ns\":-2}" } },
      "-object {\"qom-type\":\"iothread\",\"id\":\"a\","
      "\"poll-max-ns\":-2}: poll-max-ns value must be in range "
      "[0, 9223372036854775807]" },
    { { { "-device", "{\"driver\":\"arm-smmuv3\",\"id\":\"s\","
          "\"msi\":\"on\"}" } },
      "-device {\"driver\":\"arm-smmuv3\",\"id\":\"s\",\"msi\":\"on\"}: "
      "Invalid parameter type for 'msi', expected: boolean" },
    { { { "-device", "{\"driver\":\"arm-smmuv3\",\"id\":\"s\","
          "\"msi\":1}" } },
      "-device {\"driver\":\"arm-smmuv3\",\"id\":\"s\",\"msi\":1}: "
      "Invalid parameter type for 'msi', expected: boolean" },
    { { { "-device", "{\"driver\":\"arm-smmuv3\",\"id\":\"s\","
          "\"iothread\":null}" } },
      "-device {\"driver\":\"arm-smmuv3\",\"id\":\"s\","
      "\"iothread\":null}: Invalid parameter type for 'iothread', "
      "expected: string" },
    { { { "-device", "{\"driver\":\"arm-smmuv3\",\"id\":\"s\","
          "\"oas\":[44]}" } },
      "-device {\"driver\":\"arm-smmuv3\",\"id\":\"s\",\"oas\":[44]}: "
      "Invalid parameter type for 'oas', expected: integer" },
    { { { "-device", "{\"driver\":\"arm-smmuv3\",\"id\":\"s\","
          "\"foo\":{}}" } },
      "-device {\"driver\":\"arm-smmuv3\",\"id\":\"s\",\"foo\":{}}: "
      "Property 'arm-smmuv3.foo' not found" SMMU_HINT },
};

static void test_errors(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Config) config = config_new();
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL;

        g_assert_cmpint(words_parse(&cases[i].words, config, &text, &error), ==,
                        OPTIONS_ERROR);
        g_assert_nonnull(error);
        g_assert_cmpstr(error->message, ==, cases[i].message);
        g_assert_true(error->domain == VIOMMU_ERROR);
        g_assert_null(text);
    }
}

/* JSON that does not parse: the reason is the parser's. */
static void test_malformed_json_names_the_option(void)
{
    g_autoptr(Config) config = config_new();
    g_autoptr(GError) error = NULL;
    Words words = { { "-object", "{\"qom-type\"" } };

    g_assert_cmpint(words_parse(&words, config, NULL, &error), ==,
                    OPTIONS_ERROR);
    g_assert_true(g_str_has_prefix(
        error->message, "-object {\"qom-type\": JSON parse error, "));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/option-errors/messages", test_errors);
    g_test_add_func("/option-errors/malformed-json-names-the-option",
                    test_malformed_json_names_the_option);
    return g_test_run();
}
