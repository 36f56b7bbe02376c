"""The protocols in which clients ask a model: each reads a request and streams one step.

Anthropic's Messages (Claude Code), OpenAI's Responses (Codex), OpenAI's chat completions
(OpenClaw) and Gemini's generateContent (Gemini CLI). Only what these clients use is here.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Protocol

from tests.e2e.scripted.script import Step, Turn, begins

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
SEPARATOR = "::"
"""Between a namespace of tools and a tool in it, in the names that the script sees."""


class Wire(Protocol):
    """One protocol."""

    name: str

    def read(self, request: Json) -> Turn:
        """Return the turn that a request tells."""

    def stream(self, step: Step) -> Iterator[str]:
        """Return the step as server-sent events."""


def text_of(content: Any) -> str:
    """Return the words of a content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content or ())


def turn_of(entries: list[tuple[str, str]], tools: list[str]) -> Turn:
    """Return the last turn of a conversation; its entries are "user" or "result", and a text."""
    asked = max(
        (n for n, (who, words) in enumerate(entries) if who == "user" and begins(words)), default=0
    )
    results = [words for who, words in entries[asked:] if who == "result"]
    return Turn(entries[asked][1] if entries else "", results, tools)


def event(content: Json, name: str = "") -> str:
    """Return one server-sent event."""
    return (f"event: {name}\n" if name else "") + f"data: {json.dumps(content)}\n\n"


def _new(prefix: str) -> str:
    return f"{prefix}_{time.time_ns()}"


class Messages:
    """Anthropic's Messages."""

    name = "messages"

    def read(self, request: Json) -> Turn:
        """Return the turn; what the client adds stands beside results, in texts of its own."""
        entries = []
        for message in request["messages"]:
            content = message["content"]
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            for part in parts:
                if part["type"] == "tool_result":
                    entries.append(("result", text_of(part.get("content"))))
                elif part["type"] == "text":
                    entries.append((message["role"], part["text"]))
        return turn_of(entries, [tool["name"] for tool in request.get("tools", ())])

    def stream(self, step: Step) -> Iterator[str]:
        """Return the events of one message with one block."""
        message: Json = {
            "id": _new("msg"),
            "type": "message",
            "role": "assistant",
            "model": "scripted",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
        if step.tool:
            block = {"type": "tool_use", "id": _new("toolu"), "name": step.tool, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(step.arguments)}
        else:
            block = {"type": "text", "text": ""}
            delta = {"type": "text_delta", "text": step.answer}
        stop = {"stop_reason": "tool_use" if step.tool else "end_turn", "stop_sequence": None}
        for entry in (
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ):
            yield event(entry, str(entry["type"]))


class Responses:
    """OpenAI's Responses."""

    name = "responses"

    def read(self, request: Json) -> Turn:
        """Return the turn."""
        entries = []
        for item in request["input"]:
            if item.get("type") == "function_call_output":
                entries.append(("result", text_of(item["output"])))
            elif item.get("type", "message") == "message":
                entries.append((item["role"], text_of(item["content"])))
        return turn_of(entries, list(_names(request.get("tools", ()))))

    def stream(self, step: Step) -> Iterator[str]:
        """Return the events of one response with one item."""
        namespace, _, tool = step.tool.rpartition(SEPARATOR)
        item: Json
        if step.tool:
            item = {
                "type": "function_call",
                "id": _new("fc"),
                "call_id": _new("call"),
                "name": tool,
                "arguments": json.dumps(step.arguments),
                **({"namespace": namespace} if namespace else {}),
            }
        else:
            said = {"type": "output_text", "text": step.answer, "annotations": []}
            item = {"type": "message", "id": _new("msg"), "role": "assistant", "content": [said]}
        usage = {
            "input_tokens": 1,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 1,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 2,
        }
        response = {"id": _new("resp"), "object": "response", "output": [item], "usage": usage}
        for entry in (
            {"type": "response.created", "response": {"id": response["id"]}},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": response},
        ):
            yield event(entry, str(entry["type"]))


def _names(tools: Any, namespace: str = "") -> Iterator[str]:
    for tool in tools:
        if tool.get("type") == "namespace":
            yield from _names(tool["tools"], f"{tool['name']}{SEPARATOR}")
        elif "name" in tool:
            yield f"{namespace}{tool['name']}"


class Chat:
    """OpenAI's chat completions."""

    name = "chat"

    def read(self, request: Json) -> Turn:
        """Return the turn.

        OpenClaw puts what the system has to say, a wake's text among it, into a last message
        behind the turn's results. Here it comes first. Results of MCP tools are JSON there.
        """
        entries, context = [], ""
        for message in request["messages"]:
            words = text_of(message.get("content"))
            if "BEGIN_OPENCLAW_INTERNAL_CONTEXT" in words:
                context += words
            elif message["role"] == "tool":
                entries.append(("result", words.replace("\\n", "\n")))
            elif message["role"] == "user":
                entries.append(("user", words))
        asked = max((n for n, (who, _) in enumerate(entries) if who == "user"), default=0)
        if context and entries:
            entries[asked] = ("user", f"{entries[asked][1]}\n{context}")
        names = [tool["function"]["name"] for tool in request.get("tools", ())]
        return turn_of(entries[asked:], names)

    def stream(self, step: Step) -> Iterator[str]:
        """Return the chunks of one completion."""
        delta: Json = {"role": "assistant", "content": step.answer or None}
        if step.tool:
            call = {"name": step.tool, "arguments": json.dumps(step.arguments)}
            delta["tool_calls"] = [
                {"index": 0, "id": _new("call"), "type": "function", "function": call}
            ]
        finish = "tool_calls" if step.tool else "stop"
        for part, reason in ((delta, None), ({}, finish)):
            choice = {"index": 0, "delta": part, "finish_reason": reason}
            yield event(
                {
                    "id": "scripted",
                    "object": "chat.completion.chunk",
                    "created": int(time.time()),
                    "model": "scripted",
                    "choices": [choice],
                }
            )
        yield "data: [DONE]\n\n"


class Gemini:
    """Gemini's streamGenerateContent."""

    name = "gemini"

    def read(self, request: Json) -> Turn:
        """Return the turn."""
        entries = []
        for content in request["contents"]:
            for part in content["parts"]:
                if "functionResponse" in part:
                    said = part["functionResponse"]["response"]
                    entries.append(("result", str(said.get("output", said))))
                elif "text" in part:
                    entries.append((content["role"], part["text"]))
        known = [
            declared["name"]
            for tool in request.get("tools", ())
            for declared in tool.get("functionDeclarations", ())
        ]
        return turn_of(entries, known)

    def stream(self, step: Step) -> Iterator[str]:
        """Return the one chunk of a content."""
        call = {"functionCall": {"name": step.tool, "args": step.arguments}}
        part = call if step.tool else {"text": step.answer}
        content = {"role": "model", "parts": [part]}
        counts = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
        yield event(
            {
                "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
                "usageMetadata": counts,
            }
        )


WIRES: dict[str, Wire] = {
    "/messages": Messages(),
    "/responses": Responses(),
    "/chat/completions": Chat(),
    ":streamGenerateContent": Gemini(),
}
"""By the end of the path that is asked."""
