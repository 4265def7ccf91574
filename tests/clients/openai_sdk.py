#!/usr/bin/env python3
"""A script with OpenAI's SDK whose model is a small server here that answers what the script tells it to.

    openai_sdk.py GATEWAY INTERFACE STRICT CALLS [TOKEN]

INTERFACE is `chat` or `responses`, STRICT `true` or `false`, CALLS a JSON list of `[name, arguments]`, the arguments as
the text that a model writes. The tools go from the gateway into the SDK, the model's calls from the SDK to the gateway,
and the answers back into the SDK. Every object is held to the SDK's own types. Prints what the model was sent.
"""
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
from openai import OpenAI
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionToolMessageParam
from openai.types.responses import FunctionToolParam
from openai.types.responses.response_input_param import FunctionCallOutput
from pydantic import TypeAdapter


class Model(BaseHTTPRequestHandler):
    """Calls tools in its first turn, and says something in its second."""

    asked = []
    calls = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        answer = completion(body, self.calls) if self.path.endswith("/chat/completions") else response(body, self.calls)
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def completion(body, calls):
    message = {"role": "assistant", "content": None}
    if body["messages"][-1]["role"] == "tool":
        message["content"] = "done"
    else:
        message["tool_calls"] = [
            {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for index, (name, arguments) in enumerate(calls)
        ]
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}


def response(body, calls):
    if body["input"][-1].get("type") == "function_call_output":
        text = {"type": "output_text", "text": "done", "annotations": []}
        output = [{"type": "message", "id": "m", "status": "completed", "role": "assistant", "content": [text]}]
    else:
        output = [{"type": "reasoning", "id": "r", "summary": []}] + [
            {"type": "function_call", "id": f"fc_{index}", "call_id": f"call_{index}", "name": name, "arguments": arguments}
            for index, (name, arguments) in enumerate(calls)
        ]
    return {"id": "r", "object": "response", "created_at": 0, "model": "m", "output": output, "tools": [],
            "parallel_tool_calls": True, "tool_choice": "auto"}


def checked(kind, values):
    """`values`, held to one of the SDK's types, of which nothing may be left over."""
    for value in values:
        TypeAdapter(kind).validate_python(value)
        unknown = set(value) - set(kind.__annotations__)
        assert not unknown, f"{kind.__name__} has no {unknown}"
    return values


def chat(client, gateway, tools):
    checked(ChatCompletionFunctionToolParam, tools)
    messages = [{"role": "user", "content": "go"}]
    message = client.chat.completions.create(model="m", messages=messages, tools=tools).choices[0].message
    calls = [call.model_dump() for call in message.tool_calls]
    bodies = [calls, {"tool_calls": calls}, message.model_dump(), message.model_dump(exclude_none=True)]
    answers = [gateway("POST", "/v1/tools/call", body) for body in bodies]
    assert all(answer == answers[0] for answer in answers), "every shape of the calls is answered alike"
    messages += [message, *checked(ChatCompletionToolMessageParam, answers[0])]
    return client.chat.completions.create(model="m", messages=messages, tools=tools).choices[0].message.content


def responses(client, gateway, tools):
    checked(FunctionToolParam, tools)
    items = [{"role": "user", "content": "go"}]
    made = client.responses.create(model="m", input=items, tools=tools)
    bodies = [made.model_dump(), [item.model_dump() for item in made.output]]
    answers = [gateway("POST", "/v1/tools/call", body) for body in bodies]
    assert answers[0] == answers[1], "every shape of the calls is answered alike"
    items += [*made.output, *checked(FunctionCallOutput, answers[0])]
    return client.responses.create(model="m", input=items, tools=tools).output_text


def main(address, interface, strict, calls, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    def gateway(method, path, body=None):
        answer = httpx2.request(method, address + path, json=body, headers=headers, timeout=60)
        assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
        return answer.json()

    Model.calls = json.loads(calls)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="none", max_retries=0)
    tools = gateway("GET", f"/v1/tools?form={interface}&strict={strict}")
    said = (chat if interface == "chat" else responses)(client, gateway, tools)
    assert said == "done", said
    last = Model.asked[-1]
    print(json.dumps({"tools": last["tools"], "sent": last.get("messages") or last["input"]}))
    server.shutdown()


main(*sys.argv[1:])
