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
#include "server/transfer_starter.hpp"

#include <tftp/base/assert.hpp>
#include <tftp/server/shard.hpp>

#include <malloc.h>
#include <new>
#include <utility>
#include <variant>
#include <vector>

namespace tftp {

namespace {

[[nodiscard]] error_code out_of_memory() noexcept {
    return make_error_code(boost::system::errc::not_enough_memory);
}

[[nodiscard]] request_facts facts_of(const incoming_request& a) noexcept {
    return {
        a.who.peer,
        a.who.local,
        direction_of(a.request),
        a.request.filename,
        a.request.mode,
        a.request.options};
}

} // namespace

/// The way of a request: acceptor, duplicate filter, policy, admission, content (perhaps by the
/// open queue), transfer starter, transfer runner.
class shard::impl final : private acceptor::request_handler, private open_queue::handler {
public:
    impl(
        const shard_dependencies& needs,
        std::shared_ptr<const service_config> config,
        time_point now
    )
        : context_(needs, std::move(config)),
          files_(context_, runner_),
          acceptor_(context_, *this, packets_, now),
          ports_(context_, acceptor_, runner_, packets_),
          runner_(context_, held_, now),
          packets_(context_, runner_),
          openings_(context_, runner_, *this),
          duplicates_(context_, held_, runner_, openings_, ports_),
          admission_(context_, runner_, openings_),
          refuser_(context_),
          starter_(context_, {runner_, ports_, files_, admission_, refuser_}) {}

    ~impl() {
        close_listeners();
        acceptor_.unwatch();
        ports_.unwatch();
    }

    [[nodiscard]] error_code listen(std::unique_ptr<datagram_socket> port) {
        return acceptor_.listen(std::move(port));
    }

    void configure(std::shared_ptr<const service_config> config, time_point now) noexcept {
        TFTP_ASSERT(config->tids == context_.config().tids);
        context_.snapshot = std::move(config);
        acceptor_.configure(now);
    }

    void step(time_point now) noexcept;

    [[nodiscard]] std::optional<time_point> deadline() const noexcept { return deadline_; }

    void close_listeners() noexcept;

    void abort_all(time_point now) { runner_.abort_all(now); }

    [[nodiscard]] std::size_t running() const noexcept { return runner_.running(); }

    [[nodiscard]] const shard_counters& counters() const noexcept { return context_.counters; }

    [[nodiscard]] std::vector<transfer_summary> progress(time_point now) const;

    [[nodiscard]] std::size_t transfers() const noexcept { return runner_.transfers().size(); }

private:
    void on_request(const incoming_request& a) noexcept override;
    void on_malformed(const incoming_request& a, const error_code& why) noexcept override;
    void
    on_opened(const incoming_request& a, grant granted, opened_content opened) noexcept override;
    void
    on_given_up(const incoming_request& a, reason why, const error_code& what) noexcept override;

    void expire(time_point now) noexcept;
    void reap() noexcept;
    void begin(const incoming_request& a);
    void open(const incoming_request& a, grant granted);
    void open_elsewhere(const incoming_request& a, grant granted);

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
    request_refuser refuser_;
    transfer_starter starter_;
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

std::vector<transfer_summary> shard::impl::progress(time_point now) const {
    std::vector<transfer_summary> all;
    all.reserve(runner_.transfers().size());
    runner_.transfers().for_each([&all, now](const server_transfer& t) {
        if (!t.completed()) {
            all.push_back(t.summary());
            all.back().elapsed = now - t.started_at;
        }
    });
    return all;
}

void shard::impl::on_request(const incoming_request& a) noexcept {
    if (duplicates_.absorb(a)) {
        return;
    }
    try {
        begin(a);
    } catch (const std::bad_alloc&) {
        starter_.refuse(a, reason::shortage, out_of_memory());
    }
}

void shard::impl::on_malformed(const incoming_request& a, const error_code& why) noexcept {
    // Many a client takes the answer for one of its transfer, from whatever port it comes.
    if (!runner_.transfers().contains(a.who)) {
        const bool mode = why == errc::unsupported_mode;
        const char* const text = mode ? "unsupported transfer mode" : "malformed request";
        const reason as = mode ? reason::unsupported_mode : reason::malformed;
        refuser_.refuse(a, as, peer_errc::illegal_operation, text, why);
    }
}

void shard::impl::begin(const incoming_request& a) {
    context_.counters.requests.add();
    context_.needs.observer.on_requested(event_of(a));
    verdict decided = context_.policy().decide(facts_of(a), context_.config());
    if (const auto& refused = decided.refused) {
        if (admission_.may_answer(a)) {
            refuser_.refuse(
                a, reason::policy, refused->code, refused->text, refused->why, decided.rule
            );
        } else {
            refuser_.drop(a, admission_.why_unanswered(a), errc::too_fast);
        }
        return;
    }
    auto permit = admission_.admit(a);
    if (permit) {
        open(a, {std::move(decided), std::move(*permit)});
    } else if (permit.error() == errc::too_fast) {
        refuser_.drop(a, admission_.why_unanswered(a), permit.error());
    } else {
        const bool by_client = permit.error() == errc::client_overloaded;
        starter_.refuse(
            a, by_client ? reason::client_overloaded : reason::overloaded, permit.error()
        );
    }
}

/// Opens the content of a request that was admitted, here if that takes no wait.
void shard::impl::open(const incoming_request& a, grant granted) {
    content_provider& files = granted.files_of(context_.needs.files);
    content_request wanted = negotiator::content_for(a, granted);
    const bool may_wait_elsewhere = context_.needs.pool != nullptr;
    if (a.request.op == opcode::wrq) {
        if (const error_code refused = files.check_write(wanted)) {
            starter_.refuse(a, reason::content, refused);
        } else if (may_wait_elsewhere) {
            open_elsewhere(a, std::move(granted));
        } else {
            auto opened = files.open_write(wanted);
            starter_.begin_write(a, std::move(granted), std::move(opened));
        }
        return;
    }
    wanted.cache = &files_.cache();
    auto opened = files.try_open_read(wanted);
    if (!opened && opened.error() == errc::would_block) {
        if (may_wait_elsewhere) {
            open_elsewhere(a, std::move(granted));
            return;
        }
        wanted.cache = nullptr;
        opened = files.open_read(wanted);
    }
    starter_.begin_read(a, std::move(granted), std::move(opened));
}

void shard::impl::open_elsewhere(const incoming_request& a, grant granted) {
    if (!openings_.open(a, std::move(granted))) {
        // No ERROR: the client asks again, and may find the pool less busy.
        refuser_.drop(a, reason::disks_busy, errc::overloaded);
    }
}

void shard::impl::on_opened(
    const incoming_request& a, grant granted, opened_content opened
) noexcept {
    try {
        if (a.request.op == opcode::rrq) {
            starter_.begin_read(a, std::move(granted), std::move(opened.from));
        } else {
            starter_.begin_write(a, std::move(granted), std::move(opened.into));
        }
    } catch (const std::bad_alloc&) {
        starter_.refuse(a, reason::shortage, out_of_memory());
    }
}

void shard::impl::on_given_up(
    const incoming_request& a, reason why, const error_code& what
) noexcept {
    refuser_.drop(a, why, what);
}

shard::shard(const shard_dependencies& needs, const service_config& config, time_point now)
    : impl_(std::make_unique<impl>(needs, std::make_shared<const service_config>(config), now)) {}

shard::~shard() = default;

error_code shard::listen(std::unique_ptr<datagram_socket> port) {
    return impl_->listen(std::move(port));
}

void shard::configure(std::shared_ptr<const service_config> config, time_point now) noexcept {
    impl_->configure(std::move(config), now);
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

std::vector<transfer_summary> shard::progress(time_point now) const {
    return impl_->progress(now);
}

const shard_counters& shard::counters() const noexcept {
    return impl_->counters();
}

} // namespace tftp
