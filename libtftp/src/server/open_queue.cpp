#include "server/open_queue.hpp"

#include "server/negotiator.hpp"

#include <tftp/file/name_policy.hpp>

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>
#include <vector>

namespace tftp {

namespace {

/// How long a request is waited for whose file is being opened, before another one may take its
/// place.
constexpr auto opening_patience = std::chrono::milliseconds(2000);

/// How often requests are looked through whose file is being opened.
constexpr auto stale_interval = std::chrono::seconds(1);

[[nodiscard]] error_code out_of_memory() noexcept {
    return make_error_code(boost::system::errc::not_enough_memory);
}

} // namespace

/// Opens the content of one request.
class open_queue::job final : public blocking_job {
public:
    job(open_queue& owner, const incoming_request& a, grant given)
        : blocking_job(name_lane(given.name_of(a))),
          granted(std::move(given)),
          opened{out_of_memory(), out_of_memory()},
          owner_(owner),
          port_(a.port),
          to_(a.to),
          datagram_(a.datagram.begin(), a.datagram.end()),
          who_(a.who),
          request_(std::get<request_view>(*decode(datagram_))),
          since_(a.now) {}

    job(const job&) = delete;
    job& operator=(const job&) = delete;

    /// The pool may end before it has run.
    ~job() override {
        // Once cancelled it is in no table, and the queue may be gone.
        if (cancelled_) {
            return;
        }
        const auto found = owner_.opening_.find(who_);
        if (found != owner_.opening_.end() && found->second == this) {
            owner_.opening_.erase(found);
        }
    }

    void run() noexcept override {
        const incoming_request a = resumed(since_);
        const content_request wanted = negotiator::content_for(a, granted);
        content_provider& files = granted.files_of(owner_.context_.needs.files);
        if (request_.op == opcode::rrq) {
            opened.from = files.open_read(wanted);
        } else {
            opened.into = files.open_write(wanted);
        }
    }

    void done() noexcept override { owner_.on_opened(*this); }

    /// Its result is not wanted any more, and its place is free.
    void cancel() noexcept {
        cancelled_ = true;
        granted.permit = {};
    }

    [[nodiscard]] bool cancelled() const noexcept { return cancelled_; }

    [[nodiscard]] bool same_request(bytes_view other) const noexcept {
        return digest(datagram_) == digest(other);
    }

    /// Returns the request as it arrived, at another time.
    [[nodiscard]] incoming_request resumed(time_point now) const noexcept {
        return {port_, to_, datagram_, who_, request_, now, {}};
    }

    /// Returns when it arrived.
    [[nodiscard]] time_point since() const noexcept { return since_; }

    grant granted;
    opened_content opened;

private:
    open_queue& owner_;
    datagram_socket& port_;
    endpoint to_;
    /// The request's views borrow it.
    std::vector<std::byte> datagram_;
    transfer_key who_;
    request_view request_;
    time_point since_;
    bool cancelled_ = false;
};

open_queue::open_queue(shard_context& context, transfer_runner& runner, handler& by)
    : context_(context),
      runner_(runner),
      handler_(by),
      opening_(0, transfer_key_hash{context.admission.seed()}) {}

bool open_queue::open(const incoming_request& a, grant granted) {
    auto made = std::make_unique<job>(*this, a, std::move(granted));
    opening_.emplace(a.who, made.get());
    return runner_.offload(std::move(made), queueing::bounded);
}

void open_queue::on_opened(job& done) noexcept {
    if (done.cancelled()) {
        if (done.opened.from) {
            runner_.release(*done.opened.from);
        } else if (done.opened.into) {
            runner_.release(*done.opened.into);
        }
        return;
    }
    const incoming_request a = done.resumed(runner_.now());
    opening_.erase(a.who);
    handler_.on_opened(a, std::move(done.granted), std::move(done.opened));
}

bool open_queue::absorb(const incoming_request& a) noexcept {
    const auto found = opening_.find(a.who);
    job& first = *found->second;
    if (first.same_request(a.datagram) || a.now - first.since() < opening_patience) {
        return true;
    }
    // Its disk may never answer, and who waits for it has changed its mind.
    first.cancel();
    opening_.erase(found);
    return false;
}

bool open_queue::evict_one_of(const endpoint& peer, time_point now) noexcept {
    const auto own = std::ranges::find_if(opening_, [&peer](const auto& each) {
        return each.first.peer.same_host(peer);
    });
    if (own == opening_.end()) {
        return false;
    }
    handler_.on_given_up(own->second->resumed(now), reason::opening_evicted, errc::crowded_out);
    own->second->cancel();
    opening_.erase(own);
    return true;
}

void open_queue::give_up_stale(time_point now) noexcept {
    if (now < stale_at_) {
        return;
    }
    stale_at_ = now + stale_interval;
    std::erase_if(opening_, [&](const auto& entry) {
        job& each = *entry.second;
        if (now - each.since() < context_.config().engine.give_up) {
            return false;
        }
        handler_.on_given_up(each.resumed(now), reason::opening_stalled, errc::stalled);
        each.cancel();
        return true;
    });
}

void open_queue::clear() noexcept {
    for (const auto& [who, each] : opening_) {
        each->cancel();
    }
    opening_.clear();
}

void open_queue::shrink() noexcept {
    shrink_table(opening_);
}

} // namespace tftp
