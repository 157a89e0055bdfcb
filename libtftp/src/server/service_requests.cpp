#include "server/service_internal.hpp"

#include <tftp/file/name_policy.hpp>
#include <tftp/transfer/receive_window.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <new>
#include <utility>

/// From a datagram on a listening port to a transfer.
namespace tftp {

namespace {

/// Shortest rest when requests come too fast, so that what follows is a batch again.
constexpr auto rest_min = std::chrono::milliseconds(1);
/// Requests taken at a time while few come; in a crowd it is as many as can be, so that the last is
/// answered before its client asks again. Transfers under way wait for no more than these.
constexpr std::size_t requests_few = 8;

/// What one upload collects before it is written.
constexpr std::size_t write_octets = std::size_t{16} << 10;

/// What one netascii transfer keeps of converted text.
constexpr std::size_t netascii_window_octets = std::size_t{128} << 10;

/// An RRQ or WRQ by its opcode, whatever follows.
[[nodiscard]] bool is_request(bytes_view datagram) noexcept {
    return datagram.size() >= 2 && datagram[0] == std::byte{0} &&
           (datagram[1] == std::byte{1} || datagram[1] == std::byte{2});
}

/// Returns true when one of its datagrams is a request.
[[nodiscard]] bool has_request(const received& message) noexcept {
    bool any = false;
    message.for_each_datagram([&any](bytes_view datagram) { any = any || is_request(datagram); });
    return any;
}

[[nodiscard]] error_code out_of_memory() noexcept {
    return make_error_code(boost::system::errc::not_enough_memory);
}

/// Answers `request` once more when what was agreed on is larger than `limits` allow.
void narrow(
    answer& answered,
    const request_view& request,
    const option_limits& limits,
    std::optional<std::uint64_t> size
) noexcept {
    const parameters& agreed = answered.agreed;
    if (agreed.windowsize > limits.windowsize || agreed.blksize > limits.blksize) {
        answered = answer_request(request, limits, size);
    }
}

/// Answers `request` once more when the window agreed on is larger than what `fits`.
void narrow_window(
    answer& answered,
    const request_view& request,
    option_limits limits,
    std::optional<std::uint64_t> size,
    std::size_t fits
) noexcept {
    if (answered.agreed.windowsize > fits) {
        limits.windowsize = static_cast<std::uint16_t>(fits);
        answered = answer_request(request, limits, size);
    }
}

} // namespace

service::open_job::open_job(service& owner, const incoming_request& a, admission::permit counted)
    : blocking_job(name_lane(a.request.filename)),
      place(std::move(counted)),
      from(out_of_memory()),
      into(out_of_memory()),
      owner_(owner),
      port_(a.port),
      to_(a.to),
      datagram_(a.datagram.begin(), a.datagram.end()),
      who_(a.who),
      request_(std::get<request_view>(*decode(datagram_))),
      announced_(owner.content_for(a).announced_size),
      since_(a.now) {}

service::open_job::~open_job() {
    // Once cancelled it is in no table, and the service may be gone.
    if (cancelled_) {
        return;
    }
    const auto found = owner_.opening_.find(who_);
    if (found != owner_.opening_.end() && found->second == this) {
        owner_.opening_.erase(found);
    }
}

void service::open_job::run() noexcept {
    const content_request wanted{
        request_.filename, request_.mode, who_.peer, who_.local, announced_};
    if (request_.op == opcode::rrq) {
        from = owner_.parts_.files.open_read(wanted);
    } else {
        into = owner_.parts_.files.open_write(wanted);
    }
}

void service::open_job::cancel() noexcept {
    cancelled_ = true;
    place = {};
}

service::incoming_request service::open_job::resumed(time_point now) const noexcept {
    return {port_, to_, datagram_, who_, request_, now, {}};
}

void service::on_requests(listener& from, time_point now) noexcept {
    // A port that transfers use cannot rest: what is too much of requests is dropped there.
    const bool rests = config_.tids != tid_mode::single;
    const std::size_t allowed = pace_.available(now);
    if (allowed == 0 && rests) {
        pause_listeners(std::max<time_point>(pace_.next(now), now + rest_min));
        return;
    }
    const std::size_t room = from.crowded ? scratch::receive_slots : requests_few;
    const std::size_t most = rests ? std::min(allowed, room) : scratch::receive_slots;
    const auto messages = from.port->receive_batch(requests_, most);
    if (!messages) {
        if (messages.error() != boost::system::errc::operation_would_block) {
            pause_listeners(now + rest_after_failure);
        }
        return;
    }
    if (!rests) {
        demultiplex(from, *messages, now);
        return;
    }
    pace_.take(messages->size());
    from.crowded = messages->size() == most;
    for (const received& message : *messages) {
        message.for_each_datagram([&](bytes_view datagram) {
            on_datagram(*from.port, message, datagram, now);
        });
    }
}

void service::take_requests(time_point now) noexcept {
    for (const auto& l : listeners_) {
        if (l->crowded && !resuming_at_) {
            on_requests(*l, now);
        }
    }
}

/// Requests begin transfers, what else comes to a port that is lent belongs to one.
void service::demultiplex(
    listener& from, std::span<const received> messages, time_point now
) noexcept {
    while (!messages.empty()) {
        const auto mixed = std::ranges::find_if(messages, has_request);
        const auto count = static_cast<std::size_t>(mixed - messages.begin());
        deliver(from, messages.first(count), now);
        messages = messages.subspan(count);
        if (messages.empty()) {
            return;
        }
        received one = messages.front();
        messages.front().for_each_datagram([&](bytes_view datagram) {
            one.bytes = datagram;
            if (!is_request(datagram)) {
                deliver(from, {&one, 1}, now);
            } else if (accepting_ && pace_.available(now) != 0) {
                pace_.take(1);
                on_datagram(*from.port, one, datagram, now);
            }
        });
        messages = messages.subspan(1);
    }
}

void service::pause_listeners(time_point until) noexcept {
    for (const auto& l : listeners_) {
        parts_.loop.unwatch(l->port->native_handle());
    }
    resuming_at_ = until;
}

void service::resume_ports(time_point now) noexcept {
    resuming_at_.reset();
    const auto resume = [&](shared& port) {
        if (watch(port)) {
            // Out of kernel memory for now.
            resuming_at_ = now + rest_after_failure;
        }
    };
    for (const auto& l : listeners_) {
        resume(*l);
    }
    for (const auto& each : shared_) {
        resume(*each);
    }
}

void service::on_datagram(
    datagram_socket& port, const received& message, bytes_view datagram, time_point now
) noexcept {
    const endpoint& peer = message.from;
    const endpoint asked = local_of(port, message);
    if (peer.port == 0 || is_server(peer) || message.to_group) {
        return;
    }
    incoming_request a{port, message.to, datagram, {peer, asked}, {}, now, message.waited};
    const auto packet = decode(datagram);
    if (!packet) {
        // Many a client takes the answer for one of its transfer, from whatever port it comes.
        const bool known = transfers_.contains(a.who);
        if (packet.error() != errc::unknown_opcode && is_request(datagram) && !known) {
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
    take(a);
}

/// A request that is well formed.
void service::take(const incoming_request& a) noexcept {
    if (absorb_duplicate(a)) {
        return;
    }
    try {
        begin(a);
    } catch (const std::bad_alloc&) {
        refuse(a, out_of_memory());
    }
}

void service::begin(const incoming_request& a) {
    auto place = admit(a);
    if (!place) {
        if (place.error() == errc::too_fast) {
            report(a, place.error());
        } else {
            refuse(a, place.error());
        }
        return;
    }
    if (a.request.op == opcode::wrq) {
        if (const error_code refused = parts_.files.check_write(content_for(a))) {
            refuse(a, refused);
            return;
        }
        if (parts_.pool != nullptr) {
            open_elsewhere(a, std::move(*place));
        } else {
            begin_write(a, std::move(*place), parts_.files.open_write(content_for(a)));
        }
        return;
    }
    content_request wanted = content_for(a);
    wanted.cache = &cache_;
    auto opened = parts_.files.try_open_read(wanted);
    if (!opened && opened.error() == errc::would_block) {
        if (parts_.pool != nullptr) {
            open_elsewhere(a, std::move(*place));
            return;
        }
        opened = parts_.files.open_read(content_for(a));
    }
    begin_read(a, std::move(*place), std::move(opened));
}

void service::open_elsewhere(const incoming_request& a, admission::permit place) {
    auto job = std::make_unique<open_job>(*this, a, std::move(place));
    opening_.emplace(a.who, job.get());
    if (!offload(std::move(job), queueing::bounded)) {
        // No ERROR: the client asks again, and may find the pool less busy.
        report(a, errc::overloaded);
    }
}

void service::on_opened(open_job& job) noexcept {
    const incoming_request a = job.resumed(now_);
    if (job.cancelled()) {
        if (job.from) {
            release(*job.from);
        } else if (job.into) {
            release(*job.into);
        }
        return;
    }
    opening_.erase(a.who);
    try {
        if (a.request.op == opcode::rrq) {
            begin_read(a, std::move(job.place), std::move(job.from));
        } else {
            begin_write(a, std::move(job.place), std::move(job.into));
        }
    } catch (const std::bad_alloc&) {
        refuse(a, out_of_memory());
    }
}

void service::begin_read(
    const incoming_request& a, admission::permit place, result<std::shared_ptr<source>> opened
) {
    if (!opened) {
        refuse(a, opened.error());
        return;
    }
    std::shared_ptr<source> from = std::move(*opened);
    if (auto surplus = from->share(cache_); surplus && from->remote()) {
        dispose(std::move(surplus), from->lane());
    }
    schedule_eviction(a.now);
    const option_limits limits = limits_for(a);
    answer answered = answer_request(a.request, limits, from->size());
    if (a.request.mode == transfer_mode::netascii) {
        const std::size_t fits =
            std::max<std::size_t>(netascii_window_octets / answered.agreed.blksize, 1);
        narrow_window(answered, a.request, limits, from->size(), fits);
        const std::size_t window =
            std::size_t{answered.agreed.blksize} * answered.agreed.windowsize;
        from = std::make_shared<netascii_source>(std::move(from), window, &buffers());
    }
    opened_port opened_at = open_port(a, {});
    if (!opened_at.port) {
        from->unshare();
        release(from);
        return;
    }
    const option_limits bounds = bounds_for(a, opened_at, limits, answered.agreed);
    narrow(answered, a.request, bounds, from->size());
    auto made = std::make_unique<server_transfer>(
        *this,
        setup_for(a, std::move(opened_at.port)),
        sender::respond(answered, a.who.peer, engine_for_new(a), a.now),
        std::move(from),
        a,
        std::move(place),
        opened_at
    );
    made->opened_by_data = !answered.needs_oack();
    add(std::move(made), a.now);
}

void service::begin_write(
    const incoming_request& a, admission::permit place, result<std::shared_ptr<sink>> opened
) {
    if (!opened) {
        refuse(a, opened.error());
        return;
    }
    const option_limits limits = limits_for(a);
    answer answered = answer_request(a.request, limits, std::nullopt);
    std::shared_ptr<sink> into = std::move(*opened);
    if (!into->remote()) {
        into = std::make_shared<buffered_sink>(std::move(into), write_octets, &buffers());
    }
    if (a.request.mode == transfer_mode::netascii) {
        into = std::make_shared<netascii_sink>(std::move(into));
    }
    opened_port opened_at = open_port(a, answered.agreed);
    if (!opened_at.port) {
        release(into);
        return;
    }
    // What comes while a remote disk is written would not wait in a port that others read.
    const bool waits = into->remote() && opened_at.lent != nullptr;
    const std::uint16_t fits =
        waits ? 1 : window_that_fits(*opened_at.port, answered.agreed.blksize);
    const bool bound = opened_at.lent != nullptr && config_.bound_windows;
    narrow_window(
        answered, a.request, limits, std::nullopt, bound ? std::min(fits, shared_window_max) : fits
    );
    add(std::make_unique<server_transfer>(
            *this,
            setup_for(a, std::move(opened_at.port)),
            receiver::respond(answered, a.who.peer, engine_for_new(a), a.now),
            std::move(into),
            a,
            std::move(place),
            opened_at
        ),
        a.now);
}

transfer_setup
service::setup_for(const incoming_request& a, std::unique_ptr<datagram_socket> port) noexcept {
    return {
        a.request.op == opcode::rrq ? transfer_direction::read : transfer_direction::write,
        a.request.filename,
        a.request.mode,
        std::move(port),
        parts_.pool != nullptr ? this : nullptr};
}

option_limits service::limits_for(const incoming_request& a) noexcept {
    option_limits limits = config_.options;
    if (config_.blksize_auto && a.request.options.find("blksize")) {
        if (const auto mtu = routes_.mtu(a.who.peer, a.now)) {
            limits.blksize = std::min(limits.blksize, blksize_for_mtu(*mtu, a.who.peer.family));
        }
    }
    return limits;
}

content_request service::content_for(const incoming_request& a) noexcept {
    content_request wanted{
        a.request.filename, a.request.mode, a.who.peer, a.who.local, std::nullopt};
    if (a.request.op == opcode::wrq) {
        wanted.announced_size =
            answer_request(a.request, config_.options, std::nullopt).agreed.tsize;
    }
    return wanted;
}

void service::refuse(const incoming_request& a, const error_code& why) noexcept {
    const peer_errc code = to_peer_errc(why);
    const bool exhausted = is_shortage(why);
    const bool busy = exhausted || why == errc::overloaded || why == errc::client_overloaded;
    refuse(a, code, busy ? busy_text : peer_message(code), why);
    if (exhausted) {
        // A client that never answered may hold what is missing; it is given back at the end of
        // this turn.
        make_room(a);
    }
}

void service::refuse(
    const incoming_request& a, peer_errc code, std::string_view message, const error_code& why
) noexcept {
    std::array<std::byte, 128> out{};
    if (const auto size = encode_error(code, message, out)) {
        answer_once(a, bytes_view(out).first(*size));
    }
    report(a, why);
}

/// Best effort: the peer asks again when it is lost.
void service::answer_once(const incoming_request& a, bytes_view datagram) noexcept {
    const error_code failed = a.port.send(a.who.peer, a.to, datagram);
    if (failed != boost::system::errc::operation_would_block || config_.tids == tid_mode::single) {
        return;
    }
    // What waits for others, who may not exist, fills the port: this answer takes another one.
    if (const auto aside = parts_.ports.open(a.who.local.with_port(0), {})) {
        static_cast<void>((*aside)->send(a.who.peer, {}, datagram));
    }
}

void service::report(const incoming_request& a, const error_code& why) noexcept {
    try {
        transfer_summary s;
        s.verb = a.request.op == opcode::wrq ? transfer_direction::write : transfer_direction::read;
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

} // namespace tftp
