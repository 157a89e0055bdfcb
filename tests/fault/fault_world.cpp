#include "fault/fault_world.hpp"

#include "support/loopback.hpp"

#include <tftp/client/client_transfer.hpp>
#include <tftp/file/file_sink.hpp>
#include <tftp/file/file_source.hpp>

#include <algorithm>
#include <filesystem>
#include <new>
#include <system_error>
#include <type_traits>
#include <utility>

#include <poll.h>

namespace tftp::test {

namespace {

constexpr const char* source_name = "source";
constexpr const char* target_name = "target";
constexpr std::uint16_t blksize = 300;

/// Far beyond what any transfer of these takes, retransmissions and dallying included.
constexpr int turns_max = 20'000;
constexpr auto time_max = std::chrono::minutes(10);

/// Turns without a pause after which time passes all the same: a call that fails for ever leaves
/// its descriptor ready for ever.
constexpr int busy_turns_max = 1000;
constexpr auto busy_turn = std::chrono::milliseconds(50);

/// Arms faults if `wanted`.
class maybe_armed {
public:
    explicit maybe_armed(bool wanted) {
        if (wanted) {
            scope_.emplace();
        }
    }

private:
    std::optional<armed> scope_;
};

[[nodiscard]] short ready_events(const transfer& t) noexcept {
    const interest wanted = t.wants();
    ::pollfd p{wanted.fd, POLLIN, 0};
    if (wanted.write) {
        p.events |= POLLOUT;
    }
    return ::poll(&p, 1, 0) > 0 ? p.revents : short{0};
}

} // namespace

const std::string& fault_world::content() {
    // Line ends and lone CRs on all places of a block, for netascii.
    static const std::string octets = [] {
        std::string text = make_content(content_size, 1);
        for (std::size_t i = 0; i < text.size(); i += 7) {
            text[i] = i % 2 == 0 ? '\n' : '\r';
        }
        return text;
    }();
    return octets;
}

const std::string& fault_world::before() {
    static const std::string octets = make_content(700, 2);
    return octets;
}

fault_world::fault_world() {
    write_file(root_.path() / source_name, content());
    write_file(local_.path() / source_name, content());
    forget_sleep(); // so that both are fresh
}

error_code fault_world::start(bool faulty, bool pooled, tid_mode tids) {
    const maybe_armed scope(faulty);
    try {
        return open_service(pooled, tids);
    } catch (const std::bad_alloc&) {
        return make_error_code(boost::system::errc::not_enough_memory);
    } catch (const std::system_error& failed) {
        return {failed.code().value(), boost::system::system_category()};
    }
}

error_code fault_world::open_service(bool pooled, tid_mode tids) {
    access_policy policy;
    policy.writable = writable::create;
    policy.overwrite = overwrite::replace;
    auto root = export_root::open(root_.path().c_str(), policy);
    if (!root) {
        return root.error();
    }
    files_.emplace(std::move(*root));
    loop_.emplace();
    service_config config;
    config.tids = tids;
    shard_ = std::make_unique<shard>(
        shard_dependencies{*files_, ports_, *loop_, observer_, pooled ? &pool_ : nullptr},
        config,
        now_
    );
    socket_options options;
    options.local_addresses = true;
    options.waiting_times = true;
    options.coalesce = tids == tid_mode::single;
    auto port = udp_socket::open(loopback(address_family::ipv4), options);
    if (!port) {
        return port.error();
    }
    server_ = (*port)->local_endpoint();
    return shard_->listen(std::move(*port));
}

client_request fault_world::request_for(const fault_case& what, const char* name) const {
    client_request asked;
    asked.options = no_options;
    asked.server = server_;
    asked.filename = name;
    asked.mode = what.mode;
    if (what.windowsize > 1) {
        asked.options->blksize = blksize;
        asked.options->windowsize = what.windowsize;
        asked.options->tsize = 0;
    }
    return asked;
}

/// Lets both act on what is there. Returns false when nothing was.
bool fault_world::turn(const fault_case& what, transfer* client) {
    bool any = false;
    {
        const maybe_armed scope(what.faulty == side::server);
        any = loop_->dispatch(now_) > 0;
        shard_->step(now_);
    }
    if (client != nullptr && !client->closed()) {
        const short ready = ready_events(*client);
        any = any || ready != 0;
        const maybe_armed scope(what.faulty == side::client);
        if ((ready & (POLLIN | POLLERR)) != 0) {
            client->on_readable(memory_, now_);
        }
        if ((ready & POLLOUT) != 0 && !client->closed()) {
            client->on_writable(memory_, now_);
        }
    }
    return any;
}

std::optional<time_point> fault_world::next_deadline(const transfer* client) const {
    const std::optional<time_point> due = shard_->deadline();
    if (client == nullptr || client->closed() || !client->deadline()) {
        return due;
    }
    return due ? std::min(*due, *client->deadline()) : client->deadline();
}

/// Moves the clock, and tells those whose deadline it has reached.
void fault_world::pass_time(const fault_case& what, transfer* client, time_point until) {
    now_ = std::max(now_, until);
    {
        const maybe_armed scope(what.faulty == side::server);
        shard_->step(now_);
    }
    if (client != nullptr && !client->closed() && client->deadline() &&
        *client->deadline() <= now_) {
        const maybe_armed scope(what.faulty == side::client);
        client->on_deadline(memory_, now_);
    }
}

/// Runs both to their end. Returns false when they do not come to it.
bool fault_world::drive(const fault_case& what, transfer* client) {
    const time_point limit = now_ + time_max;
    int busy = 0;
    for (int turns = 0; turns < turns_max && now_ < limit; ++turns) {
        if (turn(what, client)) {
            if (++busy <= busy_turns_max) {
                continue;
            }
            pass_time(what, client, now_ + busy_turn);
        } else {
            busy = 0;
        }
        if ((client == nullptr || client->closed()) && shard_->transfers() == 0) {
            return true;
        }
        if (busy != 0) {
            continue;
        }
        const std::optional<time_point> due = next_deadline(client);
        if (!due) {
            return false;
        }
        pass_time(what, client, *due);
    }
    return false;
}

/// Client code that may meet the fault. open: the file of its own; begin: its transfer.
template <class Open, class Begin>
error_code fault_world::run_client(const fault_case& what, Open open, Begin begin, bool& stuck) {
    typename std::invoke_result_t<Open>::value_type file;
    std::unique_ptr<transfer> t;
    {
        const maybe_armed scope(what.faulty == side::client);
        auto opened = open();
        if (!opened) {
            return opened.error();
        }
        file = std::move(*opened);
        auto begun = begin(*file);
        if (!begun) {
            return begun.error();
        }
        t = std::move(*begun);
        t->start(memory_, now_);
    }
    stuck = !drive(what, t.get());
    return t->summary().outcome;
}

error_code fault_world::run_read(const fault_case& what, bool& stuck) {
    const std::string path = local_.path() / target_name;
    const client_request asked = request_for(what, source_name);
    return run_client(
        what,
        [&] { return make_file_sink(path.c_str(), {}); },
        [&](sink& into) { return begin_get(asked, into, ports_, now_); },
        stuck
    );
}

error_code fault_world::run_write(const fault_case& what, bool& stuck) {
    const std::string path = local_.path() / source_name;
    const client_request asked = request_for(what, target_name);
    return run_client(
        what,
        [&] { return make_file_source(path.c_str()); },
        [&](source& from) { return begin_put(asked, from, ports_, now_); },
        stuck
    );
}

fault_result fault_world::run(const fault_case& what) {
    const std::filesystem::path directory =
        what.verb == transfer_direction::read ? local_.path() : root_.path();
    std::filesystem::remove(directory / target_name);
    if (what.replaces) {
        write_file(directory / target_name, before());
    }
    fault_result ended;
    try {
        ended.outcome = what.verb == transfer_direction::read ? run_read(what, ended.stuck)
                                                              : run_write(what, ended.stuck);
    } catch (const std::bad_alloc&) {
        ended.outcome = make_error_code(boost::system::errc::not_enough_memory);
    }
    // What the client left behind when it could not even begin.
    ended.stuck = !drive(what, nullptr) || ended.stuck;
    for (const auto& each : std::filesystem::directory_iterator(directory)) {
        const std::string name = each.path().filename();
        if (name == target_name) {
            ended.written = read_file(each.path());
        } else if (name != source_name) {
            ended.left.push_back(name);
            std::filesystem::remove(each.path());
        }
    }
    return ended;
}

} // namespace tftp::test
