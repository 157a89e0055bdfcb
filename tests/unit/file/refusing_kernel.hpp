#pragma once

#include "support/temp_directory.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

namespace tftp::test {

/// A system call that is to fail with `error`.
struct refusal_rule {
    std::uint32_t call;
    int error;
    /// Only when all bits of `bits` are set in argument `argument`; 0 for always.
    unsigned argument = 0;
    std::uint32_t bits = 0;
};

/// Runs `check` in a child whose kernel refuses some system calls, as older kernels, other file
/// systems and containers do.
inline bool
on_refusing_kernel(const std::vector<refusal_rule>& rules, const std::function<bool()>& check) {
    return in_child([&] {
        std::vector<::sock_filter> code;
        const auto load = [&](std::size_t offset) {
            code.push_back({BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<std::uint32_t>(offset)});
        };
        for (const refusal_rule& rule : rules) {
            load(offsetof(::seccomp_data, nr));
            code.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, 4, rule.call});
            // The low half of the argument: this is little-endian, as x86-64 and arm64 are.
            load(offsetof(::seccomp_data, args) + 8 * rule.argument);
            code.push_back({BPF_ALU | BPF_AND | BPF_K, 0, 0, rule.bits});
            code.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, 1, rule.bits});
            code.push_back(
                {BPF_RET | BPF_K,
                 0,
                 0,
                 SECCOMP_RET_ERRNO | (static_cast<std::uint32_t>(rule.error) & SECCOMP_RET_DATA)}
            );
        }
        code.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW});
        const ::sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
        return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
               ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 && check();
    });
}

} // namespace tftp::test
