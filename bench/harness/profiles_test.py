"""What the profiler has seen is read, named and sorted right."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness import profiles  # noqa: E402
from harness.profiles_rooms import other, owner_of, place_of  # noqa: E402
from harness.profiles_stacks import Frame, collapsed, is_whole, itself, read_samples, short_name  # noqa: E402

printed = """\
loop-0\x20
\tffffffff81a01234 tcp_sendmsg ([kernel.kallsyms])
\tffffffff81900000 __x64_sys_sendmsg ([kernel.kallsyms])
\tffffffff81800000 do_syscall_64 ([kernel.kallsyms])
\t    7f12345678ab __libc_sendmsg (/usr/lib/x86_64-linux-gnu/libc.so.6)
\t    55d0deadbeef vorrang::http::wire::write_now(std::span<char const>) (/build (new)/vorrang)
\t    7f1234567000 __clone3 (/usr/lib/x86_64-linux-gnu/libc.so.6 (deleted))

loop-0\x20
\t    55d0deadbee0 std::vector<int, std::allocator<int> >::push_back(int&&) (/build/vorrang)
\t    55d0deadbeef void vorrang::http::(anonymous namespace)::add_lines<char>(char (*)(int)) (/build/vorrang)
\t    7f1234567000 [unknown] ([vdso])
\tffffffffffffffff [unknown] ([unknown])
"""


def stack_of(*names, kernel=()):
    return tuple(Frame(*name.partition("@")[::2], False) for name in names) + tuple(Frame(name, "k", True) for name in kernel)


class Names(unittest.TestCase):
    def test_short(self):
        for symbol, name in (
            ("malloc", "malloc"),
            ("__GI___pthread_mutex_lock", "__pthread_mutex_lock"),
            ("cfree@GLIBC_2.2.5", "cfree"),
            ("pthread_mutex_lock@@GLIBC_2.2.5", "pthread_mutex_lock"),
            ("operator new(unsigned long)", "operator new"),
            ("tcp_recvmsg_locked.isra.0", "tcp_recvmsg_locked"),
            ("vorrang::http::loop::run()", "vorrang::http::loop::run"),
            ("std::vector<a, b<c> >::at(unsigned long) const", "std::vector::at"),
            ("a::b<int>::operator()(int) const [clone .constprop.0] [clone .cold]", "a::b::operator()"),
            ("bool a::operator< <int>(b<int> const&, c)", "a::operator<"),
            ("std::ostream& a::operator<<(std::ostream&, c)", "a::operator<<"),
            ("a::operator->() const", "a::operator->"),
            ("a::b<int>::operator bool() const", "a::b::operator bool"),
            ("(anonymous namespace)::run(int)", "run"),
            ("decltype(auto) std::visit<a>(b&&)", "std::visit"),
            ("std::function<void ()>::operator()() const", "std::function::operator()"),
            ("void a::f<g(int)::{lambda(int)#1}>(h)", "a::f"),
            ("a::f(g)::{lambda(int)#1}::operator()(int) const", "a::f::[lambda]::operator()"),
            ("caf::trivial_match_case<vorrang::queue(a<(b)1>*)::{lambda(caf::atom_constant<(caf::atom_value)16989993655>, c&)#1}>"
             "::invoke(d&)", "vorrang::queue::[offer]"),
            ("run(a)::{lambda(caf::atom_constant<(caf::atom_value)266292530>, c&)#1}::operator()(c) const",
             "run::[room]::operator()"),
            ("a::b::serve(a::b::serve()::_ZN1a1b5serveEv.Frame*) [clone .actor]", "a::b::serve"),
        ):  # fmt: skip
            with self.subTest(symbol):
                self.assertEqual(short_name(symbol), name)


class Reading(unittest.TestCase):
    def setUp(self):
        self.samples = list(read_samples(printed.splitlines(keepends=True)))

    def test_stacks_are_from_the_outermost_function_to_the_innermost(self):
        self.assertEqual([[frame.name for frame in stack] for stack in self.samples], [
            ["__clone3", "vorrang::http::wire::write_now", "__libc_sendmsg", "do_syscall_64", "__x64_sys_sendmsg", "tcp_sendmsg"],
            ["[vdso]", "vorrang::http::add_lines", "std::vector::push_back"],
        ])  # fmt: skip
        self.assertEqual([frame.is_kernel for frame in self.samples[0]], [False] * 3 + [True] * 3)
        self.assertEqual([frame.file for frame in self.samples[0]][:2], ["libc.so.6", "vorrang"])

    def test_whole(self):
        self.assertEqual([is_whole(stack) for stack in self.samples], [True, False])

    def test_itself(self):
        self.assertEqual(itself(self.samples)[Frame("tcp_sendmsg", "[kernel.kallsyms]", True)], 1)

    def test_equal_stacks_are_one_line(self):
        self.assertEqual(collapsed(self.samples + self.samples[1:]), [
            "[vdso];vorrang::http::add_lines;std::vector::push_back 2",
            "__clone3;vorrang::http::wire::write_now;__libc_sendmsg;do_syscall_64;__x64_sys_sendmsg;tcp_sendmsg 1",
        ])  # fmt: skip


class Sorting(unittest.TestCase):
    def test_rooms(self):
        for room, *names in (
            ("allocator", "vorrang::http::relay::run", "operator new", "malloc", "_int_malloc"),
            ("strings and copies", "vorrang::http::relay::run", "__memmove_avx_unaligned_erms"),
            ("types at run time", "caf::f", "__dynamic_cast", "__cxxabiv1::__si_class_type_info::__do_dyncast", "__strcmp_evex"),
            ("clock", "vorrang::queue", "clock_gettime", "__vdso_clock_gettime@[vdso]"),
            ("entry of system calls", "vorrang::http::wire::write_now", "__libc_sendmsg"),
            ("heads, read", "vorrang::http::connection::serve", "vorrang::http::head_reader::feed"),
            ("heads, read", "vorrang::http::connection::serve", "vorrang::http::tokenize_request", "std::vector::push_back"),
            ("heads, written", "vorrang::http::exchange::ask", "vorrang::http::render_upstream_head"),
            ("bodies", "vorrang::http::connection::serve", "vorrang::http::body_scanner::feed"),
            ("events of streams", "vorrang::http::relay::relay_stream", "vorrang::http::stream_relay::feed"),
            ("relay", "vorrang::http::loop::run", "vorrang::http::relay::relay_stream"),
            ("what a call means", "vorrang::http::relay::run", "vorrang::http::call::attempt"),
            ("loops and their coroutines", "main", "vorrang::http::call_list::run_all"),
            ("engine: desks", "vorrang::http::loop::run", "vorrang::request_book::open"),
            ("engine: actors", "caf::scheduled_actor::consume", "vorrang::queue::[offer]::operator()"),
            ("engine: the line", "vorrang::group_queue::serve", "vorrang::indexed_heap::erase"),
            ("engine: deployments' books", "vorrang::deployment_keeper::[settle]", "vorrang::deployment::settle"),
            ("engine: the queue's decisions", "vorrang::queue::[offer]::operator()", "vorrang::group_queue::serve"),
            ("the load itself", "caf::scheduled_actor::consume", "run::[verdict]::operator()"),
            ("CAF", "vorrang::serve", "caf::make_message", "std::vector::push_back"),
            ("CAF", "main", "[libcaf_core.so.0.17.6]@libcaf_core.so.0.17.6"),
            ("Asio", "vorrang::http::loop::run", "boost::asio::detail::scheduler::run"),
            ("TLS", "vorrang::http::wire::read_secured", "[libcrypto.so.3]@libcrypto.so.3"),
            (other, "main", "std::vector::push_back"),
        ):  # fmt: skip
            with self.subTest(names[-1]):
                self.assertEqual(place_of(stack_of(*names)), ("user", room))

    def test_system_calls(self):
        for call, *kernel in (
            ("sendmsg", "entry_SYSCALL_64_after_hwframe", "do_syscall_64", "__x64_sys_sendmsg", "tcp_sendmsg"),
            ("epoll_wait", "do_syscall_64", "__x64_sys_epoll_wait", "asm_sysvec_apic_timer_interrupt", "__irq_exit_rcu"),
            ("openat", "el0_svc", "__arm64_sys_openat", "do_sys_openat2"),
            ("page faults", "asm_exc_page_fault", "handle_mm_fault", "_raw_spin_unlock_irqrestore"),
            ("interrupts", "asm_sysvec_apic_timer_interrupt", "__irq_exit_rcu"),
            ("ways in and out", "entry_SYSCALL_64_after_hwframe", "do_syscall_64", "x64_sys_call"),
            ("another process' turn", "do_syscall_64", "exit_to_user_mode_loop", "schedule", "__schedule"),
            ("futex", "do_syscall_64", "__x64_sys_futex", "futex_wait", "schedule", "finish_task_switch"),
            (other, "native_write_msr"),
        ):
            with self.subTest(call):
                self.assertEqual(place_of(stack_of("main", kernel=kernel)), ("kernel", call))


class Tables(unittest.TestCase):
    samples = [stack_of("main", "malloc")] * 600 + [stack_of("main", "caf::f")] * 3 + [
        stack_of("main", kernel=["__x64_sys_read"])] * 397  # fmt: skip

    def test_shares_are_of_all_samples(self):
        found = profiles.profile_of(self.samples, 2, "1 request/s")
        self.assertEqual(found["places"], {"kernel": {"read": 0.397}, "user": {"allocator": 0.6, "CAF": 0.003}})
        self.assertEqual(found["functions"][1], {"name": "__x64_sys_read", "file": "kernel", "share": 0.397})

    def test_small_ones_stand_together(self):
        profile = profiles.profile_of(self.samples, 0, "")
        both = {"one": profile, "two": {**profile, "places": {"user": {"CAF": 0.4}, "kernel": {}}}}
        self.assertEqual(profiles.place_rows(both, "user"), [["allocator", "60.0 %", ""], ["CAF", "0.3 %", "40.0 %"]])
        self.assertEqual(profiles.place_rows({"one": profile}, "user")[-1], ["what is below 0.5 % everywhere", "0.3 %"])


class Pictures(unittest.TestCase):
    def drawn(self, sizes):
        """How narrow frames were left out, and what was kept."""
        asked = []

        def flamegraph(command, **_arguments):
            asked.append(command[command.index("--minwidth") + 1])
            return subprocess.CompletedProcess(command, 0, "<svg" + "x" * sizes[len(asked) - 1], "")

        with tempfile.TemporaryDirectory() as name, mock.patch.object(subprocess, "run", flamegraph), \
                mock.patch.object(profiles, "flamegraph", lambda: ["flamegraph"]):  # fmt: skip
            profiles.draw([stack_of("main", "a::operator->")], "a title", Path(name) / "new" / "a.svg")
            return asked, (Path(name) / "new" / "a.svg").stat().st_size

    def test_colours(self):
        stack = stack_of("malloc", "a::operator->", "vorrang::http::f", "vorrang::f", "caf::f", kernel=["f"])
        self.assertEqual([owner_of(frame) for frame in stack], ["libraries"] * 2 + ["gateway", "engine", "CAF", "kernel"])
        self.assertEqual(len(profiles.palette([stack]).splitlines()), 6)
        self.assertRegex(profiles.palette([stack_of("f")]), r"\nf->rgb\(\d+,\d+,\d+\)\n$")

    def test_narrow_frames_are_left_out_until_it_is_small(self):
        self.assertEqual(self.drawn([10**6, 10**6, 1000]), (["0.3", "0.5", "1"], 1004))


if __name__ == "__main__":
    unittest.main()
