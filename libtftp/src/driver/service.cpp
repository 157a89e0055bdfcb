#include <tftp/driver/service.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <iterator>
#include <new>
#include <system_error>
#include <utility>

namespace tftp::io {

namespace {

[[nodiscard]] std::uint64_t digest(bytes_view datagram) noexcept {
    const std::string_view text(reinterpret_cast<const char*>(datagram.data()), datagram.size());
    return std::hash<std::string_view>()(text);
}

/// An RRQ or WRQ by its opcode, whatever follows.
[[nodiscard]] bool is_request(bytes_view datagram) noexcept {
    return datagram.size() >= 2 && datagram[0] == std::byte{0} &&
           (datagram[1] == std::byte{1} || datagram[1] == std::byte{2});
}

/// How long after a request the same one is taken for a copy of it.
constexpr auto repeat_window = std::chrono::seconds(1);

[[nodiscard]] error_code out_of_memory() noexcept {
    return make_error_code(boost::system::errc::not_enough_memory);
}

} // namespace

/// What a poller's token points to.
struct service::watched {
    enum class kind : std::uint8_t { listener, transfer, completions };

    explicit watched(kind of) noexcept : what(of) {}

    kind what;
};

struct service::listener : watched {
    explicit listener(std::unique_ptr<datagram_port> at) noexcept
        : watched(kind::listener), port(std::move(at)) {}

    std::unique_ptr<datagram_port> port;
};

struct service::served final : watched, transfer {
    template <class Engine, class Content>
    served(transfer_setup setup, const Engine& engine, Content content, const arrival& a)
        : watched(kind::transfer),
          transfer(std::move(setup), engine, std::move(content), a.now),
          who(a.who),
          request_digest(digest(a.datagram)),
          begun(a.now) {}

    key who;
    std::uint64_t request_digest;
    time_point begun;
    interest watching;
    /// Its place among the half-open transfers while it is one.
    std::optional<std::list<served*>::iterator> half_open;
    bool reported = false;
};

service::service(const service_parts& parts, const service_config& config, time_point now)
    : parts_(parts), config_(config), now_(now), wheel_(now) {
    if (parts_.pool == nullptr) {
        return;
    }
    auto queue = completion_queue::create();
    if (!queue) {
        throw std::system_error(queue.error());
    }
    completions_ = std::move(*queue);
    completions_token_ = std::make_unique<watched>(watched::kind::completions);
    const interest wanted{completions_->native_handle(), true, false};
    if (const error_code failed = parts_.poller.watch(wanted, completions_token_.get())) {
        throw std::system_error(failed);
    }
}

service::~service() {
    close_listeners();
    for (auto& [who, s] : transfers_) {
        parts_.poller.unwatch(s->watching.fd);
    }
    if (completions_) {
        parts_.poller.unwatch(completions_->native_handle());
    }
}

error_code service::listen(std::unique_ptr<datagram_port> port) {
    auto added = std::make_unique<listener>(std::move(port));
    const interest wanted{added->port->native_handle(), true, false};
    watched* const token = added.get();
    if (const error_code failed = parts_.poller.watch(wanted, token)) {
        return failed;
    }
    listeners_.push_back(std::move(added));
    return {};
}

void service::close_listeners() noexcept {
    for (const auto& l : listeners_) {
        parts_.poller.unwatch(l->port->native_handle());
    }
    listeners_.clear();
}

void service::on_ready(void* token, bool readable, bool writable, time_point now) noexcept {
    auto* const what = static_cast<watched*>(token);
    switch (what->what) {
    case watched::kind::listener:
        on_requests(static_cast<listener&>(*what), now);
        return;
    case watched::kind::completions:
        now_ = now;
        completions_->drain();
        return;
    case watched::kind::transfer:
        break;
    }
    auto& s = static_cast<served&>(*what);
    if (s.closed()) {
        return;
    }
    if (readable) {
        s.on_readable(memory_, now);
    }
    if (writable && !s.closed()) {
        s.on_writable(memory_, now);
    }
    update(s, now);
}

void service::on_deadline(time_point now) noexcept {
    wheel_.expire(now, [&](deadline_entry& entry) -> std::optional<time_point> {
        auto& s = static_cast<served&>(entry);
        if (s.deadline() && *s.deadline() <= now) {
            s.on_deadline(memory_, now);
            update(s, now);
        }
        return s.closed() ? std::nullopt : s.deadline();
    });
}

void service::settle() noexcept {
    ended_.clear();
}

bool service::offload(std::unique_ptr<blocking_job> job) noexcept {
    return parts_.pool != nullptr && parts_.pool->submit(std::move(job), *completions_);
}

void service::resumed(transfer& owner) noexcept {
    auto& s = static_cast<served&>(owner);
    s.on_resumed(memory_, now_);
    update(s, now_);
}

void service::update(served& s, time_point now) noexcept {
    if (s.completed() && !s.reported) {
        s.reported = true;
        --running_;
        try {
            parts_.observer.on_finished(s.summary());
        } catch (const std::bad_alloc&) {
            // The transfer is what matters; its line is lost.
        }
    }
    if (s.half_open && (s.closed() || !s.opening())) {
        half_open_.erase(*s.half_open);
        s.half_open.reset();
    }
    if (s.closed()) {
        retire(s);
        return;
    }
    const interest wanted = s.wants();
    if (wanted != s.watching) {
        if (const error_code failed = parts_.poller.watch(wanted, static_cast<watched*>(&s))) {
            s.abort(peer_errc::undefined, peer_message(peer_errc::undefined), failed, memory_, now);
            update(s, now);
            return;
        }
        s.watching = wanted;
    }
    if (const auto due = s.deadline()) {
        wheel_.schedule(s, *due);
    }
}

void service::retire(served& s) noexcept {
    wheel_.cancel(s);
    const auto found = transfers_.find(s.who);
    if (found == transfers_.end() || found->second.get() != &s) {
        return;
    }
    if (s.watching.fd != -1) {
        parts_.poller.unwatch(s.watching.fd);
    }
    // Room was reserved when it began, so this cannot throw.
    ended_.push_back(std::move(found->second));
    transfers_.erase(found);
}

void service::on_requests(listener& from, time_point now) noexcept {
    const auto messages = from.port->receive_batch(requests_, scratch::receive_slots);
    if (!messages) {
        return;
    }
    for (const received& message : *messages) {
        message.for_each_datagram([&](bytes_view datagram) {
            on_datagram(*from.port, message, datagram, now);
        });
    }
}

void service::on_datagram(
    datagram_port& port, const received& message, bytes_view datagram, time_point now
) noexcept {
    const endpoint& peer = message.from;
    const endpoint local = port.local_endpoint();
    endpoint asked = message.to.family == address_family::none ? local : message.to;
    asked.port = local.port;
    if (peer.port == 0 || peer == asked || message.to_group) {
        return;
    }
    arrival a{port, message, datagram, {peer, asked}, {}, now};
    const auto packet = decode(datagram);
    if (!packet) {
        if (packet.error() != errc::unknown_opcode && is_request(datagram)) {
            a.request.op = static_cast<opcode>(datagram[1]);
            const bool mode = packet.error() == errc::unsupported_mode;
            const char* const text = mode ? "unsupported transfer mode" : "malformed request";
            refuse(a, peer_errc::illegal_operation, text, packet.error());
        }
        return;
    }
    const auto* const request = std::get_if<request_view>(&*packet);
    if (request == nullptr) {
        return;
    }
    a.request = *request;
    if (joined(a)) {
        return;
    }
    try {
        begin(a);
    } catch (const std::bad_alloc&) {
        refuse(a, peer_errc::undefined, "server busy", out_of_memory());
    }
}

bool service::joined(const arrival& a) noexcept {
    const auto found = transfers_.find(a.who);
    if (found == transfers_.end()) {
        return false;
    }
    served& old = *found->second;
    // Identical after the first ACK as well, when it is so soon: a copy that the network held up,
    // since no machine starts again that fast.
    const bool young = a.now - old.begun < repeat_window;
    if ((old.opening() || young) && old.request_digest == digest(a.datagram)) {
        old.on_repeated_request(memory_, a.now);
        update(old, a.now);
        return true;
    }
    if (old.committing()) {
        // Its file decides how it ends; a client that means it asks again.
        return true;
    }
    // A reset machine, or firmware that uses one port for every file. No ERROR: it would hit the
    // new transfer.
    old.drop(errc::superseded, memory_, a.now);
    update(old, a.now);
    return false;
}

void service::begin(const arrival& a) {
    const bool full = transfers_.size() >= config_.limits.transfers_max;
    if (full || half_open_.size() >= config_.limits.half_open_max) {
        drop_oldest_half_open(a.now);
    }
    if (transfers_.size() >= config_.limits.transfers_max) {
        refuse(a, peer_errc::undefined, "server busy", errc::overloaded);
        return;
    }
    const error_code failed = a.request.op == opcode::rrq ? begin_read(a) : begin_write(a);
    if (failed) {
        const peer_errc code = to_peer_errc(failed);
        refuse(a, code, peer_message(code), failed);
    }
}

error_code service::begin_read(const arrival& a) {
    const content_request wanted{
        a.request.filename, a.request.mode, a.who.peer, a.who.local, std::nullopt};
    auto opened = parts_.files.open_read(wanted, cache_);
    if (!opened) {
        return opened.error();
    }
    std::shared_ptr<source> from = std::move(*opened);
    const answer answered = answer_request(a.request, limits_for(a), from->size());
    if (a.request.mode == transfer_mode::netascii) {
        const std::size_t window =
            std::size_t{answered.agreed.blksize} * answered.agreed.windowsize;
        from = std::make_shared<netascii_source>(std::move(from), window);
    }
    auto port = open_port(a, {});
    if (!port) {
        return {};
    }
    add(std::make_unique<served>(
            setup_for(a, std::move(port)),
            sender::respond(answered, a.who.peer, config_.engine, a.now),
            std::move(from),
            a
        ),
        a.now);
    return {};
}

error_code service::begin_write(const arrival& a) {
    option_limits limits = limits_for(a);
    answer answered = answer_request(a.request, limits, std::nullopt);
    const content_request wanted{
        a.request.filename, a.request.mode, a.who.peer, a.who.local, answered.agreed.tsize};
    auto opened = parts_.files.open_write(wanted);
    if (!opened) {
        return opened.error();
    }
    std::shared_ptr<sink> into = std::move(*opened);
    if (a.request.mode == transfer_mode::netascii) {
        into = std::make_shared<netascii_sink>(std::move(into));
    }
    auto port = open_port(a, answered.agreed);
    if (!port) {
        return {};
    }
    const std::uint16_t fits = window_that_fits(*port, answered.agreed.blksize);
    if (answered.agreed.windowsize > fits) {
        limits.windowsize = fits;
        answered = answer_request(a.request, limits, std::nullopt);
    }
    add(std::make_unique<served>(
            setup_for(a, std::move(port)),
            receiver::respond(answered, a.who.peer, config_.engine, a.now),
            std::move(into),
            a
        ),
        a.now);
    return {};
}

void service::drop_oldest_half_open(time_point now) noexcept {
    if (!half_open_.empty()) {
        served& oldest = *half_open_.front();
        oldest.drop(errc::crowded_out, memory_, now);
        update(oldest, now);
    }
}

std::unique_ptr<datagram_port>
service::open_port(const arrival& a, const parameters& receives) noexcept {
    port_options options;
    options.refusals = true;
    options.sends = config_.sends;
    if (receives.windowsize > 1) {
        options.coalesce = true;
        options.receive_buffer = receive_buffer_for(receives);
    }
    auto opened = parts_.ports.open(a.who.local.with_port(0), options);
    if (opened) {
        return std::move(*opened);
    }
    // Nothing the client asked for is wrong. One that never answered may hold what is missing: its
    // port closes at the end of this turn.
    refuse(a, peer_errc::undefined, "server busy", opened.error());
    drop_oldest_half_open(a.now);
    return nullptr;
}

transfer_setup service::setup_for(const arrival& a, std::unique_ptr<datagram_port> port) noexcept {
    return {
        a.request.op == opcode::rrq ? verb::read : verb::write,
        a.request.filename,
        a.request.mode,
        std::move(port),
        parts_.pool != nullptr ? this : nullptr};
}

void service::add(std::unique_ptr<served> made, time_point now) {
    // Room for all to end in one turn, so that retire() never allocates.
    const std::size_t room = ended_.size() + transfers_.size() + 1;
    if (ended_.capacity() < room) {
        ended_.reserve(2 * room);
    }
    served& s = *made;
    // Memory first: what is in the table has its place in the list, too, and is started.
    std::list<served*> place{&s};
    transfers_.emplace(s.who, std::move(made));
    half_open_.splice(half_open_.end(), place);
    s.half_open = std::prev(half_open_.end());
    ++running_;
    s.start(memory_, now);
    update(s, now);
}

option_limits service::limits_for(const arrival& a) noexcept {
    option_limits limits = config_.options;
    if (config_.blksize_auto && a.request.options.find("blksize")) {
        if (const auto mtu = routes_.mtu(a.who.peer)) {
            limits.blksize = std::min(limits.blksize, blksize_for_mtu(*mtu, a.who.peer.family));
        }
    }
    return limits;
}

void service::refuse(
    const arrival& a, peer_errc code, std::string_view message, const error_code& why
) noexcept {
    std::array<std::byte, 128> out{};
    if (const auto size = encode_error(code, message, out)) {
        // Best effort: the peer asks again when it is lost.
        static_cast<void>(a.port.send(a.who.peer, a.message.to, bytes_view(out).first(*size)));
    }
    try {
        transfer_summary s;
        s.verb = a.request.op == opcode::wrq ? verb::write : verb::read;
        s.peer = a.who.peer;
        s.local = a.who.local;
        s.filename = a.request.filename;
        s.mode = a.request.mode;
        s.outcome = why;
        parts_.observer.on_finished(s);
    } catch (const std::bad_alloc&) {
        // The answer is what matters; its line is lost.
    }
}

void service::abort_all(time_point now) {
    // update() takes ended transfers out of the table, so walk a list of those that run.
    std::vector<served*> running;
    running.reserve(transfers_.size());
    for (const auto& [who, s] : transfers_) {
        running.push_back(s.get());
    }
    for (served* const s : running) {
        s->abort(peer_errc::undefined, "server is stopping", errc::stopped, memory_, now);
        update(*s, now);
    }
}

} // namespace tftp::io
