"""A chat completion with OpenAI's SDK: non-streaming, streaming, and with a tool call. pip install openai"""

import json
import os

import openai

client = openai.OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key="not-needed",
)
model = "qwen3-next-80b-a3b-instruct"
messages = [{"role": "user", "content": "What is the weather in Paris?"}]

response = client.chat.completions.create(model=model, messages=messages)
print(response.choices[0].message.content)

for chunk in client.chat.completions.create(model=model, messages=messages, stream=True):
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()

tools = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
response = client.chat.completions.create(model=model, messages=messages, tools=tools, tool_choice="required")
call = response.choices[0].message.tool_calls[0]
print(call.function.name, json.loads(call.function.arguments))

messages += [response.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees, sunny"}]
print(client.chat.completions.create(model=model, messages=messages, tools=tools).choices[0].message.content)
