// Shows: how a server that runs for months keeps its descriptors. A client that says nothing holds
// one for ever, and one address may open thousands: idle connections are closed, connections per
// address are counted. One thread waits for all of them with poll.
//
// Run:     idle_reaper 127.0.0.1:7000 --idle 5 --per-client 2
//          beside: `nc 127.0.0.1 7000` three times
// Observe: what it closes and why. Lines you type come back, and each starts the time anew; the
//          third nc ends at once. Ctrl-C ends it.

#include "common/program.hpp"
#include "common/socket.hpp"
#include "common/stop.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/socket.h>

namespace {

using example::check;
using example::socket_address;
using example::unique_fd;
using seconds = std::chrono::duration<double>;
using moment = std::chrono::time_point<std::chrono::steady_clock, seconds>;

/// All connections at most: what does not fit waits in the queue of the listener.
constexpr std::size_t connections_max = 512;

struct rules {
    seconds idle_max;
    std::size_t per_client_max;
};

struct connection {
    unique_fd socket;
    tftp::endpoint who;
    /// When an octet last went in or out.
    moment active;
    /// What the system had no room for; nothing more is read until it is gone.
    std::string unsent;
};

moment now() {
    return std::chrono::steady_clock::now();
}

void say(const connection& about, const std::string& what) {
    std::cout << tftp::to_string(about.who) << ' ' << what << std::endl;
}

/// Takes one connection from the queue, and keeps it if its address has not too many.
void take(const unique_fd& listener, const rules& limits, std::vector<connection>& all) {
    socket_address from;
    ::socklen_t size = socket_address::capacity;
    const int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    unique_fd socket(::accept4(listener.get(), from.data(), &size, flags));
    if (!socket) {
        // The client may have given up before we came to it; the listener does not block.
        if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
            check(-1, "accept");
        }
        return;
    }
    connection fresh{std::move(socket), from.to_endpoint(), now(), ""};
    const auto same = [&](const connection& c) { return c.who.same_host(fresh.who); };
    const auto others = static_cast<std::size_t>(std::count_if(all.begin(), all.end(), same));
    if (others >= limits.per_client_max) {
        say(fresh, "refused: its address has " + std::to_string(others) + " connections");
        return;
    }
    say(fresh, "connected");
    all.push_back(std::move(fresh));
}

/// Sends back what came, without ever waiting. Returns false when the connection is over.
bool serve(connection& c) {
    if (c.unsent.empty()) {
        std::array<char, 4096> octets{};
        const auto came = ::recv(c.socket.get(), octets.data(), octets.size(), 0);
        if (came <= 0) {
            return came < 0 && errno == EAGAIN;
        }
        c.unsent.assign(octets.data(), static_cast<std::size_t>(came));
        c.active = now();
    }
    const auto sent = ::send(c.socket.get(), c.unsent.data(), c.unsent.size(), MSG_NOSIGNAL);
    if (sent < 0) {
        return errno == EAGAIN;
    }
    // A client that sends and never reads makes no progress either: it counts as idle.
    c.unsent.erase(0, static_cast<std::size_t>(sent));
    c.active = now();
    return true;
}

/// Closes what has been idle for too long. Returns how long poll may wait until it is due again.
int reap(std::vector<connection>& all, const rules& limits) {
    const moment due = now() - limits.idle_max;
    std::erase_if(all, [&](const connection& c) {
        const bool idle = c.active <= due;
        if (idle) {
            say(c, "closed: idle for " + std::to_string((now() - c.active).count()) + " s");
        }
        return idle;
    });
    const auto older = [](const connection& a, const connection& b) { return a.active < b.active; };
    const auto next = std::min_element(all.begin(), all.end(), older);
    if (next == all.end()) {
        return -1;
    }
    const auto left = next->active + limits.idle_max - now();
    // Rounded up: poll that returns a little early would be called again and again.
    return std::max(
        0, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count())
    );
}

void run(const unique_fd& listener, const rules& limits, const example::stop_signal& stop) {
    std::vector<connection> all;
    while (!stop.asked()) {
        const int wait_ms = reap(all, limits);
        const short room = all.size() < connections_max ? POLLIN : 0;
        std::vector<::pollfd> waiting{{stop.fd(), POLLIN, 0}, {listener.get(), room, 0}};
        for (const connection& c : all) {
            const short events = c.unsent.empty() ? POLLIN : POLLOUT;
            waiting.push_back({c.socket.get(), events, 0});
        }
        if (::poll(waiting.data(), waiting.size(), wait_ms) < 0) {
            if (errno == EINTR) {
                continue;
            }
            check(-1, "poll");
        }
        // From the back, so that what is erased moves none that is still to come.
        for (std::size_t i = all.size(); i-- > 0;) {
            if (waiting[i + 2].revents != 0 && !serve(all[i])) {
                say(all[i], "left");
                all.erase(all.begin() + static_cast<std::ptrdiff_t>(i));
            }
        }
        if (waiting[1].revents != 0) {
            take(listener, limits, all);
        }
    }
}

seconds idle_time(const std::string& text) {
    double value = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    constexpr double day = 86'400;
    if (error != std::errc() || rest != end || !(value > 0 && value <= day)) {
        throw example::usage_error("--idle is a number of seconds like 0.5, not '" + text + "'");
    }
    return seconds(value);
}

int serve_all(const example::arguments& given) {
    const socket_address address(given.address("ADDRESS:PORT"));
    const rules limits{
        idle_time(given.text("--idle")), given.number("--per-client", 1, connections_max)};
    const example::stop_signal stop;
    const unique_fd listener =
        example::open_socket(address.data()->sa_family, SOCK_STREAM | SOCK_NONBLOCK);
    const int on = 1;
    check(::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
    check(::bind(listener.get(), address.data(), address.size()), "bind");
    check(::listen(listener.get(), SOMAXCONN), "listen");
    std::cout << "serving on " << tftp::to_string(example::local_address(listener)) << std::endl;
    run(listener, limits, stop);
    std::cout << "ended" << std::endl;
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Sends bytes back over TCP, closes idle connections, and limits them per address.",
        {{"ADDRESS:PORT", "where it listens; port 0: any free one"},
         {"--idle", "seconds without an octet", "60"},
         {"--per-client", "connections from one address", "8"}},
        serve_all
    );
}
