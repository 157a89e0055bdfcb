#pragma once

#include <cstdint>

/// Makes one system call or allocation fail, the nth of its kind. The program that links this has
/// its calls, and those of the static libraries in it, led through here (see CMakeLists.txt).
namespace tftp::test {

/// What fails.
enum class fault_family : std::uint8_t { socket, file, memory };

/// Which call is to fail, and how.
struct fault_plan {
    fault_family family = fault_family::socket;
    /// From 1 on, counted over the calls of the family that are made while `armed`.
    std::uint64_t nth = 1;
    /// Chooses among the errors that the call can give; reads and writes give short counts, too.
    unsigned variant = 0;
    /// Every later call of the same kind fails as well.
    bool lasting = false;
};

/// The call that failed.
struct fault_hit {
    /// Null: the plan asked for a call that was never made.
    const char* call = nullptr;
    /// 0: not an error, but fewer bytes than asked for.
    int error = 0;
};

/// Says whether the file systems are another machine's, by what fstatfs(2) tells of them.
void set_remote_disks(bool remote) noexcept;

/// Sets the clocks back to what they really are. Who sleeps in this program does not: the clocks
/// that the library reads move instead. Until a file is no longer fresh, or to be patient with a
/// call that fails for ever, the runs would sleep for minutes.
void forget_sleep() noexcept;

/// Counts from here on. Nothing fails outside an `armed` scope.
void plan_fault(const fault_plan& plan) noexcept;

/// Returns what has failed since `plan_fault`.
[[nodiscard]] fault_hit fault_so_far() noexcept;

/// Code under test runs while one of these lives. Single-threaded.
class armed {
public:
    armed() noexcept;
    ~armed();
    armed(const armed&) = delete;
    armed& operator=(const armed&) = delete;
};

} // namespace tftp::test
