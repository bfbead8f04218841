// What the official Node SDKs make of an answer, told as one line of JSON.
//   node ask.cjs SDK PORT SCENARIO
"use strict";
const { createRequire } = require("node:module");
const sdks = createRequire(process.env.NODE_PACKAGES + "/");

const TOOL = { name: "get_weather", description: "Weather", parameters: { type: "object", properties: { city: { type: "string" } } } };
const SCHEMA = { type: "object", properties: { answer: { type: "integer" } }, required: ["answer"], additionalProperties: false };
const HELLO = [{ role: "user", content: "Say hello" }];

function openai(port) {
  const OpenAI = sdks("openai");
  const client = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: "sk-any", maxRetries: 0, timeout: 30000 });
  const ask = (more) => client.chat.completions.create({ model: "test", messages: HELLO, ...more });
  const told = (choice) => ({
    text: choice.message.content ?? "", finish: choice.finish_reason,
    calls: (choice.message.tool_calls ?? []).map((one) => [one.function.name, JSON.parse(one.function.arguments)]),
  });
  return {
    chat: async () => told((await ask()).choices[0]),
    stream: async () => told((await client.chat.completions.stream({ model: "test", messages: HELLO }).finalChatCompletion()).choices[0]),
    tools: async () => told((await ask({ tools: [{ type: "function", function: TOOL }] })).choices[0]),
    stream_tools: async () => told((await client.chat.completions.stream(
      { model: "test", messages: HELLO, tools: [{ type: "function", function: TOOL }] }).finalChatCompletion()).choices[0]),
    schema: async () => told((await ask({ response_format: { type: "json_schema", json_schema: { name: "a", schema: SCHEMA, strict: true } } })).choices[0]),
    models: async () => ({ models: (await client.models.list()).data.map((one) => one.id) }),
    embed: async () => ({ vectors: (await client.embeddings.create({ model: "test", input: ["one", "two"] })).data.map((one) => one.embedding) }),
    response: async () => ({ text: (await client.responses.create({ model: "test", input: "Say hello", store: false })).output_text }),
    cancel: async () => {
      const running = await ask({ stream: true });
      for await (const _ of running) { running.controller.abort(); break; }
      return { text: "cancelled" };
    },
  };
}

function anthropic(port) {
  const Anthropic = sdks("@anthropic-ai/sdk");
  const client = new Anthropic({ baseURL: `http://127.0.0.1:${port}`, apiKey: "sk-any", maxRetries: 0, timeout: 30000 });
  const asked = { model: "test", max_tokens: 100, messages: HELLO };
  const tools = [{ name: TOOL.name, description: TOOL.description, input_schema: TOOL.parameters }];
  const told = (message) => ({
    text: message.content.filter((one) => one.type === "text").map((one) => one.text).join(""), finish: message.stop_reason,
    calls: message.content.filter((one) => one.type === "tool_use").map((one) => [one.name, one.input]),
  });
  return {
    chat: async () => told(await client.messages.create(asked)),
    stream: async () => told(await client.messages.stream(asked).finalMessage()),
    tools: async () => told(await client.messages.create({ ...asked, tools })),
    stream_tools: async () => told(await client.messages.stream({ ...asked, tools }).finalMessage()),
    schema: async () => told(await client.messages.create({ ...asked, output_config: { format: { type: "json_schema", schema: SCHEMA } } })),
    models: async () => ({ models: (await client.models.list()).data.map((one) => one.id) }),
    count: async () => ({ tokens: (await client.messages.countTokens({ model: "test", messages: HELLO })).input_tokens }),
    cancel: async () => {
      const running = client.messages.stream(asked);
      for await (const event of running) { if (event.type === "content_block_delta") { running.abort(); break; } }
      return { text: "cancelled" };
    },
  };
}

function ollama(port) {
  const { Ollama } = sdks("ollama");
  const client = new Ollama({ host: `http://127.0.0.1:${port}` });
  const ask = (more) => client.chat({ model: "test", messages: HELLO, ...more });
  const told = (answer) => ({
    text: answer.message.content, finish: answer.done_reason,
    calls: (answer.message.tool_calls ?? []).map((one) => [one.function.name, one.function.arguments]),
  });
  const whole = async (running) => {
    const out = { text: "", calls: [] };
    for await (const part of running) {
      out.text += part.message.content;
      out.calls.push(...told(part).calls);
      if (part.done) out.finish = part.done_reason;
    }
    return out;
  };
  const tools = [{ type: "function", function: TOOL }];
  return {
    chat: async () => told(await ask()),
    stream: async () => whole(await ask({ stream: true })),
    tools: async () => told(await ask({ tools })),
    stream_tools: async () => whole(await ask({ tools, stream: true })),
    schema: async () => told(await ask({ format: SCHEMA })),
    models: async () => ({ models: (await client.list()).models.map((one) => one.model) }),
    embed: async () => ({ vectors: (await client.embed({ model: "test", input: ["one", "two"] })).embeddings }),
    cancel: async () => {
      const running = await ask({ stream: true });
      try {
        for await (const _ of running) client.abort();
      } catch (error) {
        if (error.name !== "AbortError") throw error;
      }
      return { text: "cancelled" };
    },
  };
}

const [, , name, port, scenario] = process.argv;
({ openai, anthropic, ollama })[name](port)[scenario]().then(
  (told) => console.log(JSON.stringify(told)),
  (error) => console.log(JSON.stringify({ error: error.constructor.name, status: error.status ?? error.status_code, message: error.message })));
