#include <tftp/base/time.hpp>
#include <tftp/client/async/async_client.hpp>
#include <tftp/client/client_transfer.hpp>
#include <tftp/client/resolver.hpp>
#include <tftp/socket/scratch.hpp>
#include <tftp/socket/socket_address.hpp>
#include <tftp/socket/udp_socket.hpp>
#include <tftp/transfer/transfer.hpp>

#include <boost/asio/append.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <vector>

namespace tftp {

namespace asio = boost::asio;

namespace {

constexpr auto progress_interval = std::chrono::milliseconds(100);

using resolver = asio::ip::udp::resolver;

/// Returns each address that was found once, of those that can be sent to.
[[nodiscard]] std::vector<endpoint>
addresses_of(const resolver::results_type& found, address_family family) {
    std::vector<endpoint> addresses;
    for (const auto& entry : found) {
        const asio::ip::udp::endpoint native = entry.endpoint();
        socket_address address;
        std::memcpy(address.data(), native.data(), native.size());
        const endpoint e = address.to_endpoint();
        if ((family == address_family::none || e.family == family) &&
            std::ranges::find(addresses, e) == addresses.end()) {
            addresses.push_back(e);
        }
    }
    return addresses;
}

/// Returns this library's code for what the resolver says.
[[nodiscard]] error_code lookup_error(const error_code& why) noexcept {
    const bool missing = !why || why == asio::error::host_not_found ||
                         why == asio::error::no_data || why == asio::error::service_not_found;
    return missing ? errc::unknown_host : errc::lookup_failed;
}

} // namespace

struct client::shared_state {
    asio::any_io_executor executor;
    scratch memory;
    udp_socket_factory ports;
};

/// One get or put, fallback included. Keeps itself alive through the waits it has started.
class client::operation : public std::enable_shared_from_this<operation> {
public:
    using begin_function =
        std::function<result<std::unique_ptr<transfer>>(const client_request&, socket_factory&)>;

    operation(
        std::shared_ptr<shared_state> shared,
        client_request asked,
        begin_function begin,
        handler done
    )
        : shared_(std::move(shared)),
          asked_(asked),
          begin_(std::move(begin)),
          done_(std::move(done)),
          work_(asio::make_work_guard(done_, shared_->executor)),
          timer_(shared_->executor) {}

    ~operation() {
        // Left open when the loop ends first: the transfer owns the descriptor.
        if (port_) {
            static_cast<void>(port_->release());
        }
    }

    void start() {
        auto slot = asio::get_associated_cancellation_slot(done_);
        if (slot.is_connected()) {
            slot.assign([weak = weak_from_this()](asio::cancellation_type type) {
                using asio::cancellation_type;
                const auto ends = cancellation_type::terminal | cancellation_type::partial;
                if (const auto self = weak.lock();
                    self && (type & ends) != cancellation_type::none) {
                    self->cancel();
                }
            });
        }
        const time_point now = clock::now();
        limit_ = last_moment(asked_, now);
        report_at_ = now + progress_interval;
        if (url_) {
            find_server(*url_);
        } else {
            begin();
        }
    }

    /// Ends what has not begun.
    void fail(error_code why, bool of_content = false) {
        transfer_summary nothing;
        nothing.filename = asked_.filename;
        nothing.outcome = why;
        nothing.failed = side_of(why, of_content);
        finish(std::move(nothing));
    }

    /// Finds the server by `url`.
    void start(std::string url) {
        url_ = std::move(url);
        start();
    }

private:
    void find_server(const std::string& url) {
        result<location> where = parse_url(url);
        if (!where) {
            fail(where.error());
            return;
        }
        asked_.filename = where->filename;
        asked_.mode = where->mode;
        const bool digits =
            std::ranges::all_of(where->service, [](char c) { return c >= '0' && c <= '9'; });
        if (digits) {
            const auto port = static_cast<std::uint16_t>(std::stoul(where->service));
            if (auto numeric = resolve_numeric(where->host, port, family_of(asked_))) {
                on_found(std::move(numeric->addresses), numeric->error);
                return;
            }
        }
        look_up(*where);
    }

    void look_up(const location& where) {
        resolver_.emplace(shared_->executor);
        resolver_->async_resolve(
            where.host,
            where.service,
            [self = shared_from_this()](const error_code& why, const auto& found) {
                if (self->done_) {
                    self->timer_.cancel();
                    self->on_found(addresses_of(found, family_of(self->asked_)), lookup_error(why));
                }
            }
        );
        if (limit_ != time_point::max()) {
            timer_.expires_at(limit_);
            timer_.async_wait([self = shared_from_this()](error_code cancelled) {
                if (!cancelled && self->done_ && !self->transfer_) {
                    self->fail(errc::out_of_time);
                }
            });
        }
    }

    void on_found(std::vector<endpoint> addresses, error_code otherwise) {
        addresses_ = std::move(addresses);
        if (addresses_.empty()) {
            fail(otherwise);
            return;
        }
        begin_at_next();
    }

    void begin_at_next() {
        asked_.server = addresses_[next_address_++];
        begin();
    }

    void begin() {
        auto made = begin_(asked_, shared_->ports);
        if (!made) {
            fail(made.error());
            return;
        }
        transfer_ = std::move(*made);
        port_.emplace(shared_->executor, transfer_->wants().fd);
        transfer_->start(shared_->memory, clock::now());
        go_on();
    }

    /// Waits for what the transfer wants now, after each of its steps.
    void go_on() {
        if (transfer_->completed() && done_) {
            transfer_summary ended = transfer_->summary();
            if (!cancelled_ && may_fall_back(asked_, ended)) {
                close();
                refused_ = std::move(ended);
                asked_.options = no_options;
                begin();
                return;
            }
            if (!cancelled_ && worth_another_address(ended) && next_address_ < addresses_.size()) {
                close();
                begin_at_next();
                return;
            }
            if (asked_.on_progress && !ended.outcome) {
                static_cast<void>(asked_.on_progress({ended.counters.bytes, ended.agreed.tsize}));
            }
            finish(std::move(ended));
        }
        if (transfer_->closed()) {
            close();
            return;
        }
        if (!reading_) {
            reading_ = true;
            wait(asio::posix::stream_descriptor::wait_read, [](operation& self) {
                self.reading_ = false;
                self.transfer_->on_readable(self.shared_->memory, clock::now());
            });
        }
        if (transfer_->wants().write && !writing_) {
            writing_ = true;
            wait(asio::posix::stream_descriptor::wait_write, [](operation& self) {
                self.writing_ = false;
                self.transfer_->on_writable(self.shared_->memory, clock::now());
            });
        }
        arm();
    }

    template <class Step>
    void wait(asio::posix::stream_descriptor::wait_type what, Step step) {
        port_->async_wait(
            what,
            [self = shared_from_this(), step, attempt = attempt_](error_code failed) {
                if (!failed && attempt == self->attempt_) {
                    step(*self);
                    self->go_on();
                }
            }
        );
    }

    void arm() {
        auto due = transfer_->deadline();
        if (limit_ != time_point::max() && !transfer_->completed()) {
            due = earlier(due, limit_);
        }
        if (asked_.on_progress && !transfer_->completed()) {
            due = earlier(due, report_at_);
        }
        if (!due || (armed_ && *armed_ <= *due)) {
            return;
        }
        armed_ = due;
        timer_.expires_at(*due);
        timer_.async_wait([self = shared_from_this(), attempt = attempt_](error_code failed) {
            if (!failed && attempt == self->attempt_) {
                self->armed_.reset();
                self->on_time(clock::now());
                if (attempt == self->attempt_) {
                    self->go_on();
                }
            }
        });
    }

    void on_time(time_point now) {
        transfer& t = *transfer_;
        if (now >= limit_ && !t.completed()) {
            t.abort(peer_errc::undefined, "took too long", errc::out_of_time, shared_->memory, now);
        } else if (t.deadline() && now >= *t.deadline()) {
            t.on_deadline(shared_->memory, now);
        }
        if (asked_.on_progress && !t.completed() && now >= report_at_) {
            report_at_ = now + progress_interval;
            report();
        }
    }

    void report() {
        const transfer& t = *transfer_;
        const progress so_far{t.counters().bytes, t.agreed().tsize};
        // It may cancel this operation, which ends the transfer.
        if (!asked_.on_progress(so_far) && transfer_ && !transfer_->completed()) {
            transfer_->abort(
                peer_errc::undefined,
                "stopped by the user",
                errc::stopped,
                shared_->memory,
                clock::now()
            );
        }
    }

    void cancel() {
        if (!transfer_ && resolver_ && done_) {
            cancelled_ = true;
            resolver_->cancel();
            timer_.cancel();
            fail(asio::error::operation_aborted);
        } else if (transfer_ && !transfer_->completed()) {
            cancelled_ = true;
            transfer_->abort(
                peer_errc::undefined,
                "cancelled",
                asio::error::operation_aborted,
                shared_->memory,
                clock::now()
            );
            go_on();
        }
    }

    /// Ends the waits of this attempt; the transfer owns the descriptor.
    void close() {
        ++attempt_;
        static_cast<void>(port_->release());
        port_.reset();
        timer_.cancel();
        armed_.reset();
        reading_ = false;
        writing_ = false;
        transfer_.reset();
    }

    void finish(transfer_summary ended) {
        if (refused_) {
            ended = after_falling_back(std::move(*refused_), std::move(ended));
        }
        complete(std::move(ended));
    }

    void complete(transfer_summary ended) {
        auto slot = asio::get_associated_cancellation_slot(done_);
        if (slot.is_connected()) {
            slot.clear();
        }
        const error_code outcome = ended.outcome;
        // Through the client's executor first, then where the handler wants to run.
        asio::post(
            shared_->executor,
            asio::append(std::exchange(done_, nullptr), outcome, std::move(ended))
        );
        work_.reset();
    }

    std::shared_ptr<shared_state> shared_;
    client_request asked_;
    begin_function begin_;
    handler done_;
    /// Where the handler will run must not come to its end before.
    asio::executor_work_guard<asio::associated_executor_t<handler, asio::any_io_executor>> work_;
    asio::steady_timer timer_;
    /// What to find the server by; empty when the request says it.
    std::optional<std::string> url_;
    std::optional<resolver> resolver_;
    /// Of the host, those before `next_address_` were tried.
    std::vector<endpoint> addresses_;
    std::size_t next_address_ = 0;
    std::unique_ptr<transfer> transfer_;
    std::optional<asio::posix::stream_descriptor> port_;
    std::optional<time_point> armed_;
    /// When it has to be over.
    time_point limit_ = time_point::max();
    /// When progress is told next.
    time_point report_at_ = time_point::max();
    /// How it ended with options, when it is made without any now.
    std::optional<transfer_summary> refused_;
    unsigned attempt_ = 0;
    bool reading_ = false;
    bool writing_ = false;
    bool cancelled_ = false;
};

client::client(asio::any_io_executor ex) : shared_(std::make_shared<shared_state>()) {
    shared_->executor = std::move(ex);
}

asio::any_io_executor client::get_executor() const {
    return shared_->executor;
}

void client::start_get(
    std::shared_ptr<shared_state> shared, client_request asked, sink& into, handler done
) {
    std::make_shared<operation>(
        std::move(shared),
        asked,
        [&into](const client_request& r, socket_factory& ports) {
            return begin_get(r, into, ports, clock::now());
        },
        std::move(done)
    )
        ->start();
}

void client::start_put(
    std::shared_ptr<shared_state> shared, client_request asked, source& from, handler done
) {
    std::make_shared<operation>(
        std::move(shared),
        asked,
        [&from](const client_request& r, socket_factory& ports) {
            return begin_put(r, from, ports, clock::now());
        },
        std::move(done)
    )
        ->start();
}

void client::start_get(
    std::shared_ptr<shared_state> shared,
    std::string url,
    const destination& into,
    client_request how,
    handler done
) {
    const auto o = std::make_shared<operation>(
        std::move(shared),
        how,
        [into](const client_request& r, socket_factory& ports) {
            return begin_get(r, **into.opened(), ports, clock::now());
        },
        std::move(done)
    );
    if (into.opened()) {
        o->start(std::move(url));
    } else {
        o->fail(into.opened().error(), true);
    }
}

void client::start_put(
    std::shared_ptr<shared_state> shared,
    std::string url,
    const content& from,
    client_request how,
    handler done
) {
    const auto o = std::make_shared<operation>(
        std::move(shared),
        how,
        [from](const client_request& r, socket_factory& ports) {
            return begin_put(r, **from.opened(), ports, clock::now());
        },
        std::move(done)
    );
    if (from.opened()) {
        o->start(std::move(url));
    } else {
        o->fail(from.opened().error(), true);
    }
}

} // namespace tftp
