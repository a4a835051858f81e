"""A chat server on this machine that fails as it is told to, and counts what it was asked."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ALTERNATIVES = [("N", -0.5), ("PASS", -1.5), ("FAIL", -2.5), ("the", -6.0)]


class ChatServer:
    """What it will do next, and what was asked so far.

    Attributes:
        faults: answers to give before any proper one: a status, ``drop``, ``hang`` or ``nonsense``; with headers.
        refuses: fields that it answers 400 to; prompts that hold a word of ``refuses_words`` get 400, too.
        replies: status and body to give to prompts that hold a word.
        logprobs: whether it tells them, and of how many alternatives at most.
        asked: how often each claim was asked for with success.
    """

    def __init__(self) -> None:
        self.url = ""
        self.faults: list[tuple[int | str, dict[str, str]]] = []
        self.refuses: set[str] = set()
        self.refuses_words: set[str] = set()
        self.replies: dict[str, tuple[int, dict[str, Any]]] = {}
        self.logprobs = True
        self.most_alternatives = 20
        self.finish = "stop"
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.times: list[float] = []
        self.at_once = self.most_at_once = 0
        self.seconds = 0.0
        self.lock = threading.Lock()

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer to one request."""
        prompt = body["messages"][0]["content"]
        for field in sorted(self.refuses & body.keys()):
            hint = " Use 'max_completion_tokens' instead." if field == "max_tokens" else ""
            return 400, {"error": {"message": f"Unsupported parameter: '{field}'.{hint}"}}
        if body.get("top_logprobs", 0) > self.most_alternatives:
            message = f"Requested sample logprobs of 20, which is greater than max allowed: {self.most_alternatives}"
            return 400, {"error": {"message": message}}
        if any(word in prompt for word in self.refuses_words):
            return 400, {"error": {"message": "the prompt is longer than the model's context"}}
        for word, reply in self.replies.items():
            if word in prompt:
                return reply
        with self.lock:
            self.asked[prompt.split("Claim: ")[1].split("\n")[0]] += 1
        tokens = ["LABEL=", "N", "A", "\nCONF=0.40"]
        choice: dict[str, Any] = {"message": {"content": "".join(tokens)}, "finish_reason": self.finish}
        if self.logprobs and body.get("logprobs"):
            listed = [{"token": token, "logprob": value} for token, value in ALTERNATIVES]
            choice["logprobs"] = {"content": [{"token": token, "top_logprobs": listed} for token in tokens]}
        return 200, {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}


@contextlib.contextmanager
def chat_server() -> Iterator[ChatServer]:
    """Serve while the block runs."""
    state = ChatServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with state.lock:
                state.bodies.append(body)
                state.keys.add(self.headers.get("Authorization"))
                state.times.append(time.monotonic())
                state.at_once += 1
                state.most_at_once = max(state.most_at_once, state.at_once)
                fault, headers = state.faults.pop(0) if state.faults else (None, {})
            try:
                time.sleep(state.seconds)
                self.reply(fault, headers, body)
            except OSError:
                self.close_connection = True  # whoever asked has gone
            finally:
                with state.lock:
                    state.at_once -= 1

        def reply(self, fault: int | str | None, headers: dict[str, str], body: dict[str, Any]) -> None:
            if fault == "drop":
                self.close_connection = True
                self.connection.close()
                return
            if fault == "hang":
                time.sleep(1.0)
                self.close_connection = True
                return
            if fault == "nonsense":
                status, content = 200, b"<html>"
            elif isinstance(fault, int):
                status, content = fault, f"no, {self.headers.get('Authorization')}".encode()
            else:
                status, answer = state.answer(body)
                content = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Say nothing: connections that the other side gives up are what is tested."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
