#include "interop/servers.hpp"

#include "support/skip.hpp"

#include <charconv>
#include <functional>
#include <stdexcept>

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

namespace tftp::test {
namespace {

using namespace std::chrono_literals;

constexpr auto start_limit = 20s;

[[noreturn]] void fail(const command& what, const child_process& child) {
    throw std::runtime_error{
        "no answer from: " + to_string(what) + "\n" + child.output() + child.errors()};
}

running_server started(const endpoint& where, const command& what) {
    auto child = std::make_unique<child_process>(what);
    if (!wait_for_answer(where, *child, start_limit)) {
        fail(what, *child);
    }
    return {where, std::move(child)};
}

/// Starts a server that must be told its port. Another program can take a port between the moment
/// we find it free and the server's bind; a server that ends within its start is therefore given
/// another port. One that cannot start at all ends on every port, and that is reported.
running_server
started_on_free_port(const std::string& host, const std::function<command(const endpoint&)>& line) {
    constexpr int ports_tried = 4;
    for (int attempt = 1;; ++attempt) {
        const endpoint where{host, free_udp_port(host)};
        const command what = line(where);
        auto child = std::make_unique<child_process>(what);
        if (wait_for_answer(where, *child, start_limit)) {
            return {where, std::move(child)};
        }
        if (attempt == ports_tried || !child->wait(0ms)) {
            fail(what, *child);
        }
    }
}

/// USER.GROUP of this process, as atftpd wants it: it becomes nobody else.
std::string own_name() {
    const ::passwd* const user = ::getpwuid(::geteuid());
    const std::string name = user != nullptr ? user->pw_name : "root";
    const ::group* const group = ::getgrgid(::getegid());
    return name + "." + (group != nullptr ? group->gr_name : "root");
}

} // namespace

running_server
start_atftpd(const program& atftpd, const std::string& host, const std::filesystem::path& root) {
    return started_on_free_port(host, [&](const endpoint& where) {
        return atftpd.with(
            {"--daemon",
             "--no-fork",
             "--port",
             std::to_string(where.port),
             "--bind-address",
             where.host,
             "--user",
             own_name(),
             "--logfile",
             "-",
             root.string()}
        );
    });
}

running_server start_in_tftpd(
    const program& in_tftpd,
    const std::string& host,
    const std::filesystem::path& root,
    std::chrono::microseconds retransmit
) {
    need_root(); // for chroot
    need_address_beside(host);
    return started_on_free_port(host, [&](const endpoint& where) {
        return in_tftpd.with(
            {"-L",
             "-a",
             where.text(),
             "-u",
             "root",
             "-T",
             std::to_string(retransmit.count()),
             "-c",
             "-p",
             "-s",
             root.string()}
        );
    });
}

running_server start_dnsmasq(const program& dnsmasq, const std::filesystem::path& root) {
    constexpr std::uint16_t tftp_port = 69;
    std::vector<std::string> words{
        "--no-daemon",
        "--conf-file=/dev/null",
        "--port=0",
        "--pid-file=",
        "--user=root",
        "--enable-tftp",
        "--tftp-root=" + root.string(),
        "--bind-interfaces",
        "--listen-address=127.0.0.1"};
    if (has_address("::1")) {
        words.emplace_back("--listen-address=::1");
    }
    return started({"127.0.0.1", tftp_port}, dnsmasq.with(words));
}

running_server
start_fbtftp(const program& fbtftp, const std::string& host, const std::filesystem::path& root) {
    return started_on_free_port(host, [&](const endpoint& where) {
        constexpr const char* timeout_seconds = "1";
        return fbtftp.with({where.host, std::to_string(where.port), root.string(), timeout_seconds}
        );
    });
}

running_server
start_tftpd(const program& tftpd, const std::string& host, const std::filesystem::path& root) {
    const endpoint any_port{host, 0};
    const command what =
        tftpd.with({"--listen", any_port.text(), "--writable", "create", root.string()});
    auto child = std::make_unique<child_process>(what);
    const auto line = child->wait_for_line("tftpd: serving ", start_limit);
    if (!line) {
        fail(what, *child);
    }
    endpoint where{host, 0};
    const char* port = line->data() + line->rfind(':') + 1;
    if (std::from_chars(port, line->data() + line->size(), where.port).ec != std::errc{}) {
        throw std::runtime_error{"no port in: " + *line};
    }
    return {where, std::move(child)};
}

} // namespace tftp::test
