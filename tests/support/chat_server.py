"""A chat server on this machine that fails as it is told to, and counts what it was asked."""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
import time
from collections import Counter
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

ALTERNATIVES = [("N", -0.5), ("PASS", -1.5), ("FAIL", -2.5), ("the", -6.0)]


def _said(message: Any, finish: Any = "stop", **more: Any) -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": finish}], **more}).encode()


_GOOD = {"content": "LABEL=NA\nCONF=0.40"}

NONSENSE: dict[str, tuple[bytes, dict[str, str]]] = {
    "nonsense": (b"<html>", {}),
    "nothing": (b"", {}),
    "cut": (_said(_GOOD)[:-9], {}),
    "deep": (b'{"choices": ' + b"[" * 100_000, {}),
    "a number of many digits": (b'{"choices": ' + b"9" * 5_000 + b"}", {}),
    "UTF-16": (_said(_GOOD).decode().encode("utf-16"), {"Content-Type": "application/json; charset=utf-16"}),
    "not UTF-8": (b'{"choices": "\xff\xfe"}', {"Content-Type": "application/json; charset=utf-8"}),
    "a charset that is none": (b"\xff", {"Content-Type": "text/plain; charset=rot13"}),
    "no gzip": (_said(_GOOD), {"Content-Encoding": "gzip"}),
    "half a gzip": (gzip.compress(_said(_GOOD))[:-12], {"Content-Encoding": "gzip"}),
    "no message": (_said(None), {}),
    "null": (_said({"content": None}), {}),
    "no content": (_said({"role": "assistant"}), {}),
    "an error": (_said({"content": "LABEL=PASS"}, "error"), {}),
    "an abort": (_said({"content": "LABEL=PASS"}, {"type": "abort", "message": "full"}), {}),
    "an error beside it": (_said({"content": "LABEL=PASS"}, error={"message": "overloaded"}), {}),
    "tools": (_said({"content": None, "tool_calls": [{}]}, "tool_calls"), {}),
    "a picture": (_said({"content": [{"type": "image_url", "image_url": {}}]}), {}),
    "too long": (b" " * (65 << 20), {}),
}
"""What servers send in place of an answer, with status 200: body and headers."""


class ChatServer:
    """What it will do next, and what was asked so far.

    Attributes:
        faults: answers to give before any proper one: a status, ``drop``, ``hang`` or a key of :data:`NONSENSE`; with
            headers.
        refuses: fields that it answers 400 to; prompts that hold a word of ``refuses_words`` get 400, too.
        replies: status and body to give to prompts that hold a word.
        logprobs: whether it tells them, and of how many alternatives at most.
        asked: how often each claim was asked for with success.
    """

    def __init__(self, url: str) -> None:
        self.url = url
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

    def handle(self, request: Request) -> Response:
        """Note the request and do what is next to be done."""
        body = json.loads(request.get_data())
        with self.lock:
            self.bodies.append(body)
            self.keys.add(request.headers.get("Authorization"))
            self.times.append(time.monotonic())
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            fault, headers = self.faults.pop(0) if self.faults else (None, {})
        try:
            time.sleep(self.seconds)
            return self._reply(fault, headers, body, request)
        finally:
            with self.lock:
                self.at_once -= 1

    def _reply(
        self, fault: int | str | None, headers: dict[str, str], body: dict[str, Any], request: Request
    ) -> Response:
        if fault in ("drop", "hang"):
            time.sleep(1.0 if fault == "hang" else 0.0)
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return Response()  # which does not get through any more
        if fault in NONSENSE:
            content, more = NONSENSE[str(fault)]
            return Response(content, headers={"Content-Type": "application/json", **headers, **more})
        if isinstance(fault, int):
            return Response(f"no, {request.headers.get('Authorization')}", fault, headers)
        status, answer = self.answer(body)
        return Response(json.dumps(answer), status, headers)

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer to one request."""
        prompt = body["messages"][-1]["content"]
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


def serve_chat(httpserver: HTTPServer) -> ChatServer:
    """Let a server answer all requests as the returned state says."""
    state = ChatServer(httpserver.url_for("").rstrip("/"))
    httpserver.expect_request(re.compile(".*"), method="POST").respond_with_handler(state.handle)
    return state
