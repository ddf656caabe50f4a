import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from flowlat.training.loggers.server import require_server


class NotFound(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(404)

    def log_message(self, *_):
        pass


@pytest.fixture
def port(monkeypatch):
    """One where nobody listens, of the server that W&B is told to use."""
    monkeypatch.delenv("WANDB_MODE", raising=False)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        number = found.getsockname()[1]
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{number}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return number


def test_a_server_that_is_not_there(port):
    text = rf"http://127.0.0.1:{port} does not answer \(.*refused\); logger.wandb.offline=true"
    with pytest.raises(ValueError, match=text):
        require_server()


def test_any_answer_will_do(port):
    server = HTTPServer(("127.0.0.1", port), NotFound)
    threading.Thread(target=server.handle_request, daemon=True).start()
    require_server()
    server.server_close()


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_a_mode_that_needs_none(mode, port, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", mode)
    require_server()


def test_the_command_ends_in_one_line(port, command, tmp_path, monkeypatch):
    done = command("train.py", "logger=wandb", "phase=symmetric", "hydra.run.dir=run")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: wandb: http://127.0.0.1:{port} does not answer (")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()
