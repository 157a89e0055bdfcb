#pragma once

#include "fault/faults.hpp"
#include "support/files.hpp"

#include <tftp/base/time.hpp>
#include <tftp/client/client_request.hpp>
#include <tftp/file/directory_provider.hpp>
#include <tftp/runtime/epoll_loop.hpp>
#include <tftp/runtime/thread_pool.hpp>
#include <tftp/server/shard.hpp>
#include <tftp/socket/scratch.hpp>
#include <tftp/socket/udp_socket.hpp>
#include <tftp/transfer/transfer.hpp>
#include <tftp/wire/packet.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tftp::test {

/// Who meets the fault.
enum class side : std::uint8_t { server, client };

/// One transfer of a file of some windows, in a fault world.
struct fault_case {
    transfer_direction verb = transfer_direction::read;
    std::uint16_t windowsize = 1;
    transfer_mode mode = transfer_mode::octet;
    /// Both ends write through names that exist already.
    bool replaces = false;
    side faulty = side::server;
    /// The service hands over what may block.
    bool pooled = false;
    /// The service takes its files for those of another machine.
    bool remote = false;
    tid_mode tids = tid_mode::exclusive;
};

/// How a transfer ended, seen from its client.
struct fault_result {
    error_code outcome;
    /// What stands under the name that was written; empty when there is none.
    std::optional<std::string> written;
    /// Names besides those that belong there.
    std::vector<std::string> left;
    /// The transfer did not come to its end.
    bool stuck = false;
};

/// A service and a client in one thread: real sockets on the loopback interface, real files, and a
/// clock that moves only when nobody has anything to do.
class fault_world {
public:
    fault_world();

    /// Starts the service; the fault that is planned may hit. Returns why it cannot serve.
    [[nodiscard]] error_code start(bool faulty, bool pooled, tid_mode tids = tid_mode::exclusive);

    /// Runs one transfer to its end, the planned fault in the way of `what.faulty`.
    [[nodiscard]] fault_result run(const fault_case& what);

    /// Content of the file to read, and what replaced files held before.
    static constexpr std::size_t content_size = 5000;

    [[nodiscard]] static const std::string& content();
    [[nodiscard]] static const std::string& before();

private:
    class silent final : public observer {
        void on_finished(const transfer_summary&) noexcept override {}
    };

    /// A pool that does each job at once, where faults hit it at the same call each time; only its
    /// end waits for the completion queue.
    class prompt_pool final : public job_runner {
        bool submit(
            std::unique_ptr<blocking_job> job, completion_queue& completions, queueing
        ) noexcept override {
            accept(*job, completions);
            job->run();
            finish(std::move(job));
            return true;
        }
    };

    [[nodiscard]] error_code open_service(bool pooled, tid_mode tids);
    [[nodiscard]] bool turn(const fault_case& what, transfer* client);
    [[nodiscard]] bool drive(const fault_case& what, transfer* client);
    [[nodiscard]] std::optional<time_point> next_deadline(const transfer* client) const;
    void pass_time(const fault_case& what, transfer* client, time_point until);
    template <class Open, class Begin>
    [[nodiscard]] error_code
    run_client(const fault_case& what, Open open, Begin begin, bool& stuck);
    [[nodiscard]] error_code run_read(const fault_case& what, bool& stuck);
    [[nodiscard]] error_code run_write(const fault_case& what, bool& stuck);
    [[nodiscard]] client_request request_for(const fault_case& what, const char* name) const;

    temp_dir root_;
    temp_dir local_;
    udp_socket_factory ports_;
    std::optional<epoll_loop> loop_;
    std::optional<directory_provider> files_;
    silent observer_;
    prompt_pool pool_;
    scratch memory_;
    time_point now_ = clock::now();
    std::unique_ptr<shard> shard_;
    endpoint server_;
};

} // namespace tftp::test
