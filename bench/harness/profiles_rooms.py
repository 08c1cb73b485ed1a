"""Where a sample of the profiler belongs: the system call that the kernel serves, or the room of our code.

A sample is a stack of functions. One in the kernel is sorted by the system call that led there. One in user code is
sorted by the innermost function that a rule names: the standard library, templates and little helpers that no rule
names count to who called them. Names are as `profiles_stacks.short_name` makes them, followed by the file they are
in, in brackets; the first rule that matches a function decides.
"""
import re
import zlib

other = "other"


def ours(*names):
    """Classes and functions of the gateway, by their names alone; with `*` by how these begin."""
    words = "|".join(name.replace("*", r"\w*") for name in names)
    return rf"^vorrang::http::({words})(::|\(| |$)"


rules = [(room, re.compile(pattern)) for room, pattern in (
    # Wherever they are called from.
    ("allocator", r"^(__libc_|_mid_|_int_|__|posix_|aligned_)?(malloc|calloc|realloc|free|memalign|alloc|cfree)(_\w+)?( |$)"
                  r"|^(malloc_consolidate|unlink_chunk|sysmalloc|systrim|tcache_|checked_request2size|arena_get)"
                  r"|^operator (new|delete)|^vorrang::http::frame_memory"),
    ("strings and copies", r"^_*(mem(cpy|move|set|cmp|chr|rchr|pcpy)|bcmp|str(len|nlen|chr|rchr|ncmp|cpy|casecmp))(_|$| )"
                           r"|^std::(__cxx11::)?basic_string|^std::char_traits|^std::(from|to)_chars|^std::to_string"),
    ("types at run time", r"^__cxxabiv1::|^__dynamic_cast"),  # these compare names by strcmp, which no rule names
    ("clock", r"clock_gettime|^std::chrono::.*::now|\[\[vdso\]\]"),
    ("locks", r"^_*(pthread_(mutex|cond|rwlock|once)|lll_|futex)"),
    ("TLS", r"\[lib(ssl|crypto)\b" + "|" + ours("tls_*")),
    ("entry of system calls", r"^_*(libc_)?(send|recv|read|write|sendmsg|recvmsg|readv|writev|epoll_\w+|accept4?|connect|close"
                              r"|socket|shutdown|ioctl|[gs]etsockopt|sched_yield|syscall\w*|pthread_(en|dis)able_asynccancel"
                              r"|internal_syscall_cancel)( |$)"),
    # The load of the engine's bench.
    ("the load itself", r"^(run|runner|stage|grants|ask_on|asking|crowd)(::|\(| |$)|^vorrang::finish_line|^benchmark::"),
    # A request's way through the gateway.
    ("loops and their coroutines", ours("loop", "loop_pool", "call_list", "waiting_call", "timed_call*", "awaitable*",
                                        "parking", "worker", "loop_scheduler", "caf_clock", "coroutine*", "pause")),
    ("heads, read", ours("head_reader*", "head_fields*", "head_tokenizer*", "learned_fields", "header_fields", "tokenize_*",
                         "answer_head*", "add_fields", "take_word", "read_version", "read_lengths",
                         "is_field_*", "is_token_char", "make_fields", "any_list_holds", "list_holds", "apply_rules",
                         "read_target", "is_host", "percent_decoded")),
    ("heads, written", ours("head_text", "render_*", "add_upstream_fields", "add_gateway_fields", "add_browser_fields",
                            "add_own_fields", "add_number", "add_known", "add_lines", "http_date", "upstream_target",
                            "reply", "reason_phrase", "is_hop_by_hop", "is_withheld", "passes_*", "always_passes",
                            "is_ours")),
    ("bodies", ours("body_*", "json_*", "inspect*", "each_member", "each_element", "after_*", "string_is", "unescaped",
                    "kind_of", "rewrite*", "slice_list", "text_meter", "measure", "restamp*", "read_usage", "read_members",
                    "find_member*") + r"|^nlohmann::"),
    ("events of streams", ours("stream_relay", "sse_*")),
    ("upstream", ours("exchange", "upstream_pool", "upstream_proxy", "open_socket", "open_tunnel")),
    ("relay", ours("relay", "attempt_waiter")),
    ("what a call means", ours("call", "call_*", "front*", "find_route", "routes", "key_ring", "read_terms", "classify_*",
                               "judge*", "error_*", "own_names", "models_page", "mock_*", "learns_from", "keep_good",
                               "credentials_reply", "what_came*")),
    ("client's connection", ours("connection", "data_loop", "data_port", "listener", "hangup_watch", "byte_*", "waiter",
                                 "carrier")),
    ("wire", ours("wire", "buffers", "wire_*")),
    # The engine.
    ("engine: desks", ours("loop_desk", "request_keeper", "put") + r"|^vorrang::(request_book|send_book)"),
    ("engine: actors", r"^vorrang::(queue|serve|send_\w+|index_of|deployment_keeper|report|for_each_key|follow_line|timer"
                       r"|forget_caf_logger)(::|\(| |$)"),
    ("engine: the line", r"^vorrang::(waiting_line|indexed_heap)"),
    ("engine: deployments' books", r"^vorrang::(deployment|health|sliding_window)(::|\(| |$)"),
    ("engine: the queue's decisions", r"^vorrang::(?!http::)"),
    # What they stand on.
    ("CAF", r"^caf::|\[libcaf_core"),
    ("Asio", r"^boost::asio::|^boost::system::"),
)]  # fmt: skip

system_call = re.compile(r"^_*(?:x64_|arm64_|se_|do_)*sys_(?!call$)(\w+)$")  # not the dispatcher, x64_sys_call
kernel_others = (
    ("page faults", re.compile(r"exc_page_fault|do_user_addr_fault|do_page_fault")),
    ("another process' turn", re.compile(r"^(__)?schedule$|finish_task_switch")),  # on the way back to user code
    ("interrupts", re.compile(r"interrupt|sysvec|_irq|softirq")),
    ("ways in and out", re.compile(r"^(entry_|do_syscall_64|syscall_|exit_to_user|ret_from)")),
)

# In the flame graphs: red, green, blue.
colours = {"kernel": (232, 125, 50), "gateway": (218, 206, 72), "engine": (110, 196, 96), "CAF": (96, 190, 214),
           "libraries": (196, 196, 196)}  # fmt: skip
shade = 12  # neighbours differ by up to twice as much


def room_of(stack):
    """Of a sample in user code; a stack is from the outermost function to the innermost."""
    for frame in reversed(stack):
        text = f"{frame.name} [{frame.file}]"
        for room, pattern in rules:
            if pattern.search(text):
                return room
    return other


def system_call_of(stack):
    """Of a sample in the kernel: what the program has asked it for, or what else brought it there."""
    kernel = [frame.name for frame in stack if frame.is_kernel]
    for name in kernel:
        if found := system_call.match(name):
            return found.group(1)
    for what, pattern in kernel_others:
        if any(pattern.search(name) for name in kernel):
            return what
    return other


def place_of(stack):
    """(`kernel` or `user`, system call or room)"""
    if stack[-1].is_kernel:
        return "kernel", system_call_of(stack)
    return "user", room_of(stack)


def owner_of(frame):
    if frame.is_kernel:
        return "kernel"
    if frame.name.startswith("vorrang::"):
        return "gateway" if frame.name.startswith("vorrang::http::") else "engine"
    return "CAF" if frame.name.startswith("caf::") or frame.file.startswith("libcaf_core") else "libraries"


def colour_of(frame):
    """As SVG has it; the same for each name."""
    light = zlib.crc32(frame.name.encode()) % (2 * shade + 1) - shade
    return "rgb(%d,%d,%d)" % tuple(part + light for part in colours[owner_of(frame)])
