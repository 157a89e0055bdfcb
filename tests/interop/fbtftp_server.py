"""Serves one directory with the fbtftp package: fbtftp_server.py ADDRESS PORT DIRECTORY TIMEOUT

TIMEOUT is the time in seconds after which fbtftp sends a block again. Reads only: fbtftp has no
uploads.
"""

import os
import sys

from fbtftp.base_handler import BaseHandler, ResponseData
from fbtftp.base_server import BaseServer

RETRIES = 10


class FileData(ResponseData):
    def __init__(self, path):
        self._size = os.stat(path).st_size
        self._file = open(path, "rb")

    def read(self, n):
        return self._file.read(n)

    def size(self):
        return self._size

    def close(self):
        self._file.close()


class Handler(BaseHandler):
    def __init__(self, server_addr, peer, path, options, root):
        self._root = root
        super().__init__(server_addr, peer, path, options, lambda stats: None)

    def get_response_data(self):
        return FileData(os.path.join(self._root, self._path.lstrip("/")))


class Server(BaseServer):
    def __init__(self, address, port, root, timeout):
        self._root = root
        super().__init__(address, port, RETRIES, timeout)

    def get_handler(self, server_addr, peer, path, options):
        return Handler(server_addr, peer, path, options, self._root)


def main():
    address, port, root, timeout = sys.argv[1:]
    Server(address, int(port), root, int(timeout)).run()


if __name__ == "__main__":
    main()
