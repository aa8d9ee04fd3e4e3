"""API keys with OpenAI's Python SDK: with the current one or with 0.28, the last one before 1.0, whichever is installed.

    api_keys.py PATH_OF_TRIPTYCH

Starts Triptych on free ports.
"""

import sys

import openai
import requests
from fake_provider import start_triptych

SECRET = "the-secret-of-a-team"
HELLO = [{"role": "user", "content": "Hello"}]
MODEL = "qwen3-next-80b-a3b-instruct"


def check_current_sdk(rest):
    def client(secret):
        return openai.OpenAI(base_url=rest, api_key=secret, max_retries=0)

    for stream in (False, True):
        try:
            client("a-wrong-one").chat.completions.create(model=MODEL, messages=HELLO, stream=stream)
            raise SystemExit("a wrong key was accepted")
        except openai.AuthenticationError as error:
            assert (error.code, error.status_code) == ("invalid_api_key", 401), error
            assert "a-wrong-one" not in str(error), error
    authenticated = client(SECRET)
    assert authenticated.chat.completions.create(model=MODEL, messages=HELLO).choices[0].message.content
    assert MODEL in [model.id for model in authenticated.models.list()]
    return authenticated.images.generate(prompt="A boat", size="256x256").data[0].url


def check_sdk_0_28(rest):
    openai.api_base = rest
    openai.api_key = "a-wrong-one"
    try:
        openai.ChatCompletion.create(model=MODEL, messages=HELLO)
        raise SystemExit("a wrong key was accepted")
    except openai.error.AuthenticationError as error:
        assert error.json_body["error"]["code"] == "invalid_api_key", error.json_body
    openai.api_key = SECRET
    assert openai.ChatCompletion.create(model=MODEL, messages=HELLO)["choices"][0]["message"]["content"]
    return openai.Image.create(prompt="A boat", size="256x256")["data"][0]["url"]


settings = {"TRIPTYCH_KEYS": f"team:{SECRET},other:the-secret-of-another", "TRIPTYCH_OFFLINE_CHAT_TOKENS_PER_SECOND": "0"}
with start_triptych(sys.argv[1], settings) as rest:
    link = (check_current_sdk if hasattr(openai, "OpenAI") else check_sdk_0_28)(rest)
    # Links need no key.
    assert requests.get(link).content.startswith(b"\x89PNG"), link
    response = requests.get(f"{rest}/models")
    assert response.status_code == 401 and response.headers["www-authenticate"] == "Bearer", response.headers
    assert requests.get(f"{rest.removesuffix('/v1')}/readyz").status_code == 200
print(f"  ok   openai {openai.VERSION if hasattr(openai, 'VERSION') else openai.version.VERSION}: a known key is accepted, a wrong or missing one rejected")
