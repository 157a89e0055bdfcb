// Whole transfers, over and over, while the 1st, 2nd, 3rd, ... call fails: until a run has no such
// call any more.
#include "fault/fault_world.hpp"
#include "fault/faults.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <map>
#include <string>
#include <string_view>

#include <unistd.h>

using namespace tftp;
using namespace tftp::test;

namespace {

/// Thousands of files are flushed: where this user has memory to flush them to, no disk is waited
/// for.
[[maybe_unused]] const bool in_memory =
    ::access("/dev/shm", W_OK | X_OK) == 0 && ::setenv("TMPDIR", "/dev/shm", 1) == 0;

/// As many as the call with the most errors has.
constexpr unsigned variants_max = 6;

[[nodiscard]] std::ptrdiff_t open_descriptors() {
    const std::filesystem::directory_iterator open("/proc/self/fd");
    return std::distance(begin(open), end(open));
}

[[nodiscard]] bool is(const fault_hit& hit, std::string_view call) {
    return hit.call != nullptr && hit.call == call;
}

/// A datagram is lost, a call is interrupted: what the protocol or a second call makes good.
[[nodiscard]] bool must_not_matter(const fault_hit& hit, bool lasting) {
    const bool moves_datagrams = is(hit, "sendmsg") || is(hit, "sendmmsg") || is(hit, "sendto") ||
                                 is(hit, "recvmsg") || is(hit, "recvmmsg") || is(hit, "recvfrom");
    const bool transient = hit.error == EAGAIN || hit.error == EINTR || hit.error == ENOBUFS;
    const bool short_count = hit.call != nullptr && hit.error == 0;
    return short_count || (moves_datagrams && transient && !lasting) || is(hit, "epoll_wait") ||
           is(hit, "close");
}

/// Checks what must be true of every transfer, whatever failed.
void check(const fault_case& what, const fault_result& ended, const fault_hit& hit) {
    CHECK_FALSE(ended.stuck);
    // A name that cannot be removed stays; nothing else does.
    if (!is(hit, "unlinkat")) {
        CHECK(ended.left.empty());
    }
    if (!ended.outcome.failed()) {
        CHECK(ended.written == fault_world::content());
    } else if (ended.written) {
        // All of the new content (its acknowledgement failed), or all of the old.
        const bool old = what.replaces && *ended.written == fault_world::before();
        CHECK((old || *ended.written == fault_world::content()));
    } else {
        CHECK_FALSE(what.replaces);
    }
}

/// One run with a fault, and one without it on the same service. Returns whether the fault hit.
bool run_with(
    const fault_case& what, const fault_plan& plan, std::map<std::string, unsigned>& seen
) {
    const std::ptrdiff_t before = open_descriptors();
    fault_hit hit;
    {
        set_remote_disks(what.remote);
        fault_world world;
        REQUIRE_FALSE(world.start(false, what.pooled, what.tids));
        plan_fault(plan);
        const fault_result ended = world.run(what);
        hit = fault_so_far();
        // Nothing fails any more.
        plan_fault({plan.family, 0, 0, false});
        INFO(
            (hit.call != nullptr ? hit.call : "nothing")
            << " " << hit.error << ", call " << plan.nth << ", variant " << plan.variant
            << (plan.lasting ? ", lasting" : "") << ": " << ended.outcome.message()
        );
        check(what, ended, hit);
        if (hit.call == nullptr || must_not_matter(hit, plan.lasting)) {
            CHECK_FALSE(ended.outcome.failed());
        }
        const fault_result good = world.run(what);
        CHECK_FALSE(good.outcome.failed());
        check(what, good, {});
        ++seen[hit.call != nullptr ? hit.call : "nothing"];
    }
    set_remote_disks(false);
    INFO((hit.call != nullptr ? hit.call : "nothing") << ", call " << plan.nth);
    CHECK(open_descriptors() == before);
    return hit.call != nullptr;
}

/// Fails every call of the family once, in each way it can.
std::map<std::string, unsigned> fail_each(const fault_case& what, fault_family family) {
    std::map<std::string, unsigned> seen;
    for (const bool lasting : {false, true}) {
        const unsigned variants = family == fault_family::memory ? 1 : variants_max;
        for (unsigned variant = 0; variant < variants; ++variant) {
            fault_plan plan{family, 1, variant, lasting};
            while (run_with(what, plan, seen)) {
                REQUIRE(++plan.nth < 5000);
            }
        }
    }
    return seen;
}

} // namespace

TEST_CASE("a transfer bears a fault of every call", "[fault]") {
    const auto family = GENERATE(fault_family::socket, fault_family::file, fault_family::memory);
    const auto faulty = GENERATE(side::server, side::client);
    const auto verb = GENERATE(transfer_direction::read, transfer_direction::write);
    const auto windowsize = GENERATE(as<std::uint16_t>(), 1, 4);
    const auto mode = GENERATE(transfer_mode::octet, transfer_mode::netascii);
    const bool pooled = GENERATE(false, true);
    const bool remote = GENERATE(false, true);
    if ((pooled && faulty == side::client) || (remote && !pooled)) {
        return; // a client has no pool, and what is remote needs one
    }
    const bool replaces = windowsize == 4;
    const fault_case what{verb, windowsize, mode, replaces, faulty, pooled, remote};
    INFO(
        (faulty == side::server ? "server" : "client")
        << (pooled ? " with a pool" : "") << (remote ? ", remote" : "")
        << (verb == transfer_direction::read ? ", read" : ", write") << ", windowsize "
        << windowsize << (mode == transfer_mode::octet ? ", octet" : ", netascii")
    );
    const auto seen = fail_each(what, family);
    CHECK(seen.size() > 1);
}

TEST_CASE("a transfer through a shared port bears a fault of every call", "[fault][tid]") {
    const auto tids = GENERATE(tid_mode::pooled, tid_mode::single);
    const auto family = GENERATE(fault_family::socket, fault_family::memory);
    const auto verb = GENERATE(transfer_direction::read, transfer_direction::write);
    const auto windowsize = GENERATE(as<std::uint16_t>(), 1, 4);
    const bool remote = GENERATE(false, true);
    if (remote && windowsize == 1) {
        return; // no other than what a window is cut to
    }
    fault_case what;
    what.verb = verb;
    what.windowsize = windowsize;
    what.pooled = remote;
    what.remote = remote;
    what.tids = tids;
    INFO(
        (tids == tid_mode::pooled ? "pooled" : "single")
        << (remote ? ", remote" : "") << (verb == transfer_direction::read ? ", read" : ", write")
        << ", windowsize " << windowsize
    );
    const auto seen = fail_each(what, family);
    CHECK(seen.size() > 1);
}

TEST_CASE("a service that cannot start leaves nothing open", "[fault]") {
    const auto family = GENERATE(fault_family::socket, fault_family::file, fault_family::memory);
    const bool pooled = GENERATE(false, true);
    for (unsigned variant = 0; variant < variants_max; ++variant) {
        for (fault_plan plan{family, 1, variant, false};; ++plan.nth) {
            const std::ptrdiff_t before = open_descriptors();
            {
                fault_world world;
                plan_fault(plan);
                const error_code failed = world.start(true, pooled);
                const fault_hit hit = fault_so_far();
                if (hit.call == nullptr) {
                    CHECK_FALSE(failed);
                    break;
                }
                INFO(hit.call << " " << hit.error << ", call " << plan.nth);
                plan_fault({family, 0, 0, false});
                if (!failed) {
                    CHECK_FALSE(world.run({}).outcome.failed());
                }
            }
            CHECK(open_descriptors() == before);
        }
    }
}
