"""Attacks on what is around: files, the network."""

from __future__ import annotations

from typing import Final

from .assembly import PORT, Call
from .gadget import (
    FILE,
    GONE,
    call,
    does,
    method,
    rows,
)

HOST: Final = ("127.0.0.1", PORT)
CONNECT: Final = "socket.connect"

FILES: Final = rows(
    "picklescan's and fickling's lists: files",
    call("builtins:open", "$MARK", "w", fires=FILE),
    call("io:open", "$MARK", "w", fires=FILE),
    call("_io:FileIO", "$MARK", "w", fires=FILE, known="GHSA-m273-6v24-x4m4 and its like"),
    call("codecs:open", "$MARK", "w", fires=FILE),
    call("gzip:open", "$MARK", "w", fires=FILE),
    call("bz2:open", "$MARK", "w", fires=FILE),
    call("lzma:open", "$MARK", "w", fires=FILE),
    call("zipfile:ZipFile", "$MARK", "w", fires=FILE),
    call("tarfile:open", "$MARK", "w", fires=FILE),
    call("sqlite3:connect", "$MARK", fires=FILE),
    call("shelve:open", "$MARK", fires="open"),
    call("dbm.dumb:open", "$MARK", "c", fires="open"),
    call("logging:FileHandler", "$MARK", fires=FILE),
    call(
        "distutils.file_util:write_file",
        "$MARK",
        ["x"],
        fires=FILE,
        needs=("distutils",),
        known="GHSA-m273-6v24-x4m4",
    ),
    call("os:mkdir", "$MARK", fires=FILE),
    call("os:symlink", "x", "$MARK", fires="os.symlink"),
    call("os:open", "$MARK", 0o101, fires=FILE),
    call("os:rename", "$LAID/victim", "$MARK", fires=GONE),
    call("os:remove", "$LAID/victim", fires=GONE),
    call("os:chmod", "$LAID/victim", 0, fires="os.chmod"),
    call("os:truncate", "$LAID/victim", 0, fires=GONE),
    call("os:listdir", "$LAID", fires="os.listdir"),
    call("glob:glob", "$LAID/*", fires="glob.glob"),
    call("shutil:copyfile", "$LAID/victim", "$MARK", fires=FILE),
    call("shutil:move", "$LAID/victim", "$MARK", fires=GONE),
    call("shutil:rmtree", "$LAID/victims", fires="shutil.rmtree"),
    call("tempfile:mkstemp", "", "", "$LAID", fires="tempfile.mkstemp"),
    call("tempfile:mkdtemp", "", "", "$LAID", fires="tempfile.mkdtemp"),
    call("linecache:getlines", "$LAID/script.py", fires="open", known="GHSA-r48f-3986-4f9c"),
    call("filecmp:cmp", "$LAID/victim", "$LAID/script.py", False, fires="open"),
    does("fileinput.input", method("readline", Call("fileinput:input", "$LAID/script.py")), "open"),
    call("mmap:mmap", -1, 4096, fires="mmap.__new__"),
    call("numpy:fromfile", "$LAID/script.py", "u1", fires="open"),
    call("numpy:memmap", "$MARK", "u1", "w+", 0, 10, fires=FILE),
    call("numpy:savetxt", "$MARK", [1], fires=FILE),
    call("numpy:genfromtxt", "$LAID/victim", fires="open"),
    does("numpy.ndarray.tofile", Call("numpy:ndarray.tofile", Call("numpy:zeros", 3), "$MARK"), FILE),
    call(
        "pandas:read_csv",
        "$LAID/script.py",
        fires="open",
        needs=("pandas",),
        known="modelscan, missed in models of strangers (2026)",
    ),
    does(
        "pathlib.PosixPath.write_text",
        Call("pathlib:PosixPath.write_text", Call("pathlib:PosixPath", "$MARK"), "x"),
        FILE,
        "a dotted name behind one that is allowed",
    ),
    does(
        "pathlib.Path.unlink",
        Call("pathlib:Path.unlink", Call("pathlib:PosixPath", "$LAID/victim")),
        GONE,
        "a dotted name behind one that is allowed",
    ),
)

NETWORK: Final = rows(
    "picklescan's and fickling's lists: the network",
    call("socket:create_connection", HOST, fires=CONNECT),
    call("socket:gethostbyname", "localhost", fires="socket.gethostbyname"),
    call("socket:getaddrinfo", "localhost", 80, fires="socket.getaddrinfo"),
    call("socket:create_server", ("127.0.0.1", 0), fires="socket.bind"),
    call("ssl:get_server_certificate", HOST, fires=CONNECT, known="picklescan 1.0: DNS as a way out"),
    call("urllib.request:urlopen", f"http://127.0.0.1:{PORT}", fires=CONNECT),
    call("urllib.request:urlretrieve", "file://$LAID/victim", "$MARK", fires=FILE),
    does(
        "http.client.HTTPConnection.connect",
        method("connect", Call("http.client:HTTPConnection", *HOST)),
        CONNECT,
    ),
    call("smtplib:SMTP", *HOST, fires=CONNECT, known="GHSA-mhc9-48gj-9gp3"),
    call("poplib:POP3", *HOST, fires=CONNECT, known="GHSA-mhc9-48gj-9gp3"),
    call("imaplib:IMAP4", *HOST, fires=CONNECT, known="GHSA-mhc9-48gj-9gp3"),
    call("ftplib:FTP", "127.0.0.1", fires=CONNECT, known="GHSA-mhc9-48gj-9gp3"),
    call("telnetlib:Telnet", *HOST, fires=CONNECT, needs=("telnetlib",), known="GHSA-mhc9-48gj-9gp3"),
    call("nntplib:NNTP", *HOST, fires=CONNECT, needs=("nntplib",), known="GHSA-mhc9-48gj-9gp3"),
    call("socketserver:TCPServer", ("127.0.0.1", 0), None, fires="socket.bind"),
    call("http.server:HTTPServer", ("127.0.0.1", 0), None, fires="socket.bind"),
    call("xmlrpc.server:SimpleXMLRPCServer", ("127.0.0.1", 0), fires="socket.bind"),
    call("multiprocessing.connection:Client", HOST, fires=CONNECT),
    call("multiprocessing.connection:Listener", ("127.0.0.1", 0), fires="socket.bind"),
    does(
        "asyncio.run(open_connection)", Call("asyncio:run", Call("asyncio:open_connection", *HOST)), CONNECT
    ),
    call("requests.api:get", f"http://127.0.0.1:{PORT}", fires=CONNECT, needs=("requests",)),
    call("syslog:syslog", 7, "", fires="syslog.syslog"),
)
