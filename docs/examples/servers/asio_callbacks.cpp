// Shows: callbacks. Boost.Asio waits (by epoll) and calls a function when a descriptor is ready;
// the program never waits itself, it only says what to do next. What a sequential program keeps in
// its variables is kept in objects that the functions share.
//
// Run:     asio_callbacks --service echo --listen 127.0.0.1:7007
//          many_clients 127.0.0.1:7007 --connections 1000
// Observe: the loop is Asio's: one call of run(). Follow one descriptor through the code: watch(),
//          wait(), the lambda, wait() again. Compare with asio_coroutines.
//
// See docs/examples/README.md.

#include "common/server.hpp"
#include "common/service.hpp"

#include <tftp/base/time.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include <csignal>
#include <memory>
#include <unordered_map>
#include <vector>

namespace {

namespace asio = boost::asio;
using wait_kind = asio::posix::stream_descriptor::wait_type;

template <example::service Service>
class reactor {
public:
    explicit reactor(Service& served) : served_(served), timer_(loop_) {}

    void run() {
        asio::signal_set signals(loop_, SIGINT, SIGTERM);
        signals.async_wait([this](const auto&, int) { loop_.stop(); });
        take_changes();
        loop_.run();
        // The service closes what it opened.
        for (auto& each : watched_) {
            each.second->descriptor.release();
        }
    }

private:
    /// Reading, or writing.
    struct direction {
        wait_kind kind = wait_kind::wait_read;
        bool wanted = false;
        /// A callback will come.
        bool ordered = false;
    };

    struct watch {
        watch(asio::io_context& loop, int fd) : descriptor(loop, fd) {}

        asio::posix::stream_descriptor descriptor;
        direction reading{wait_kind::wait_read};
        direction writing{wait_kind::wait_write};
    };

    void take_changes() {
        std::vector<tftp::interest> changes;
        served_.changes(changes);
        for (const tftp::interest& each : changes) {
            if (!each.read && !each.write) {
                forget(each.fd);
                continue;
            }
            auto& entry = watched_[each.fd];
            if (!entry) {
                entry = std::make_shared<watch>(loop_, each.fd);
            }
            entry->reading.wanted = each.read;
            entry->writing.wanted = each.write;
            wait(entry, entry->reading);
            wait(entry, entry->writing);
        }
        arm_timer();
    }

    /// The callbacks that are ordered come with an error now; they hold the entry until then.
    void forget(int fd) {
        if (const auto found = watched_.find(fd); found != watched_.end()) {
            found->second->reading.wanted = false;
            found->second->writing.wanted = false;
            found->second->descriptor.release();
            watched_.erase(found);
        }
    }

    /// which: of `entry`, which the callback keeps alive.
    void wait(const std::shared_ptr<watch>& entry, direction& which) {
        if (which.ordered || !which.wanted) {
            return;
        }
        which.ordered = true;
        entry->descriptor.async_wait(which.kind, [this, entry, &which](const auto& failed) {
            which.ordered = false;
            if (failed || !which.wanted) {
                return;
            }
            const bool reads = which.kind == wait_kind::wait_read;
            served_.on_ready(entry->descriptor.native_handle(), reads, !reads, tftp::clock::now());
            take_changes();
            wait(entry, which);
        });
    }

    void arm_timer() {
        const auto deadline = served_.deadline();
        if (!deadline || *deadline == timer_.expiry()) {
            return;
        }
        // Cancels the wait for an earlier time.
        timer_.expires_at(*deadline);
        timer_.async_wait([this](const auto& failed) {
            if (!failed) {
                served_.on_deadline(tftp::clock::now());
                take_changes();
            }
        });
    }

    asio::io_context loop_{1};
    Service& served_;
    asio::steady_timer timer_;
    std::unordered_map<int, std::shared_ptr<watch>> watched_;
};

int run(const example::arguments& given) {
    return example::serve_chosen(given, [](auto& served, const auto&) { reactor(served).run(); });
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc, argv, "Serves many clients by callbacks of Asio.", example::server_arguments, run
    );
}
