#include "server/acceptor.hpp"
#include "server/demultiplexer.hpp"
#include "server/duplicate_filter.hpp"
#include "server/kept_files.hpp"
#include "server/negotiator.hpp"
#include "server/open_queue.hpp"
#include "server/port_allocator.hpp"
#include "server/request_refuser.hpp"
#include "server/shard_admission.hpp"
#include "server/shard_context.hpp"
#include "server/transfer_runner.hpp"

#include <tftp/server/shard.hpp>

#include <malloc.h>
#include <new>
#include <utility>
#include <variant>

namespace tftp {

namespace {

/// What one upload collects before it is written.
constexpr std::size_t collected_bytes = std::size_t{16} << 10;

[[nodiscard]] error_code out_of_memory() noexcept {
    return make_error_code(boost::system::errc::not_enough_memory);
}

} // namespace

/// The way of a request: acceptor, duplicate filter, admission, content (perhaps by the open
/// queue), negotiator, port allocator, transfer runner.
class shard::impl final : private acceptor::request_handler, private open_queue::handler {
public:
    impl(const shard_dependencies& needs, const service_config& config, time_point now)
        : context_(needs, config),
          files_(context_, runner_),
          acceptor_(context_, *this, packets_, now),
          ports_(context_, acceptor_, runner_, packets_),
          runner_(context_, held_, now),
          packets_(context_, runner_),
          openings_(context_, runner_, *this),
          duplicates_(held_, runner_, openings_, ports_),
          admission_(context_, runner_, openings_),
          negotiator_(context_),
          refuser_(context_) {}

    ~impl() {
        close_listeners();
        acceptor_.unwatch();
        ports_.unwatch();
    }

    [[nodiscard]] error_code listen(std::unique_ptr<datagram_socket> port) {
        return acceptor_.listen(std::move(port));
    }

    void step(time_point now) noexcept;

    [[nodiscard]] std::optional<time_point> deadline() const noexcept { return deadline_; }

    void close_listeners() noexcept;

    void abort_all(time_point now) { runner_.abort_all(now); }

    [[nodiscard]] std::size_t running() const noexcept { return runner_.running(); }

    [[nodiscard]] std::size_t transfers() const noexcept { return runner_.transfers().size(); }

private:
    void on_request(const incoming_request& a) noexcept override;
    void on_malformed(const incoming_request& a, const error_code& why) noexcept override;
    void on_opened(
        const incoming_request& a, admission::permit permit, opened_content opened
    ) noexcept override;
    void on_given_up(const incoming_request& a, const error_code& why) noexcept override;

    void expire(time_point now) noexcept;
    void reap() noexcept;
    void begin(const incoming_request& a);
    void open(const incoming_request& a, admission::permit permit);
    void open_elsewhere(
        const incoming_request& a, const content_request& wanted, admission::permit permit
    );
    void begin_read(
        const incoming_request& a, admission::permit permit, result<std::shared_ptr<source>> opened
    );
    void begin_write(
        const incoming_request& a, admission::permit permit, result<std::shared_ptr<sink>> opened
    );
    [[nodiscard]] opened_port
    open_port(const incoming_request& a, const parameters& receives) noexcept;
    [[nodiscard]] transfer_setup
    setup_for(const incoming_request& a, std::unique_ptr<datagram_socket> port) noexcept;
    void refuse(const incoming_request& a, const error_code& why) noexcept;
    void make_room(const incoming_request& a) noexcept;

    shard_context context_;
    held_requests held_;
    // Transfers use files and sockets that are lent to them, so they go first.
    kept_files files_;
    acceptor acceptor_;
    port_allocator ports_;
    transfer_runner runner_;
    demultiplexer packets_;
    open_queue openings_;
    duplicate_filter duplicates_;
    shard_admission admission_;
    negotiator negotiator_;
    request_refuser refuser_;
    /// As of the last step().
    std::optional<time_point> deadline_;
};

void shard::impl::step(time_point now) noexcept {
    acceptor_.take_more(now);
    if (deadline_ && *deadline_ <= now) {
        expire(now);
    }
    reap();
    deadline_ = earlier(
        earlier(runner_.deadline(), held_.due()),
        earlier(earlier(acceptor_.resuming_at(), ports_.resuming_at()), files_.deadline())
    );
}

void shard::impl::expire(time_point now) noexcept {
    acceptor_.resume(now);
    ports_.resume(now);
    files_.evict_idle(now);
    while (const auto held = duplicates_.take_due(now)) {
        const auto packet = decode(held->datagram);
        on_request(
            {*held->port,
             held->to,
             held->datagram,
             {held->peer, held->asked},
             std::get<request_view>(*packet),
             now,
             now - held->arrived}
        );
    }
    runner_.expire(now);
}

void shard::impl::reap() noexcept {
    if (runner_.destroy_ended() || runner_.transfers().pairs() == 0) {
        ports_.close_unused();
    }
    if (runner_.wants_trim()) {
        runner_.transfers().shrink();
        openings_.shrink();
        ::malloc_trim(0);
    }
}

void shard::impl::close_listeners() noexcept {
    acceptor_.stop();
    // They would begin transfers.
    openings_.clear();
    held_.clear();
}

void shard::impl::on_request(const incoming_request& a) noexcept {
    if (duplicates_.absorb(a)) {
        return;
    }
    try {
        begin(a);
    } catch (const std::bad_alloc&) {
        refuse(a, out_of_memory());
    }
}

void shard::impl::on_malformed(const incoming_request& a, const error_code& why) noexcept {
    // Many a client takes the answer for one of its transfer, from whatever port it comes.
    if (!runner_.transfers().contains(a.who)) {
        const bool mode = why == errc::unsupported_mode;
        const char* const text = mode ? "unsupported transfer mode" : "malformed request";
        refuser_.refuse(a, peer_errc::illegal_operation, text, why);
    }
}

void shard::impl::begin(const incoming_request& a) {
    auto permit = admission_.admit(a);
    if (permit) {
        open(a, std::move(*permit));
    } else if (permit.error() == errc::too_fast) {
        refuser_.report(a, permit.error());
    } else {
        refuse(a, permit.error());
    }
}

/// Opens the content of a request that was admitted, here if that takes no wait.
void shard::impl::open(const incoming_request& a, admission::permit permit) {
    content_provider& files = context_.needs.files;
    const bool may_wait_elsewhere = context_.needs.pool != nullptr;
    content_request wanted = negotiator_.content_for(a);
    if (a.request.op == opcode::wrq) {
        if (const error_code refused = files.check_write(wanted)) {
            refuse(a, refused);
        } else if (may_wait_elsewhere) {
            open_elsewhere(a, wanted, std::move(permit));
        } else {
            begin_write(a, std::move(permit), files.open_write(wanted));
        }
        return;
    }
    wanted.cache = &files_.cache();
    auto opened = files.try_open_read(wanted);
    if (!opened && opened.error() == errc::would_block) {
        wanted.cache = nullptr;
        if (may_wait_elsewhere) {
            open_elsewhere(a, wanted, std::move(permit));
            return;
        }
        opened = files.open_read(wanted);
    }
    begin_read(a, std::move(permit), std::move(opened));
}

void shard::impl::open_elsewhere(
    const incoming_request& a, const content_request& wanted, admission::permit permit
) {
    if (!openings_.open(a, wanted, std::move(permit))) {
        // No ERROR: the client asks again, and may find the pool less busy.
        refuser_.report(a, errc::overloaded);
    }
}

void shard::impl::on_opened(
    const incoming_request& a, admission::permit permit, opened_content opened
) noexcept {
    try {
        if (a.request.op == opcode::rrq) {
            begin_read(a, std::move(permit), std::move(opened.from));
        } else {
            begin_write(a, std::move(permit), std::move(opened.into));
        }
    } catch (const std::bad_alloc&) {
        refuse(a, out_of_memory());
    }
}

void shard::impl::on_given_up(const incoming_request& a, const error_code& why) noexcept {
    refuser_.report(a, why);
}

void shard::impl::begin_read(
    const incoming_request& a, admission::permit permit, result<std::shared_ptr<source>> opened
) {
    if (!opened) {
        refuse(a, opened.error());
        return;
    }
    std::shared_ptr<source> from = std::move(*opened);
    if (auto surplus = from->share(files_.cache()); surplus && from->remote()) {
        runner_.dispose(std::move(surplus), from->lane());
    }
    files_.schedule_eviction(a.now);
    answer answered = negotiator_.answer_read(a, from->size());
    if (a.request.mode == transfer_mode::netascii) {
        const std::size_t window =
            std::size_t{answered.agreed.blksize} * answered.agreed.windowsize;
        from = std::make_shared<netascii_source>(std::move(from), window, &runner_.buffers());
    }
    opened_port at = open_port(a, {});
    if (!at.port) {
        from->unshare();
        runner_.release(from);
        return;
    }
    negotiator_.bound_read(a, at.lent != nullptr, from->size(), answered);
    const engine_config engine = negotiator_.engine_for(a, runner_.transfers().half_open().size());
    auto made = std::make_unique<server_transfer>(
        runner_,
        setup_for(a, std::move(at.port)),
        sender::respond(answered, a.who.peer, engine, a.now),
        std::move(from),
        a,
        std::move(permit),
        at
    );
    made->opened_by_data = !answered.needs_oack();
    runner_.add(std::move(made), a.now);
}

void shard::impl::begin_write(
    const incoming_request& a, admission::permit permit, result<std::shared_ptr<sink>> opened
) {
    if (!opened) {
        refuse(a, opened.error());
        return;
    }
    answer answered = negotiator_.answer_write(a);
    std::shared_ptr<sink> into = std::move(*opened);
    if (!into->remote()) {
        into =
            std::make_shared<buffered_sink>(std::move(into), collected_bytes, &runner_.buffers());
    }
    if (a.request.mode == transfer_mode::netascii) {
        into = std::make_shared<netascii_sink>(std::move(into));
    }
    opened_port at = open_port(a, answered.agreed);
    if (!at.port) {
        runner_.release(into);
        return;
    }
    negotiator_.bound_write(a, *at.port, at.lent != nullptr, into->remote(), answered);
    const engine_config engine = negotiator_.engine_for(a, runner_.transfers().half_open().size());
    runner_.add(
        std::make_unique<server_transfer>(
            runner_,
            setup_for(a, std::move(at.port)),
            receiver::respond(answered, a.who.peer, engine, a.now),
            std::move(into),
            a,
            std::move(permit),
            at
        ),
        a.now
    );
}

/// Without a port the request is refused.
opened_port shard::impl::open_port(const incoming_request& a, const parameters& receives) noexcept {
    auto opened = ports_.open(a, receives);
    if (opened) {
        return std::move(*opened);
    }
    // Nothing the client asked for is wrong. One that never answered may hold what is missing.
    refuser_.refuse(a, peer_errc::undefined, busy_text, opened.error());
    make_room(a);
    return {};
}

transfer_setup
shard::impl::setup_for(const incoming_request& a, std::unique_ptr<datagram_socket> port) noexcept {
    return {
        a.request.op == opcode::rrq ? transfer_direction::read : transfer_direction::write,
        a.request.filename,
        a.request.mode,
        std::move(port),
        context_.needs.pool != nullptr ? &runner_ : nullptr};
}

void shard::impl::refuse(const incoming_request& a, const error_code& why) noexcept {
    refuser_.refuse(a, why);
    if (is_shortage(why)) {
        // A client that never answered may hold what is missing; it is given back at the end of
        // this turn.
        make_room(a);
    }
}

/// Descriptors or memory are short.
void shard::impl::make_room(const incoming_request& a) noexcept {
    files_.clear();
    admission_.evict(a.who.peer, a.now);
}

shard::shard(const shard_dependencies& needs, const service_config& config, time_point now)
    : impl_(std::make_unique<impl>(needs, config, now)) {}

shard::~shard() = default;

error_code shard::listen(std::unique_ptr<datagram_socket> port) {
    return impl_->listen(std::move(port));
}

void shard::step(time_point now) noexcept {
    impl_->step(now);
}

std::optional<time_point> shard::deadline() const noexcept {
    return impl_->deadline();
}

void shard::close_listeners() noexcept {
    impl_->close_listeners();
}

void shard::abort_all(time_point now) {
    impl_->abort_all(now);
}

std::size_t shard::running() const noexcept {
    return impl_->running();
}

std::size_t shard::transfers() const noexcept {
    return impl_->transfers();
}

} // namespace tftp
