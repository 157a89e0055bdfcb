#pragma once

#include <tftp/content/provider.hpp>
#include <tftp/engine/config.hpp>
#include <tftp/file/file_cache.hpp>
#include <tftp/runtime/event_loop.hpp>
#include <tftp/runtime/thread_pool.hpp>
#include <tftp/runtime/timer_wheel.hpp>
#include <tftp/server/admission.hpp>
#include <tftp/server/half_open.hpp>
#include <tftp/server/held_requests.hpp>
#include <tftp/server/limits.hpp>
#include <tftp/server/service_config.hpp>
#include <tftp/socket/datagram_socket.hpp>
#include <tftp/socket/route_table.hpp>
#include <tftp/socket/scratch.hpp>
#include <tftp/transfer/events.hpp>
#include <tftp/transfer/make_transfer.hpp>
#include <tftp/transfer/summary.hpp>
#include <tftp/transfer/transfer.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tftp {

class shared_socket_view;

/// What a service stands on; all of it outlives the service, but for the pool: jobs of it report to
/// the service, so the pool ends first.
struct service_dependencies {
    content_provider& files;
    socket_factory& ports;
    tftp::event_loop& loop;
    tftp::observer& observer;
    /// What may wait for a disk goes there; null: it is done where it stands.
    job_runner* pool = nullptr;
    /// Counts for all services of a server; null: this service counts alone.
    tftp::admission* admission = nullptr;
};

/// One thread's share of a server: listening ports, the transfers they start, their deadlines.
/// For any event loop: it watches descriptors with `event_handler`s of its own, and step() is to be
/// called after them and at deadline().
///
/// Each transfer gets a port as `service_config::tids` says, at the address that was asked. A
/// packet of a stranger is answered with ERROR 5 and disturbs nothing. A request repeated before
/// its transfer is under way, or within a second after, is joined to it. Any other request from the
/// port of a transfer ends nothing: it is forgotten when that transfer goes on, and else gets one
/// beside it, which takes its place once it was answered. Requests from port 0, from ports where
/// servers listen, and to broadcast or multicast addresses are dropped (RFC 1123 4.2.3.5). Files
/// are opened in the pool unless that takes no wait. Not thread-safe.
class service final : private transfer_host {
public:
    /// Throws std::system_error when the completion queue cannot be made.
    service(const service_dependencies& parts, const service_config& config, time_point now);
    ~service() override;

    /// Takes requests from `port` too; it must report local addresses, and tells a repeated request
    /// from a new one best when it reports waiting times.
    [[nodiscard]] error_code listen(std::unique_ptr<datagram_socket> port);

    /// Does what is left to do when the handlers of ready descriptors have been called: takes
    /// requests that did not fit into a batch, acts on deadlines, and destroys what has ended. Call
    /// it once a turn of the event loop, and when deadline() has come; never from a handler.
    void step(time_point now) noexcept;

    /// Returns when to call step() at the latest, as the last step() left it.
    [[nodiscard]] std::optional<time_point> deadline() const noexcept { return deadline_; }

    /// Takes no more requests; running transfers go on. Closes the ports that took them, unless
    /// transfers use these (`tid_mode::single`): then they stay open as long as the service is.
    void close_listeners() noexcept;
    /// Ends every transfer with ERROR 0; step() destroys them.
    void abort_all(time_point now);

    /// Returns how many transfers have not completed.
    [[nodiscard]] std::size_t running() const noexcept { return running_; }

    /// Returns how many transfers exist, those that only repeat their final ACK included.
    [[nodiscard]] std::size_t transfers() const noexcept { return transfers_.size(); }

private:
    struct completion_events;
    struct shared;
    struct listener;
    struct server_transfer;
    class open_job;
    class dispose_job;

    /// A transfer is known by both addresses; the same client may ask two of ours.
    struct key {
        endpoint peer;
        endpoint local;

        friend bool operator==(const key&, const key&) = default;
    };

    struct key_hash {
        std::uint64_t seed;

        [[nodiscard]] std::size_t operator()(const key& k) const noexcept {
            return static_cast<std::size_t>(mix(k.local, mix(k.peer, seed)));
        }
    };

    /// One request on its way to becoming a transfer.
    struct incoming_request {
        datagram_socket& port;
        /// What it was sent to, as the port reports it: the source of an answer.
        endpoint to;
        bytes_view datagram;
        key who;
        request_view request;
        time_point now;
        /// How long it had waited to be read.
        duration waited{};
    };

    /// A port for a transfer: its own, or lent.
    struct opened_port {
        std::unique_ptr<datagram_socket> port;
        /// The same when it is lent, and the socket behind it.
        shared_socket_view* lent = nullptr;
        shared* behind = nullptr;
    };

    [[nodiscard]] bool offload(std::unique_ptr<blocking_job> job, queueing how) noexcept override;
    void resumed(transfer& owner) noexcept override;
    [[nodiscard]] memory_budget& buffers() noexcept override;
    void dispose(std::shared_ptr<const void> content, std::uint64_t lane) noexcept override;

    // Requests, in service_requests.cpp.
    void on_requests(listener& from, time_point now) noexcept;
    void take_requests(time_point now) noexcept;
    void pause_listeners(time_point until) noexcept;
    void resume_ports(time_point now) noexcept;
    void demultiplex(listener& from, std::span<const received> messages, time_point now) noexcept;
    void on_datagram(
        datagram_socket& port, const received& message, bytes_view datagram, time_point now
    ) noexcept;
    void take(const incoming_request& a) noexcept;
    void begin(const incoming_request& a);
    [[nodiscard]] result<admission::permit> admit(const incoming_request& a);
    void open_elsewhere(const incoming_request& a, admission::permit place);
    void on_opened(open_job& job) noexcept;
    void begin_read(
        const incoming_request& a, admission::permit place, result<std::shared_ptr<source>> opened
    );
    void begin_write(
        const incoming_request& a, admission::permit place, result<std::shared_ptr<sink>> opened
    );
    void drop_stale_openings(time_point now) noexcept;
    [[nodiscard]] bool evict(const endpoint& asking, time_point now) noexcept;
    [[nodiscard]] bool evict_own(const endpoint& asking, time_point now) noexcept;
    void evict(server_transfer& s, time_point now) noexcept;
    void schedule_eviction(time_point now) noexcept;
    void evict_idle_files() noexcept;
    void make_room(const incoming_request& a) noexcept;
    void close_file(std::shared_ptr<const opened_file> file) noexcept;
    [[nodiscard]] transfer_setup
    setup_for(const incoming_request& a, std::unique_ptr<datagram_socket> port) noexcept;
    [[nodiscard]] engine_config engine_for_new(const incoming_request& a) const noexcept;
    [[nodiscard]] option_limits bounds_for(
        const incoming_request& a,
        const opened_port& at,
        option_limits limits,
        const parameters& agreed
    ) const noexcept;
    [[nodiscard]] option_limits limits_for(const incoming_request& a) noexcept;
    [[nodiscard]] content_request content_for(const incoming_request& a) noexcept;
    void refuse(const incoming_request& a, const error_code& why) noexcept;
    void refuse(
        const incoming_request& a, peer_errc code, std::string_view message, const error_code& why
    ) noexcept;
    void answer_once(const incoming_request& a, bytes_view datagram) noexcept;
    void report(const incoming_request& a, const error_code& why) noexcept;

    // Second requests from one port, in service_rivals.cpp.
    [[nodiscard]] bool absorb_duplicate(const incoming_request& a) noexcept;
    [[nodiscard]] bool opens_already(const incoming_request& a) noexcept;
    [[nodiscard]] bool repeats(server_transfer& s, const incoming_request& a) noexcept;
    [[nodiscard]] bool may_begin_beside(const incoming_request& a, server_transfer& old) noexcept;
    [[nodiscard]] bool
    waits_for(const incoming_request& a, const server_transfer& old, duration quiet) noexcept;
    void hold(const incoming_request& a, time_point due) noexcept;
    void take_held(time_point now) noexcept;
    void tie(server_transfer& rival, server_transfer* old, time_point now) noexcept;
    void untie(server_transfer& s) noexcept;
    void note_answer(server_transfer& s, time_point now) noexcept;
    void note_silence(server_transfer& s, time_point now) noexcept;
    void charge(server_transfer& s, time_point now) noexcept;
    [[nodiscard]] server_transfer* holder_of(const key& who) const noexcept;

    // Ports, in service_ports.cpp.
    [[nodiscard]] bool is_server(const endpoint& peer) const noexcept;
    [[nodiscard]] bool has_other_pair(const incoming_request& a) const noexcept;
    /// Null when there is none; the request is refused then.
    [[nodiscard]] opened_port
    open_port(const incoming_request& a, const parameters& receives) noexcept;
    [[nodiscard]] opened_port lend_port(const incoming_request& a) noexcept;
    [[nodiscard]] shared* find_shared(const incoming_request& a) noexcept;
    [[nodiscard]] error_code open_shared(const endpoint& local) noexcept;
    void on_shared(shared& port, time_point now) noexcept;
    void deliver(shared& port, std::span<const received> messages, time_point now) noexcept;
    void dispatch(server_transfer& s, std::span<const received> messages, time_point now) noexcept;
    void on_stranger(shared& port, const received& message) noexcept;
    void on_writable(shared& port, time_point now) noexcept;
    void wait_for_room(server_transfer& s, bool wanted) noexcept;
    [[nodiscard]] error_code watch(shared& port) noexcept;
    void close_unused() noexcept;

    void add(std::unique_ptr<server_transfer> made, time_point now);
    bool poll_again(server_transfer& s, time_point now) noexcept;
    void expire(time_point now) noexcept;
    void reap() noexcept;
    void update(server_transfer& s, time_point now) noexcept;
    void give_up(server_transfer& s, const error_code& why, time_point now) noexcept;
    void remove(server_transfer& s) noexcept;

    service_dependencies parts_;
    service_config config_;
    /// Outlives all that counts in it, jobs that came back and were not drained included.
    std::unique_ptr<admission> own_admission_;
    admission& admission_;
    scratch memory_;
    /// Requests are read into memory of their own: answering one uses `memory_`.
    scratch requests_;
    file_cache cache_;
    /// When files are given up that nobody asked for again, while some are kept.
    std::optional<time_point> cache_aging_;
    route_table routes_;
    std::unique_ptr<completion_queue> completions_;
    std::unique_ptr<completion_events> completion_events_;
    std::vector<std::unique_ptr<listener>> listeners_;
    /// Ports that transfers use are read on when no requests are taken any more.
    bool accepting_ = true;
    std::vector<std::unique_ptr<shared>> shared_;
    /// When ports that rest are read again: requests came faster than they may, or a read failed.
    std::optional<time_point> resuming_at_;
    token_bucket pace_;
    /// Requests whose file is being opened in the pool, which owns the jobs.
    std::unordered_map<key, open_job*, key_hash> opening_;
    /// When they are looked through next.
    time_point stale_at_ = time_point::min();
    /// Two of one key at most: one that holds the port of its client, and its rival.
    std::unordered_multimap<key, std::unique_ptr<server_transfer>, key_hash> transfers_;
    /// Transfers without a port of their own, by both ends of what they send.
    std::unordered_map<key, server_transfer*, key_hash> pairs_;
    /// Chooses among shared ports, and who makes room.
    std::minstd_rand random_;
    half_open_set<server_transfer> half_open_;
    held_requests held_;
    std::vector<std::unique_ptr<server_transfer>> ended_;
    std::size_t running_ = 0;
    /// With fewer transfers memory is given back; 0 until there is a crowd.
    std::size_t trim_below_ = 0;
    /// The time of the call that drains completions.
    time_point now_;
    timer_wheel wheel_;
    /// As of the last step().
    std::optional<time_point> deadline_;
};

} // namespace tftp
