"""The Responses API with LangChain and with OpenAI's Agents SDK."""

import asyncio

import agents
import openai
import pydantic
from common import REST, run_tests
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

MODEL = "qwen3-next-80b-a3b-instruct"

# Traces would be sent to OpenAI.
agents.set_tracing_disabled(True)


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"21 degrees in {city}"


def langchain(**options):
    return ChatOpenAI(base_url=f"{REST}/v1", api_key="not-needed", model=MODEL, use_responses_api=True, max_retries=0, **options)


def test_langchain_answers_and_streams():
    model = langchain()
    answer = model.invoke("Hello")
    assert answer.text and answer.usage_metadata["total_tokens"] > 0 and answer.response_metadata["id"].startswith("resp_")
    chunks = list(model.stream("Hello"))
    assert "".join(chunk.text for chunk in chunks) == answer.text


def test_langchain_continues_a_response():
    model = langchain(use_previous_response_id=True)
    question = HumanMessage("I am Ada.")
    answer = model.invoke([question])
    assert model.invoke([question, answer, HumanMessage("Who am I?")]).text


def test_langchain_calls_a_tool():
    model = langchain().bind_tools([get_weather], tool_choice="required")
    question = HumanMessage("What is the weather in Paris?")
    answer = model.invoke([question])
    call = answer.tool_calls[0]
    assert call["name"] == "get_weather" and call["args"]["city"]
    result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    assert langchain().bind_tools([get_weather]).invoke([question, answer, result]).text


def test_langchain_parses_structured_output():
    class Boat(pydantic.BaseModel):
        """A boat."""

        name: str
        length: int

    assert isinstance(langchain().with_structured_output(Boat).invoke("Describe a boat"), Boat)


def agent(**options):
    other = openai.AsyncOpenAI(base_url=f"{REST}/v1", api_key="not-needed", max_retries=0)
    return agents.Agent(name="Guide", instructions="Be brief.", model=agents.OpenAIResponsesModel(MODEL, other), **options)


def test_agents_sdk_runs_an_agent():
    result = asyncio.run(agents.Runner.run(agent(), "Hello"))
    assert result.final_output and result.last_response_id.startswith("resp_")


def test_agents_sdk_calls_a_tool_and_goes_on():
    called = []

    @agents.function_tool
    def weather(city: str) -> str:
        """The weather in a city."""
        called.append(city)
        return "21 degrees"

    settings = agents.ModelSettings(tool_choice="required")
    result = asyncio.run(agents.Runner.run(agent(tools=[weather], model_settings=settings), "What is the weather in Paris?"))
    assert called and result.final_output, result


def test_agents_sdk_streams():
    async def run():
        result = agents.Runner.run_streamed(agent(), "Hello")
        types = [event.data.type async for event in result.stream_events() if event.type == "raw_response_event"]
        assert types[0] == "response.created" and types[-1] == "response.completed", types
        assert result.final_output

    asyncio.run(run())


if __name__ == "__main__":
    run_tests(globals())
