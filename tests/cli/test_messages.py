import logging

from captioner.cli.messages import messages_printed


def test_a_servers_error_leaves_its_traceback_in_the_log(capfd):
    with messages_printed():
        try:
            raise ZeroDivisionError("the reason")
        except ZeroDivisionError:
            logging.getLogger("captioner.serving.access").exception("request %s failed", "abc")
        logging.getLogger("captioner.serving.access").error("no picture")
    first, *lines, last = capfd.readouterr().err.splitlines()
    assert first == "captioner: request abc failed" and lines[0].startswith("Traceback")
    assert lines[-1] == "ZeroDivisionError: the reason" and last == "captioner: no picture"
