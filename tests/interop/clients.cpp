#include "interop/clients.hpp"

namespace tftp::test {

client atftp_client(const program& atftp) {
    return [atftp](const transfer& what) {
        std::vector<std::string> arguments{
            what.way == direction::read ? "-g" : "-p",
            "-r",
            what.remote,
            "-l",
            what.local.string()};
        if (what.blksize) {
            arguments.insert(
                arguments.end(), {"--option", "blksize " + std::to_string(*what.blksize)}
            );
        }
        if (what.windowsize) {
            arguments.insert(
                arguments.end(), {"--option", "windowsize " + std::to_string(*what.windowsize)}
            );
        }
        if (what.netascii) {
            arguments.insert(arguments.end(), {"--option", "mode netascii"});
        }
        arguments.insert(arguments.end(), {what.server.host, std::to_string(what.server.port)});
        return atftp.with(arguments);
    };
}

client tftp_hpa_client(const program& tftp_hpa) {
    return [tftp_hpa](const transfer& what) {
        std::vector<std::string> arguments{
            what.server.is_v6() ? "-6" : "-4",
            "-m",
            what.netascii ? "ascii" : "binary",
            what.server.host,
            std::to_string(what.server.port),
            "-c"};
        if (what.way == direction::read) {
            arguments.insert(arguments.end(), {"get", what.remote, what.local.string()});
        } else {
            arguments.insert(arguments.end(), {"put", what.local.string(), what.remote});
        }
        return tftp_hpa.with(arguments);
    };
}

client curl_client(const program& curl) {
    return [curl](const transfer& what) {
        const std::string url = "tftp://" + what.server.text() + "/" + what.remote +
                                (what.netascii ? ";mode=netascii" : "");
        std::vector<std::string> arguments{"--silent", "--show-error", "--globoff"};
        if (what.blksize) {
            arguments.insert(arguments.end(), {"--tftp-blksize", std::to_string(*what.blksize)});
        } else {
            arguments.emplace_back("--tftp-no-options");
        }
        arguments.insert(
            arguments.end(),
            {what.way == direction::read ? "--output" : "--upload-file", what.local.string(), url}
        );
        return curl.with(arguments);
    };
}

client busybox_client(const program& busybox) {
    return [busybox](const transfer& what) {
        std::vector<std::string> arguments{
            "tftp",
            what.way == direction::read ? "-g" : "-p",
            "-r",
            what.remote,
            "-l",
            what.local.string()};
        if (what.blksize) {
            arguments.insert(arguments.end(), {"-b", std::to_string(*what.blksize)});
        }
        arguments.insert(arguments.end(), {what.server.host, std::to_string(what.server.port)});
        return busybox.with(arguments);
    };
}

client tftp_client(const program& tftp) {
    return [tftp](const transfer& what) {
        std::vector<std::string> arguments{"--quiet"};
        if (!what.blksize && !what.windowsize) {
            arguments.emplace_back("--no-options");
        }
        if (what.blksize) {
            arguments.insert(arguments.end(), {"--blksize", std::to_string(*what.blksize)});
        }
        if (what.windowsize) {
            arguments.insert(arguments.end(), {"--windowsize", std::to_string(*what.windowsize)});
        }
        if (what.netascii) {
            arguments.insert(arguments.end(), {"--mode", "netascii"});
        }
        const bool reads = what.way == direction::read;
        arguments.insert(
            arguments.end(),
            {reads ? "get" : "put",
             what.server.text(),
             reads ? what.remote : what.local.string(),
             reads ? what.local.string() : what.remote}
        );
        return tftp.with(arguments);
    };
}

} // namespace tftp::test
