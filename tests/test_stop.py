import os
import signal
import subprocess
import sys

import pytest

from spikeprune.stop import Terminated, ended_by, stop_of

SIGNALS = {signal.SIGINT: ("interrupted", 130), signal.SIGTERM: ("terminated", 143)}
STARTING = "from spikeprune.stop import *; import time; stop = Stop(); stop.listen()\n"
WAIT = "print('ready', flush=True); time.sleep(60)\n"
UNWINDING = STARTING + (
    "try:\n"
    "    with stop:\n"
    "        try:\n"
    f"            {WAIT}"
    "        finally:\n"
    "            print('cleaned', flush=True)\n"
    "            time.sleep(SECONDS)\n"
    "except KeyboardInterrupt as error:\n"
    "    code = ended_by(error)\n"
    f"    {WAIT}"
)


def heed_interrupts():
    """For a child: these tests may run in the background of a shell, which ignores interrupts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def started(code, **options):
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
        **options,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def end(process):
    _, errors = process.communicate(timeout=60)
    return errors, process.returncode


def test_an_interrupt_inside_code_made_from_text_has_the_exit_code_of_any_other(tmp_path):
    (tmp_path / "interrupted.py").write_text(
        "import sys\nfrom spikeprune.stop import ended_by\n"
        "try:\n    exec('raise KeyboardInterrupt')\n"
        "except KeyboardInterrupt as error:\n    sys.exit(ended_by(error))\n"
    )
    command = [sys.executable, "-m", "interrupted"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 130


@pytest.mark.parametrize("number", SIGNALS)
def test_before_the_command_a_signal_is_one_line_and_the_end(number):
    process, (word, code) = started(STARTING + WAIT), SIGNALS[number]
    process.send_signal(number)
    assert end(process) == (f"spikeprune: {word}; nothing is lost\n", code)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_command_is_unwound_and_a_later_signal_adds_nothing(number):
    process, (word, code) = started(UNWINDING.replace("SECONDS", "0")), SIGNALS[number]
    process.send_signal(number)
    assert process.stdout.readline() == "cleaned\n"
    assert process.stdout.readline() == "ready\n"  # its end was said
    process.send_signal(number)
    assert end(process) == (f"spikeprune: {word}; nothing is lost\n", code)


def test_a_second_signal_ends_what_the_first_one_unwinds():
    process = started(UNWINDING.replace("SECONDS", "60"))
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "cleaned\n"
    process.send_signal(signal.SIGINT)
    assert end(process) == ("spikeprune: interrupted; nothing is lost\n", 130)


def test_a_library_that_does_not_return_is_ended_after_a_while():
    minutes = "print('ready', flush=True); hashlib.pbkdf2_hmac('sha256', b'a', b'b', 10**9)"
    code = f"import hashlib, spikeprune.stop; spikeprune.stop._PATIENCE = 0.2\n{STARTING}"
    # The signal may come before the library is called: then it is an ordinary end.
    ended = "except KeyboardInterrupt as error:\n    raise SystemExit(ended_by(error))"
    process = started(f"{code}try:\n    with stop:\n        {minutes}\n{ended}")
    process.send_signal(signal.SIGTERM)
    assert end(process) == ("spikeprune: terminated; nothing is lost\n", 143)


def test_what_was_ignored_stays_ignored_as_under_nohup():
    code = f"import signal; signal.signal(2, signal.SIG_IGN)\n{STARTING}{WAIT}"
    process = started(code)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert end(process) == ("spikeprune: terminated; nothing is lost\n", 143)


def test_a_launcher_of_several_processes_ends_them_without_unwinding():
    process = started(STARTING + WAIT, env=os.environ | {"WORLD_SIZE": "2"})
    process.send_signal(signal.SIGTERM)
    assert end(process) == ("", -signal.SIGTERM)


def test_a_process_ends_with_the_other_side_of_its_pipe():
    code = f"from spikeprune.stop import end_with; import time; end_with(0)\n{WAIT}"
    process = started(code, stdin=subprocess.PIPE)
    process.stdin.write("an order\n")
    process.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    assert end(process) == ("", 1)  # `communicate` closes the pipe


def test_the_module_imports_nothing_that_takes_time():
    code = "import sys; from spikeprune.stop import Stop; print('ready'); print(*sys.modules)"
    modules = started(code).communicate()[0].split()
    assert not {"torch", "numpy", "typing", "signal", "spikeprune.cli"} & set(modules)


def test_the_interrupt_behind_another_error():
    def raised(error, cause):
        try:
            try:
                raise cause
            except BaseException:
                raise error  # noqa: B904
        except BaseException as made:
            return made

    interrupt = Terminated()
    assert stop_of(interrupt) is interrupt
    assert stop_of(raised(ImportError("half a module"), interrupt)) is interrupt
    assert stop_of(raised(ImportError(), ZeroDivisionError())) is None


def test_what_was_said_of_how_to_go_on_is_said(capsys):
    assert ended_by(KeyboardInterrupt("the same command goes on")) == 130
    assert ended_by(Terminated()) == 143
    assert capsys.readouterr().err == (
        "spikeprune: interrupted; the same command goes on\n"
        "spikeprune: terminated; nothing is lost\n"
    )
