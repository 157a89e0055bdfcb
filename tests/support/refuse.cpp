// Runs a program under a filter that refuses system calls, as older kernels (ENOSYS) and the
// filters of containers (EPERM) do:
//
//     refuse EPERM|ENOSYS CALL[,CALL...] PROGRAM [ARGUMENT...]

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <seccomp.h>
#include <sstream>
#include <string>
#include <type_traits>

#include <sys/prctl.h>
#include <unistd.h>

namespace {

constexpr int exit_usage = 125;

struct release {
    void operator()(void* filter) const noexcept { ::seccomp_release(filter); }
};

[[nodiscard]] bool refuse(int error, const std::string& calls) {
    const std::unique_ptr<std::remove_pointer_t<::scmp_filter_ctx>, release> filter(
        ::seccomp_init(SCMP_ACT_ALLOW)
    );
    if (!filter) {
        return false;
    }
    std::istringstream list(calls);
    std::string name;
    while (std::getline(list, name, ',')) {
        const int number = ::seccomp_syscall_resolve_name(name.c_str());
        const auto answer = SCMP_ACT_ERRNO(static_cast<unsigned>(error));
        if (number == __NR_SCMP_ERROR || ::seccomp_rule_add(filter.get(), answer, number, 0) != 0) {
            return false;
        }
    }
    // Root may filter without no_new_privs, which is the tested program's to set; other users, and
    // root in a container, may not.
    for (const std::uint32_t no_new_privileges : {0U, 1U}) {
        if (::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_NNP, no_new_privileges) == 0 &&
            ::seccomp_load(filter.get()) == 0) {
            return true;
        }
    }
    return false;
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 4) {
        return exit_usage;
    }
    const int error = std::strcmp(argv[1], "EPERM") == 0 ? EPERM : ENOSYS;
    if (!refuse(error, argv[2])) {
        static_cast<void>(std::fprintf(stderr, "refuse: cannot refuse %s\n", argv[2]));
        return exit_usage;
    }
    ::execvp(argv[3], argv + 3);
    std::perror(argv[3]);
    return exit_usage;
}
